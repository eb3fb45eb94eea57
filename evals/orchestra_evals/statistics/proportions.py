"""Intervals of a proportion, also where the number of trials is an effective one and no integer."""

from __future__ import annotations

from math import sqrt

from scipy.special import betaincinv, ndtri

from orchestra.budget.domain import refuse_outside
from orchestra.budget.estimates import LEVEL
from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import Interval


def wilson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Return the score interval (Wilson 1927), whose coverage is near `level` on average and may be below it.

    Args:
        successes: Events seen, 0 to `trials`.
        trials: Independent trials, at least 0; none give the interval from 0 to 1. Neither need be an integer.
        level: Coverage, strictly between 0 and 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> found = wilson(9, 10)
    >>> round(found.low, 4), round(found.high, 4)
    (0.5958, 0.9821)
    """
    _check(successes, trials, level)
    if trials == 0:
        return Interval(0.0, 1.0, level, "wilson")
    z = float(ndtri((1 + level) / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2) / (1 + z * z / trials)
    low = 0.0 if successes == 0 else centre - half
    return Interval(max(0.0, low), 1.0 if successes == trials else min(1.0, centre + half), level, "wilson")


def effective_clopper_pearson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Return the Clopper-Pearson interval of an effective number of trials (Korn and Graubard 1998).

    It is that of `orchestra_agents.voting.intervals.clopper_pearson` where both numbers are integers. A variable from 0
    to 1 of a given mean varies most where it is 0 or 1, so that the mean of any such variable may take its place.

    Args:
        successes: Sum of the effective trials' values, 0 to `trials`.
        trials: Effective trials, at least 0; none give the interval from 0 to 1.
        level: Coverage, strictly between 0 and 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> found = effective_clopper_pearson(4.5, 5)
    >>> round(found.low, 4), round(found.high, 4)
    (0.3714, 0.9999)
    """
    _check(successes, trials, level)
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes > 0 else 0.0
    high = 1 - float(betaincinv(trials - successes, successes + 1, tail)) if successes < trials else 1.0
    return Interval(low, high, level, "clopper-pearson, effective trials")


def _check(successes: float, trials: float, level: float) -> None:
    refuse_outside("trials", trials, least=0)
    if not 0 <= successes <= trials:
        raise InputError("successes", f"must be from 0 to the number of trials ({trials:g}), got {successes:g}")
    if not 0 < level < 1:
        raise InputError("level", f"must be above 0 and below 1, got {level:g}")
