"""What votes on questions with known answers say about p and shared errors: likelihood intervals of the mixture law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestra_agents.journal.chain_records import SentinelAnswered
from orchestra_agents.models.contract import Json
from orchestra_agents.voting.mixture import Estimate, Grid, accuracies_around, likelihood_interval, mixture_likelihood

_POINTS, _SMALLEST_RHO = 121, 1e-7


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
    accuracies, shares = accuracies_around(right, wrong, len(asked)), _shares()
    surface = mixture_likelihood(cells, accuracies, shares)
    histogram = Counter((one.right, one.wrong) for one in asked)
    return SentinelEstimate(
        asked=len(asked),
        rung=rung,
        p=likelihood_interval(accuracies, surface.max(axis=1)),
        rho=likelihood_interval(shares, surface.max(axis=0)),
        histogram=tuple((right, wrong, count) for (right, wrong), count in sorted(histogram.items())),
    )


def _shares() -> Grid:
    return np.concatenate([[0.0], np.geomspace(_SMALLEST_RHO, 1 - 1e-9, _POINTS)])
