"""What a checker says: right, wrong or malformed; and the slips of a sample, which it must refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MappingProxyType

from orchestra_agents.models.contract import Json
from orchestra_evals.suites.suite import Sample, Score

_MOST_SLIPS = 4

Check = Callable[[Sample, Json], Score]
"""The checker of a suite."""


def right(**parts: float) -> Score:
    """Return the score of a right answer, with further measures by name."""
    return Score(value=1.0, outcome="right", parts=MappingProxyType(parts))


def wrong(detail: str, *, value: float = 0.0, **parts: float) -> Score:
    """Return the score of a wrong answer: the first mistake as a sentence, and further measures by name."""
    return Score(value=value, outcome="wrong", detail=detail, parts=MappingProxyType(parts))


def malformed(detail: str) -> Score:
    """Return the score of an answer of another shape than was asked for."""
    return Score(value=0.0, outcome="malformed", detail=detail)


def misshapen(sample: Sample, answer: Json) -> Score | None:
    """Return the score of an answer that is not of the sample's type, None where it is of it."""
    if answer is None:
        return malformed("there is no answer")
    problem = sample.answer.problem(answer)
    return malformed(problem) if problem else None


def with_slips(sample: Sample, check: Check, candidates: Iterable[Json]) -> Sample:
    """Return `sample` with wrong answers: the first four distinct ones that `check` refuses, and not for their shape.

    Args:
        sample: Without wrong answers.
        check: The checker of its suite.
        candidates: What somebody might answer, the likeliest first; no more are made than needed.
    """
    slips: dict[str, Json] = {}
    for candidate in candidates:
        if check(sample, candidate).outcome == "wrong":
            slips.setdefault(sample.answer.canonical(candidate), candidate)
        if len(slips) == _MOST_SLIPS:
            break
    return replace(sample, wrong=tuple(slips.values()))
