"""Along which edges upstream text travels, where a topology does not use them all."""

from __future__ import annotations

from orchestra_topologies.graph import COUPLING, Coupling, Subtask, TaskGraph


def strong_inputs(subtask: Subtask, stronger: float = 0.0) -> list[str]:
    """Return the dependencies of `subtask` that are coupled strongly or critically, in the order of the file.

    Args:
        subtask: Who reads.
        stronger: What re-routes have added to the coupling of every edge.
    """
    return [before for before, label in subtask.depends_on if _is_strong(label, stronger)]


def ignored_edges(graph: TaskGraph, stronger: float = 0.0) -> list[tuple[str, str]]:
    """Return the edges (before, after) along which `parallel` passes no text: those coupled weakly or not at all."""
    return [
        (before, subtask.id)
        for subtask in graph
        for before, label in subtask.depends_on
        if not _is_strong(label, stronger)
    ]


def _is_strong(label: Coupling, stronger: float) -> bool:
    return round(COUPLING[label] + stronger, 6) >= COUPLING["strong"]
