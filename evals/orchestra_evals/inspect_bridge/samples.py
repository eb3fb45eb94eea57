"""The samples of a suite as samples of Inspect, and back: a suite makes each anew from where it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from inspect_ai.dataset import MemoryDataset
from inspect_ai.dataset import Sample as InspectSample

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_evals.inspect_bridge.asking import ANSWER, GRAPH, SAMPLE
from orchestra_evals.inspect_bridge.runs import completion_of
from orchestra_evals.runner.scoring import check_programs
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.suite import Sample, Suite

FAMILY = "family"
"""Metadata of every sample that says which ones are alike: what a standard error is clustered by."""


def dataset_of(suite: Suite, selection: Selection) -> MemoryDataset:
    """Return the samples that our own runner would ask, as samples of Inspect.

    Raises:
        InputError: There is none, they are worked on with tools of ours, or are programs and none may be run.
    """
    made: list[InspectSample] = []
    seen: Counter[str] = Counter()
    samples = selection.samples(suite)
    check_programs(suite, samples)
    for sample in samples:
        if environment_of(sample) is not None:
            raise InputError("suite", f"{suite.name} is worked on with tools, which only our own runner brings along")
        key = canonical_json(dict(sample.difficulty))
        made.append(_sample(suite, sample, selection, seen[key]))
        seen[key] += 1
    return MemoryDataset(made, name=suite.name)


def sample_of(suite: Suite, metadata: Mapping[str, Any] | None) -> Sample:
    """Return the suite's sample that the metadata of a sample of Inspect names.

    Raises:
        InputError: It names none of this suite's.
    """
    told = (metadata or {}).get(SAMPLE)
    if not isinstance(told, Mapping) or told.get("suite") != suite.name:
        raise InputError("sample", f"is none of {suite.name}; score it with the scorer of its own task")
    return suite.sample(told["difficulty"], told["index"], split=told["split"], seed=told["seed"])


def _sample(suite: Suite, sample: Sample, selection: Selection, index: int) -> InspectSample:
    graph = suite.graph(sample)
    place: dict[str, Json] = {
        "suite": suite.name,
        "split": selection.split,
        "seed": selection.seed,
        "difficulty": dict(sample.difficulty),
        "index": index,
        ANSWER: sample.answer.spec(),
        GRAPH: None if graph is None else graph.to_dict(),
    }
    return InspectSample(
        input=sample.question,
        target=completion_of(sample.target, sample.answer),
        id=sample.id,
        metadata={FAMILY: sample.family or sample.id, SAMPLE: place},
    )
