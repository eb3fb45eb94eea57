"""How good the confidences are that came with answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestra.budget.domain import FloatArray
from orchestra.budget.estimates import Estimate, bca
from orchestra.budget.skill import ConfidenceSkill, skill_of
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.runs import Repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceFigures:
    """How good confidences are as probabilities of a full score."""

    quality: ConfidenceSkill
    """Brier score and skill, ECE, AUC, over runs."""
    skill: Estimate | None
    """Brier skill with its 95 % interval by cluster; None where fewer than 30 clusters tell."""
    left_out: int
    """Runs without a confidence."""


def confidence_figures(samples: Iterable[Repeats], *, rng: np.random.Generator) -> ConfidenceFigures | None:
    """Return how good confidences are, None where no run has one.

    Args:
        samples: With the runs of each; a run is right where it has the full score.
        rng: Source of the bootstrap.
    """
    told = [(one.cluster, run) for one in samples for run in one.runs]
    known = [(cluster, run.confidence, run.is_right) for cluster, run in told if run.confidence is not None]
    if not known:
        return None
    confidences = np.array([confidence for _, confidence, _ in known])
    labels = np.array([right for _, _, right in known], dtype=np.float64)
    columns = Clustered.of(np.stack([labels, (confidences - labels) ** 2], axis=1), [cluster for cluster, *_ in known])
    return ConfidenceFigures(
        quality=skill_of(confidences, labels),
        skill=None if columns.is_few else _skill(columns, rng),
        left_out=len(told) - len(known),
    )


def _skill(columns: Clustered, rng: np.random.Generator) -> Estimate:
    sums, sizes, counts = columns.cells()

    def statistic(weights: FloatArray) -> FloatArray:
        base, brier = ((weights @ sums) / (weights @ sizes)[:, None]).T
        return np.asarray(1 - brier / (base * (1 - base)))

    return bca(statistic, counts, rng).estimate("bca by cluster", columns.count, most=1)
