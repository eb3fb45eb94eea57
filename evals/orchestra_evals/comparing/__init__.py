"""Comparing: who competes, what is foretold of it, what came out, and what that says."""
