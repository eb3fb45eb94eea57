"""Measuring: suites, runner, statistics and comparisons at equal budget."""
