"""Coverage: the probability that at least one of k runs is right, and laws by which it grows with k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, expm1, log, log1p

import numpy as np
from scipy.special import betaln

from orchestra.budget.calibration import item_spread
from orchestra.budget.domain import FloatArray, refuse_outside
from orchestra.budget.estimates import Estimate
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.means import mean_estimate
from orchestra_evals.statistics.runs import Repeats
from orchestra_evals.statistics.scores import SampleScore

POINTS = 40
"""Numbers of runs, evenly on the log scale, that a law is fitted to."""

_STEPS, _SMALL = 100, 1e-12
_ALIKE = 1e-9  # a smaller correlation is lost in the rounding of Beta functions


def coverage(right: int, runs: int, k: int) -> float:
    """Return 1 - C(runs - right, k) / C(runs, k), the unbiased estimate for one sample (arXiv 2107.03374).

    Args:
        right: Runs that are right, 0 to `runs`.
        runs: At least `k`.
        k: At least 1.

    >>> coverage(1, 4, 2)
    0.5
    """
    refuse_outside("k", k, least=1, most=runs)
    refuse_outside("right", right, least=0, most=runs)
    if runs - right < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(runs - right + 1, runs + 1)))


def coverage_at(samples: Iterable[Repeats], k: int, *, rng: np.random.Generator) -> Estimate | None:
    """Return coverage at k runs, the mean over samples of `coverage`, with its 95 % interval by cluster.

    Args:
        samples: With the runs of each; a run is right where it has the full score. Samples with fewer than k runs are
            left out, and None is returned where all are.
        k: At least 1.
        rng: Source of the bootstrap.
    """
    refuse_outside("k", k, least=1)
    return mean_estimate(
        [
            SampleScore(sample=one.sample, family=one.family, score=coverage(_right(one), len(one.runs), k))
            for one in samples
            if len(one.runs) >= k
        ],
        rng=rng,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageLaw:
    """coverage(k) = exp(a k^b) (Large Language Monkeys, arXiv 2407.21787), which is imperfect on some sets."""

    a: float
    """Below 0; exp(a) is the coverage of one run."""
    b: float
    """At most 0; 0 where more runs do not help."""
    largest_error: float
    """Largest distance of the law to a point that it was fitted to."""
    most: int
    """Most runs that it was fitted to; beyond them it is extrapolated."""

    def at(self, k: float) -> float:
        """Return the coverage of k runs, k at least 1."""
        return exp(self.a * k**self.b)


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaLaw:
    """coverage(k) = 1 - B(al, be + k) / B(al, be): a sample's probability to be right is Beta(al, be) distributed.

    It is derived, not taken from the paper; it fits better at small k, and 1 - coverage falls like k^-al.
    """

    mean: Estimate
    """al / (al + be), the coverage of one run."""
    correlation: Estimate
    """1 / (al + be + 1), that of two runs of one sample: 0 where samples are alike, 1 where no run helps another."""

    def at(self, k: float) -> float:
        """Return the coverage of k runs, k at least 1."""
        mean, correlation = self.mean.value, self.correlation.value
        if mean in (0, 1) or correlation == 1:
            return mean
        if correlation < _ALIKE:
            return -expm1(k * log1p(-mean))
        total = 1 / correlation - 1
        alpha, beta = mean * total, (1 - mean) * total
        return -expm1(float(betaln(alpha, beta + k) - betaln(alpha, beta)))


def fit_coverage(samples: Sequence[Repeats]) -> CoverageLaw | None:
    """Return the law exp(a k^b) that is closest to the measured coverage, by least squares over `POINTS` values of k.

    The values are even on the log scale from 1 to the fewest runs of a sample. None where a sample has fewer than two
    runs, or where all runs are right or all wrong.

    Args:
        samples: With the runs of each; those without a run are left out.
    """
    held = [one for one in samples if one.runs]
    fewest = min((len(one.runs) for one in held), default=0)
    if fewest < 2:
        return None
    ks = np.unique(np.round(np.geomspace(1, fewest, POINTS)).astype(np.int64))
    seen = np.array([np.mean([coverage(_right(one), len(one.runs), int(k)) for one in held]) for k in ks])
    if seen.max() == 0 or seen.min() == 1:
        return None
    level, slope = _gauss_newton(np.log(ks), seen)
    law = CoverageLaw(a=-exp(level), b=slope, largest_error=0.0, most=fewest)
    error = max(abs(law.at(float(k)) - value) for k, value in zip(ks, seen, strict=True))
    return CoverageLaw(a=law.a, b=law.b, largest_error=float(error), most=fewest)


def fit_beta_coverage(samples: Iterable[Repeats]) -> BetaLaw:
    """Return the likeliest Beta law of samples, by `orchestra.budget.calibration.item_spread`.

    Args:
        samples: With the runs of each; those without a run are left out.

    Raises:
        InputError: There is no run.
    """
    counts = np.array([(_right(one), len(one.runs)) for one in samples if one.runs], dtype=np.int64)
    if not len(counts):
        raise InputError("samples", "must hold at least one with a run")
    spread = item_spread(counts)
    return BetaLaw(mean=spread.mean, correlation=spread.correlation)


def _right(sample: Repeats) -> int:
    return sum(run.is_right for run in sample.runs)


def _gauss_newton(logs: FloatArray, seen: FloatArray) -> tuple[float, float]:
    """Return u and b of exp(-exp(u + b ln k)) closest to what was seen, b at most 0."""
    inside = np.clip(seen, 1e-6, 1 - 1e-6)
    columns = np.stack([np.ones_like(logs), logs], axis=1)
    at = np.linalg.lstsq(columns, np.log(-np.log(inside)), rcond=None)[0]
    for _ in range(_STEPS):
        double = np.exp(columns @ at)
        slopes = -double * np.exp(-double)
        step = np.linalg.lstsq(slopes[:, None] * columns, seen - np.exp(-double), rcond=None)[0]
        # A step of more than 1 is cut: where coverage is near 0 or 1 the slopes say little.
        at = at + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-10:
            break
    if at[1] <= 0:
        return float(at[0]), float(at[1])
    return log(-log(float(np.clip(seen.mean(), _SMALL, 1 - _SMALL)))), 0.0
