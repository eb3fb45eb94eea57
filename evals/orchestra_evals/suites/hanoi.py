"""Tower of Hanoi from any legal position: the disks come to one peg, no disk ever on a smaller one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random
from typing import TypeAlias

from orchestra_agents.models.contract import Json, Truth
from orchestra_evals.suites.puzzle import Illegal, Move, Words, list_of, place, shortest
from orchestra_evals.suites.puzzle_suite import (
    MODES,
    SCORING,
    TOKENS_A_MOVE,
    Kind,
    PuzzleSuite,
    Run,
    longest,
    moves_type,
    wrong_lists,
)
from orchestra_evals.suites.suite import MOVES, About, Difficulty, Sample
from orchestra_topologies.graph import Subtask, TaskGraph

Pegs: TypeAlias = tuple[tuple[int, ...], ...]
"""The disks of each peg, bottom to top."""

LARGEST_DISK = 999
_RULES = """Tower of Hanoi: three pegs, 0, 1 and 2, hold {n} disks. The number of a disk is its size: {sizes}.
One disk is moved at a time, and only the top disk of a peg. No disk may ever lie on a smaller one."""
_STATE = "A state is the list of the three pegs, each a list of its disks from bottom to top."
_MOVE = "A move is [disk, from peg, to peg]."
_GOAL = "Tower of Hanoi: find the moves from {start} to {goal}."
_PART = """Solve this part as if there were no other disks than these: {sizes}.
Start: {start}
Goal: {goal}
Give all moves from this start to this goal, in order, as one JSON list of at most {longest} moves."""
_JOIN = """Put the moves of the parts together, each as it is and in this order, into one JSON list of moves:
{order}"""
_MOST_LEVELS = 3
_SMALLEST_PART = 3
_PAIRS = tuple(permutations(range(3), 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hanoi:
    """One tower; the way from any position to a whole tower has one shortest solution."""

    start: Pegs
    goal_peg: int

    @property
    def sizes(self) -> list[int]:
        """The disks from large to small."""
        return sorted((disk for peg in self.start for disk in peg), reverse=True)

    @property
    def goal(self) -> Pegs:
        """All disks are on the goal's peg."""
        return tuple(tuple(self.sizes) if peg == self.goal_peg else () for peg in range(3))

    @property
    def words(self) -> Words:
        """The rules in words."""
        sizes = self.sizes
        disk = {"type": "integer", "minimum": 0, "maximum": LARGEST_DISK}
        return Words(
            rules=_RULES.format(n=len(sizes), sizes=", ".join(map(str, reversed(sizes)))),
            state=_STATE,
            move=_MOVE,
            state_schema=list_of(list_of(disk, len(sizes)), 3, 3),
            move_schema=list_of(disk, 3, 3),
        )

    def moves(self, state: Pegs) -> Iterator[Move]:
        """Return every way to move a top disk, onto a smaller one included."""
        for source, target in _PAIRS:
            if state[source]:
                yield [state[source][-1], source, target]

    def advance(self, state: Pegs, move: Move) -> Pegs | Illegal:
        """Return the pegs after a disk was moved, or why it may not be."""
        disk, source, target = move[0], place(move[1], 3), place(move[2], 3)
        if source is None or target is None:
            return Illegal("there is no such peg")
        if source == target:
            return Illegal("a disk goes to another peg")
        if not state[source] or state[source][-1] != disk:
            return Illegal("the disk is not on top of the peg it is taken from")
        if state[target] and state[target][-1] < disk:
            return Illegal("a disk may not lie on a smaller one")
        pegs = list(state)
        pegs[source], pegs[target] = pegs[source][:-1], (*pegs[target], state[source][-1])
        return tuple(pegs)

    def distance(self, state: Pegs) -> int:
        """Return the fewest moves to the goal.

        The largest disk that is not at its place moves once, when all smaller ones are on the third peg; the smaller
        ones, 2^k - 1 moves, follow it: with k smaller disks that is 2^k moves beside the way to the third peg.
        """
        where = {disk: peg for peg, disks in enumerate(state) for disk in disks}
        moves, wanted = 0, self.goal_peg
        for smaller, disk in sorted(enumerate(sorted(where)), reverse=True):
            if where[disk] != wanted:
                moves += 2**smaller
                wanted = 3 - where[disk] - wanted
        return moves

    def shown(self, state: Pegs) -> Json:
        """Return the list of the pegs."""
        return [list(peg) for peg in state]

    def read(self, said: Json) -> Pegs:
        """Return the pegs that lists mean."""
        return tuple(map(tuple, said))


def stacked(sizes: Sequence[int], pegs: Sequence[int]) -> Pegs:
    """Return the position in which each disk, given from large to small, is on its peg."""
    return tuple(tuple(disk for disk, at in zip(sizes, pegs, strict=True) if at == peg) for peg in range(3))


def _draw(difficulty: Difficulty, rng: Random | None) -> dict[str, Json]:
    """Return a random position of disks of random sizes; the largest is not on the goal's peg.

    So 2^(n-1) to 2^n - 1 moves are needed: more than n - 1 disks ever take.
    """
    size = difficulty["n"]
    if rng is None:
        sizes, pegs, goal = list(range(size, 0, -1)), [0] * size, 2
    else:
        sizes = sorted(rng.sample(range(1, LARGEST_DISK + 1), size), reverse=True)
        first, goal = rng.sample(range(3), 2)
        pegs = [first, *(rng.randrange(3) for _ in sizes[1:])]
    return {"start": [list(peg) for peg in stacked(sizes, pegs)], "goal_peg": goal}


def _restore(said: Mapping[str, Json]) -> Hanoi:
    """Return the tower that an instance is."""
    return Hanoi(start=tuple(map(tuple, said["start"])), goal_peg=said["goal_peg"])


def _divide(sample: Sample) -> TaskGraph | None:
    """Return parts that do not depend on each other and a last subtask that puts their moves together.

    To move a disk, all smaller ones go to the third peg, the disk moves, and they follow: two parts with a disk less,
    each of which is divided again, to parts of 3 disks or to 8 parts. The code that divides knows where each part
    begins and ends. Fewer than two parts are no graph.
    """
    tower = _restore(sample.instance)
    levels = min(_MOST_LEVELS, max(1, len(tower.sizes) - _SMALLEST_PART))
    parts: list[Subtask] = []
    order: list[str] = []
    for piece in _pieces(tower, levels):
        if isinstance(piece, Hanoi):
            parts.append(_part(piece, f"part-{len(parts) + 1}"))
            order.append(f"- the moves of {parts[-1].id}")
        else:
            order.append(f"- the move {piece}")
    if len(parts) < 2:
        return None
    words = tower.words
    whole = Subtask(
        id="all-moves",
        description=_JOIN.format(order="\n".join(order)),
        answer=sample.answer,
        depends_on=tuple((part.id, "strong") for part in parts),
        estimated_tokens=TOKENS_A_MOVE * len(sample.target),
        truth=Truth(answer=sample.target, wrong=sample.wrong),
    )
    goal = _GOAL.format(start=tower.shown(tower.start), goal=tower.shown(tower.goal))
    return TaskGraph([*parts, whole], goal=goal, context="\n".join([words.rules, words.state, words.move]))


def _pieces(tower: Hanoi, levels: int) -> Iterator[Hanoi | Move]:
    """Return smaller towers, solved one after the other, and the single moves between them."""
    largest, *smaller = tower.sizes
    at = next(peg for peg, disks in enumerate(tower.start) if largest in disks)
    rest = tuple(tuple(disk for disk in peg if disk != largest) for peg in tower.start)
    if tower.start == tower.goal:
        return
    if not levels:
        yield tower
    elif at == tower.goal_peg:
        yield from _pieces(Hanoi(start=rest, goal_peg=at), levels)
    else:
        third = 3 - at - tower.goal_peg
        if smaller:
            yield from _pieces(Hanoi(start=rest, goal_peg=third), levels - 1)
        yield [largest, at, tower.goal_peg]
        if smaller:
            followers = stacked(smaller, [third] * len(smaller))
            yield from _pieces(Hanoi(start=followers, goal_peg=tower.goal_peg), levels - 1)


def _part(tower: Hanoi, name: str) -> Subtask:
    moves = [step.move for step in shortest(tower, tower.start)]
    asked = _PART.format(
        sizes=", ".join(map(str, reversed(tower.sizes))),
        start=tower.shown(tower.start),
        goal=tower.shown(tower.goal),
        longest=longest(tower),
    )
    return Subtask(
        id=name,
        description=asked,
        answer=moves_type(tower),
        estimated_tokens=TOKENS_A_MOVE * len(moves),
        truth=Truth(answer=moves, wrong=tuple(wrong_lists(tower, moves))),
    )


HANOI = Kind(
    name="hanoi",
    about=About(
        summary="Bring n disks from any position onto one peg: 2^(n-1) to 2^n - 1 moves. "
        "Random sizes of the disks make instances distinct",
        scoring=SCORING,
        licence="Apache-2.0, made here by the rules of arXiv 2506.06941",
        axes={"n": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15), "mode": MODES},
        default=tuple({"n": n, "mode": "full_list"} for n in (3, 4, 5, 6, 7, 8)),
        steps=MOVES,
    ),
    ranges={"n": (1, 15)},
    draw=_draw,
    restore=_restore,
    divide=_divide,
)
"""Tower of Hanoi as a kind of puzzle. Of one disk there are 5,994 instances, of more at least 9 million."""


def hanoi(*, run: Run | None = None) -> PuzzleSuite:
    """Return Tower of Hanoi as a suite; `run` runs the programs of the mode `generator`."""
    return PuzzleSuite(HANOI, run=run)
