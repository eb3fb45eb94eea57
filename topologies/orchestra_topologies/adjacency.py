"""The edges of a task graph as index lists, its topological order and its layers, in one linear pass.

networkx is the graph type at the door; this pass exists because networkx alone takes as long as the whole route may
(benchmarks/route.py).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_topologies.subtask import Subtask

_SHOWN = 6
"""Most subtasks of a cycle that an error names."""


@dataclass(frozen=True, slots=True)
class Rows:
    """For each subtask a row of places, all rows in one list.

    A list for each subtask would be simpler, but a hundred thousand of them keep the garbage collector as busy as all
    the rest of the route.
    """

    flat: list[int]
    """The rows one after the other."""
    start: list[int]
    """Where each row starts in `flat`, and at last its length."""

    def __getitem__(self, place: int) -> list[int]:
        return self.flat[self.start[place] : self.start[place + 1]]

    def __iter__(self) -> Iterator[list[int]]:
        return (self.flat[start:end] for start, end in pairwise(self.start))

    def reversed(self) -> Rows:
        """Return the rows of the edges turned round, each in file order; O(V + E)."""
        counts = Counter(self.flat)
        start = list(accumulate((counts[place] for place in range(len(self.start) - 1)), initial=0))
        free, flat = start.copy(), self.flat.copy()
        for place, row in enumerate(self):
            for other in row:
                flat[free[other]] = place
                free[other] += 1
        return Rows(flat, start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjacency:
    """Who depends on whom, by place in the file; treat the lists as read-only."""

    index: dict[str, int]
    """Place of each subtask id."""
    predecessors: Rows
    """Places each subtask depends on, in the order it names them."""
    successors: Rows
    """Places that depend on each subtask, in file order."""
    layers: list[list[int]]
    """Places by longest distance in edges from a source, each layer in file order."""
    order: list[int]
    """The layers one after the other: a topological order with file order as the tie-break."""


def analyse(subtasks: Sequence[Subtask]) -> Adjacency:
    """Return the adjacency of `subtasks`; Kahn's algorithm layer by layer, O(V + E), without recursion.

    Raises:
        InputError: An id is used twice, or a dependency is unknown, on itself or cyclic.
    """
    index = {subtask.id: place for place, subtask in enumerate(subtasks)}
    if len(index) < len(subtasks):
        raise _duplicate(subtasks)
    try:
        flat = [index[before] for subtask in subtasks for before, _ in subtask.depends_on]
    except KeyError as error:
        raise _unknown(subtasks, index, error.args[0]) from error
    predecessors = Rows(flat, list(accumulate([len(subtask.depends_on) for subtask in subtasks], initial=0)))
    successors = predecessors.reversed()
    layers = _layers(predecessors, successors)
    order = list(chain.from_iterable(layers))
    if len(order) < len(subtasks):
        raise _cycle(subtasks, predecessors, order)
    return Adjacency(index=index, predecessors=predecessors, successors=successors, layers=layers, order=order)


def _layers(predecessors: Rows, successors: Rows) -> list[list[int]]:
    """Return the layers of all nodes that are not on or behind a cycle."""
    waiting = [end - start for start, end in pairwise(predecessors.start)]
    level = [-1] * len(waiting)
    ready = [place for place, count in enumerate(waiting) if not count]
    depth = 0
    while ready:
        found = []
        for place in ready:
            level[place] = depth
            for after in successors[place]:
                waiting[after] -= 1
                if not waiting[after]:
                    found.append(after)
        ready = found
        depth += 1
    layers: list[list[int]] = [[] for _ in range(depth)]
    for place, layer in enumerate(level):
        if layer >= 0:
            layers[layer].append(place)
    return layers


def _duplicate(subtasks: Sequence[Subtask]) -> InputError:
    first: dict[str, int] = {}
    for place, subtask in enumerate(subtasks):
        if first.setdefault(subtask.id, place) != place:
            places = f"subtasks {first[subtask.id] + 1} and {place + 1}"
            return InputError(f"subtasks[{subtask.id}].id", f"must be unique, but {places} are both called so")
    raise AssertionError("no duplicate")  # pragma: no cover


def _unknown(subtasks: Sequence[Subtask], index: dict[str, int], name: str) -> InputError:
    reader = next(subtask for subtask in subtasks if any(before == name for before, _ in subtask.depends_on))
    near = difflib.get_close_matches(name, index, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"subtasks[{reader.id}].depends_on", f"no subtask is called {shown(name)}{hint}")


def _cycle(subtasks: Sequence[Subtask], predecessors: Rows, order: list[int]) -> InputError:
    """Return the error that names one cycle; every node without a layer has a predecessor without one, so walk back."""
    rest = set(range(len(subtasks))).difference(order)
    selfish = next((place for place in sorted(rest) if place in predecessors[place]), None)
    if selfish is not None:
        return InputError(f"subtasks[{subtasks[selfish].id}].depends_on", "a subtask must not depend on itself")
    seen: dict[int, int] = {}
    place = min(rest)
    while place not in seen:
        seen[place] = len(seen)
        place = next(before for before in predecessors[place] if before in rest)
    cycle = list(seen)[seen[place] :][::-1]
    start = cycle.index(min(cycle))
    names = [subtasks[one].id for one in cycle[start:] + cycle[:start]]
    if len(names) > _SHOWN:
        names[_SHOWN - 1 : -1] = [f"({len(names) - _SHOWN} more)"]
    return InputError("subtasks", f"must not depend on one another in a circle: {' -> '.join([*names, names[0]])}")
