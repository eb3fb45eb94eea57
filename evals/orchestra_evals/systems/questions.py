"""A sample as the one question that it is: what a lone agent is asked, and what a simulated one may know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestra.panel import ModelSpec
from orchestra.result import RunResult
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import RedFlag
from orchestra_agents.json_schema import parse_json
from orchestra_agents.models.contract import Json, Model, Truth, digest
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.sections import as_text
from orchestra_evals.suites.suite import Sample
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.subtask import Subtask

SUBTASK = "answer"
"""Id of the one subtask of a sample that is asked as it is."""
_SIMULATED = "simulated"


def truth_of(sample: Sample) -> Truth:
    """Return what a simulated model may know about a sample."""
    return Truth(answer=sample.target, wrong=sample.wrong)


def question_graph(sample: Sample) -> TaskGraph:
    """Return a sample as a graph of one subtask, which is its own question."""
    asked = Subtask(id=SUBTASK, description=sample.question, answer=sample.answer, truth=truth_of(sample))
    return TaskGraph([asked])


def fitted(kind: AnswerType, answer: Json) -> Json:
    """Return an answer whose type nobody checked as one of the type wanted, as it is where that cannot be done.

    A text that holds the JSON of such an answer is that answer, and what is wanted as a text is one.
    """
    if answer is None or kind.problem(answer) is None:
        return answer
    if not kind.votable:
        return as_text(answer)
    if not isinstance(answer, str):
        return answer
    try:
        return kind.read(answer)
    except RedFlag:
        pass
    try:
        value = parse_json(answer)
    except ValueError:
        return answer
    return answer if kind.problem(value) else value


def agreement(result: RunResult) -> float | None:
    """Return the share of the votes that the answer to a sample's own question got, None where nothing was counted."""
    voted = result.subtasks.get(SUBTASK, {})
    tally: Mapping[str, int] | None = voted.get("tally")
    return max(tally.values()) / sum(tally.values()) if tally and voted["status"] == "ok" else None


def seed_of(seed: int, repeat: int) -> int:
    """Return the seed of one repeat: the seed itself for the first, and one of its own for every other."""
    return seed if repeat == 0 else int(digest([seed, repeat])[:12], 16)


def repeated(model: ModelSpec | None, repeat: int) -> ModelSpec | None:
    """Return who answers in one repeat: a simulated model with another seed, for else it would say the same again."""
    if model is None or repeat == 0:
        return model
    if isinstance(model, Mapping):
        return {role: _several(models, repeat) for role, models in model.items()}
    return _several(model, repeat)


def _several(models: str | Model | Sequence[str | Model], repeat: int) -> str | Model | list[str | Model]:
    if isinstance(models, Sequence) and not isinstance(models, str):
        return [_one(model, repeat) for model in models]
    return _one(models, repeat)


def _one(model: str | Model, repeat: int) -> str | Model:
    if isinstance(model, SimulatedModel):
        return replace(model, seed=seed_of(model.seed, repeat))
    if not isinstance(model, str):
        return model
    provider, *parameters = re.split("[:/]", model.strip(), maxsplit=1)
    if provider.lower() != _SIMULATED:
        return model
    made = SimulatedModel.parse("".join(parameters))
    return replace(made, seed=seed_of(made.seed, repeat)).name
