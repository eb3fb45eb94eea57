"""The task graph: a goal, its context, and subtasks that depend on one another without a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import networkx as nx

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, digest
from orchestra_topologies._documents import read_context, read_graph
from orchestra_topologies._entries import read_head, read_subtask
from orchestra_topologies.adjacency import Adjacency, analyse
from orchestra_topologies.subtask import COUPLING, Coupling, Example, Subtask

__all__ = ["COUPLING", "MAX_LAYERS", "MAX_SUBTASKS", "Coupling", "Example", "Subtask", "TaskGraph"]

MAX_SUBTASKS = 10_000
"""Most subtasks that `load` and `from_dict` accept unless told otherwise."""
MAX_LAYERS = 1_000
"""Most layers that `load` and `from_dict` accept unless told otherwise."""


@dataclass(frozen=True, slots=True, init=False)
class TaskGraph:
    """A checked, frozen task graph; iteration is in topological order, layer by layer and in file order within a layer.

    Args:
        subtasks: `Subtask` values, or mappings by the keys of a graph file; checked here, whichever they are.
        goal: What the whole task is about.
        context: Text that every subtask may read.

    Raises:
        InputError: There is no subtask, a value is wrong, an id comes twice, or a dependency is unknown, on itself or
            cyclic.

    >>> graph = TaskGraph([
    ...     {"id": "judge", "description": "Which one wins?", "answer": "number", "depends_on": ["facts"]},
    ...     {"id": "facts", "description": "List the facts."},
    ... ])
    >>> graph.order
    ('facts', 'judge')
    """

    goal: str
    context: str
    subtasks: tuple[Subtask, ...]
    """The subtasks in file order."""
    adjacency: Adjacency = field(repr=False, compare=False)
    """The edges by place in `subtasks`, for passes over the whole graph."""

    def __init__(self, subtasks: Iterable[Subtask | Mapping[str, Json]], *, goal: str = "", context: str = "") -> None:
        goal, context, said = read_head({"goal": goal, "context": context, "subtasks": subtasks})
        if not said:
            raise InputError("subtasks", "must name at least one subtask")
        checked = tuple(read_subtask(one, place) for place, one in enumerate(said))
        for name, value in [
            ("goal", goal),
            ("context", context),
            ("subtasks", checked),
            ("adjacency", analyse(checked)),
        ]:
            object.__setattr__(self, name, value)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        max_subtasks: int = MAX_SUBTASKS,
        max_layers: int = MAX_LAYERS,
        allow_outside: Iterable[str | PathLike[str]] = (),
    ) -> TaskGraph:
        """Return the graph that a file describes: JSON where the name ends in .json, else YAML.

        Args:
            path: The graph file.
            max_subtasks: Most subtasks accepted.
            max_layers: Most layers accepted.
            allow_outside: Context files, or folders of them, that may be read outside the folder of the graph file.

        Raises:
            InputError: The file, or a context file it names, cannot be read, or what it says is refused.
        """
        document = read_graph(Path(path))
        subtasks = document.get("subtasks")
        for entry in [document, *(subtasks if isinstance(subtasks, list) else [])]:
            if isinstance(entry, dict) and isinstance(entry.get("context"), list):
                entry["context"] = read_context(entry["context"], Path(path).parent, allow_outside)
        return cls.from_dict(document, max_subtasks=max_subtasks, max_layers=max_layers)

    @classmethod
    def from_dict(
        cls, said: Mapping[str, Json], *, max_subtasks: int = MAX_SUBTASKS, max_layers: int = MAX_LAYERS
    ) -> TaskGraph:
        """Return the graph that the keys of a graph file describe; `context` is text here.

        Raises:
            InputError: What is said is refused, or there are too many subtasks or layers.
        """
        goal, context, subtasks = read_head(said)
        if len(subtasks) > max_subtasks:
            raise InputError("subtasks", f"must be at most {max_subtasks:,} (max_subtasks), got {len(subtasks):,}")
        graph = cls(subtasks, goal=goal, context=context)
        layers = len(graph.adjacency.layers)
        if layers > max_layers:
            raise InputError("subtasks", f"must have at most {max_layers:,} layers (max_layers), got {layers:,}")
        return graph

    def to_dict(self) -> dict[str, Json]:
        """Return the graph by the keys of a graph file; `from_dict` reads it back."""
        head = {name: value for name, value in (("goal", self.goal), ("context", self.context)) if value}
        return {**head, "subtasks": [subtask.to_dict() for subtask in self.subtasks]}

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph[Any]) -> TaskGraph:
        """Return the graph whose nodes are ids with the other keys of a subtask as attributes.

        Edges run from what is needed to what needs it; their attribute `coupling` is a label, `strong` if absent. The
        attributes `goal` and `context` of the graph itself are read, too.

        Raises:
            InputError: It is undirected or has parallel edges, or what it says is refused.
        """
        if not graph.is_directed() or graph.is_multigraph():
            raise InputError("graph", f"must be a networkx.DiGraph, got {type(graph).__name__}")
        subtasks = []
        for node, said in graph.nodes(data=True):
            if said.keys() & {"id", "depends_on", "coupling"}:
                raise InputError(
                    f"subtasks[{node}]", "has its id as the node and its dependencies as edges, not as attributes"
                )
            edges = {before: edge.get("coupling", "strong") for before, edge in graph.pred[node].items()}
            subtasks.append({**said, "id": node, "depends_on": edges})
        return cls(subtasks, goal=graph.graph.get("goal", ""), context=graph.graph.get("context", ""))

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return the graph as networkx sees it; `from_networkx` reads it back."""
        graph: nx.DiGraph[str] = nx.DiGraph(goal=self.goal, context=self.context)
        for subtask in self.subtasks:
            said = subtask.to_dict()
            graph.add_node(said.pop("id"), **{name: value for name, value in said.items() if name != "depends_on"})
        for subtask in self.subtasks:
            graph.add_edges_from((before, subtask.id, {"coupling": label}) for before, label in subtask.depends_on)
        return graph

    def digest(self) -> str:
        """Return the identity of everything the graph says, as 32 hexadecimal digits."""
        return digest(self.to_dict())

    @property
    def order(self) -> tuple[str, ...]:
        """All ids in topological order."""
        return self._ids(self.adjacency.order)

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The ids by longest distance in edges from a subtask that needs nothing."""
        return tuple(map(self._ids, self.adjacency.layers))

    def predecessors(self, name: str) -> tuple[str, ...]:
        """Return the ids that subtask `name` depends on, in the order it names them."""
        return self._ids(self.adjacency.predecessors[self.adjacency.index[name]])

    def successors(self, name: str) -> tuple[str, ...]:
        """Return the ids that depend on subtask `name`, in file order."""
        return self._ids(self.adjacency.successors[self.adjacency.index[name]])

    def _ids(self, places: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.subtasks[place].id for place in places)

    def __getitem__(self, name: str) -> Subtask:
        return self.subtasks[self.adjacency.index[name]]

    def __contains__(self, name: object) -> bool:
        return name in self.adjacency.index

    def __iter__(self) -> Iterator[Subtask]:
        return (self.subtasks[place] for place in self.adjacency.order)

    def __len__(self) -> int:
        return len(self.subtasks)
