"""The processes that ship."""
