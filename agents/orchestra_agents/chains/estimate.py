"""What votes on questions with known answers say about p and shared errors: likelihood intervals of the mixture law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestra_agents.journal.chain_records import SentinelAnswered
from orchestra_agents.models.contract import Json

Grid: TypeAlias = NDArray[np.float64]

_DROP = 1.9207  # half of the 95 % point of chi-squared with one degree of freedom
_POINTS, _WIDTH, _SMALLEST_RHO = 121, 8.0, 1e-7


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelEstimate:
    """What a number of sentinels say."""

    asked: int
    rung: str
    """How their questions were put."""
    p: Estimate
    """Accuracy of a vote."""
    rho: Estimate
    """Probability that all votes of a step are copies of one draw."""
    histogram: tuple[tuple[int, int, int], ...]
    """Right votes, wrong votes, and how many sentinels had them."""

    def as_dict(self) -> dict[str, Json]:
        """Return the figures as JSON."""
        votes = [{"right": right, "wrong": wrong, "sentinels": count} for right, wrong, count in self.histogram]
        return {
            "asked": self.asked,
            "rung": self.rung,
            "p": self.p.as_dict(),
            "rho": self.rho.as_dict(),
            "histogram": votes,
        }


def estimate_of(sentinels: Iterable[SentinelAnswered], rung: str) -> SentinelEstimate | None:
    """Return what the sentinels asked on `rung` say, None where there are none.

    With probability rho all votes of a step are copies of one draw, else they are independent (section 4.1 of our notes
    on MAKER). A vote that stops at a lead has the likelihood of its own votes, so the rule does not matter:
    r right and w wrong votes have (1 - rho) p^r (1 - p)^w, and rho p or rho (1 - p) more where all were equal.
    """
    asked = [one for one in sentinels if one.rung == rung and one.right + one.wrong > 0]
    if not asked:
        return None
    cells = Counter((one.right, one.wrong, one.copies) for one in asked)
    right, wrong = sum(one.right for one in asked), sum(one.wrong for one in asked)
    accuracies, shares = _accuracies(right, wrong, len(asked)), _shares()
    surface = _log_likelihood(cells, accuracies, shares)
    histogram = Counter((one.right, one.wrong) for one in asked)
    return SentinelEstimate(
        asked=len(asked),
        rung=rung,
        p=_profile(accuracies, surface.max(axis=1)),
        rho=_profile(shares, surface.max(axis=0)),
        histogram=tuple((right, wrong, count) for (right, wrong), count in sorted(histogram.items())),
    )


def _accuracies(right: int, wrong: int, sentinels: int) -> Grid:
    """Return accuracies around the share of right votes, evenly on the logit scale, as wide as one vote each allows."""
    share = (right + 0.5) / (right + wrong + 1)
    spread = _WIDTH / np.sqrt(sentinels * share * (1 - share))
    centre = np.log(share / (1 - share))
    return np.asarray(1 / (1 + np.exp(-np.linspace(centre - spread, centre + spread, 2 * _POINTS + 1))))


def _shares() -> Grid:
    return np.concatenate([[0.0], np.geomspace(_SMALLEST_RHO, 1 - 1e-9, _POINTS)])


def _log_likelihood(cells: Counter[tuple[int, int, bool]], accuracies: Grid, shares: Grid) -> Grid:
    """Return the log-likelihood, accuracies by shares."""
    p, rho = accuracies[:, None], shares[None, :]
    surface = np.zeros((len(accuracies), len(shares)))
    for (right, wrong, copies), count in cells.items():
        likelihood = (1 - rho) * p**right * (1 - p) ** wrong
        if copies:
            likelihood = likelihood + rho * (p if right else 1 - p)
        surface += count * np.log(np.maximum(likelihood, 1e-300))
    return surface


def _profile(values: Grid, heights: Grid) -> Estimate:
    """Return the likeliest value and the range of those that are not much less likely, ends interpolated."""
    best = int(heights.argmax())
    floor = heights[best] - _DROP
    inside = np.flatnonzero(heights >= floor)
    first, last = int(inside[0]), int(inside[-1])
    low = values[0] if first == 0 else _crossing(values, heights, first - 1, first, floor)
    high = values[-1] if last == len(values) - 1 else _crossing(values, heights, last + 1, last, floor)
    return Estimate(mean=float(values[best]), low=float(low), high=float(high))


def _crossing(values: Grid, heights: Sequence[float] | Grid, outside: int, inside: int, floor: float) -> float:
    share = (floor - heights[outside]) / (heights[inside] - heights[outside])
    return float(values[outside] + share * (values[inside] - values[outside]))
