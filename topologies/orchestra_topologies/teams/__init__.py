"""How one question is answered: one agent, or several that vote."""
