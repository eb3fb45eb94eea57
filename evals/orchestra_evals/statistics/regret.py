"""What a pick among several systems lost against the best of those that were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from orchestra.budget.domain import ROUNDING, FloatArray
from orchestra.budget.estimates import LEVEL, Estimate
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.means import few_clusters
from orchestra_evals.statistics.scores import SampleScore, align

DRAWS = 2000
"""Resamples behind an interval."""
SPLITS = 200
"""Random halves over which the split estimate is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What a pick lost: between `split` and `measured` on average, as one is biased downward and the other upward."""

    pick: str
    best: str
    """The system with the largest mean score on the same samples, the pick itself among equals."""
    alternatives: int
    """Systems that could have been picked instead."""
    measured: Estimate
    """Mean score of the best less that of the pick, 0 to 1, with a 95 % interval.

    An upper bound: the best of several measured means is larger on average than the mean of the best system.
    """
    split: float | None
    """Lead over the pick, on one half of the clusters, of the system that is best on the other; the mean over halves.

    A lower bound on average, as half of the samples do not always tell the best. It may be below 0. None below two
    clusters.
    """
    left_out: int
    """Samples that some system has and another has not."""


def regret_of(pick: str, systems: Mapping[str, Iterable[SampleScore]], *, rng: np.random.Generator) -> Regret | None:
    """Return the regret of a pick, None where no sample was measured with all systems.

    The interval holds the regret wherever the leads of all alternatives are in theirs, which are simultaneous: clusters
    are drawn with replacement, the same for all systems, and each lead is as many standard errors wide as the largest
    deviation is in 95 % of the resamples. A lead of few clusters has the interval of `few_clusters`, of level
    1 - .05/alternatives.

    Args:
        pick: Name of one of the systems: what a router chose, or a rule that is a system of its own.
        systems: One score a sample, by the name of the system, the pick among them; at least two.
        rng: Source of the resamples and of the halves.

    Raises:
        InputError: The pick is no system, or the only one, or the scores cannot be aligned.
    """
    if pick not in systems or len(systems) < 2:
        raise InputError("pick", f"must be one of at least two systems ({', '.join(systems)}), got {pick!r}")
    others = [name for name in systems if name != pick]
    all_scores = align([systems[name] for name in (pick, *others)])
    if not all_scores.samples:
        return None
    leads = Clustered.of(all_scores.scores[:, 1:] - all_scores.scores[:, :1], all_scores.clusters)
    best = int(leads.means.argmax())
    value = max(0.0, float(leads.means[best]))
    low, high = _simultaneous(leads, rng)
    return Regret(
        pick=pick,
        best=others[best] if value > ROUNDING else pick,
        alternatives=len(others),
        measured=Estimate(
            value=value,
            low=min(value, max(0.0, float(low.max()))),
            high=min(1.0, max(value, float(high.max()))),
            basis="simultaneous leads by cluster",
            n=leads.count,
        ),
        split=_split(leads, rng) if leads.count > 1 else None,
        left_out=all_scores.left_out,
    )


def _simultaneous(leads: Clustered, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals that hold all leads at once, shape (alternatives,) each."""
    columns = [leads.column(place) for place in range(leads.sums.shape[1])]
    missed = (1 - LEVEL) / len(columns)
    low, high = np.empty(len(columns)), np.empty(len(columns))
    many = np.array([not column.is_few for column in columns])
    for place in np.flatnonzero(~many):
        found = few_clusters(columns[place], least=-1, level=1 - missed)
        low[place], high[place] = found.low, found.high
    if many.any():
        drawn, middle = leads.resampled(DRAWS, rng)[:, many], leads.means[many]
        errors = drawn.std(axis=0)
        farthest = (np.abs(drawn - middle) / errors).max(axis=1)
        reach = float(np.quantile(farthest, 1 - missed * int(many.sum()))) * errors
        low[many], high[many] = middle - reach, middle + reach
    return low, high


def _split(leads: Clustered, rng: np.random.Generator) -> float:
    """Return the mean lead, on one half of the clusters, of what is best on the other; that of the pick itself is 0."""
    ranks = rng.permuted(np.tile(np.arange(leads.count), (SPLITS, 1)), axis=1)
    half = (ranks < leads.count // 2).astype(np.float64)
    found = [_half_means(leads, weights) for weights in (half, 1 - half)]
    rows = np.arange(SPLITS)
    return float(np.mean([seen[rows, chosen.argmax(axis=1)] for chosen, seen in (found, found[::-1])]))


def _half_means(leads: Clustered, weights: FloatArray) -> FloatArray:
    """Return the lead of the pick, 0, and those of the alternatives over chosen clusters, shape (splits, systems)."""
    means = (weights @ leads.sums) / (weights @ leads.sizes)[:, None]
    return np.column_stack([np.zeros(len(means)), means])
