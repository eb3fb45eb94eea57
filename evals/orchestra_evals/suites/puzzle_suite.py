"""A puzzle as a suite: asked for all moves, for one move and the state after it, or for a program that prints them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Literal, TypeAlias

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import closed_object, parse_json, shown
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.puzzle import (
    Move,
    Puzzle,
    State,
    Step,
    attempt,
    list_of,
    list_score,
    shortest,
    step_score,
    steps,
)
from orchestra_evals.suites.suite import (
    About,
    Difficulty,
    Sample,
    Score,
    Split,
    check_difficulty,
    rng_of,
    sample_id,
)
from orchestra_topologies.graph import TaskGraph

Mode = Literal["full_list", "stepwise", "generator"]
"""What is asked for: all moves; one move and the state after it; a program that prints all moves."""
MODES: tuple[Mode, ...] = ("full_list", "stepwise", "generator")
Run: TypeAlias = Callable[[str], str]
"""Runs a Python program where it can do no harm and returns what it printed.

A program that fails raises ValueError or `subprocess.SubprocessError`. Any other error is none of the program's; it
passes through and scores nothing.
"""

SCORING = (
    "full_list: 1 where every move is legal and the last reaches the goal, shortest or not. stepwise: 1 where the move "
    "is legal, brings the goal nearer, and the state after it is right. generator: the printed list scores as full_list"
)
TOKENS_A_MOVE = 10
"""Output tokens that a written move takes, about."""
_MOST_WRONG = 3
_ASK: Mapping[Mode, str] = {
    "full_list": (
        "Give all moves from the start to the goal, in order, as one JSON list of at most {longest} moves. It need not "
        "be the shortest."
    ),
    "stepwise": (
        "Give one move that begins a shortest way from the start to the goal, and the state after it, as the JSON "
        'object {{"move": MOVE, "state": STATE}}.'
    ),
    "generator": (
        "Write a Python program that prints all moves from the start to the goal, in order, as one JSON list of at "
        "most {longest} moves, and nothing else. The list need not be the shortest. The program reads nothing and uses "
        "the standard library only."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of puzzle, of which each difficulty has many instances."""

    name: str
    about: About
    """Its axes are those of `draw`, and `mode`."""
    ranges: Mapping[str, tuple[int, int]]
    """The lowest and highest value of each axis of integers."""
    draw: Callable[[Difficulty, Random | None], dict[str, Json]]
    """Return an instance as JSON, with the key `start`; the paper's own where there are no random numbers."""
    restore: Callable[[Mapping[str, Json]], Puzzle]
    """Return the puzzle that an instance is."""
    divide: Callable[[Sample], TaskGraph | None] | None = None
    """Return a question for all moves as a graph of subtasks; None where that cannot be done well."""


class PuzzleSuite:
    """Instances of one kind of puzzle, asked in three modes.

    Sample 0 of the split `test` is the instance of the paper; no other split has it. In the mode `stepwise` a sample
    begins anywhere on a shortest solution. Every instance can be solved: one that cannot is refused.

    Args:
        kind: The kind of puzzle.
        run: Runs an answer to the mode `generator`; without it no program is run, and none is right.
    """

    def __init__(self, kind: Kind, *, run: Run | None = None) -> None:
        self.kind = kind
        self.run = run

    @property
    def name(self) -> str:
        """Name by which it is asked for."""
        return self.kind.name

    @property
    def about(self) -> About:
        """What it measures and how it is scored."""
        return self.kind.about

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return sample `index` of one difficulty.

        Raises:
            InputError: There is no such difficulty, or it cannot be solved.
        """
        check_difficulty(self.about, difficulty, self.kind.ranges)
        chosen = {axis: difficulty[axis] for axis in self.about.axes}
        mode: Mode = chosen["mode"]
        rng = rng_of(self.name, self.about.version, chosen, index, split=split, seed=seed)
        is_paper = index == 0 and split == "test"
        drawn = self.kind.draw(chosen, None if is_paper else rng)
        puzzle = self.kind.restore(drawn)
        if not puzzle.distance(puzzle.start):
            said = ", ".join(f"{axis}={value}" for axis, value in chosen.items() if axis != "mode")
            raise InputError("difficulty", f"{self.name} has no solution for {said}")
        if mode == "stepwise" and not is_paper:
            drawn |= {"start": puzzle.shown(_anywhere(puzzle, rng))}
            puzzle = self.kind.restore(drawn)
        asked = _Asked(puzzle, mode)
        return Sample(
            id=sample_id(chosen, index, split=split, seed=seed),
            question=asked.question(),
            answer=asked.answer_type(),
            target=asked.target(),
            wrong=tuple(asked.wrong()),
            difficulty=chosen,
            instance={**drawn, "fewest": asked.fewest},
        )

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what `answer` is worth; see `list_score` and `step_score`.

        A program that fails is wrong. It is malformed where it prints no list of moves or may not be run.
        """
        if problem := sample.answer.problem(answer):
            return _malformed(problem)
        puzzle = self.kind.restore(sample.instance)
        if sample.difficulty["mode"] == "full_list":
            return list_score(puzzle, answer)
        return step_score(puzzle, answer) if sample.difficulty["mode"] == "stepwise" else self._printed(puzzle, answer)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return a question for all moves as a graph of subtasks, None where the kind of puzzle has none."""
        is_list = sample.difficulty["mode"] == "full_list"
        return self.kind.divide(sample) if is_list and self.kind.divide else None

    def _printed(self, puzzle: Puzzle, program: str) -> Score:
        if self.run is None:
            return _malformed("executing code was not allowed, so that the program could not be checked")
        try:
            printed = self.run(program)
        except (ValueError, subprocess.SubprocessError) as error:
            return Score(value=0.0, outcome="wrong", detail=f"the program failed: {shown(str(error))}")
        try:
            moves = parse_json(printed)
        except ValueError as error:
            return _malformed(f"the program printed something else than JSON: {error}")
        if problem := moves_type(puzzle).problem(moves):
            return _malformed(f"what the program printed: {problem}")
        return list_score(puzzle, moves)


def budget_infeasible(sample: Sample, max_tokens: int) -> bool:
    """Return whether the shortest right answer takes more than `max_tokens`, at about 10 tokens a move.

    Such samples are to be reported apart. A program takes fewer tokens than its moves and is never infeasible.
    """
    written = {"full_list": sample.instance["fewest"], "stepwise": 1, "generator": 0}[sample.difficulty["mode"]]
    return bool(written * TOKENS_A_MOVE > max_tokens)


def longest(puzzle: Puzzle) -> int:
    """Return how many moves an answer may have."""
    return 2 * (puzzle.distance(puzzle.start) or 0) + 8


def moves_type(puzzle: Puzzle) -> AnswerType:
    """Return the type of an answer that is a list of moves."""
    return AnswerType.parse({"json": list_of(puzzle.words.move_schema, longest(puzzle))})


def wrong_lists(puzzle: Puzzle, moves: Sequence[Move]) -> Iterator[list[Move]]:
    """Return the lists with one slip that do not solve the puzzle, of a list that does.

    The slips are the last move missing, the first two swapped, the middle one doubled, and the first missing.
    """
    half = len(moves) // 2
    for slip in (moves[:-1], [*moves[1::-1], *moves[2:]], [*moves[: half + 1], *moves[half:]], moves[1:]):
        made = attempt(puzzle, slip)
        if made.problem or made.end != puzzle.goal:
            yield list(slip)


def _anywhere(puzzle: Puzzle, rng: Random) -> State:
    """Return a state of a shortest solution, but the goal."""
    state = puzzle.start
    for step in islice(shortest(puzzle, state), rng.randrange(puzzle.distance(state) or 1)):
        state = step.state
    return state


def _malformed(detail: str) -> Score:
    return Score(value=0.0, outcome="malformed", detail=detail)


class _Asked:
    """One instance, asked in one mode."""

    def __init__(self, puzzle: Puzzle, mode: Mode) -> None:
        self.puzzle, self.mode = puzzle, mode
        self.fewest = puzzle.distance(puzzle.start) or 0
        self.solution = list(islice(shortest(puzzle, puzzle.start), 1 if mode == "stepwise" else None))

    def question(self) -> str:
        """Return the question in words."""
        puzzle, words = self.puzzle, self.puzzle.words
        start, goal = (json.dumps(puzzle.shown(state), ensure_ascii=False) for state in (puzzle.start, puzzle.goal))
        told = [words.rules, words.state, words.move, f"Start: {start}", f"Goal: {goal}"]
        return "\n".join([*told, _ASK[self.mode].format(longest=longest(puzzle))])

    def answer_type(self) -> AnswerType:
        """Return the type of the answer."""
        words = self.puzzle.words
        if self.mode == "full_list":
            return moves_type(self.puzzle)
        if self.mode == "generator":
            return AnswerType("code")
        return AnswerType.parse({"json": closed_object({"move": words.move_schema, "state": words.state_schema})})

    def target(self) -> Json:
        """Return a right answer."""
        if self.mode == "stepwise":
            return self._step(self.solution[0])
        return self._written([step.move for step in self.solution])

    def wrong(self) -> list[Json]:
        """Return up to three answers with one slip each."""
        if self.mode == "stepwise":
            return list(islice(self._wrong_steps(), _MOST_WRONG))
        lists = wrong_lists(self.puzzle, [step.move for step in self.solution])
        return [self._written(moves) for moves in islice(lists, _MOST_WRONG)]

    def _wrong_steps(self) -> Iterator[Json]:
        """Return the right move with the state before it, then moves that lead no nearer to the goal."""
        puzzle = self.puzzle
        yield self._step(Step(move=self.solution[0].move, state=puzzle.start))
        for step in steps(puzzle, puzzle.start):
            left = puzzle.distance(step.state)
            if left is None or left >= self.fewest:
                yield self._step(step)

    def _step(self, step: Step) -> Json:
        return {"move": step.move, "state": self.puzzle.shown(step.state)}

    def _written(self, moves: Sequence[Move]) -> Json:
        return list(moves) if self.mode == "full_list" else f"print({json.dumps(moves)!r})"
