"""What happened, durably: JSON records in SQLite, and the state that follows from them."""
