"""Tests of single processes, beside those of all of them in tests/chains."""
