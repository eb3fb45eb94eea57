"""A mean of bounded values with an interval by cluster: bootstrap where clusters say enough, else exact bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtri, stdtrit

from orchestra.budget.domain import FloatArray
from orchestra.budget.estimates import LEVEL, Estimate, bca
from orchestra_agents.voting.intervals import Interval
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.proportions import effective_clopper_pearson
from orchestra_evals.statistics.scores import SampleScore, align

_TELLING = 5  # clusters that must differ before their spread is believed
_MOST_TRIALS = 1e15  # beyond them one more trial is lost in rounding


def mean_interval(scores: Iterable[SampleScore], *, rng: np.random.Generator) -> Interval:
    """Return the 95 % interval of the mean score: that of `mean_estimate`, and from 0 to 1 where nothing was measured.

    Args:
        scores: One score a sample.
        rng: Source of the bootstrap.
    """
    found = mean_estimate(scores, rng=rng)
    if found is None:
        return Interval(0.0, 1.0, LEVEL, "nothing measured")
    return Interval(found.low, found.high, LEVEL, found.basis)


def mean_estimate(scores: Iterable[SampleScore], *, rng: np.random.Generator) -> Estimate | None:
    """Return the mean score over samples with its 95 % interval, None where nothing was measured.

    Clusters (families, else samples) are drawn with replacement, and the interval is bias-corrected and accelerated
    (Efron 1987). Where fewer than 30 clusters differ from what most of them score, it is that of `few_clusters`.

    Args:
        scores: One score a sample.
        rng: Source of the bootstrap.
    """
    one = align([scores])
    return clustered_mean(Clustered.of(one.scores, one.clusters), least=0, rng=rng)


def clustered_mean(clustered: Clustered, *, least: float, rng: np.random.Generator) -> Estimate | None:
    """Return the mean of the first value with its 95 % interval, None without clusters.

    Args:
        clustered: Values from `least` to 1.
        least: 0, or -1 for differences.
        rng: Source of the bootstrap.
    """
    if not clustered.count:
        return None
    if clustered.is_few:
        return few_clusters(clustered, least=least)
    sums, sizes, counts = clustered.cells()
    span = bca(lambda weights: (weights @ sums[:, 0]) / (weights @ sizes), counts, rng)
    return span.estimate("bca by cluster", clustered.count, least=least, most=1)


def few_clusters(clustered: Clustered, *, least: float, level: float = LEVEL) -> Estimate:
    """Return the mean of the first value with an interval that few or equal clusters do not make too short.

    The mean is the gains less the losses, the positive and the negative parts of the clusters' means. Each of them has
    a Clopper-Pearson interval of an effective number of trials: the clusters, or more where five of them tell that the
    part varies less than 0 and 1 do, m (1 - m) / SE^2 less what Student's t takes for few clusters (Korn and Graubard
    1998). The intervals are put together by their distances from the means (method of variance estimates recovery, Zou
    and Donner 2008), correlated as multinomial shares are. Without possible losses it is the interval of the gains.

    Args:
        clustered: Values from `least` to 1 of at least one cluster.
        least: 0, or -1 for differences.
        level: Coverage, strictly between 0 and 1.
    """
    gains = _part(clustered.sums, clustered.sizes, level)
    losses = _part(-clustered.sums, clustered.sizes, level) if least < 0 else _NOTHING
    apart = 0.0
    if min(gains.share, losses.share) > 0:
        apart = sqrt(gains.share * losses.share / ((1 - gains.share) * (1 - losses.share)))
    value = gains.share - losses.share
    return Estimate(
        value=value,
        low=max(least, value - _joined(gains.below, losses.above, apart)),
        high=min(1.0, value + _joined(gains.above, losses.below, apart)),
        basis="clopper-pearson, effective trials",
        n=clustered.count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A mean of values from 0 to 1, and how far the ends of its interval are from it."""

    share: float
    below: float
    above: float


_NOTHING = _Part(share=0.0, below=0.0, above=0.0)


def _part(sums: FloatArray, sizes: FloatArray, level: float) -> _Part:
    """Return the mean of the positive part of the clusters' means."""
    positive = Clustered(sums=np.maximum(sums[:, :1], 0), sizes=sizes)
    share = min(1.0, float(positive.means[0]))
    trials = _effective_trials(positive, share, level)
    found = effective_clopper_pearson(share * trials, trials, level)
    return _Part(share=share, below=share - found.low, above=found.high - share)


def _effective_trials(positive: Clustered, share: float, level: float) -> float:
    if positive.telling < _TELLING:
        return positive.effective
    tail = (1 - level) / 2
    fewer = float(ndtri(tail) / stdtrit(positive.count - 1, tail)) ** 2
    by_spread = fewer * share * (1 - share) / positive.standard_error**2
    return max(positive.effective, min(by_spread, _MOST_TRIALS))


def _joined(one: float, other: float, apart: float) -> float:
    return sqrt(one * one + other * other + 2 * apart * one * other)
