"""Tests of two systems on the same samples: McNemar's with mid-p, and its like for values between 0 and 1."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.special import bdtr

from orchestra.budget.domain import FloatArray, refuse_outside

DRAWS = 20_000
"""Arrangements that are drawn where there are too many to list."""

_LISTED, _BLOCK = 12, 1000
_ROUNDING = 1e-9


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """Return the two-sided mid-p value of McNemar's test: 2 P(X < x) + P(X = x), x the fewer of the two, at most 1.

    X is binomial of wins + losses trials and probability 1/2: given that two systems differ on a sample, either is as
    likely to be the right one if they are equally good. Half of the probability of what was seen is left out, which
    makes the test reject about as often as its level says, where the exact one is conservative (Fagerland, Lydersen and
    Laake 2013). Samples must be independent.

    Args:
        wins: Samples that only the first system has right, at least 0.
        losses: Samples that only the second has right, at least 0.

    >>> round(mcnemar_mid_p(1, 7), 4)
    0.0391
    """
    refuse_outside("wins", wins, least=0)
    refuse_outside("losses", losses, least=0)
    trials, fewer = wins + losses, min(wins, losses)
    if wins == losses:
        return 1.0
    below = float(bdtr(fewer - 1, trials, 0.5)) if fewer else 0.0
    return below + float(bdtr(fewer, trials, 0.5))


def sign_flip_mid_p(differences: FloatArray, *, rng: np.random.Generator) -> float:
    """Return the two-sided mid-p value of the paired permutation test.

    If two systems are equally good, a cluster's difference is as likely to have the other sign (Fisher 1935). The value
    is the share of arrangements of signs whose total is farther from 0 than the one seen, and half of those as far. For
    differences of 1, -1 and 0 it is that of McNemar's test. Up to twelve clusters that differ are listed exactly, else
    `DRAWS` arrangements are drawn, and the one seen is counted as one of them (Phipson and Smyth 2010).

    Args:
        differences: Sum of the differences of each cluster, shape (clusters,).
        rng: Draws the signs.
    """
    apart = np.abs(differences[differences != 0])
    if not len(apart):
        return 1.0
    seen = abs(float(differences.sum()))
    slack = _ROUNDING * float(apart.sum())
    if seen <= slack:
        return 1.0
    if len(apart) <= _LISTED:
        totals = np.abs(np.array(list(product((-1.0, 1.0), repeat=len(apart)))) @ apart)
        return float(_farther(totals, seen, slack) / len(totals))
    farther = 0.5
    for _ in range(DRAWS // _BLOCK):
        signs = 2.0 * rng.integers(0, 2, size=(_BLOCK, len(apart)), dtype=np.int8) - 1
        farther += _farther(np.abs(signs @ apart), seen, slack)
    return farther / (DRAWS + 1)


def _farther(totals: FloatArray, seen: float, slack: float) -> float:
    above = np.count_nonzero(totals > seen + slack)
    return float(above + (np.count_nonzero(totals >= seen - slack) - above) / 2)
