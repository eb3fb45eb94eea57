"""The commands `orchestra eval ...`."""
