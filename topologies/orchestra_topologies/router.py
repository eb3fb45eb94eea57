"""Which topology suits a shape: Algorithm 1 of AdaptOrch, with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from orchestra_agents.errors import InputError
from orchestra_topologies.shape import Shape

Topology = Literal["single", "sequential", "parallel", "hierarchical", "hybrid"]
"""How the subtasks of a graph are wired."""

Rule = Literal["one_subtask", "no_edges", "chain", "coupled", "wide", "layered"]
"""The tests of the algorithm, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the tests of the algorithm draw their lines (theta omega, gamma and delta of the paper).

    Raises:
        InputError: A threshold is out of its range.
    """

    width_ratio: float = 0.5
    """Above this ratio of width to subtasks a graph is wide; in [0, 1]."""
    coupling: float = 0.6
    """Above this mean coupling a graph is coupled; in [0, 1]."""
    subtasks: int = 5
    """Above this number of subtasks a coupled graph gets a lead; at least 0."""

    def __post_init__(self) -> None:
        for name, value in (("width_ratio", self.width_ratio), ("coupling", self.coupling)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InputError(f"thresholds.{name}", f"must be a number in [0, 1], got {value!r}")
        if isinstance(self.subtasks, bool) or not isinstance(self.subtasks, int) or self.subtasks < 0:
            raise InputError("thresholds.subtasks", f"must be an integer of at least 0, got {self.subtasks!r}")


class Rejected(NamedTuple):
    """A topology that an earlier test would have given."""

    topology: Topology
    why: str
    """Why not, with the figures."""


@dataclass(frozen=True, slots=True)
class Route:
    """The topology chosen and why."""

    topology: Topology
    reason: str
    """The figures that decided, as one sentence."""
    rule: Rule
    """Stable name of the test that fired."""
    rejected: tuple[Rejected, ...] = ()
    """What the tests before it would have given, in their order."""


class _Test(NamedTuple):
    rule: Rule
    topology: Topology
    holds: bool
    because: str
    why_not: str


def route(shape: Shape, thresholds: Thresholds = Thresholds()) -> Route:
    """Return the topology for `shape`: AdaptOrch, Algorithm 1, and before it one subtask -> single; O(1)."""
    rejected: list[Rejected] = []
    for test in _tests(shape, thresholds):
        if test.holds:
            return Route(test.topology, test.because, test.rule, tuple(rejected))
        rejected.append(Rejected(test.topology, test.why_not))
    reason = f"{_words(shape)}: neither one chain, nor coupled enough for a lead, nor wide enough, so layer by layer"
    return Route("hybrid", reason, "layered", tuple(rejected))


def _words(shape: Shape) -> str:
    return f"subtasks {shape.subtasks}, width {shape.width}, ratio {shape.ratio:.4g}, coupling {shape.coupling:.4g}"


def _tests(shape: Shape, thresholds: Thresholds) -> Iterator[_Test]:
    """Yield the tests in the paper's order; the comparison signs are the paper's, `subtasks` its theta delta."""
    is_coupled, is_large = shape.coupling > thresholds.coupling, shape.subtasks > thresholds.subtasks
    coupling = _compared("coupling", shape.coupling, thresholds.coupling)
    subtasks = _compared("subtasks", shape.subtasks, thresholds.subtasks)
    ratio = _compared("ratio", shape.ratio, thresholds.width_ratio)
    yield _Test(
        "one_subtask",
        "single",
        shape.subtasks == 1,
        "there is 1 subtask, so there is nothing to wire",
        f"there are {shape.subtasks} subtasks",
    )
    yield _Test(
        "no_edges",
        "parallel",
        shape.edges == 0,
        f"the {shape.subtasks} subtasks have 0 edges, so all run at once",
        f"there are {shape.edges} edges",
    )
    yield _Test(
        "chain",
        "sequential",
        shape.width == 1,
        f"width is 1 over {shape.subtasks} subtasks, so they run one after another",
        f"width is {shape.width}, not 1",
    )
    yield _Test(
        "coupled",
        "hierarchical",
        is_coupled and is_large,
        f"{coupling} and {subtasks}, so a lead keeps them together",
        " and ".join(said for said, holds in ((coupling, is_coupled), (subtasks, is_large)) if not holds),
    )
    is_wide = shape.ratio > thresholds.width_ratio
    yield _Test(
        "wide",
        "parallel",
        is_wide and not is_coupled,
        f"{ratio} and {coupling}, so all that is ready runs at once",
        " and ".join(said for said, fails in ((ratio, not is_wide), (coupling, is_coupled)) if fails),
    )


def _compared(name: str, value: float, threshold: float) -> str:
    """Return the comparison in words that stay true when the figures are rounded for reading."""
    return f"{name} {value:.4g} is {'above' if value > threshold else 'at most'} {threshold:.4g}"
