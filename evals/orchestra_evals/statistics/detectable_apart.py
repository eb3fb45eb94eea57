"""Effects that a comparison on different samples can find: power of the test of two independent proportions."""

from __future__ import annotations

from math import sqrt

from scipy.special import ndtr, ndtri

from orchestra.budget.domain import UNIT, refuse_outside
from orchestra_evals.statistics.aims import LEVEL, POWER, check_aims, least_count, least_effect


def unpaired_power(n: float, effect: float, base: float, *, level: float = LEVEL) -> float:
    """Return about with what probability two systems on `n` samples each are told apart, in the right direction.

    It is the normal approximation of the pooled two-sample z test (Fleiss, Levin and Paik 2003, 4.14 without their
    correction), off by a few hundredths where fewer than about five samples of a system are right, or wrong.

    Args:
        n: Independent samples of each system, at least 0.
        effect: Difference of the probabilities to be right, 0 to 1 - base.
        base: Probability of the worse system to be right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
    """
    refuse_outside("n", n, least=0)
    refuse_outside("base", base, **UNIT)
    refuse_outside("effect", effect, least=0, most=1 - base)
    check_aims(level=level)
    better = base + effect
    pooled = (base + better) / 2
    spread = sqrt(base * (1 - base) + better * (1 - better))
    beyond = sqrt(n) * effect + float(ndtri(level / 2)) * sqrt(2 * pooled * (1 - pooled))
    if spread == 0:
        return float(beyond > 0)
    return float(ndtr(beyond / spread))


def mde_unpaired(
    n: int,
    base: float,
    *,
    level: float = LEVEL,
    power: float = POWER,
    comparisons: int = 1,
    design_effect: float = 1.0,
) -> float | None:
    """Return the least improvement on `base` that is found with probability `power`, None where not even 1 - base is.

    Args:
        n: Samples of each system, at least 0.
        base: Probability of the worse system to be right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
        power: Strictly between 0 and 1.
        comparisons: Tests in the family. Each has level/comparisons (Bonferroni); Holm's method never gives it less.
        design_effect: Times that clusters enlarge the variance, at least 1: n samples tell as much as n/design_effect.

    >>> round(mde_unpaired(200, 0.5), 3)
    0.138
    """
    check_aims(level=level, power=power, comparisons=comparisons, design_effect=design_effect)
    return least_effect(
        lambda effect: unpaired_power(n / design_effect, effect, base, level=level / comparisons),
        power=power,
        most=1 - base,
    )


def samples_for_unpaired(
    effect: float,
    base: float,
    *,
    level: float = LEVEL,
    power: float = POWER,
    comparisons: int = 1,
    design_effect: float = 1.0,
) -> int | None:
    """Return the samples of each system after which an improvement is found, None above `MOST_SAMPLES`.

    Args:
        effect: Difference of the probabilities to be right, above 0 and at most 1 - base.
        base: Probability of the worse system to be right, 0 to 1.
        level: Of the two-sided test, strictly between 0 and 1.
        power: Strictly between 0 and 1.
        comparisons: Tests in the family, as for `mde_unpaired`.
        design_effect: As for `mde_unpaired`.

    >>> samples_for_unpaired(0.1, 0.5)
    388
    """
    refuse_outside("effect", effect, above=0, most=1 - base)
    check_aims(level=level, power=power, comparisons=comparisons, design_effect=design_effect)
    return least_count(
        lambda n: unpaired_power(n / design_effect, effect, base, level=level / comparisons), power=power
    )
