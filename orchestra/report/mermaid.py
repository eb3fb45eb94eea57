"""A plan as a Mermaid flowchart: the control loop, the rounds of topology and teams, and the subtasks beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from langchain_core.runnables.graph import Graph

from orchestra.designing import Design
from orchestra.performance import app
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.teams.catalog import TEAMS

_MOST_NAMED = 5


def mermaid(graph: TaskGraph, made: Design, *, status: Mapping[str, str] | None = None) -> str:
    """Return a flowchart of how `graph` will be run.

    Args:
        graph: The subtasks.
        made: How they will be answered.
        status: What became of each subtask, by id, where they ran.
    """
    return "\n".join(["flowchart TD", *_run(made), *_teams(made), *_subtasks(graph, status or {})]) + "\n"


def _run(made: Design) -> Iterator[str]:
    """Yield the control loop, with the nodes of the topology chosen in the place of all five."""
    loop = app().get_graph()
    numbers = {name: f"r{number}" for number, name in enumerate(loop.nodes) if name not in TOPOLOGIES}
    for name, number in numbers.items():
        yield f'  {number}["{_label(name.strip("_"))}"]'
    yield f'  subgraph topology["{made.topology} x {_label(made.team)}"]'
    yield from _drawn(TOPOLOGIES[made.topology]().compile().get_graph(), prefix="t", indent="    ")
    yield "  end"
    yield from _edges(loop, numbers | {made.topology: "topology"}, indent="  ")


def _teams(made: Design) -> Iterator[str]:
    """Yield the rounds of every team of several agents, with those whom it answers."""
    several = {str(team): team for team in made.teams.values() if team.is_several}
    for number, (name, team) in enumerate(several.items()):
        ids = [one for one, theirs in made.teams.items() if str(theirs) == name]
        answers = ", ".join(ids[:_MOST_NAMED]) + (
            f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
        )
        yield f'  subgraph team{number}["{_label(name)} for {_label(answers)}"]'
        yield from _drawn(TEAMS[team.name]().compile().get_graph(), prefix=f"m{number}x", indent="    ")
        yield "  end"


def _drawn(graph: Graph, *, prefix: str, indent: str) -> Iterator[str]:
    numbers = {name: f"{prefix}{number}" for number, name in enumerate(graph.nodes)}
    for name, number in numbers.items():
        yield f'{indent}{number}["{_label(name.strip("_"))}"]'
    yield from _edges(graph, numbers, indent=indent)


def _edges(graph: Graph, numbers: Mapping[str, str], *, indent: str) -> Iterator[str]:
    for edge in graph.edges:
        if edge.source in numbers and edge.target in numbers:
            arrow = "-.->" if edge.conditional else "-->"
            label = f"|{_label(str(edge.data))}|" if edge.data and str(edge.data) != edge.target else ""
            yield f"{indent}{numbers[edge.source]} {arrow}{label} {numbers[edge.target]}"


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
