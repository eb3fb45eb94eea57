"""How votes decide."""
