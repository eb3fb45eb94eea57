"""Many steps: the task graph, its shape, the router, and how agents are wired."""
