"""The four puzzles a second time, by brute force and in their own words, to referee the suites by."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import combinations
from typing import Any

from orchestra_evals.suites.suite import Sample

ILLEGAL = (AssertionError, LookupError, TypeError, ValueError)
"""What the functions below raise for what is no legal move."""


def hanoi_move(state: Any, move: Any) -> Any:
    disk, source, target = move
    assert {type(disk), type(source), type(target)} == {int}
    assert source in (0, 1, 2)
    assert target in (0, 1, 2)
    pegs = [list(peg) for peg in state]
    assert pegs[source].pop() == disk
    assert source != target
    pegs[target].append(disk)
    assert pegs[target] == sorted(pegs[target], reverse=True)
    return pegs


def blocks_move(state: Any, move: Any) -> Any:
    block, source, target = move
    assert type(block) is str
    assert type(source) is type(target) is int
    assert source in (0, 1, 2)
    assert target in (0, 1, 2)
    stacks = [list(stack) for stack in state]
    assert stacks[source].pop() == block
    assert source != target
    stacks[target].append(block)
    return stacks


def checkers_move(state: Any, move: Any, right: str, gap: str) -> Any:
    colour, source, target = move
    assert type(source) is type(target) is int
    assert 0 <= source < len(state)
    assert 0 <= target < len(state)
    cells = list(state)
    assert cells[source] == colour != gap
    assert cells[target] == gap
    forward = target - source if colour == right else source - target
    assert forward in (1, 2)
    if forward == 2:
        assert cells[(source + target) // 2] not in (colour, gap)
    cells[source], cells[target] = gap, colour
    return cells


def river_move(state: Any, move: Any, instance: Any) -> Any:
    first, second = instance["banks"]
    here = state["boat"]
    there = second if here == first else first
    assert type(move) is list
    assert 0 < len(move) <= instance["boat"]
    assert len(set(move)) == len(move)
    assert all(name in state[here] for name in move)
    after = {
        here: [name for name in state[here] if name not in move],
        there: [*state[there], *move],
        "boat": there,
    }
    for people in map(set, (move, after[here], after[there])):
        is_with_agents = any(agent in people for _, agent in instance["pairs"])
        assert not (is_with_agents and any(actor in people and own not in people for actor, own in instance["pairs"]))
    return after


def subsets(people: list[str], most: int) -> Iterator[list[str]]:
    for size in range(1, most + 1):
        for chosen in combinations(people, size):
            yield list(chosen)


class Referee:
    """One sample's puzzle, read from its question: start and goal stand there as JSON."""

    def __init__(self, name: str, sample: Sample) -> None:
        lines = sample.question.splitlines()
        self.name, self.instance = name, sample.instance
        self.start = json.loads(next(line for line in lines if line.startswith("Start: "))[7:])
        self.goal = json.loads(next(line for line in lines if line.startswith("Goal: "))[6:])

    def move(self, state: Any, move: Any) -> Any:
        if self.name == "hanoi":
            return hanoi_move(state, move)
        if self.name == "blocks":
            return blocks_move(state, move)
        if self.name == "checkers":
            return checkers_move(state, move, self.instance["right"], self.instance["gap"])
        return river_move(state, move, self.instance)

    def is_legal(self, state: Any, move: Any) -> bool:
        try:
            self.move(state, move)
        except ILLEGAL:
            return False
        return True

    def key(self, state: Any) -> Hashable:
        """Return what is equal for equal states."""
        if isinstance(state, dict):
            return tuple(tuple(sorted(state[bank])) for bank in self.instance["banks"]) + (state["boat"],)
        return json.dumps(state)

    def is_equal(self, one: Any, other: Any) -> bool:
        return self.key(one) == self.key(other)

    def solves(self, moves: Any) -> bool:
        """Return whether a list of whatever it is leads from the start to the goal."""
        if not isinstance(moves, list):
            return False
        state = self.start
        try:
            for move in moves:
                state = self.move(state, move)
        except ILLEGAL:
            return False
        return self.is_equal(state, self.goal)

    def legal(self, state: Any) -> list[Any]:
        """Return all legal moves."""
        return [move for move in self._all(state) if self.is_legal(state, move)]

    def _all(self, state: Any) -> Iterator[Any]:
        if self.name == "river":
            yield from subsets(state[state["boat"]], self.instance["boat"])
        elif self.name == "checkers":
            cells = range(len(state))
            yield from ([state[source], source, target] for source in cells for target in cells)
        else:
            for source in range(3):
                for target in range(3):
                    if state[source]:
                        yield [state[source][-1], source, target]

    def fewest(self, state: Any) -> int | None:
        """Return the fewest moves from `state` to the goal, by breadth-first search."""
        wanted = self.key(self.goal)
        seen, queue = {self.key(state)}, deque([(0, state)])
        while queue:
            made, state = queue.popleft()
            if self.key(state) == wanted:
                return made
            for move in self.legal(state):
                after = self.move(state, move)
                if self.key(after) not in seen:
                    seen.add(self.key(after))
                    queue.append((made + 1, after))
        return None


def stack_distances(goal: Any) -> dict[Any, int]:
    """Return the fewest moves to `goal` from every state of three stacks, each a tuple."""
    found, queue = {goal: 0}, deque([goal])
    while queue:
        state = queue.popleft()
        for source in range(3):
            for target in range(3):
                if state[source] and source != target:
                    stacks = list(state)
                    stacks[source] = state[source][:-1]
                    stacks[target] = (*state[target], state[source][-1])
                    after = tuple(stacks)
                    if after not in found:
                        found[after] = found[state] + 1
                        queue.append(after)
    return found


def corruptions(moves: list[Any]) -> dict[str, Any]:
    """Return a right list of moves with one slip each; some slips may give another solution."""
    half = len(moves) // 2
    first, rest = moves[0], moves[1:]
    return {
        "last dropped": moves[:-1],
        "first dropped": rest,
        "middle dropped": moves[:half] + moves[half + 1 :],
        "first doubled": [first, *moves],
        "last doubled": [*moves, moves[-1]],
        "middle doubled": moves[: half + 1] + moves[half:],
        "first two swapped": [*moves[1::-1], *moves[2:]],
        "last two swapped": [*moves[:-2], *moves[:-3:-1]],
        "reversed": moves[::-1],
        "truncated": moves[:half],
        "twice": moves + moves,
        "huge": [None] * 100_000,
        "nine times": moves * 9,
        "one up": [_changed(first, 1), *rest],
        "one down": [_changed(first, -1), *rest],
        "last one up": [*moves[:-1], _changed(moves[-1], 1)],
        "names and numbers exchanged": [_retyped(move) for move in moves],
        "half a number": [_last(first, 1.5), *rest],
        "not a number": [_last(first, float("nan")), *rest],
        "infinite": [_last(first, float("inf")), *rest],
        "endless digits": [_last(first, 10**400), *rest],
        "null in a move": [_last(first, None), *rest],
        "true in a move": [_last(first, True), *rest],
        "move too long": [[*first, first[-1]], *rest],
        "move too short": [first[:-1], *rest],
        "move is null": [None, *rest],
        "move is a text": [json.dumps(first), *rest],
        "move is an object": [{"move": first}, *rest],
        "one level too many": [moves],
        "one level missing": first,
        "empty": [],
        "null": None,
        "text": json.dumps(moves),
        "words": "I move the first one, then the others.",
        "object": {"moves": moves},
        "number": 7,
        "truth": True,
    }


def _changed(move: list[Any], by: int) -> list[Any]:
    """Return a move whose last number is off by one, or whose last name another one."""
    return _last(move, move[-1] + by if isinstance(move[-1], int) else move[-1] + "x" * abs(by))


def _last(move: list[Any], value: Any) -> list[Any]:
    return [*move[:-1], value]


def _retyped(move: list[Any]) -> list[Any]:
    return [str(one) if isinstance(one, int) else len(one) for one in move]
