"""Offline tasks for agents that act: seeded state machines with tools, an exact score and a reference policy."""
