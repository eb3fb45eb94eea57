"""Role cards: what an agent of a role is told first, how it is sampled and which replies it may not give, as data."""
