"""Along which edges upstream text travels, where a topology does not use them all."""

from __future__ import annotations

from orchestra_topologies.graph import COUPLING, Subtask, TaskGraph


def strong_inputs(subtask: Subtask) -> list[str]:
    """Return the dependencies of `subtask` that are coupled strongly or critically, in the order of the file."""
    return [before for before, label in subtask.depends_on if COUPLING[label] >= COUPLING["strong"]]


def ignored_edges(graph: TaskGraph) -> list[tuple[str, str]]:
    """Return the edges (before, after) along which `parallel` passes no text: those coupled weakly or not at all."""
    return [
        (before, subtask.id)
        for subtask in graph
        for before, label in subtask.depends_on
        if COUPLING[label] < COUPLING["strong"]
    ]
