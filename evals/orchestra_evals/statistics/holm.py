"""Several tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestra.budget.domain import UNIT, refuse_outside


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values adjusted by Holm's step-down method (1979), in the order given.

    The i-th smallest of m is multiplied by m - i + 1, is at least as large as the adjusted one before, and at most 1.
    Rejecting where an adjusted value is at most the level errs anywhere in the family with at most that probability,
    however the tests depend on each other.

    Args:
        p_values: 0 to 1 each.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    given = np.asarray(p_values, dtype=np.float64)
    refuse_outside("p_values", given, **UNIT)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(adjusted.tolist())
