"""3SAT with 4 to 15 variables: an assignment, or that there is none (Eureka, arXiv 2504.00294)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.sat_solver import Clause, assignment, solutions
from orchestra_evals.suites.scoring import misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, rng_of, sample_id
from orchestra_topologies.graph import TaskGraph

_REFUSAL = "unsatisfiable"
_RANGES = {"variables": (4, 15)}
_MOST_TRIES = 100
_HARD = {4: 17, 5: 24, 6: 30, 7: 35, 8: 39, 9: 44, 10: 49, 11: 53, 12: 57, 13: 62, 14: 66, 15: 70}
"""Distinct clauses at which half of the formulas can be satisfied, by number of variables (measured, within 3 %)."""

_Class = Literal["easy-under", "easy-over", "hard-several", "hard"]
_CLASSES: tuple[_Class, ...] = ("easy-under", "easy-over", "hard-several", "hard")
_RATIOS: dict[_Class, float] = {"easy-under": 0.5, "easy-over": 1.6, "hard-several": 1.0, "hard": 1.0}
"""Clauses in proportion to `_HARD`."""

_ABOUT = About(
    summary="An assignment that satisfies a formula of clauses with three literals, or that there is none.",
    scoring="Every clause holds under the assignment, or the formula is unsatisfiable and said to be so.",
    licence="Apache-2.0, generated",
    axes={"variables": tuple(_HARD), "class": _CLASSES},
    default=tuple({"variables": variables, "class": kind} for variables in (5, 10, 15) for kind in _CLASSES),
)
_QUESTION = """Which values of the variables x1 to x{variables} make all of these clauses true?
{clauses}
Give a JSON list of their {variables} values, true or false, in the order of the variables.
If no values make all clauses true, answer with the JSON string "unsatisfiable" instead."""


class Sat:
    """Samples of four classes: with few or many clauses, and with as many as make half of the formulas satisfiable.

    Of `hard` one half has a single solution and the other none; `hard-several` has two or more. The easy ones are as
    they are drawn: nearly all of few clauses can be satisfied, and hardly one of many.
    """

    name = "3sat"
    about = _ABOUT

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample.

        Raises:
            InputError: The suite has no such difficulty.
        """
        check_difficulty(_ABOUT, difficulty, _RANGES)
        rng = rng_of(self.name, _ABOUT.version, difficulty, index, split=split, seed=seed)
        variables = difficulty["variables"]
        clauses, table = _draw(variables, difficulty["class"], rng)
        solved = assignment(table, variables)
        sample = Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=_QUESTION.format(variables=variables, clauses="\n".join(map(_written, clauses))),
            answer=_answer_type(variables),
            target=_REFUSAL if solved is None else solved,
            difficulty=dict(difficulty),
            instance={"clauses": [list(clause) for clause in clauses], "solutions": table.bit_count()},
        )
        return with_slips(sample, self.check, _slips(solved, variables, rng))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return whether the assignment satisfies all clauses, or the refusal is right.

        The part `clauses` is the share of the clauses that hold under an assignment.
        """
        if problem := misshapen(sample, answer):
            return problem
        if isinstance(answer, str):
            return wrong("the formula can be satisfied") if sample.instance["solutions"] else right()
        broken = [clause for clause in sample.instance["clauses"] if not _holds(clause, answer)]
        share = 1 - len(broken) / len(sample.instance["clauses"])
        return wrong(f"{_written(broken[0])} is false", clauses=share) if broken else right(clauses=share)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: a sample is one question."""
        return None


def _draw(variables: int, kind: _Class, rng: random.Random) -> tuple[list[Clause], int]:
    """Return a formula of a class, and its truth table."""
    count = round(_HARD[variables] * _RATIOS[kind])
    is_solvable = rng.random() < 0.5
    while True:
        clauses = _draw_clauses(variables, count, rng)
        table = solutions(clauses, variables)
        known = table.bit_count()
        if kind.startswith("easy") or (known > 1 if kind == "hard-several" else known == is_solvable):
            return clauses, table


def _draw_clauses(variables: int, count: int, rng: random.Random) -> list[Clause]:
    """Return distinct clauses of three different variables each."""
    clauses: dict[Clause, None] = {}
    while len(clauses) < count:
        chosen = sorted(rng.sample(range(1, variables + 1), 3))
        clauses[tuple(rng.choice((-1, 1)) * variable for variable in chosen)] = None
    return list(clauses)


def _holds(clause: list[int], values: list[bool]) -> bool:
    return any(values[abs(literal) - 1] == (literal > 0) for literal in clause)


def _written(clause: Clause | list[int]) -> str:
    return " or ".join(f"x{literal}" if literal > 0 else f"not x{-literal}" for literal in clause)


def _answer_type(variables: int) -> AnswerType:
    values = {"type": "array", "items": {"type": "boolean"}, "minItems": variables, "maxItems": variables}
    return AnswerType.parse({"json": {"anyOf": [values, {"type": "string", "enum": [_REFUSAL]}]}})


def _slips(solved: list[bool] | None, variables: int, rng: random.Random) -> Iterator[Json]:
    """Yield the refusal of a formula that can be satisfied, and assignments: near the right one, or at random."""
    if solved is not None:
        yield _REFUSAL
        for place in range(variables):
            yield [*solved[:place], not solved[place], *solved[place + 1 :]]
        yield [not value for value in solved]
    for _ in range(_MOST_TRIES):
        yield [rng.random() < 0.5 for _ in range(variables)]
