"""Graphs in which it takes a lookahead to tell which first step leads to the goal (DeepRD, arXiv 2510.22371)."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

_START = 0  # while a graph is drawn; the goal is then the node `lookahead`
_MOST_NEIGHBOURS = 3
_DEGREES = range(_MOST_NEIGHBOURS + 1)
_SHARES = [1 / (degree + 1) for degree in _DEGREES]
_EVEN = 0.5  # weight of a node without edges

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathGraph:
    """A directed graph without cycles, and two of its nodes with a path between them."""

    edges: tuple[Edge, ...]
    start: int
    goal: int
    path: tuple[int, ...]
    """A path from the start to the goal."""
    nodes: int
    """How many there are; they are numbered from 0."""


def draw_graph(lookahead: int, branching: int, extra: int, rng: random.Random) -> PathGraph:
    """Return a graph with so many first steps, of which one leads to the goal, which shows after `lookahead` edges.

    There are the chain to the goal, distractor chains of its length or one more, and a chain into the start. With
    `branching` 1 and nothing extra it is one chain.

    Args:
        lookahead: Edges from the start to the goal, at least 1.
        branching: Edges out of the start, at least 1.
        extra: Nodes that are woven in beside, with up to three edges in and out each.
        rng: What everything is drawn from.
    """
    while True:
        draft = _chains(lookahead, branching, rng)
        for _ in range(extra):
            _weave(draft, lookahead, rng)
        names = list(range(len(draft.children)))
        rng.shuffle(names)
        edges = [(names[one], names[other]) for one, other in draft.edges()]
        rng.shuffle(edges)
        start, goal = names[_START], names[lookahead]
        first = {one for before, one in edges if before == start}
        if len(first) == branching and lookahead_of(edges, start, goal) == lookahead:
            path = tuple(names[: lookahead + 1])
            return PathGraph(edges=tuple(edges), start=start, goal=goal, path=path, nodes=len(names))


def lookahead_of(edges: Iterable[Edge], start: int, goal: int) -> int | None:
    """Return how many edges a breadth-first search walks until only the right first step is left.

    It is left when the goal is seen, or when no other first step can be followed any further; of a single first step
    only the goal says that it is right. None where not exactly one first step leads to the goal.
    """
    children: dict[int, list[int]] = {}
    for one, other in edges:
        children.setdefault(one, []).append(other)
    first = children.get(start, [])
    right = [one for one in first if goal in descendants(children, [one])]
    if len(right) != 1:
        return None
    fronts = {one: {one} for one in first}
    walked = 1
    while goal not in fronts[right[0]] and (len(first) == 1 or any(fronts[one] for one in first if one != right[0])):
        fronts = {one: {after for node in front for after in children.get(node, ())} for one, front in fronts.items()}
        walked += 1
    return walked


def descendants(children: dict[int, list[int]], nodes: Iterable[int]) -> set[int]:
    """Return `nodes` and all that can be reached from them."""
    found: set[int] = set()
    rest = list(nodes)
    while rest:
        node = rest.pop()
        if node not in found:
            found.add(node)
            rest += children.get(node, ())
    return found


def steps_to(edges: Iterable[Edge], goal: int) -> set[int]:
    """Return the nodes from which `goal` can be reached, itself included."""
    parents: dict[int, list[int]] = {}
    for one, other in edges:
        parents.setdefault(other, []).append(one)
    return descendants(parents, [goal])


@dataclass(slots=True)
class _Draft:
    """A graph that grows; node 0 is the start, the next ones are the chain to the goal."""

    children: dict[int, list[int]] = field(default_factory=lambda: {_START: []})
    parents: dict[int, list[int]] = field(default_factory=lambda: {_START: []})

    def add(self) -> int:
        new = len(self.children)
        self.children[new], self.parents[new] = [], []
        return new

    def join(self, one: int, other: int) -> None:
        self.children[one].append(other)
        self.parents[other].append(one)

    def part(self, one: int, other: int) -> None:
        self.children[one].remove(other)
        self.parents[other].remove(one)

    def edges(self) -> list[Edge]:
        return [(one, other) for one, after in self.children.items() for other in after]


def _chains(lookahead: int, branching: int, rng: random.Random) -> _Draft:
    draft = _Draft()
    for branch in range(branching):
        length = lookahead + (rng.randrange(2) if branch else 0)
        node = _START
        for _ in range(length):
            new = draft.add()
            draft.join(node, new)
            node = new
    node = _START
    for _ in range(rng.randint(0, lookahead) if branching > 1 else 0):
        new = draft.add()
        draft.join(new, node)
        node = new
    return draft


def _weave(draft: _Draft, lookahead: int, rng: random.Random) -> None:
    """Add one node, preferably next to nodes of many edges, so that the lookahead stays as it is.

    It gets no edge from the start, and where it leads into the chain to the goal, none from what the start leads to.
    What changes the lookahead all the same loses its edges on one side.
    """
    old = list(draft.children)
    below, above = _degrees(rng)
    after = _favoured(old, draft.parents, below, rng)
    new = draft.add()
    for node in after:
        draft.join(new, node)
    leads_in = any(node <= lookahead for node in after)
    barred = descendants(draft.children, [new, *([_START] if leads_in else [])]) | {_START}
    before = _favoured([node for node in old if node not in barred], draft.children, above, rng)
    for node in before:
        draft.join(node, new)
    if lookahead_of(draft.edges(), _START, lookahead) != lookahead:
        lost = [(node, new) for node in before] if rng.random() < 0.5 else [(new, node) for node in after]
        for one, other in lost:
            draft.part(one, other)


def _degrees(rng: random.Random) -> list[int]:
    """Return how many edges go out of a node and into it, each d with a share of 1 / (d + 1), not both 0."""
    while True:
        degrees = rng.choices(_DEGREES, _SHARES, k=2)
        if any(degrees):
            return degrees


def _favoured(nodes: Sequence[int], edges: dict[int, list[int]], count: int, rng: random.Random) -> Collection[int]:
    """Return up to `count` distinct nodes, each drawn with a weight of one half plus its edges."""
    rest = {node: _EVEN + len(edges[node]) for node in nodes}
    drawn = []
    for _ in range(min(count, len(rest))):
        drawn += rng.choices(list(rest), list(rest.values()))
        del rest[drawn[-1]]
    return drawn
