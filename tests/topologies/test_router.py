"""The router against Algorithm 1 of AdaptOrch, section 2.3."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.router import Thresholds, Topology, route
from orchestra_topologies.shape import Shape, shape_of

TINY, CHAIN = [1], [1, 1, 1, 1]


def layered(sizes: list[int], labels: list[str]) -> TaskGraph:
    """Return a graph of layers of these sizes whose edges, between neighbouring layers, have these labels.

    Every subtask behind the first layer gets one edge; further labels go to further edges, nearest layers first.
    """
    names = [[f"s{layer}-{place}" for place in range(size)] for layer, size in enumerate(sizes)]
    pairs = list(pairwise(names))
    edges = [(befores[place % len(befores)], after) for befores, afters in pairs for place, after in enumerate(afters)]
    more = [(before, after) for befores, afters in pairs for before in befores for after in afters]
    edges += [edge for edge in more if edge not in edges]
    assert len(edges) >= len(labels)
    labelled = dict(zip(edges, labels, strict=False))
    return TaskGraph(
        {
            "id": name,
            "description": "Do it.",
            "depends_on": {before: label for (before, after), label in labelled.items() if after == name},
        }
        for layer in names
        for name in layer
    )


@pytest.mark.parametrize(
    ("graph", "width", "coupling", "topology", "rule"),
    [
        (layered(TINY, []), 1, 0, "single", "one_subtask"),
        (layered([4], []), 4, 0, "parallel", "no_edges"),
        (layered(CHAIN, ["weak"] * 3), 1, 0.3, "sequential", "chain"),
        (layered([2, 2, 2], ["strong"] * 6), 2, 0.7, "hierarchical", "coupled"),
        (layered([1, 4, 1], ["weak"] * 5), 4, 0.3, "parallel", "wide"),
        (layered([2, 2, 2], ["critical"] * 2 + ["strong"] + ["none"] * 3), 2, 0.45, "hybrid", "layered"),
        (layered([2, 5, 1], ["critical"] * 6 + ["none"] * 4), 5, 0.6, "parallel", "wide"),
        (layered([2, 5, 1], ["critical"] * 4 + ["strong"] * 3 + ["none"] * 3), 5, 0.61, "hierarchical", "coupled"),
    ],
    ids=["1 node", "no edge", "chain", "coupled", "wide", "layered", "coupling .60", "coupling .61"],
)
def test_vectors_of_the_paper(graph: TaskGraph, width: int, coupling: float, topology: Topology, rule: str) -> None:
    """Each check vector of adaptorch.md 2.3, built as a real graph, has the figures it names and gets its topology."""
    shape = shape_of(graph)
    assert (shape.width, shape.coupling) == (width, coupling)
    assert (route(shape).topology, route(shape).rule) == (topology, rule)


def test_a_mean_of_exactly_the_threshold_is_not_above_it() -> None:
    """A coupling of 0.6 mixed from 0.3, 0.7 and 1.0 equals 0.6 in whatever order the edges come."""
    for labels in (["weak", "weak", "strong", "strong", "critical"], ["critical", "weak", "strong", "weak", "strong"]):
        shape = shape_of(layered([1, 5], labels))
        assert shape.coupling == 0.6
        assert route(shape).rule == "wide"


def test_the_reason_names_the_figures() -> None:
    """The reason says which figures met which thresholds, and every earlier test says why it did not fire."""
    chosen = route(shape_of(layered([2, 2, 2], ["strong"] * 6)))
    assert chosen.reason == "coupling 0.7 is above 0.6 and subtasks 6 is above 5, so a lead keeps them together"
    assert chosen.rejected == (
        ("single", "there are 6 subtasks"),
        ("parallel", "there are 6 edges"),
        ("sequential", "width is 2, not 1"),
    )


def test_hybrid_says_what_all_other_topologies_lack() -> None:
    """The last resort lists every test before it with the figure that failed."""
    chosen = route(shape_of(layered([2, 2, 2], ["critical"] * 2 + ["strong"] + ["none"] * 3)))
    assert "width 2, ratio 0.3333, coupling 0.45" in chosen.reason
    assert chosen.rejected[-2:] == (
        ("hierarchical", "coupling 0.45 is at most 0.6"),
        ("parallel", "ratio 0.3333 is at most 0.5"),
    )


def test_few_coupled_subtasks_get_no_lead() -> None:
    """Five tightly coupled subtasks are not more than the threshold of five, and too coupled to be called wide."""
    chosen = route(shape_of(layered([1, 4], ["critical"] * 4)))
    assert (chosen.topology, chosen.rule) == ("hybrid", "layered")
    assert ("hierarchical", "subtasks 5 is at most 5") in chosen.rejected
    assert ("parallel", "coupling 1 is above 0.6") in chosen.rejected


def test_thresholds_move_the_lines() -> None:
    """Other thresholds give other routes."""
    shape = shape_of(layered([2, 2, 2], ["strong"] * 6))
    assert route(shape, Thresholds(subtasks=6)).topology == "hybrid"
    assert route(shape, Thresholds(coupling=0.7)).topology == "hybrid"
    assert route(shape, Thresholds(coupling=0.7, width_ratio=0.3)).topology == "parallel"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("width_ratio", 1.5, r"a number in \[0, 1\], got 1.5"),
        ("width_ratio", "half", "got 'half'"),
        ("coupling", -0.1, "got -0.1"),
        ("coupling", float("nan"), "got nan"),
        ("coupling", True, "got True"),
        ("subtasks", -1, "an integer of at least 0, got -1"),
        ("subtasks", 2.5, "got 2.5"),
        ("subtasks", True, "got True"),
    ],
)
def test_thresholds_out_of_range_are_refused(name: str, value: Any, says: str) -> None:
    """A threshold outside its range is an input error that names it."""
    with pytest.raises(InputError, match=says) as caught:
        Thresholds(**{name: value})
    assert caught.value.field == f"thresholds.{name}"


def printed_algorithm(shape: Shape, thresholds: Thresholds) -> Topology:
    """Return what Algorithm 1 prints, word for word, with one subtask -> single before it."""
    if shape.subtasks == 1:
        return "single"
    if shape.edges == 0:
        return "parallel"
    if shape.width == 1:
        return "sequential"
    if shape.coupling > thresholds.coupling and shape.subtasks > thresholds.subtasks:
        return "hierarchical"
    if shape.ratio > thresholds.width_ratio and shape.coupling <= thresholds.coupling:
        return "parallel"
    return "hybrid"


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Return shapes around the thresholds."""
    subtasks = draw(st.integers(1, 12))
    width = draw(st.integers(1, subtasks))
    edges = draw(st.integers(0, 20)) if subtasks > 1 else 0
    coupling = draw(st.sampled_from([0.3, 0.59, 0.6, 0.61, 1.0]) | st.floats(0, 1)) if edges else 0.0
    return Shape(subtasks=subtasks, edges=edges, width=width, depth=1.0, coupling=coupling, ratio=width / subtasks)


@given(
    shapes(), st.builds(Thresholds, width_ratio=st.floats(0, 1), coupling=st.floats(0, 1), subtasks=st.integers(0, 9))
)
def test_every_shape_goes_where_the_algorithm_says(shape: Shape, thresholds: Thresholds) -> None:
    """The router is Algorithm 1 for every shape and every thresholds, and always explains itself in one line."""
    chosen = route(shape, thresholds)
    assert chosen.topology == printed_algorithm(shape, thresholds)
    assert chosen.reason
    assert all(rejected.why and "\n" not in rejected.why for rejected in chosen.rejected)
    assert chosen.topology != "hybrid" or len(chosen.rejected) == 5


@given(shapes())
def test_depth_decides_nothing(shape: Shape) -> None:
    """The critical path is computed and never used, as in the paper."""
    assert route(replace(shape, depth=1e9)) == route(shape)
