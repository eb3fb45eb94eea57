"""What numbers the laws accept: a value outside its range is refused by the name of the argument it came in."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestra_agents.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = float | FloatArray
"""A number, or an array of them that broadcasts with the other arguments."""
Counts: TypeAlias = int | NDArray[np.int64]

LARGEST_DEPTH = 10_000
"""Deepest tree whose levels are listed; its leaves are past counting long before."""
LARGEST_FAN_IN = 1_000_000
"""Most messages that one node may join."""
LARGEST_WINDOW = 10_000_000
"""Largest window, in tokens."""
Limits: TypeAlias = dict[str, float]
"""What a number may be at least, at most, or must be above: the keywords of `refuse_outside`."""

BETA: Limits = {"least": 0, "most": 10}
KAPPA: Limits = {"least": 1e-12, "most": 1_000_000}
BUDGET: Limits = {"least": 1, "most": 1e15}
MESSAGE_TOKENS: Limits = {"least": 1, "most": LARGEST_WINDOW}
WINDOW: Limits = {"least": 1, "most": LARGEST_WINDOW}
VARIANCE: Limits = {"least": 0, "most": 1e100}
UNIT: Limits = {"least": 0, "most": 1}

ROUNDING = 1e-12
"""Distance from a boundary within which a value counts as lying on it."""


def refuse_outside(
    field: str, value: object, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> None:
    """Refuse a number, or an array with one, that is outside a range or is not a finite number.

    Args:
        field: Name of the argument, as the error tells it.
        value: The number or array.
        least: Least value allowed.
        above: Value that all must be above.
        most: Largest value allowed.

    Raises:
        InputError: A value is outside.
    """
    numbers = np.asarray(value, dtype=np.float64)
    is_legal = np.isfinite(numbers)
    if least is not None:
        is_legal = is_legal & (numbers >= least)
    if above is not None:
        is_legal = is_legal & (numbers > above)
    if most is not None:
        is_legal = is_legal & (numbers <= most)
    if not np.all(is_legal):
        wrong = np.ravel(numbers)[int(np.argmin(np.ravel(is_legal)))]
        raise InputError(field, f"must be {_range(least, above, most)}, got {wrong:g}")


def _range(least: float | None, above: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"from {_plain(least)} to {_plain(most)}"
    lower = "" if above is None else f" above {_plain(above)}"
    lower = lower if least is None else f" of at least {_plain(least)}"
    return f"a finite number{lower}" if most is None else f"{lower.strip()} and at most {_plain(most)}"


def _plain(limit: float) -> str:
    return f"{limit:,.0f}" if limit == int(limit) and limit <= 1e15 else f"{limit:g}"
