"""How good probabilities are: Brier score and skill, errors of calibration, and how well they tell right from wrong.

Source: our notes on test-time scaling, section 3. A label says whether the answer was right.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import with_config

from orchestra.budget.estimates import STRICT
from orchestra_agents.errors import InputError
from orchestra_agents.voting.mixture import Grid

Binning = Literal["mass", "width"]
"""Bins of equally many points, or of equal width."""

BINS = 15
"""Bins of an error of calibration, by default."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bins:
    """The bins that are not empty, shape (bins,) each."""

    sizes: Grid
    means: Grid
    """Mean probability."""
    rates: Grid
    """Mean label."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSkill:
    """How good probabilities are. A small error with a skill near 0 only predicts the base rate."""

    n: int
    base_rate: float
    """Share of right answers."""
    brier: float
    """Mean squared distance to the labels, 0 to 1."""
    skill: float | None
    """1 - Brier / that of the base rate, at most 1; 0 is the base rate, below 0 worse. None for equal labels."""
    auc: float | None
    """Probability that a right answer has the larger one, ties counting half; None for equal labels."""
    ece: float
    """Expected calibration error with bins of equal width."""
    debiased: float
    """Root of the debiased squared error of calibration with bins of equal mass."""
    is_lower_bound: bool
    """Whether the errors can only be too small: binning hides some of a continuous output's."""


def skill_of(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = BINS) -> ConfidenceSkill:
    """Return how good probabilities are.

    Args:
        probabilities: 0 to 1, shape (n,), n at least 1.
        labels: Whether the answers are right, shape (n,).
        bins: Bins of the errors of calibration, at least 1.
    """
    given, right = labelled(probabilities, labels)
    base = float(right.mean())
    brier = float(((given - right) ** 2).mean())
    return ConfidenceSkill(
        n=len(given),
        base_rate=base,
        brier=brier,
        skill=1 - brier / (base * (1 - base)) if 0 < base < 1 else None,
        auc=_auc(given, right),
        ece=expected_error(given, right, bins=bins),
        debiased=debiased_error(given, right, bins=bins),
        is_lower_bound=not is_discrete(given),
    )


def expected_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "width",
    rng: np.random.Generator | None = None,
) -> float:
    """Return ECE = sum (n_i / n) |mean label - mean probability|, 0 to 1.

    Args:
        probabilities: 0 to 1, shape (n,), n at least 1.
        labels: Whether the answers are right, shape (n,).
        bins: At least 1.
        binning: `width` is the classic one, `mass` gives the lower bound of a continuous output.
        rng: With it the error is debiased: less the mean inflation of 1,000 resamples of the bins' mean labels, which
            are normal with variance ybar (1 - ybar) / n_i. It may then be slightly below 0.
    """
    found = _binned(*labelled(probabilities, labels), bins, binning)
    weights = found.sizes / found.sizes.sum()
    plain = float(weights @ np.abs(found.rates - found.means))
    if rng is None:
        return plain
    spread = np.sqrt(found.rates * (1 - found.rates) / found.sizes)
    drawn = rng.normal(found.rates, spread, size=(1000, len(spread)))
    return 2 * plain - float((np.abs(drawn - found.means) @ weights).mean())


def debiased_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = BINS, binning: Binning = "mass"
) -> float:
    """Return the root of the debiased squared error of calibration (arXiv 1909.10155), 0 to 1.

    It is sum (n_i / n) [(mean probability - mean label)^2 - ybar_i (1 - ybar_i) / (n_i - 1)], or 0 where that is below.
    Bins with one point count 0. Where `is_discrete`, each value is its own bin.
    """
    found = _binned(*labelled(probabilities, labels), bins, binning)
    noise = found.rates * (1 - found.rates) / np.maximum(found.sizes - 1, 1)
    apart = (found.means - found.rates) ** 2 - noise
    total = float(np.where(found.sizes > 1, found.sizes, 0) @ apart) / float(found.sizes.sum())
    return sqrt(max(0.0, total))


def is_discrete(probabilities: ArrayLike) -> bool:
    """Tell whether distinct values are fewer than a quarter of the points: then errors are measured, not bounded."""
    given = np.asarray(probabilities, dtype=np.float64)
    return len(np.unique(given)) < len(given) / 4


def labelled(confidences: ArrayLike, labels: ArrayLike) -> tuple[Grid, Grid]:
    """Return confidences and labels (1 is right) as numbers, shape (n,) each.

    Raises:
        InputError: They are not as many, none, or outside 0 to 1; a label is neither true nor false.
    """
    given, right = np.asarray(confidences, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if given.ndim != 1 or given.shape != right.shape or not len(given):
        raise InputError("confidences", f"must be as many as labels, at least 1: got {given.shape} and {right.shape}")
    if not bool(((given >= 0) & (given <= 1)).all()):
        raise InputError("confidences", "must be numbers from 0 to 1")
    if not bool(((right == 0) | (right == 1)).all()):
        raise InputError("labels", "must be true or false, or 1 and 0")
    return given, right


def mass_edges(values: Grid, bins: int) -> Grid:
    """Return ends that split values into bins of about equal mass; equal values stay together, no bin is empty."""
    ordered = np.sort(values)
    places = (np.arange(1, bins) * len(ordered)) // bins
    ends = np.unique(ordered[places])
    return np.asarray(ends[ends > ordered[0]])


def _binned(given: Grid, right: Grid, bins: int, binning: Binning) -> _Bins:
    if bins < 1:
        raise InputError("bins", f"must be an integer of at least 1, got {bins}")
    if is_discrete(given):
        _, which = np.unique(given, return_inverse=True)
    elif binning == "mass":
        which = np.searchsorted(mass_edges(given, bins), given, side="right")
    else:
        which = np.minimum((given * bins).astype(np.int64), bins - 1)
    sizes = np.bincount(which).astype(np.float64)
    full = sizes > 0
    sums = [np.bincount(which, weights=each)[full] / sizes[full] for each in (given, right)]
    return _Bins(sizes=sizes[full], means=sums[0], rates=sums[1])


def _auc(given: Grid, right: Grid) -> float | None:
    losers, winners = np.sort(given[right == 0]), given[right == 1]
    if not len(losers) or not len(winners):
        return None
    below = np.searchsorted(losers, winners, side="left") + np.searchsorted(losers, winners, side="right")
    return float(below.mean() / 2 / len(losers))
