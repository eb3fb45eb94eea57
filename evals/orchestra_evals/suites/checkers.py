"""Checker Jumping: two colours in a line change sides, each checker going forward only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from orchestra_agents.models.contract import Json
from orchestra_evals.suites.puzzle import Illegal, Move, Words, list_of, names, place
from orchestra_evals.suites.puzzle_suite import MODES, SCORING, Kind, PuzzleSuite, Run
from orchestra_evals.suites.suite import MOVES, About, Difficulty

_RULES = """Checker Jumping: {cells} cells in a line, numbered from 0, hold {n} checkers {right}, {n} checkers {left}, \
and one is empty.
Checkers {right} move to higher numbers only, checkers {left} to lower numbers only.
A checker either slides by one cell into the empty cell, or jumps by two cells into the empty cell over exactly one \
checker of the other colour."""
_STATE = 'A state is the list of the cells; "{gap}" is the empty one.'
_MOVE = "A move is [colour, from cell, to cell]."
_GAPS = ("_", ".", "*", "-", "o")
_STEPS = {"R": 1, "L": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkers:
    """One line of checkers; a state is a text of R (goes right), L (goes left) and _ (empty).

    From the start there is one solution and its mirror image, of (n + 1)^2 - 1 moves (by exhaustive search up to
    n = 13). So a position that the start leads to can be solved if and only if it stands on one of the two, and the
    fewest moves from there are the only number of moves.
    """

    start: str
    right: str
    """Name of the colour that goes right."""
    left: str
    gap: str

    @property
    def goal(self) -> str:
        """The colours have changed sides."""
        size = len(self.start) // 2
        return "L" * size + "_" + "R" * size

    @property
    def words(self) -> Words:
        """The rules in words."""
        cells = len(self.start)
        name = {"type": "string", "minLength": 1, "maxLength": max(map(len, (self.right, self.left, self.gap)))}
        item = {"anyOf": [name, {"type": "integer", "minimum": 0, "maximum": cells}]}
        return Words(
            rules=_RULES.format(cells=cells, n=cells // 2, right=self.right, left=self.left),
            state=_STATE.format(gap=self.gap),
            move=_MOVE,
            state_schema=list_of(name, cells, cells),
            move_schema=list_of(item, 3, 3),
        )

    def moves(self, state: str) -> Iterator[Move]:
        """Return the two slides and the two jumps into the gap."""
        gap = state.index("_")
        for colour, step in _STEPS.items():
            for source in (gap - step, gap - 2 * step):
                if 0 <= source < len(state):
                    yield [self._name(colour), source, gap]

    def advance(self, state: str, move: Move) -> str | Illegal:
        """Return the state after a slide or a jump, or why it may not be made."""
        source, target = (place(one, len(state)) for one in move[1:])
        if source is None or target is None:
            return Illegal("there is no such cell")
        if state[source] == "_" or self._name(state[source]) != move[0]:
            return Illegal("no checker of that colour stands there")
        if state[target] != "_":
            return Illegal("the cell it goes to is not empty")
        colour, by = state[source], target - source
        step = _STEPS[colour]
        if by * step < 0:
            return Illegal("checkers of that colour do not go that way")
        if abs(by) > 2:
            return Illegal("a checker goes by one cell or two")
        if abs(by) == 2 and state[source + step] == colour:
            return Illegal("a checker does not jump over one of its own colour")
        cells = list(state)
        cells[source], cells[target] = "_", colour
        return "".join(cells)

    def distance(self, state: str) -> int | None:
        """Return the moves left on one of the two solutions, None off them, where the goal is out of reach."""
        return _left(len(self.start) // 2).get(state)

    def shown(self, state: str) -> Json:
        """Return the list of the cells."""
        return [self._name(cell) for cell in state]

    def read(self, said: Json) -> str:
        """Return the state that a list of cells means; ? stands for what is neither colour nor gap."""
        meant = {self.right: "R", self.left: "L", self.gap: "_"}
        return "".join(meant.get(cell, "?") for cell in said)

    def _name(self, cell: str) -> str:
        return {"R": self.right, "L": self.left, "_": self.gap}[cell]


@lru_cache(maxsize=64)
def solution(size: int, first: str) -> tuple[str, ...]:
    """Return all states of the solution that begins with a move of the colour `first`.

    The colours take turns of 1, 2, ..., n - 1, n, n, n, n - 1, ..., 2, 1 moves; the gap leaves each colour one move.
    """
    board = Checkers(start="R" * size + "_" + "L" * size, right="R", left="L", gap="_")
    turns = [*range(1, size), size, size, size, *range(size - 1, 0, -1)]
    colours = "RL" if first == "R" else "LR"
    states = [board.start]
    for turn, count in enumerate(turns):
        for _ in range(count):
            moves = [move for move in board.moves(states[-1]) if move[0] == colours[turn % 2]]
            after = (board.advance(states[-1], move) for move in moves)
            states.append(next(state for state in after if isinstance(state, str)))
    return tuple(states)


@lru_cache(maxsize=64)
def _left(size: int) -> Mapping[str, int]:
    """Return the moves left in each state of both solutions."""
    both = (solution(size, first) for first in "RL")
    return {state: left for states in both for left, state in enumerate(reversed(states))}


def _draw(difficulty: Difficulty, rng: Random | None) -> dict[str, Json]:
    """Return a position before move 2n + 1 of a solution: more moves are left than n - 1 checkers a side ever take."""
    size = difficulty["n"]
    if rng is None:
        right, left, gap, at, first = "R", "B", "_", 0, "R"
    else:
        right, left = names(rng, 2)
        gap, at, first = rng.choice(_GAPS), rng.randrange(2 * size + 1), rng.choice("RL")
    board = Checkers(start=solution(size, first)[at], right=right, left=left, gap=gap)
    return {"right": right, "left": left, "gap": gap, "start": board.shown(board.start)}


def _restore(said: Mapping[str, Json]) -> Checkers:
    right, left, gap = said["right"], said["left"], said["gap"]
    start = Checkers(start="", right=right, left=left, gap=gap).read(said["start"])
    return Checkers(start=start, right=right, left=left, gap=gap)


CHECKERS = Kind(
    name="checkers",
    about=About(
        summary="Exchange n checkers a side over one gap, each going forward only: at most (n + 1)^2 - 1 moves. "
        "Random names of the colours make instances distinct; the board is early on one of the two solutions",
        scoring=SCORING,
        licence="Apache-2.0, made here by the rules of arXiv 2506.06941",
        axes={"n": (1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20), "mode": MODES},
        default=tuple({"n": n, "mode": "full_list"} for n in (2, 3, 4, 5, 6, 7)),
        steps=MOVES,
    ),
    ranges={"n": (1, 20)},
    draw=_draw,
    restore=_restore,
)
"""Checker Jumping as a kind of puzzle.

It has no graph of subtasks: what every move leaves behind decides the next one, and no part can be solved apart.
"""


def checkers(*, run: Run | None = None) -> PuzzleSuite:
    """Return Checker Jumping as a suite; `run` runs the programs of the mode `generator`."""
    return PuzzleSuite(CHECKERS, run=run)
