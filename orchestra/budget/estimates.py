"""Estimates with intervals: likelihood intervals on a grid that closes in, and BCa intervals by item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, with_config
from scipy.special import ndtr, ndtri

from orchestra_agents.errors import InputError
from orchestra_agents.voting.mixture import Grid, likelihood_interval

Counts: TypeAlias = NDArray[np.int64]
"""Right valid votes and valid votes of each item, shape (items, 2)."""
Surface: TypeAlias = Callable[[Grid, Grid], Grid]
"""Log-likelihood of the values of two parameters, shapes (a,) and (b,), as an array of shape (a, b)."""
Statistic: TypeAlias = Callable[[Grid], Grid]
"""A figure of samples that hold each cell so many times: shapes (samples, cells) and (samples,)."""

LEVEL = 0.95
"""Coverage that every interval of this package aims at."""
FEW = 30
"""Items that must be off either end of a share, below which its bootstrap interval is not trusted."""
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
"""How the values of a profile are read: no unknown keys, finite numbers."""

_DROP = 1.9207  # half of the 95 % point of chi-squared with one degree of freedom
_POINTS, _CLOSER = 61, (8.0, 2.5)


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    basis: str
    """What the interval is made of, for example `mixture likelihood`."""
    n: int
    """Independent items or trials behind it."""

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InputError("low", f"must be at most high ({self.high:g}), got {self.low:g}")
        if self.n < 0:
            raise InputError("n", f"must be an integer of at least 0, got {self.n}")

    def covers(self, truth: float) -> bool:
        """Tell whether the interval holds `truth`."""
        return self.low <= truth <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A value and the ends of its interval, not yet said of what."""

    value: float
    low: float
    high: float

    def estimate(self, basis: str, n: int, *, least: float = -np.inf, most: float = np.inf) -> Estimate:
        """Return it as an estimate, cut to the range `least` to `most`."""
        value, low, high = (float(min(max(one, least), most)) for one in (self.value, self.low, self.high))
        return Estimate(value=value, low=low, high=high, basis=basis, n=n)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """The likeliest values of two parameters and the log-likelihood around them."""

    first: Grid
    """Values of the first parameter, shape (a,), ascending."""
    second: Grid
    """Values of the second parameter, shape (b,), ascending."""
    heights: Grid
    """Log-likelihood, shape (a, b)."""

    @property
    def height(self) -> float:
        """The largest log-likelihood."""
        return float(self.heights.max())

    def of_first(self) -> Span:
        """Return the first parameter with its profile likelihood interval."""
        return _span(self.first, self.heights.max(axis=1))

    def of_second(self) -> Span:
        """Return the second parameter with its profile likelihood interval."""
        return _span(self.second, self.heights.max(axis=0))

    def of(self, figure: Surface) -> Span:
        """Return a figure made of both parameters with its profile likelihood interval.

        That is the range of the figure over the pairs whose log-likelihood is at most 1.92 below the largest.
        """
        values = figure(self.first, self.second)
        inside = values[self.heights >= self.height - _DROP]
        best = values.flat[int(self.heights.argmax())]
        return Span(value=float(best), low=float(inside.min()), high=float(inside.max()))


def fit(log_likelihood: Surface, first: Grid, second: Grid) -> Fit:
    """Return the maximum of a log-likelihood within two ranges, by a grid that closes in on it twice.

    Args:
        log_likelihood: Unimodal, as far as the first grid can tell.
        first: Ascending values to begin with, shape (a,); its ends bound the parameter. One value fixes it.
        second: The same of the second parameter.
    """
    heights = log_likelihood(first, second)
    for depth in _CLOSER:
        first, second = _near(first, heights.max(axis=1), depth), _near(second, heights.max(axis=0), depth)
        heights = log_likelihood(first, second)
    return Fit(first=first, second=second, heights=heights)


def bca(statistic: Statistic, counts: NDArray[np.int64], rng: np.random.Generator, *, draws: int = 2000) -> Span:
    """Return a figure with its bias-corrected and accelerated bootstrap interval (Efron 1987), resampling items.

    Items that are alike share a cell, and a resample is how often it holds each cell. Where all resamples give one
    value the interval is that value, which says nothing: the caller must know better.

    Args:
        statistic: What is estimated.
        counts: Items of each cell, shape (cells,).
        rng: Source of the resamples.
        draws: Number of resamples.
    """
    items = int(counts.sum())
    value = float(statistic(counts[None, :].astype(np.float64))[0])
    found = statistic(rng.multinomial(items, counts / items, size=draws).astype(np.float64))
    below = (np.count_nonzero(found < value) + np.count_nonzero(found == value) / 2) / draws
    bias = ndtri(np.clip(below, 0.5 / draws, 1 - 0.5 / draws))
    normal = ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    speed = _acceleration(statistic, counts)
    places = ndtr(bias + (bias + normal) / np.maximum(1 - speed * (bias + normal), 0.1))
    low, high = np.quantile(found, places)
    return Span(value=value, low=float(low), high=float(high))


def cells_of(counts: Counts) -> tuple[Counts, NDArray[np.int64]]:
    """Return the distinct pairs of right votes and votes, shape (cells, 2), and how many items have each."""
    cells, items = np.unique(counts, axis=0, return_counts=True)
    return cells, items.astype(np.int64)


def checked(counts: NDArray[np.integer], name: str = "counts") -> Counts:
    """Return the counts of the items that have a valid vote.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2).
        name: What the caller calls them.

    Raises:
        InputError: They are not pairs of integers with 0 <= right <= votes, or no item has a vote.
    """
    given = np.asarray(counts)
    if given.ndim != 2 or given.shape[1] != 2 or not np.issubdtype(given.dtype, np.integer):
        raise InputError(name, f"must be integers of shape (items, 2), got {given.dtype} of shape {given.shape}")
    if bool(((given[:, 0] < 0) | (given[:, 0] > given[:, 1])).any()):
        raise InputError(name, "must have from 0 to all of an item's votes right")
    voted = given[given[:, 1] > 0].astype(np.int64)
    if not len(voted):
        raise InputError(name, "must hold at least one item with a valid vote")
    return voted


def design_effect(counts: Counts) -> float:
    """Return how many times larger the variance of the share of right votes is than that of independent votes.

    Votes on one item are alike; the variance is taken over items (Rao and Scott 1992) and the effect is at least 1.
    Where all votes are equal, nothing tells and each item counts as one vote.
    """
    right, votes = counts.sum(axis=0)
    share = right / votes
    if share in (0, 1) or len(counts) < 2:
        return float(votes / len(counts))
    spread = float(((counts[:, 0] - share * counts[:, 1]) ** 2).sum()) * len(counts) / (len(counts) - 1)
    return max(1.0, spread / float(votes * share * (1 - share)))


def _span(values: Grid, heights: Grid) -> Span:
    found = likelihood_interval(values, heights)
    return Span(value=found.mean, low=found.low, high=found.high)


def _near(values: Grid, heights: Grid, depth: float) -> Grid:
    """Return finer values over the range that is at most `depth` below the best, and one old step to either side."""
    if len(values) == 1:
        return values
    inside = np.flatnonzero(heights >= heights.max() - depth)
    low, high = values[max(0, int(inside[0]) - 1)], values[min(len(values) - 1, int(inside[-1]) + 1)]
    return np.linspace(low, high, _POINTS)


def _acceleration(statistic: Statistic, counts: NDArray[np.int64]) -> float:
    if counts.sum() < 2:  # without the only item there is no figure
        return 0.0
    without = (counts[None, :] - np.eye(len(counts), dtype=np.int64)).astype(np.float64)
    left = statistic(without)
    apart = float(np.average(left, weights=counts)) - left
    spread = float((counts * apart**2).sum())
    return float((counts * apart**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
