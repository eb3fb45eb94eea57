"""A plan as a Mermaid flowchart: the topology's own nodes and edges, and the subtasks beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestra.planning import Design
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.graph import TaskGraph


def mermaid(graph: TaskGraph, made: Design, *, status: Mapping[str, str] | None = None) -> str:
    """Return a flowchart of how `graph` will be run.

    Args:
        graph: The subtasks.
        made: How they will be answered.
        status: What became of each subtask, by id, where they ran.
    """
    return "\n".join(["flowchart TD", *_topology(made), *_subtasks(graph, status or {})]) + "\n"


def _topology(made: Design) -> Iterator[str]:
    yield f'  subgraph topology["{made.topology} x {_label(made.team)}"]'
    drawn = TOPOLOGIES[made.topology]().compile().get_graph()
    numbers = {name: f"t{number}" for number, name in enumerate(drawn.nodes)}
    for name, number in numbers.items():
        yield f'    {number}["{_label(name.strip("_"))}"]'
    for edge in drawn.edges:
        arrow = "-.->" if edge.conditional else "-->"
        label = f"|{_label(str(edge.data))}|" if edge.data else ""
        yield f"    {numbers[edge.source]} {arrow}{label} {numbers[edge.target]}"
    yield "  end"


def _subtasks(graph: TaskGraph, status: Mapping[str, str]) -> Iterator[str]:
    yield '  subgraph subtasks["subtasks"]'
    numbers = {subtask.id: f"s{number}" for number, subtask in enumerate(graph)}
    for one, number in numbers.items():
        state = f"<br/>{status[one]}" if one in status else ""
        yield f'    {number}["{_label(one)}{state}"]'
    for subtask in graph:
        for before, label in subtask.depends_on:
            yield f"    {numbers[before]} -->|{label}| {numbers[subtask.id]}"
    yield "  end"


def _label(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "/")
