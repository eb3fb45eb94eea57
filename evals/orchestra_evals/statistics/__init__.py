"""Statistics: intervals, paired comparisons, detectable effects and the figures of a report."""
