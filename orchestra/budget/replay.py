"""What a panel gains, counted in recorded votes: majorities and races replayed over the votes of each item.

A panel is drawn from the recorded votes of an item without replacement, which is exact where votes of an item are
exchangeable, and needs no law of their dependence. All wrong votes count as one answer: with several wrong answers the
right one wins more often than here. Formulas stand beside the replay, and where they disagree the histogram wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, comb, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config

from orchestra.budget.calibration import pair_correlation
from orchestra.budget.domain import refuse_outside
from orchestra.budget.estimates import FEW, LEVEL, STRICT, Counts, Estimate, bca, cells_of, checked
from orchestra.budget.joint import majority, majority_slope, odd_fan_in
from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_agents.voting.mixture import Grid

Source = Literal["replay", "mixture"]

DISAGREE = 2.0
"""Standard errors between replay and formula from which on they disagree."""

_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceReplay:
    """What first-to-ahead-by-k would have decided; right, wrong and undecided sum to 1."""

    right: Estimate
    """Share of items decided right with the votes there are."""
    wrong: float
    undecided: float
    """Share of items whose votes ran out before any lead of k."""
    votes: float
    """Mean votes taken of an item, all of them where it stays undecided."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PanelGain:
    """What a majority of a panel is worth: replayed, and by two formulas from the same votes."""

    fan_in: int
    """Votes of a panel; an even number is worth as much as the odd one below it."""
    single: Estimate
    """Accuracy of one vote."""
    replayed: Estimate
    """Accuracy of the panel over the recorded votes."""
    mixture: float
    """Accuracy by rho f_1 + (1-rho) f_b at the measured accuracy, rho by moments, 0 to 1."""
    beta_binomial: float
    """Accuracy by the beta-binomial with the same correlation."""
    gain: Estimate | None
    """Gain of a weak signal that a mixture with the replayed accuracy has, 1 to f_b'(0); None where one vote's bias is
    within two standard errors of 0 or is 1."""
    gain_mixture: float
    """rho + (1-rho) f_b'(0) (phase transition, A.2)."""
    gain_beta_binomial: float
    """The same of the beta-binomial (B.8.4)."""
    disagreement: float
    """Mixture less replay, in standard errors of that difference."""
    reported: Source
    """What the value to report is from: the replay where both disagree, else as `decision`."""
    decision: Source
    """What decisions are to use: the smaller one."""
    items: int
    left_out: int
    """Items with too few votes to replay a panel."""

    @property
    def value(self) -> float:
        """The accuracy of the panel to report."""
        return self.replayed.value if self.reported == "replay" else self.mixture

    @property
    def cautious(self) -> float:
        """The accuracy of the panel to decide on."""
        return min(self.replayed.value, self.mixture)


def replay_majority(counts: NDArray[np.integer], fan_in: int, *, rng: np.random.Generator) -> Estimate:
    """Return the expected accuracy of a majority of `fan_in` recorded votes of an item, ties by a fair coin.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2); items with fewer votes than `fan_in`
            are left out.
        fan_in: Votes of a panel, at least 1.
        rng: Source of the bootstrap by item.

    Raises:
        InputError: The counts are malformed, or no item has enough votes.
    """
    cells, items = cells_of(_with_votes(counts, fan_in))
    return _mean(majority_chances(cells, fan_in), items, rng)


def majority_chances(counts: Counts, fan_in: int) -> Grid:
    """Return for each row how likely a majority of `fan_in` of its votes is right (hypergeometric), shape (rows,).

    That is P[X > b/2] + P[X = b/2] / 2 of the right votes X among the panel's b.

    Args:
        counts: Right votes and votes, shape (rows, 2), at least `fan_in` votes each.
        fan_in: Votes of a panel, at least 1.
    """
    return np.array([_majority(int(right), int(votes), fan_in) for right, votes in counts])


def replay_race(counts: NDArray[np.integer], k: int, *, rng: np.random.Generator) -> RaceReplay:
    """Return what first-to-ahead-by-k decides over the recorded votes of the items, averaged over their orders.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2); items with fewer than k votes count as
            undecided.
        k: Margin, at least 1.
        rng: Source of the bootstrap by item.
    """
    if k < 1:
        raise InputError("k", f"must be an integer of at least 1, got {k}")
    cells, items = cells_of(checked(counts))
    races = np.array([_race(int(right), int(votes), k) for right, votes in cells])
    wrong, votes = (float(np.average(races[:, column], weights=items)) for column in (1, 2))
    right = _mean(races[:, 0], items, rng)
    undecided = max(0.0, 1 - right.value - wrong)
    return RaceReplay(right=right, wrong=wrong, undecided=undecided, votes=votes)


def panel_gain(counts: NDArray[np.integer], fan_in: int, *, rng: np.random.Generator) -> PanelGain:
    """Return what a panel gains by replay and by formula, how far these disagree, and which one counts.

    The formulas use the accuracy and the correlation of pairs of the same votes. Standard errors and intervals are from
    one set of resamples of items, so that what both have in common drops out of the difference.

    Args:
        counts: Right valid votes and valid votes of each item, shape (items, 2).
        fan_in: Votes of a panel, 3 to 1,000,000.
        rng: Source of the resamples.

    Raises:
        InputError: A value is outside its domain, or no item has enough votes.
    """
    refuse_outside("fan_in", fan_in, least=3)
    voted = _with_votes(counts, fan_in)
    cells, items = cells_of(voted)
    panel = _Panel(cells, fan_in)
    here = items[None, :].astype(np.float64)
    p, rho, replayed, mixture = (float(each[0]) for each in panel.figures(here))
    drawn = panel.figures(rng.multinomial(len(voted), items / len(voted), size=_DRAWS).astype(np.float64))
    apart, error = mixture - replayed, float((drawn[3] - drawn[2]).std())
    disagreement = apart / error if error > 1e-12 else 0.0
    decision: Source = "replay" if replayed <= mixture else "mixture"
    slope = float(majority_slope(0.0, fan_in))
    is_known = abs(2 * p - 1) > 2 * float(2 * drawn[0].std()) and 0 < p < 1
    return PanelGain(
        fan_in=fan_in,
        single=_mean(panel.right / panel.votes, items, rng),
        replayed=_mean(panel.chances, items, rng),
        mixture=mixture,
        beta_binomial=beta_binomial_accuracy(p, rho, fan_in),
        gain=bca(panel.gain, items, rng).estimate("replay, bca by item", len(voted)) if is_known else None,
        gain_mixture=rho + (1 - rho) * slope,
        gain_beta_binomial=beta_binomial_gain(rho, fan_in),
        disagreement=disagreement,
        reported="replay" if abs(disagreement) >= DISAGREE else decision,
        decision=decision,
        items=len(voted),
        left_out=len(np.asarray(counts)) - len(voted),
    )


def beta_binomial_accuracy(p: float, rho: float, fan_in: int) -> float:
    """Return the accuracy of a majority whose items have Beta distributed accuracy, ties by a fair coin.

    Args:
        p: Mean accuracy, 0 to 1.
        rho: Correlation of two votes of one item, 0 to 1.
        fan_in: Votes of a panel, at least 1; even ones are worth one less.
    """
    refuse_outside("p", p, least=0, most=1)
    refuse_outside("rho", rho, least=0, most=1)
    if rho == 1:
        return p
    votes = int(odd_fan_in(fan_in))
    return float(sum(_beta_binomial(right, votes, p, rho / (1 - rho)) for right in range(votes // 2 + 1, votes + 1)))


def beta_binomial_gain(rho: float, fan_in: int) -> float:
    """Return the gain of a weak signal by a panel under the beta-binomial: d bias out / d bias in at 0 (B.8.4).

    With phi = rho / (1-rho) the chance of r right votes of b has the logarithmic slope in the mean, at 1/2, of
    sum over i < r of 1/(1/2 + i phi), less the same sum over i < b - r.

    Args:
        rho: Correlation of two votes of one item, 0 to 1.
        fan_in: Votes of a panel, at least 1; even ones are worth one less.

    >>> round(beta_binomial_gain(0.3, 5), 3), round(beta_binomial_gain(0.3, 9), 3)
    (1.267, 1.337)
    """
    refuse_outside("rho", rho, least=0, most=1)
    if rho == 1:
        return 1.0
    votes, phi = int(odd_fan_in(fan_in)), rho / (1 - rho)
    sums = np.concatenate([[0.0], np.cumsum(1 / (0.5 + phi * np.arange(votes)))])
    rights = range(votes // 2 + 1, votes + 1)
    return float(sum(_beta_binomial(right, votes, 0.5, phi) * (sums[right] - sums[votes - right]) for right in rights))


class _Panel:
    """A panel over a histogram: its figures in samples that hold each cell so many times, shape (samples, cells)."""

    def __init__(self, cells: Counts, fan_in: int) -> None:
        self.right, self.votes = cells[:, 0].astype(np.float64), cells[:, 1].astype(np.float64)
        self.fan_in, self.chances = fan_in, majority_chances(cells, fan_in)

    def figures(self, weights: Grid) -> tuple[Grid, Grid, Grid, Grid]:
        """Return accuracy of one vote, correlation of pairs, replayed accuracy and the mixture's, shape (samples,)."""
        items = weights.sum(axis=1)
        p, replayed = weights @ (self.right / self.votes) / items, weights @ self.chances / items
        rho = np.clip(np.nan_to_num(pair_correlation(self.right, self.votes, weights)), 0, 1)
        bias = np.clip(2 * p - 1, -1, 1)
        return p, rho, replayed, (1 + rho * bias + (1 - rho) * majority(bias, self.fan_in)) / 2

    def gain(self, weights: Grid) -> Grid:
        """Return the weak-signal gain of a mixture with the replayed accuracy, shape (samples,)."""
        p, _, replayed, _ = self.figures(weights)
        bias = np.clip(2 * p - 1, -1, 1)
        free = majority(bias, self.fan_in)
        room = np.where(np.abs(free - bias) > 1e-12, free - bias, np.inf)
        rho = np.clip((free - (2 * replayed - 1)) / room, 0, 1)
        return np.asarray(rho + (1 - rho) * majority_slope(0.0, self.fan_in))


def _with_votes(counts: NDArray[np.integer], fan_in: int) -> Counts:
    if fan_in < 1:
        raise InputError("fan_in", f"must be an integer of at least 1, got {fan_in}")
    voted = checked(counts)
    enough = voted[voted[:, 1] >= fan_in]
    if not len(enough):
        raise InputError("fan_in", f"must be at most the votes of some item ({voted[:, 1].max()}), got {fan_in}")
    return enough


def _mean(values: Grid, items: NDArray[np.int64], rng: np.random.Generator) -> Estimate:
    """Return the mean over items of values from 0 to 1.

    Where few items are off the ends, resamples know too little, and the interval is that of so many right items, which
    is longer than needed: values between the ends vary less.
    """
    number = int(items.sum())
    if min(int(items[values < 1].sum()), int(items[values > 0].sum())) >= FEW:
        span = bca(lambda weights: weights @ values / weights.sum(axis=1), items, rng)
        return span.estimate("replay, bca by item", number, least=0, most=1)
    total = min(float(values @ items), float(number))
    low, high = clopper_pearson(floor(total), number, LEVEL).low, clopper_pearson(ceil(total), number, LEVEL).high
    return Estimate(value=total / number, low=low, high=high, basis="replay, clopper-pearson by item", n=number)


def _majority(right: int, votes: int, fan_in: int) -> float:
    ways = {x: comb(right, x) * comb(votes - right, fan_in - x) for x in range((fan_in + 1) // 2, fan_in + 1)}
    doubled = sum(count * (1 if 2 * x == fan_in else 2) for x, count in ways.items())
    return doubled / (2 * comb(votes, fan_in))


def _race(right: int, votes: int, k: int) -> Grid:
    """Return how likely a race over these votes in random order is decided right and wrong, and its mean votes."""
    leads, decided, mean = {0: 1.0}, {k: 0.0, -k: 0.0}, 0.0
    for drawn in range(votes):
        onward: dict[int, float] = {}
        for lead, chance in leads.items():
            share = (right - (drawn + lead) // 2) / (votes - drawn)
            for after, part in ((lead + 1, share), (lead - 1, 1 - share)):
                if part > 0:
                    onward[after] = onward.get(after, 0.0) + chance * part
        for end in decided:
            ended = onward.pop(end, 0.0)
            decided[end] += ended
            mean += ended * (drawn + 1)
        leads = onward
    return np.array([decided[k], decided[-k], mean + votes * sum(leads.values())])


def _beta_binomial(right: int, votes: int, p: float, phi: float) -> float:
    chance = float(comb(votes, right))
    for i in range(right):
        chance *= p + i * phi
    for i in range(votes - right):
        chance *= 1 - p + i * phi
    for i in range(votes):
        chance /= 1 + i * phi
    return chance
