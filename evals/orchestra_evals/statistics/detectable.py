"""Effects that a paired comparison can find: power of McNemar's test with mid-p, solved for effects and for samples."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln, ndtri, xlog1py, xlogy

from orchestra.budget.domain import UNIT, FloatArray, refuse_outside
from orchestra_evals.statistics.aims import LEVEL, POWER, check_aims, least_count, least_effect

_REACH = 9.0  # standard deviations beyond which a binomial's probability is below rounding


def paired_power(n: int, effect: float, discordance: float, *, level: float = LEVEL) -> float:
    """Return the probability that McNemar's mid-p test finds an effect, with its sign, on `n` independent pairs.

    It is summed over the number of samples on which the systems differ, Binomial(n, discordance), and over those of
    them that the better system has right. No effect is larger than the discordance: where it is given as smaller, the
    effect itself takes its place.

    Args:
        n: Samples that both systems answered, at least 0.
        effect: Difference of the probabilities to be right, 0 to 1.
        discordance: Probability that exactly one of the systems is right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
    """
    refuse_outside("n", n, least=0)
    refuse_outside("effect", effect, **UNIT)
    refuse_outside("discordance", discordance, **UNIT)
    check_aims(level=level)
    together = max(discordance, effect)
    if together == 0:
        return 0.0
    middle, reach = n * together, _REACH * (n * together * (1 - together)) ** 0.5 + _REACH
    first, last = max(0, int(middle - reach)), min(n, int(middle + reach))
    differing = np.arange(first, last + 1, dtype=np.int64)
    wins = _wins_needed(first, last, level)
    possible = wins <= differing
    found = bdtrc(np.where(possible, wins, 1) - 1, np.maximum(differing, 1), (1 + effect / together) / 2)
    return min(1.0, float(_mass(differing, n, together) @ np.where(possible, found, 0.0)))


def mde(
    n: int,
    discordance: float,
    *,
    level: float = LEVEL,
    power: float = POWER,
    comparisons: int = 1,
    design_effect: float = 1.0,
) -> float | None:
    """Return the least effect that a paired comparison finds with probability `power`, None where not even 1 is found.

    It is a difference of shares of right answers, 0 to 1. If it is larger than the discordance, it is the least effect
    of a system that is never worse on a sample.

    Args:
        n: Samples that both systems answered, at least 0.
        discordance: Probability that exactly one of the systems is right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
        power: Strictly between 0 and 1.
        comparisons: Tests in the family. Each has level/comparisons (Bonferroni); Holm's method never gives it less.
        design_effect: Times that clusters enlarge the variance, at least 1: n samples tell as much as n/design_effect.

    >>> round(mde(200, 0.25), 4)
    0.0973
    """
    refuse_outside("n", n, least=0)
    refuse_outside("discordance", discordance, **UNIT)
    check_aims(level=level, power=power, comparisons=comparisons, design_effect=design_effect)
    independent = int(n / design_effect)
    return least_effect(
        lambda effect: paired_power(independent, effect, discordance, level=level / comparisons), power=power
    )


def samples_for(
    effect: float,
    discordance: float,
    *,
    level: float = LEVEL,
    power: float = POWER,
    comparisons: int = 1,
    design_effect: float = 1.0,
) -> int | None:
    """Return the samples after which an effect is found with probability `power`, None above `MOST_SAMPLES`.

    One sample fewer would not do. As the number of right answers is an integer, power is not quite monotone in n.

    Args:
        effect: Difference of the probabilities to be right, above 0 and at most 1.
        discordance: Probability that exactly one of the systems is right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
        power: Strictly between 0 and 1.
        comparisons: Tests in the family, as for `mde`.
        design_effect: As for `mde`.

    >>> samples_for(0.1, 0.25)
    190
    """
    refuse_outside("effect", effect, above=0, most=1)
    refuse_outside("discordance", discordance, **UNIT)
    check_aims(level=level, power=power, comparisons=comparisons, design_effect=design_effect)
    independent = least_count(lambda n: paired_power(n, effect, discordance, level=level / comparisons), power=power)
    return None if independent is None else int(np.ceil(independent * design_effect))


@lru_cache(maxsize=16)  # the same again and again while an effect is solved for
def _wins_needed(first: int, last: int, level: float) -> NDArray[np.int64]:
    """Return the fewest wins that reject where systems differ on `first` to `last` samples; more than all is never."""
    differing = np.arange(first, last + 1, dtype=np.int64)
    start = np.ceil(differing / 2 - ndtri(level / 2) * np.sqrt(differing) / 2).astype(np.int64) - 3
    tried = np.clip(start[:, None] + np.arange(8), 0, differing[:, None])
    tails = bdtrc(tried - 1, differing[:, None], 0.5) + bdtrc(tried, differing[:, None], 0.5)
    enough = tails <= level
    return np.where(enough.any(axis=1), tried[np.arange(len(tried)), enough.argmax(axis=1)], differing + 1)


def _mass(counts: NDArray[np.int64], n: int, probability: float) -> FloatArray:
    """Return the binomial probability of each count."""
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    return np.asarray(np.exp(ways + xlogy(counts, probability) + xlog1py(n - counts, -probability)))
