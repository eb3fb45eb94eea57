"""What an answer is worth: the suite's checker, and a model where the suite leaves answers to a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestra.choices import Choices
from orchestra.performance import Performance
from orchestra.result import RunResult
from orchestra_agents.errors import InputError
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Json, digest
from orchestra_evals.isolation import IsolationFailed
from orchestra_evals.runner.endings import Fault, Outcome, Status, fault_of, outcome_of, status_of
from orchestra_evals.suites.file_suite import judge_of
from orchestra_evals.suites.judging import Judged
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.suite import Sample, Score, Suite
from orchestra_evals.systems.carrying import carry_out
from orchestra_evals.systems.system import Place
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.outcome import Outcome as Ended
from orchestra_topologies.subtask import Subtask
from orchestra_topologies.teams.team import SOLO

JUDGE = ".judge-"
"""Stands in the names of runs in which a judge was asked."""
_NODE = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What came of a sample."""

    status: Status
    outcome: Outcome | None = None
    score: Score | None = None
    error: Fault | None = None
    judged: RunResult | None = None
    """The run in which a judge was asked, where one was."""


def check_programs(suite: Suite, samples: Sequence[Sample]) -> None:
    """Refuse samples whose answers are programs where none may be run.

    Raises:
        InputError: Some are.
    """
    runner = _program_suite(suite)
    if runner is not None and runner.run is None and any(sample.answer.kind == "code" for sample in samples):
        raise InputError("suite", f"{suite.name} runs its answers as programs, in isolation: allow it by --allow-code")


async def scored(sample: Sample, answer: Json, result: RunResult, judges: Place) -> Scored:
    """Return what came of a sample whose run has come to an end.

    Args:
        sample: What was asked.
        answer: What its system says, None where there is no answer.
        result: The run.
        judges: Where a judge works, in a session of its own, so that no system pays for being judged.

    Raises:
        InputError: The judge's model is not allowed.
    """
    status, fault = status_of(result) or "budget", fault_of(result)
    if status != "ok":
        return Scored(status=status, error=fault)
    if fault is not None and answer is None:
        return Scored(status="ok", outcome=outcome_of(fault), score=_nothing(fault), error=fault)
    try:
        score = await _checked(judges.suite, sample, answer)
    except IsolationFailed as error:
        return Scored(status="infra_error", error=Fault(code=error.code, message=str(error)))
    judge = judge_of(judges.suite)
    if judge is None or score.outcome != "wrong":
        return Scored(status="ok", outcome=score.outcome, score=score, error=fault)
    judged = await _asked(judge, sample, answer, judges)
    status, lost = status_of(judged) or "budget", fault_of(judged)
    if status != "ok" or lost is not None:
        told = lost or Fault(code="judge", message="the judge did not come to an end")
        return Scored(status=status if status != "ok" else "infra_error", error=told, judged=judged)
    score = judge.score(judged.answer)
    return Scored(status="ok", outcome=score.outcome, score=score, error=fault, judged=judged)


async def _checked(suite: Suite, sample: Sample, answer: Json) -> Score:
    """Return what the checker says, which takes a while where it runs programs."""
    if _program_suite(suite) is None:
        return suite.check(sample, answer)
    return await asyncio.to_thread(suite.check, sample, answer)


async def _asked(judge: Judged, sample: Sample, answer: Json, place: Place) -> RunResult:
    """Return the run in which the model of the role `judge`, else the cell's own, gave its verdict."""
    prompt = judge.prompt(sample, answer)
    graph = TaskGraph([Subtask(id=_NODE, description=prompt.content(), answer=judge.verdict)])

    async def work(performance: Performance) -> Ended:
        terms = performance.terms(_NODE)
        question = Question(node=_NODE, prompt=prompt, answer=judge.verdict)
        return Ended.of(await performance.agent(_NODE, SOLO, terms).decide(question), k=None)

    place = replace(place, run_id=f"{place.run_id}{JUDGE}{digest(answer)[:8]}")
    return await carry_out(graph, work, place, choices=Choices(seed=place.seed, temperature=0.0))


def _program_suite(suite: Suite) -> Any:
    """Return the suite that runs programs, None where no answer is one."""
    while isinstance(suite, Pinned):
        suite = suite.suite
    return suite if hasattr(suite, "run") else None


def _nothing(fault: Fault) -> Score:
    return Score(value=0.0, outcome="malformed", detail=fault.message)
