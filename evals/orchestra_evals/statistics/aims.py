"""What a comparison aims at (level, power, the family it is in), and power solved for effects and for samples."""

from __future__ import annotations

from collections.abc import Callable

from orchestra.budget.domain import refuse_outside

LEVEL = 0.05
"""Probability with which two equally good systems are told apart."""
POWER = 0.8
"""Probability with which a detectable effect is found."""
MOST_SAMPLES = 10_000_000
"""More samples than this are not looked for."""

_HALVINGS = 30
_OPEN = 1e-12  # how close an open end of a range may be come to


def check_aims(*, level: float = LEVEL, power: float = POWER, comparisons: int = 1, design_effect: float = 1.0) -> None:
    """Refuse aims that no comparison can have.

    Args:
        level: Strictly between 0 and 1.
        power: Strictly between 0 and 1.
        comparisons: At least 1.
        design_effect: At least 1.

    Raises:
        InputError: One of them is outside.
    """
    refuse_outside("level", level, least=_OPEN, most=1 - _OPEN)
    refuse_outside("power", power, least=_OPEN, most=1 - _OPEN)
    refuse_outside("comparisons", comparisons, least=1)
    refuse_outside("design_effect", design_effect, least=1)


def least_effect(power_of: Callable[[float], float], *, power: float, most: float = 1.0) -> float | None:
    """Return the least effect from 0 to `most` whose power, which rises, is enough; None where it never is."""
    if power_of(most) < power:
        return None
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def least_count(power_of: Callable[[int], float], *, power: float) -> int | None:
    """Return a number of samples whose power is enough where that of one fewer is not, None above `MOST_SAMPLES`."""
    low, high = 0, 1
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > MOST_SAMPLES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high
