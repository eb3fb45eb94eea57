"""Suites: questions made from a seed, each with an exact checker."""
