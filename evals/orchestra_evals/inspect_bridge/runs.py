"""One sample, one run: started with Inspect's models, ended with an answer, or with what Inspect counts as an error."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from inspect_ai.model import Model as InspectAIModel
from inspect_ai.model import ModelOutput, ModelUsage, StopReason, get_model, model_roles

import orchestra
from orchestra.choices import Choices
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError, OrchestraError
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_agents.roles.cards import shipped_cards
from orchestra_evals.inspect_bridge.asking import Asked
from orchestra_evals.inspect_bridge.model import InspectModel, settings_of
from orchestra_evals.inspect_bridge.terms import Terms
from orchestra_evals.runner.endings import fault_of, status_of
from orchestra_topologies.panel import WORKER

_CALLS_AT_ONCE = 64
"""Calls of one sample that may wait for Inspect, whose own limits on connections are what counts."""
_TOLD = ("status", "votes", "samples", "k", "margin", "tally", "cause")


class RunFailed(OrchestraError):
    """A run ended without an answer for another reason than what its models said."""

    code = "run.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a question came to."""

    text: str
    """The answer as a completion: JSON for numbers and JSON answers, else the text itself; empty without an answer."""
    answer: Json
    """The typed answer; None where there is none."""
    told: Mapping[str, Json]
    """How it came about: the metadata of the sample."""
    usage: ModelUsage
    model: str

    def output(self) -> ModelOutput:
        """Return it as the output of a model."""
        reason: StopReason = "stop" if self.answer is not None else "unknown"
        output = ModelOutput.from_content(self.model, self.text, stop_reason=reason)
        output.usage, output.time = self.usage, self.told["seconds"]
        output.metadata = {"orchestra": dict(self.told)}
        return output


async def answered(asked: Asked, terms: Terms, *, epoch: int) -> Answered:
    """Return what a run of its own makes of a question.

    An answer that no vote decided, or that the budget did not suffice for, is no answer; the sample is then scored
    without one.

    Raises:
        InputError: The terms do not fit the question, or Inspect does not run on asyncio.
        RunFailed: The run could not be made.
        Exception: What Inspect raised, where a call failed and there is no answer, or where a limit of Inspect's was
            reached.
    """
    _check_loop()
    model = get_model()
    choices = terms.chosen(settings_of(model), epoch=epoch)
    models = _models(model)
    plan = replace(terms.plan(asked, choices), model=models)
    if terms.journal is not None:
        result = await _run(plan, terms.journal)
    else:
        with tempfile.TemporaryDirectory(prefix="orchestra-") as folder:
            result = await _run(plan, Path(folder) / "journal.db")
    _check_measured(result, models)
    return Answered(
        text=completion_of(result.answer, None if isinstance(plan.task, str) else asked.answer),
        answer=result.answer,
        told=_told(result, choices, terms.journal),
        usage=_usage(result),
        model=str(model),
    )


async def _run(plan: orchestra.Plan, journal: Path) -> orchestra.RunResult:
    async with orchestra.Session(journal=journal, concurrency=_CALLS_AT_ONCE, probe=False) as session:
        return await orchestra.run(plan, session=session)


def completion_of(answer: Json, kind: AnswerType | None) -> str:
    """Return an answer as the text of a completion.

    Args:
        answer: The typed answer; None is none.
        kind: Its type; None where a decomposer chose it, and a text is taken for what it is.
    """
    if answer is None:
        return ""
    is_itself = isinstance(answer, str) and (kind is None or kind.kind in ("text", "choice", "code"))
    return answer if is_itself else canonical_json(answer)


def _models(model: InspectAIModel) -> dict[str, list[InspectModel]]:
    """Return who answers: the model under evaluation, and Inspect's models for roles that ours have cards for."""
    cards = shipped_cards()
    panel = {WORKER: [InspectModel(model)]}
    for role, given in model_roles().items():
        if role in cards and role != WORKER:
            panel[role] = [InspectModel(one) for one in (given if isinstance(given, list) else [given])]
    return panel


def _check_measured(result: orchestra.RunResult, models: Mapping[str, list[InspectModel]]) -> None:
    """Raise why a run says nothing about who answered: a call that failed, or a run that did not come to an end."""
    if status_of(result) in ("ok", "budget"):
        return
    failed = [one.failure for several in models.values() for one in several if one.failure is not None]
    if failed:
        raise failed[0]
    fault = fault_of(result)
    raise RunFailed(f"run {result.run_id} ended {result.status}: {fault.message if fault else result.reason}")


def _told(result: orchestra.RunResult, choices: Choices, journal: Path | None) -> dict[str, Json]:
    nodes = {**result.subtasks, **({"whole": result.whole} if result.whole is not None else {})}
    return {
        "run_id": result.run_id,
        "status": result.status,
        "topology": result.topology,
        "team": result.team,
        "reason": result.reason,
        "answer": result.answer,
        "evidence": result.evidence,
        "votes": sum(node["votes"] for node in nodes.values()),
        "subtasks": {name: {key: node[key] for key in _TOLD if key in node} for name, node in nodes.items()},
        "usage": result.usage.as_dict(),
        "seconds": result.seconds,
        "seed": choices.seed,
        "temperature": choices.temperature,
        "max_tokens": choices.max_tokens,
        "notes": result.notes,
        "causes": result.causes,
        "journal": None if journal is None else str(journal),
    }


def _usage(result: orchestra.RunResult) -> ModelUsage:
    used = result.usage
    cached = used.paid.cached_tokens
    return ModelUsage(
        input_tokens=used.input_tokens - cached,
        output_tokens=used.output_tokens,
        total_tokens=used.input_tokens + used.output_tokens,
        input_tokens_cache_read=cached or None,
        reasoning_tokens=used.paid.reasoning_tokens or None,
    )


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        raise InputError("INSPECT_ASYNC_BACKEND", "must be asyncio, which orchestra runs on") from error
