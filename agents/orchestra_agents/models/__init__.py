"""Who answers: one contract, several kinds of model behind it."""
