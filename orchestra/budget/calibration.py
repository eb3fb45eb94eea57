"""What recorded votes on items with known answers say: accuracy, its spread over items, shared errors, flags.

Votes come as counts: for each item its right valid votes and its valid votes, an integer array of shape (items, 2).
Two laws of dependence between the votes of an item stand side by side. The mixture: with probability rho all votes are
copies of one draw. The beta-binomial: the accuracy of an item is Beta distributed. Both have the same correlation of a
pair of votes and a different histogram of votes, which is therefore kept whole (phase transition, B.8.4).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config

from orchestra.budget.estimates import (
    FEW,
    LEVEL,
    STRICT,
    Counts,
    Estimate,
    Fit,
    bca,
    cells_of,
    checked,
    fit,
)
from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_agents.voting.mixture import Grid, accuracies_around, mixture_likelihood

_TINY = 1e-12
_SHARES = np.concatenate([[0.0], np.geomspace(1e-7, 1 - 1e-9, 60)])


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCell:
    """One bar of the histogram of votes."""

    right: int
    """Right valid votes."""
    votes: int
    """Valid votes."""
    items: int
    """How many items had them."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedErrors:
    """What the mixture says."""

    p: Estimate
    """Probability that a vote is right."""
    rho: Estimate
    """Probability that all votes of an item are copies of one draw, by likelihood."""
    moment: Estimate | None
    """The same by moments, `pair_correlation`; None where it is unknown."""
    log_likelihood: float


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSpread:
    """What the beta-binomial says: how accuracy is distributed over items."""

    mean: Estimate
    """Mean accuracy of an item."""
    correlation: Estimate
    """Correlation of two votes of one item, 0 to 1: accuracy is Beta(mean c, (1 - mean) c), c = 1/correlation - 1."""
    ratio: float
    """Likelihood ratio statistic against equal accuracy of all items, at least 0."""
    p_value: float
    """Probability of such a ratio or a larger one if all items are equal; half of chi-squared's, as 0 is an end."""
    log_likelihood: float
    """Comparable with the mixture's: both have two parameters, and the larger one fits better."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCalibration:
    """All that the votes on a set of items say."""

    accuracy: Estimate
    shared: SharedErrors
    spread: ItemSpread
    histogram: tuple[VoteCell, ...]


def calibrate_votes(
    counts: NDArray[np.integer],
    *,
    rng: np.random.Generator,
    copies: NDArray[np.bool_] | None = None,
) -> VoteCalibration:
    """Return all that votes say.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2).
        rng: Source of the bootstrap.
        copies: As for `shared_errors`.
    """
    return VoteCalibration(
        accuracy=accuracy(counts, rng=rng),
        shared=shared_errors(counts, rng=rng, copies=copies),
        spread=item_spread(counts),
        histogram=vote_histogram(counts),
    )


def vote_histogram(counts: NDArray[np.integer]) -> tuple[VoteCell, ...]:
    """Return how many items had so many right votes of so many, ascending; items without votes are left out."""
    cells, items = cells_of(checked(counts))
    return tuple(
        VoteCell(right=int(right), votes=int(votes), items=int(number))
        for (right, votes), number in zip(cells, items, strict=True)
    )


def counts_of(histogram: tuple[VoteCell, ...]) -> Counts:
    """Return the counts of every item of a histogram, shape (items, 2): what `vote_histogram` was made of."""
    cells = np.array([(cell.right, cell.votes) for cell in histogram], dtype=np.int64).reshape(-1, 2)
    return np.repeat(cells, [cell.items for cell in histogram], axis=0)


def accuracy(counts: NDArray[np.integer], *, rng: np.random.Generator) -> Estimate:
    """Return the share of right votes among valid ones with a BCa interval by item.

    Where fewer than thirty items have a wrong vote, or a right one, resamples know too little, and the interval is the
    likelihood's of the law that fits better: either law's is far too short where the other one holds.
    """
    voted = checked(counts)
    wrong_items = int((voted[:, 0] < voted[:, 1]).sum())
    if min(wrong_items, int((voted[:, 0] > 0).sum())) < FEW:
        (p, _, mixture), spread = _mixture(voted, None), item_spread(voted)
        return p if mixture.height >= spread.log_likelihood else spread.mean
    cells, items = cells_of(voted)
    span = bca(lambda weights: (weights @ cells[:, 0]) / (weights @ cells[:, 1]), items, rng)
    return span.estimate("bca by item", len(voted), least=0, most=1)


def shared_errors(
    counts: NDArray[np.integer], *, rng: np.random.Generator, copies: NDArray[np.bool_] | None = None
) -> SharedErrors:
    """Return accuracy and rho of the mixture with profile likelihood intervals, and rho by moments.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2).
        rng: Source of the bootstrap of the moment estimate.
        copies: Whether all valid votes of an item were for one answer, shape (items,). Without it, votes that are all
            wrong count as equal, which is exact for two answers.

    Raises:
        InputError: The counts are malformed, or `copies` has another length.
    """
    p, rho, found = _mixture(checked(counts), _equal(counts, copies))
    return SharedErrors(p=p, rho=rho, moment=_moment(checked(counts), rng), log_likelihood=found.height)


def item_spread(counts: NDArray[np.integer]) -> ItemSpread:
    """Return mean and correlation of the beta-binomial law, and the test of it against the binomial.

    The likelihood is a product of mean + i phi, 1 - mean + j phi and 1 / (1 + k phi) with phi = correlation /
    (1 - correlation), which has no cancellation where phi goes to 0, as the Beta functions have.
    """
    voted = checked(counts)
    right, votes = voted[:, 0], voted[:, 1]
    more = [np.array([(each > i).sum() for i in range(int(votes.max()))]) for each in (right, votes - right, votes)]

    def surface(means: Grid, correlations: Grid) -> Grid:
        mean, phi = means[:, None], (correlations / (1 - correlations))[None, :]
        total = np.zeros((len(means), len(correlations)))
        for i, (rights, wrongs, all_votes) in enumerate(zip(*more, strict=True)):
            total += rights * np.log(mean + i * phi) + wrongs * np.log1p(i * phi - mean)
            total -= all_votes * np.log1p(i * phi)
        return total

    means = _starts(voted)
    found = fit(surface, means, _SHARES)
    ratio = max(0.0, 2 * (found.height - fit(surface, means, np.zeros(1)).height))
    basis = "beta-binomial likelihood"
    return ItemSpread(
        mean=_opened(found, voted, basis),
        correlation=_share(found, voted, basis),
        ratio=ratio,
        p_value=erfc(sqrt(ratio / 2)) / 2,
        log_likelihood=found.height,
    )


def pair_correlation(right: Grid, votes: Grid, weights: Grid) -> Grid:
    """Return (mean pair product - mu^2) / (1 - mu^2) of votes counted +1 (right) or -1 (phase transition, B.8.3).

    Each item has the same weight, whatever its votes; items with one vote say nothing of pairs. It is rho of the
    mixture and the correlation of the beta-binomial, about unbiased, and may be below 0. Where all votes are equal, or
    no item has two, it is not a number.

    Args:
        right: Right valid votes of each cell, shape (cells,).
        votes: Valid votes of each cell, at least 1, shape (cells,).
        weights: Items of each cell in each sample, shape (samples, cells).

    Returns:
        The correlation of each sample, shape (samples,).
    """
    lead, paired = 2 * right - votes, votes > 1
    pairs = np.where(paired, (lead**2 - votes) / np.where(paired, votes * (votes - 1), 1), 0)
    mu = weights @ (lead / votes) / weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = weights @ pairs / (weights @ paired)
        found = (product - mu**2) / (1 - mu**2)
    return np.where(1 - mu**2 > 1e-12, found, np.nan)


def valid_rate(valid: int, samples: int) -> Estimate:
    """Return the share of replies without a red flag, v of MAKER, with its exact interval.

    Args:
        valid: Replies without a red flag, 0 to `samples`.
        samples: Replies, at least 1.
    """
    if samples < 1:
        raise InputError("samples", f"must be an integer of at least 1, got {samples}")
    found = clopper_pearson(valid, samples, LEVEL)
    return Estimate(value=valid / samples, low=found.low, high=found.high, basis=found.method, n=samples)


def _moment(voted: Counts, rng: np.random.Generator) -> Estimate | None:
    cells, items = cells_of(voted)
    right, votes = cells[:, 0].astype(np.float64), cells[:, 1].astype(np.float64)
    if np.isnan(pair_correlation(right, votes, items[None, :].astype(np.float64))[0]):
        return None
    span = bca(lambda weights: np.nan_to_num(pair_correlation(right, votes, weights)), items, rng)
    return span.estimate("pair product, bca by item", len(voted), least=-1, most=1)


def _equal(counts: NDArray[np.integer], copies: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    if copies is None:
        return None
    if np.shape(copies) != np.shape(counts)[:1]:
        raise InputError("copies", f"must tell of each of the {len(counts)} items, got shape {np.shape(copies)}")
    return np.asarray(copies, dtype=np.bool_)[np.asarray(counts)[:, 1] > 0]


def _mixture(voted: Counts, copies: NDArray[np.bool_] | None) -> tuple[Estimate, Estimate, Fit]:
    right, wrong = voted[:, 0], voted[:, 1] - voted[:, 0]
    equal = (right == 0) | (wrong == 0) if copies is None else copies
    # Sorted, so that sums are rounded alike whatever the order of the items.
    told = Counter(sorted(zip(right.tolist(), wrong.tolist(), equal.tolist(), strict=True)))
    found = fit(lambda accuracies, shares: mixture_likelihood(told, accuracies, shares), _starts(voted), _SHARES)
    basis = "mixture likelihood"
    return _opened(found, voted, basis), _share(found, voted, basis), found


def _opened(found: Fit, voted: Counts, basis: str) -> Estimate:
    """Return the first parameter, an accuracy, up to the end that no vote speaks against."""
    span = found.of_first()
    right, votes = voted.sum(axis=0)
    value, low, high = span.value, span.low, span.high
    if right == votes:
        value = high = 1.0
    if right == 0:
        value = low = 0.0
    return Estimate(value=value, low=low, high=high, basis=basis, n=len(voted))


def _share(found: Fit, voted: Counts, basis: str) -> Estimate:
    """Return the second parameter, a correlation; votes that are all equal leave it open."""
    right, votes = voted.sum(axis=0)
    if right in (0, votes):
        return Estimate(value=0.0, low=0.0, high=1.0, basis="unknown, all votes are equal", n=len(voted))
    return found.of_second().estimate(basis, len(voted), least=0, most=1)


def _starts(voted: Counts) -> Grid:
    right, votes = voted.sum(axis=0)
    starts = accuracies_around(int(right), int(votes - right), len(voted))[::4]
    return np.unique(np.clip(starts, _TINY, 1 - _TINY))
