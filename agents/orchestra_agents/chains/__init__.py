"""The machinery of the drive: asking, counting, betting and keeping watch, one step after another."""
