"""Intervals for a probability of which some trials were seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, log1p

from scipy.special import betaincinv

from orchestra_agents.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a probability."""

    low: float
    """At least 0."""
    high: float
    """At most 1."""
    level: float
    """Probability with which such intervals cover the truth, at least."""
    method: str
    """Name of the construction, for example `clopper-pearson`."""


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return the exact two-sided interval (Clopper and Pearson 1934): both tails of the binomial are (1-level)/2.

    Args:
        successes: Events seen, 0 to `trials`.
        trials: Independent trials, at least 0; none tell nothing, which is the interval from 0 to 1.
        level: Coverage, strictly between 0 and 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> found = clopper_pearson(9, 10)
    >>> round(found.low, 4), round(found.high, 4)
    (0.555, 0.9975)
    """
    _check(trials, level)
    if not 0 <= successes <= trials:
        raise InputError("successes", f"must be from 0 to the number of trials ({trials}), got {successes}")
    tail = (1 - level) / 2
    return Interval(_low(successes, trials, tail), 1 - _low(trials - successes, trials, tail), level, "clopper-pearson")


def zero_bound(trials: int, level: float = 0.95) -> float:
    """Return the one-sided upper bound on a probability of which no event was seen: 1 - (1-level)^(1/trials).

    For the usual level it is about 3/trials (rule of three); without trials it is 1.

    Args:
        trials: Independent trials without the event, at least 0.
        level: Coverage, strictly between 0 and 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> round(zero_bound(100), 4)
    0.0295
    """
    _check(trials, level)
    return -expm1(log1p(-level) / trials) if trials else 1.0


def _low(successes: int, trials: int, tail: float) -> float:
    if successes == 0:
        return 0.0
    if successes == trials:
        return float(tail ** (1 / trials))
    return float(betaincinv(successes, trials - successes + 1, tail))


def _check(trials: int, level: float) -> None:
    if trials < 0:
        raise InputError("trials", f"must be an integer of at least 0, got {trials}")
    if not 0 < level < 1:
        raise InputError("level", f"must be above 0 and below 1, got {level:g}")
