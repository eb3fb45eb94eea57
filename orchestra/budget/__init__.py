"""The budget model: what a team, a topology and a vote are worth and cost, before anything is spent."""
