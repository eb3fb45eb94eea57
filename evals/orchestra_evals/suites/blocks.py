"""Blocks World: three stacks, of which the top blocks are moved until all stand on one stack in a given order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from random import Random
from string import ascii_uppercase
from typing import TypeAlias

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.puzzle import Illegal, Move, Words, list_of, names, place
from orchestra_evals.suites.puzzle_suite import MODES, SCORING, Kind, PuzzleSuite, Run
from orchestra_evals.suites.suite import MOVES, About, Difficulty

Stacks: TypeAlias = tuple[tuple[str, ...], ...]
"""The blocks of each stack, bottom to top."""
Ranks: TypeAlias = tuple[tuple[int, ...], ...]
"""The same with each block as its height in the goal, 0 for the lowest; the stack of the goal comes first."""

MOST_SEARCHED = 6
"""Most blocks of which all states, 20,160 for 6, are searched."""
_RULES = """Blocks World: {n} blocks stand on three stacks, 0, 1 and 2.
One block is moved at a time: the top block of a stack is put on top of another stack, which may be empty."""
_STATE = "A state is the list of the three stacks, each a list of its blocks from bottom to top."
_MOVE = "A move is [block, from stack, to stack]."
_PAIRS = tuple(permutations(range(3), 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Some blocks; the goal has all of them on one stack."""

    start: Stacks
    goal: Stacks

    @property
    def words(self) -> Words:
        """The rules in words."""
        blocks = next(filter(None, self.goal))
        name = {"type": "string", "minLength": 1, "maxLength": max(map(len, blocks))}
        item = {"anyOf": [name, {"type": "integer", "minimum": 0, "maximum": len(blocks)}]}
        return Words(
            rules=_RULES.format(n=len(blocks)),
            state=_STATE,
            move=_MOVE,
            state_schema=list_of(list_of(name, len(blocks)), 3, 3),
            move_schema=list_of(item, 3, 3),
        )

    def moves(self, state: Stacks) -> Iterator[Move]:
        """Return every way to move a top block."""
        for source, target in _PAIRS:
            if state[source]:
                yield [state[source][-1], source, target]

    def advance(self, state: Stacks, move: Move) -> Stacks | Illegal:
        """Return the stacks after a block was moved, or why it may not be."""
        block, source, target = move[0], place(move[1], 3), place(move[2], 3)
        if source is None or target is None:
            return Illegal("there is no such stack")
        if source == target:
            return Illegal("a block goes to another stack")
        if not state[source] or state[source][-1] != block:
            return Illegal("the block is not on top of the stack it is taken from")
        return _moved(state, source, target)

    def distance(self, state: Stacks) -> int | None:
        """Return the fewest moves to the goal.

        Up to 6 blocks it comes from a search of all states. For more it is known for the paper's layout: for the states
        on its shortest solutions; None stands for all others.
        """
        goal_stack = next(stack for stack, blocks in enumerate(self.goal) if blocks)
        rank = {block: height for height, block in enumerate(self.goal[goal_stack])}
        first, *others = (tuple(rank[block] for block in state[stack]) for stack in _order(goal_stack))
        known = _searched(len(rank)) if len(rank) <= MOST_SEARCHED else _shortest_ways(len(rank))
        found = known.get((first, *others))
        return known.get((first, *reversed(others))) if found is None else found

    def shown(self, state: Stacks) -> Json:
        """Return the list of the stacks."""
        return [list(stack) for stack in state]

    def read(self, said: Json) -> Stacks:
        """Return the stacks that lists mean."""
        return tuple(map(tuple, said))


def _order(first: int) -> list[int]:
    return [first, *(stack for stack in range(3) if stack != first)]


def _moved(state: tuple[tuple[Json, ...], ...], source: int, target: int) -> tuple[tuple[Json, ...], ...]:
    stacks = list(state)
    stacks[source], stacks[target] = stacks[source][:-1], (*stacks[target], stacks[source][-1])
    return tuple(stacks)


@lru_cache(maxsize=MOST_SEARCHED + 1)
def _searched(size: int) -> Mapping[Ranks, int]:
    """Return the fewest moves to the goal from every state; moves can be taken back."""
    goal: Ranks = (tuple(range(size)), (), ())
    found = {goal: 0}
    queue = deque([goal])
    while queue:
        state = queue.popleft()
        for source, target in _PAIRS:
            if state[source]:
                after = _moved(state, source, target)
                if after not in found:
                    found[after] = found[state] + 1
                    queue.append(after)
    return found


@lru_cache(maxsize=64)
def _shortest_ways(size: int) -> Mapping[Ranks, int]:
    """Return the fewest moves from each state on a shortest solution of the paper's layout of at least 4 blocks.

    An even number of blocks has one shortest solution, of 2N - 1 moves; an odd one has two, of 2N. Those of up to 7
    blocks are found by search. They hold for all N, because the moves of some of the blocks alone are a solution for
    these. Call the i-th blocks from the top of both stacks a pair: two pairs need 7 moves, so at most one pair gets by
    with 3 and the others take 4. Which one it is, and the order of any two moves, shows in three pairs alone, and
    these have the shortest solutions of 6 blocks. With an odd N the lowest block goes with all pairs, and 7 with 6.
    """
    stacks, goal = _paper_layout(size)
    order = {block: rank for rank, block in enumerate(goal)}
    start: Ranks = tuple(tuple(order[block] for block in stack) for stack in stacks)
    found: dict[Ranks, int] = {}
    for moves in _paper_solutions(start, size):
        state = start
        for left, (source, target) in zip(range(len(moves), 0, -1), moves, strict=True):
            found[state] = left
            state = _moved(state, source, target)
        found[state] = 0
    return found


def _paper_solutions(start: Ranks, size: int) -> Iterator[list[tuple[int, int]]]:
    """Return each shortest solution as stacks from and to.

    The first stack is turned over onto the last one by way of the second, but for its lowest block. Then the goal is
    built of tops. With an odd N the two lowest may also stay in wrong order until the end.
    """
    high, first = len(start[0]), set(start[0])
    build = [(2, 0) if rank in first else (1, 0) for rank in range(size)]
    yield [(0, 1)] * (high - 1) + [(0, 2)] + [(1, 2)] * (high - 1) + build
    if size % 2:
        turned = [(0, 1)] * (high - 2) + [(0, 2), (0, 2)] + [(1, 2)] * (high - 2)
        yield turned + build[:-2] + [(2, 1), (2, 0), (1, 0)]


def _paper_layout(size: int) -> tuple[Ranks, list[int]]:
    """Return the numbers 0 to N - 1 as they stand at first, and the goal: tops by turns, second stack first."""
    half = (size + 1) // 2
    stacks = [list(range(half)), list(range(half, size))]
    start = (tuple(stacks[0]), tuple(stacks[1]), ())
    goal = [stacks[turn % 2].pop() for turn in range(1, size + 1) if stacks[turn % 2]]
    return start, goal + stacks[0]


def _draw(difficulty: Difficulty, rng: Random | None) -> dict[str, Json]:
    """Return the paper's layout, or a random one, with random names of blocks and the stacks in any order."""
    size, is_random = difficulty["n"], difficulty["layout"] == "random"
    if is_random and size > MOST_SEARCHED:
        raise InputError("difficulty.n", f"must be at most {MOST_SEARCHED} with layout=random, got {size}")
    start, goal = _paper_layout(size)
    if rng is None:
        return _instance(start, (tuple(goal), (), ()), (0, 1, 2), _letters(size))
    if is_random:
        start = _random_layout(size, goal[0], rng)
    return _instance(start, (tuple(goal), (), ()), rng.sample(range(3), 3), names(rng, size))


def _random_layout(size: int, lowest: int, rng: Random) -> Ranks:
    """Return a uniformly random state in which the block that is to be the lowest is not at its place."""
    while True:
        blocks = rng.sample(range(size), size)
        low, high = sorted(rng.sample(range(size + 2), 2))
        stacks = (tuple(blocks[:low]), tuple(blocks[low : high - 1]), tuple(blocks[high - 1 :]))
        if stacks[0][:1] != (lowest,):
            return stacks


def _instance(start: Ranks, goal: Ranks, order: Sequence[int], blocks: Sequence[str]) -> dict[str, Json]:
    """Return an instance whose stack `number` is the stack `order[number]` of the numbers given."""
    named = ([[blocks[one] for one in state[stack]] for stack in order] for state in (start, goal))
    return dict(zip(("start", "goal"), named, strict=True))


def _letters(size: int) -> list[str]:
    """Return A to Z, then AA to AZ."""
    return [prefix + letter for prefix in ("", "A") for letter in ascii_uppercase][:size]


def _restore(said: Mapping[str, Json]) -> Blocks:
    start, goal = (tuple(map(tuple, said[name])) for name in ("start", "goal"))
    return Blocks(start=start, goal=goal)


BLOCKS = Kind(
    name="blocks",
    about=About(
        summary="Rebuild n blocks on three stacks into one tower. layout=paper: 2n - 1 moves, 2n for odd n, instances "
        "differ by names and the order of the stacks; layout=random: any state of up to 6 blocks",
        scoring=SCORING,
        licence="Apache-2.0, made here by the rules of arXiv 2506.06941",
        axes={
            "n": (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 30, 40, 50),
            "layout": ("paper", "random"),
            "mode": MODES,
        },
        default=tuple({"n": n, "layout": "paper", "mode": "full_list"} for n in (4, 6, 8, 10, 14, 20)),
        steps=MOVES,
    ),
    ranges={"n": (2, 50)},
    draw=_draw,
    restore=_restore,
)
"""Blocks World as a kind of puzzle.

It has no graph of subtasks: which blocks must make way depends on all that was moved before.
"""


def blocks(*, run: Run | None = None) -> PuzzleSuite:
    """Return Blocks World as a suite; `run` runs the programs of the mode `generator`."""
    return PuzzleSuite(BLOCKS, run=run)
