"""The law of shared errors, and what counts of right and wrong votes say about it: likelihoods and their intervals.

With probability rho all votes of a question are copies of one draw, else they are independent (MAKER, section 4.1 of
our notes; phase transition, B.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestra_agents.models.contract import Json

Grid: TypeAlias = NDArray[np.float64]
"""Values of a parameter, or a figure over them."""

_DROP = 1.9207  # half of the 95 % point of chi-squared with one degree of freedom
_POINTS, _WIDTH = 121, 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A likeliest value and its 95 % likelihood interval."""

    mean: float
    low: float
    high: float
    level: float = 0.95

    def as_dict(self) -> dict[str, Json]:
        """Return the figures as JSON."""
        return asdict(self)


def accuracies_around(right: int, wrong: int, sentinels: int) -> Grid:
    """Return accuracies around the share of right votes, evenly on the logit scale, as wide as one vote each allows."""
    share = (right + 0.5) / (right + wrong + 1)
    spread = _WIDTH / np.sqrt(sentinels * share * (1 - share))
    centre = np.log(share / (1 - share))
    return np.asarray(1 / (1 + np.exp(-np.linspace(centre - spread, centre + spread, 2 * _POINTS + 1))))


def mixture_likelihood(cells: Mapping[tuple[int, int, bool], int], accuracies: Grid, shares: Grid) -> Grid:
    """Return the log-likelihood of the mixture, accuracies by shares of copied questions.

    r right and w wrong votes have (1 - rho) p^r (1 - p)^w, and rho p or rho (1 - p) more where all could be copies.

    Args:
        cells: How many questions had so many right votes, wrong votes, and whether all could be copies of one draw.
        accuracies: Values of p, each in (0, 1).
        shares: Values of rho, each in [0, 1].
    """
    p, rho = accuracies[:, None], shares[None, :]
    surface = np.zeros((len(accuracies), len(shares)))
    for (right, wrong, copies), count in cells.items():
        likelihood = (1 - rho) * p**right * (1 - p) ** wrong
        if copies:
            likelihood = likelihood + rho * (p if right else 1 - p)
        surface += count * np.log(np.maximum(likelihood, 1e-300))
    return surface


def likelihood_interval(values: Grid, heights: Grid) -> Estimate:
    """Return the likeliest value and the range of those that are not much less likely, ends interpolated."""
    best = int(heights.argmax())
    floor = heights[best] - _DROP
    inside = np.flatnonzero(heights >= floor)
    first, last = int(inside[0]), int(inside[-1])
    low = values[0] if first == 0 else _crossing(values, heights, first - 1, first, floor)
    high = values[-1] if last == len(values) - 1 else _crossing(values, heights, last + 1, last, floor)
    return Estimate(mean=float(values[best]), low=float(low), high=float(high))


def _crossing(values: Grid, heights: Sequence[float] | Grid, outside: int, inside: int, floor: float) -> float:
    if heights[outside] == -np.inf:  # impossible there, so that the range ends before it
        return float(values[outside])
    share = (floor - heights[outside]) / (heights[inside] - heights[outside])
    return float(values[outside] + share * (values[inside] - values[outside]))
