"""The figures of a task graph that decide its topology (AdaptOrch, section 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain
from operator import itemgetter

import networkx as nx

from orchestra_agents.models.contract import Json
from orchestra_topologies.adjacency import Adjacency
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.subtask import COUPLING, Subtask

_EXACT = {label: Fraction(str(strength)) for label, strength in COUPLING.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The shape of a task graph."""

    subtasks: int
    """Number of subtasks, at least 1."""
    edges: int
    """Number of dependencies."""
    width: int
    """Subtasks in the largest topological layer, at least 1; never more than the exact width, and 1 only with it."""
    depth: float
    """Critical path: the largest sum of `estimated_tokens` along dependencies, in tokens."""
    coupling: float
    """Mean coupling of the edges, in [0, 1]; 0 without edges."""
    ratio: float
    """Width over subtasks, in (0, 1]."""

    def as_dict(self) -> dict[str, Json]:
        """Return the figures by name."""
        return asdict(self)


def shape_of(graph: TaskGraph) -> Shape:
    """Return the shape of `graph`; O(V + E)."""
    return measure(graph.subtasks, graph.adjacency)


def measure(subtasks: Sequence[Subtask], adjacency: Adjacency) -> Shape:
    """Return the shape of subtasks whose adjacency is known; O(V + E)."""
    labels = Counter(map(itemgetter(1), chain.from_iterable([subtask.depends_on for subtask in subtasks])))
    edges = labels.total()
    # in fractions, because the router compares the mean with a threshold and 0.3 + 0.3 + 0.7 + 0.7 + 1.0 must be 3
    total = sum((_EXACT[label] * count for label, count in labels.items()), start=Fraction())
    width = max(map(len, adjacency.layers))
    return Shape(
        subtasks=len(subtasks),
        edges=edges,
        width=width,
        depth=_depth(subtasks, adjacency),
        coupling=float(total / edges) if edges else 0.0,
        ratio=width / len(subtasks),
    )


def _depth(subtasks: Sequence[Subtask], adjacency: Adjacency) -> float:
    """Return the length of the longest path, by the times at which subtasks could end if tokens were time."""
    start = [0.0] * len(subtasks)
    depth = 0.0
    for place in adjacency.order:
        end = start[place] + subtasks[place].estimated_tokens
        if end > depth:
            depth = end
        for after in adjacency.successors[place]:
            if start[after] < end:
                start[after] = end
    return depth


def exact_width(graph: TaskGraph) -> int:
    """Return the exact width: the largest number of subtasks none of which depends on another, directly or not.

    By Dilworth's theorem that is V less a maximum matching of the transitive closure (networkx: Hopcroft-Karp). Up to
    O(V^2) memory and O(V^2.5) time, a second for a thousand subtasks: for offline calibration, never for routing.
    """
    closure = nx.transitive_closure_dag(graph.to_networkx())
    sources = [(name, "before") for name in closure]
    pairs: nx.Graph[tuple[str, str]] = nx.Graph()
    pairs.add_nodes_from(sources)
    pairs.add_edges_from(((before, "before"), (after, "after")) for before, after in closure.edges)
    matching = nx.bipartite.hopcroft_karp_matching(pairs, top_nodes=sources)
    return len(graph) - len(matching) // 2
