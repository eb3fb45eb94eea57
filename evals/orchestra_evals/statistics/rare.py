"""The rate of a success so rare that attempts go on until enough of them were seen."""

from __future__ import annotations

from scipy.special import betaincinv

from orchestra.budget.domain import refuse_outside
from orchestra.budget.estimates import LEVEL, Estimate


def rare_rate(successes: int, attempts: int) -> Estimate:
    """Return (r - 1) / (n - 1), unbiased where attempts ended with the r-th success (Haldane 1945), with its interval.

    The exact 95 % interval is that of the negative binomial: the n-th attempt was a success, whatever the rate.

    Args:
        successes: r, fixed before, at least 2.
        attempts: n, the attempts that it took, at least r; attempts must be independent.

    >>> found = rare_rate(5, 1001)
    >>> found.value, round(found.low, 5), round(found.high, 5)
    (0.004, 0.00162, 0.01021)
    """
    refuse_outside("successes", successes, least=2)
    refuse_outside("attempts", attempts, least=successes)
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(successes, attempts - successes + 1, tail))
    high = float(betaincinv(successes, attempts - successes, 1 - tail)) if attempts > successes else 1.0
    return Estimate(value=(successes - 1) / (attempts - 1), low=low, high=high, basis="negative binomial", n=attempts)
