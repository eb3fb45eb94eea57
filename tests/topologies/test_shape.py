"""The shape of a task graph against brute force and networkx."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_topologies.graph import COUPLING, Subtask, TaskGraph
from orchestra_topologies.shape import Shape, exact_width, shape_of


@st.composite
def task_graphs(draw: st.DrawFn, most: int = 9) -> TaskGraph:
    """Return graphs of up to `most` subtasks, in a file order that need not be topological."""
    count = draw(st.integers(1, most))
    names = [f"s{place}" for place in range(count)]
    subtasks = []
    for place, name in enumerate(names):
        befores = draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        edges = tuple((before, draw(st.sampled_from(list(COUPLING)))) for before in befores)
        tokens = draw(st.integers(1, 50))
        subtasks.append(Subtask(id=name, description="Do it.", depends_on=edges, estimated_tokens=tokens))
    return TaskGraph(draw(st.permutations(subtasks)))


def brute_layers(graph: TaskGraph) -> dict[str, int]:
    """Return the layer of each subtask by its definition, recursively."""

    def layer(name: str) -> int:
        return max((1 + layer(before) for before in graph.predecessors(name)), default=0)

    return {subtask.id: layer(subtask.id) for subtask in graph}


def brute_width(graph: TaskGraph) -> int:
    """Return the size of the largest antichain by trying all sets of subtasks."""
    reachable = {name: nx.descendants(graph.to_networkx(), name) for name in graph.order}
    return max(
        size
        for size in range(1, len(graph) + 1)
        for names in combinations(graph.order, size)
        if not any(one in reachable[other] for one in names for other in names)
    )


@given(task_graphs())
def test_layers_are_the_longest_distances(graph: TaskGraph) -> None:
    """Layers are the longest distances from a source, each in file order, and the order is their concatenation."""
    layer = brute_layers(graph)
    place = {subtask.id: place for place, subtask in enumerate(graph.subtasks)}
    assert {name: depth for depth, names in enumerate(graph.layers) for name in names} == layer
    assert list(graph.order) == sorted(layer, key=lambda name: (layer[name], place[name]))
    assert [set(names) for names in graph.layers] == list(map(set, nx.topological_generations(graph.to_networkx())))


@given(task_graphs())
def test_width_and_ratio_come_from_the_largest_layer(graph: TaskGraph) -> None:
    """Width is the size of the largest layer and ratio its share of the subtasks."""
    layers = list(brute_layers(graph).values())
    width = max(map(layers.count, layers))
    assert (shape_of(graph).width, shape_of(graph).ratio) == (width, width / len(graph))


@given(task_graphs())
def test_depth_is_the_longest_path(graph: TaskGraph) -> None:
    """Depth is the largest sum of tokens along a path, as networkx finds it."""
    weighted = nx.DiGraph()
    for subtask in graph:  # every token stands on an edge out of its subtask
        weighted.add_edge(subtask.id, "end", weight=subtask.estimated_tokens)
        edges = ((before, subtask.id, graph[before].estimated_tokens) for before in graph.predecessors(subtask.id))
        weighted.add_weighted_edges_from(edges)
    assert shape_of(graph).depth == nx.dag_longest_path_length(weighted)


@given(task_graphs())
def test_coupling_is_the_mean_of_the_edges(graph: TaskGraph) -> None:
    """Coupling is the mean strength of the labels, 0 without edges."""
    strengths = [COUPLING[label] for subtask in graph for _, label in subtask.depends_on]
    mean = sum(strengths) / len(strengths) if strengths else 0
    assert shape_of(graph).edges == len(strengths)
    assert shape_of(graph).coupling == pytest.approx(mean)


@given(task_graphs(most=7))
def test_the_exact_width_bounds_the_layer_width(graph: TaskGraph) -> None:
    """The exact width is the largest antichain; the layer width never exceeds it, and they are 1 together."""
    exact, width = exact_width(graph), shape_of(graph).width
    assert exact == brute_width(graph)
    assert width <= exact
    assert (width == 1) == (exact == 1)


def test_the_layer_width_can_be_smaller() -> None:
    """A lone subtask beside the end of a graph widens the exact width, not the largest layer."""
    befores: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "x": []}
    graph = TaskGraph({"id": name, "description": "Do it.", "depends_on": names} for name, names in befores.items())
    assert (shape_of(graph).width, exact_width(graph)) == (2, 3)


def test_the_shape_of_the_example() -> None:
    """The example of the interface page has the figures one would count by hand."""
    graph = TaskGraph(
        [
            {"id": "facts", "description": "List the facts.", "estimated_tokens": 400},
            {"id": "judge", "description": "Which one wins?", "depends_on": ["facts"]},
        ]
    )
    shape = shape_of(graph)
    assert shape == Shape(subtasks=2, edges=1, width=1, depth=401.0, coupling=0.7, ratio=0.5)
    assert shape.as_dict() == {"subtasks": 2, "edges": 1, "width": 1, "depth": 401, "coupling": 0.7, "ratio": 0.5}


def test_an_exact_width_of_long_chains_needs_no_recursion_limit() -> None:
    """Two chains of 300 have the exact width 2."""
    graph = TaskGraph(
        {"id": f"{chain}{place}", "description": "Do it.", "depends_on": [f"{chain}{place - 1}"] if place else []}
        for chain in "ab"
        for place in range(300)
    )
    assert exact_width(graph) == 2
