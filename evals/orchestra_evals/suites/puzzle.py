"""What a puzzle is: a state to begin with, one to reach, what moves are legal, and what a list of moves is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeAlias

from orchestra_agents.models.contract import Json
from orchestra_evals.suites.suite import Score

State: TypeAlias = Any
"""Where everything is: a hashable value of the puzzle's own."""
Move: TypeAlias = Json
"""A move as an answer says it."""

_CONSONANTS, _VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"


@dataclass(frozen=True, slots=True)
class Illegal:
    """Why a move may not be made."""

    reason: str
    """Which rule it breaks, in the same words for the same rule: the type of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What somebody is told who has never heard of the puzzle, and the shape of an answer.

    The schemas say what a state and a move look like, not which are legal: who breaks a rule errs, and is not misread.
    """

    rules: str
    """What there is and what may be done."""
    state: str
    """How a state is written."""
    move: str
    """How a move is written."""
    state_schema: dict[str, Json]
    """The JSON schema of a state, of bounded length."""
    move_schema: dict[str, Json]
    """The JSON schema of a move, of bounded length."""


class Puzzle(Protocol):
    """One instance of a puzzle."""

    @property
    def start(self) -> State:
        """Where everything is at first."""

    @property
    def goal(self) -> State:
        """Where everything is to come; there is one such state."""

    @property
    def words(self) -> Words:
        """The rules in words."""

    def moves(self, state: State) -> Iterator[Move]:
        """Return the moves to try in `state`: all legal ones, but one only of those that differ in names alone."""

    def advance(self, state: State, move: Move) -> State | Illegal:
        """Return the state after `move`, which is of the move's schema, or why it may not be made."""

    def distance(self, state: State) -> int | None:
        """Return the fewest moves from `state` to the goal, None where the goal is out of reach.

        It is exact for the start and for every state that a legal move leads to from one of its shortest solutions;
        None also stands for those of these states that lie on no shortest solution, where a puzzle says so.
        """

    def shown(self, state: State) -> Json:
        """Return `state` as a question shows it."""

    def read(self, said: Json) -> State:
        """Return the state that JSON of the state's schema means; what means none equals no state of the puzzle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A legal move and where it leads."""

    move: Move
    state: State
    """The state after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What becomes of a list of moves; an illegal one is skipped."""

    end: State
    """The state after the last."""
    legal: int
    """Legal moves."""
    prefix: int
    """Legal moves before the first illegal one."""
    problem: str
    """Why the first illegal move is none; empty where all are legal."""


def steps(puzzle: Puzzle, state: State) -> Iterator[Step]:
    """Return the legal moves of `state` with what they lead to."""
    for move in puzzle.moves(state):
        after = puzzle.advance(state, move)
        if not isinstance(after, Illegal):
            yield Step(move=move, state=after)


def shortest(puzzle: Puzzle, state: State) -> Iterator[Step]:
    """Return a shortest solution from `state`, step by step; nothing where there is none."""
    for left in reversed(range(puzzle.distance(state) or 0)):
        step = next(step for step in steps(puzzle, state) if puzzle.distance(step.state) == left)
        yield step
        state = step.state


def attempt(puzzle: Puzzle, moves: Sequence[Move]) -> Attempt:
    """Return what becomes of moves that are made from the start, one after the other."""
    state, legal, prefix, problem = puzzle.start, 0, len(moves), ""
    for place, move in enumerate(moves):
        after = puzzle.advance(state, move)
        if not isinstance(after, Illegal):
            state, legal = after, legal + 1
        elif not problem:
            prefix, problem = place, after.reason
    return Attempt(end=state, legal=legal, prefix=prefix, problem=problem)


def list_score(puzzle: Puzzle, moves: Sequence[Move]) -> Score:
    """Return what a list of moves is worth: 1 where all are legal and the last reaches the goal, else 0.

    Its parts are `prefix`, the share of the moves before the first illegal one; `legal`, the share of legal moves where
    illegal ones are skipped; and `moves`, how many were given. Both shares of an empty list are 0.
    """
    made = attempt(puzzle, moves)
    given = len(moves)
    parts = {"prefix": made.prefix / max(1, given), "legal": made.legal / max(1, given), "moves": float(given)}
    if made.problem:
        return Score(value=0.0, outcome="wrong", detail=f"move {made.prefix}: {made.problem}", parts=parts)
    if made.end != puzzle.goal:
        return Score(value=0.0, outcome="wrong", detail="all moves are legal, but they miss the goal", parts=parts)
    return Score(value=1.0, outcome="right", parts=parts)


def step_score(puzzle: Puzzle, said: Mapping[str, Json]) -> Score:
    """Return what one move from the start with the state after it is worth: 1 where all its parts are 1, else 0.

    Its parts are `legal`; `nearer`, whether the goal is one move nearer; and `state`, whether that is the state after
    the move.
    """
    after, before = puzzle.advance(puzzle.start, said["move"]), puzzle.distance(puzzle.start)
    if isinstance(after, Illegal):
        parts = dict.fromkeys(("legal", "nearer", "state"), 0.0)
        return Score(value=0.0, outcome="wrong", detail=f"the move: {after.reason}", parts=parts)
    left = puzzle.distance(after)
    is_nearer = left is not None and before is not None and left < before
    is_state = bool(puzzle.read(said["state"]) == after)
    parts = {"legal": 1.0, "nearer": float(is_nearer), "state": float(is_state)}
    if is_nearer and is_state:
        return Score(value=1.0, outcome="right", parts=parts)
    detail = "the state is not the one after the move" if is_nearer else "the move brings the goal no nearer"
    return Score(value=0.0, outcome="wrong", detail=detail, parts=parts)


def place(said: Json, count: int) -> int | None:
    """Return the place from 0 below `count` that a move names, None where it is no such place.

    >>> place(2.0, 3), place(3, 3), place("2", 3)
    (2, None, None)
    """
    return int(said) if isinstance(said, int | float) and said in range(count) else None


def list_of(item: Mapping[str, Json], most: int, least: int = 0) -> dict[str, Json]:
    """Return the schema of a list of `least` to `most` items."""
    return {"type": "array", "items": dict(item), "minItems": least, "maxItems": most}


def names(rng: Random, count: int) -> list[str]:
    """Return different names of four letters that mean nothing, 10,000 of which there are."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(letters) for letters in (_CONSONANTS, _VOWELS) * 2)] = None
    return list(found)
