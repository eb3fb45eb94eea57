"""What a system scored on each sample, and the samples that several systems have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from orchestra.budget.domain import UNIT, FloatArray, refuse_outside
from orchestra_agents.errors import InputError

Cluster: TypeAlias = tuple[str, str]
"""What is drawn as one: a family, or a sample that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleScore:
    """The score of one system on one sample."""

    sample: str
    """Name of the sample, the same for every system."""
    score: float
    """Mean over the runs of the sample, 0 to 1."""
    family: str = ""
    """Samples of one family are alike and count as one cluster; empty is the sample alone."""

    def __post_init__(self) -> None:
        refuse_outside("score", self.score, **UNIT)

    @property
    def cluster(self) -> Cluster:
        """The cluster it belongs to."""
        return (self.family, "") if self.family else ("", self.sample)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aligned:
    """The scores of several systems on the samples that all of them have, in the order of the samples' names."""

    scores: FloatArray
    """Shape (samples, systems)."""
    samples: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    """The cluster of each sample."""
    left_out: int
    """Samples that some system has and another has not."""


def by_sample(scores: Iterable[SampleScore]) -> dict[str, SampleScore]:
    """Return scores by the name of their sample, sorted.

    Raises:
        InputError: A sample comes twice; repeats are averaged first.
    """
    found: dict[str, SampleScore] = {}
    for one in scores:
        if one.sample in found:
            raise InputError("scores", f"must hold each sample once, got {one.sample!r} twice; average its runs first")
        found[one.sample] = one
    return dict(sorted(found.items()))


def align(systems: Sequence[Iterable[SampleScore]]) -> Aligned:
    """Return the scores of systems, at least one, on the samples that all of them have.

    Raises:
        InputError: A system has a sample twice, or two systems put a sample into different families.
    """
    named = [by_sample(scores) for scores in systems]
    shared = sorted(set.intersection(*(set(scores) for scores in named)))
    every = set().union(*named)
    return Aligned(
        scores=np.array([[scores[name].score for scores in named] for name in shared]).reshape(-1, len(named)),
        samples=tuple(shared),
        clusters=tuple(_cluster_of(name, named) for name in shared),
        left_out=len(every) - len(shared),
    )


def _cluster_of(name: str, named: Sequence[Mapping[str, SampleScore]]) -> Cluster:
    families = sorted({scores[name].family for scores in named})
    if len(families) > 1:
        raise InputError("family", f"of sample {name!r} must be one for all systems, got {' and '.join(families)!r}")
    return named[0][name].cluster
