"""The bridges: Inspect AI, CSV, and gates in pytest."""
