"""Where aggregation grows a weak signal and where it loses it: fixed point, exponent, critical lines, the phase grid.

The theorem (arXiv 2601.17311, A.2): where alpha is at most 1 the bias of a deep tree goes to 0; above 1 it goes to one
mu* from any start above 0, because the map is concave and 0 at 0 (B.1). At equal budget, far from saturation, a tree
beats the best single agent exactly where s = log_b(alpha) is above beta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.budget.domain import BETA, ROUNDING, Counts, FloatArray, Numbers, refuse_outside
from orchestra.budget.joint import Joint, Share, alpha, copied_slope, majority, majority_slope, odd_fan_in

COLLAPSE, SATURATION, SYNERGY, UNSURE = range(4)
"""The codes of `PhaseGrid.regime`."""

_NEWTON_STEPS = 64
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseGrid:
    """The phase diagram on a grid: rows are the values of rho, columns those of gamma."""

    alpha: FloatArray
    """Gain of a weak signal per level."""
    fixed_point: FloatArray
    """Bias of a deep tree; NaN where gamma and rho are 1, where every bias stays as it is."""
    exponent: FloatArray
    """s = log_b(alpha)."""
    regime: NDArray[np.int8]
    """COLLAPSE, SATURATION or SYNERGY, for a budget as large as needed; UNSURE for the last two without a beta."""


def exponent(joint: Joint) -> FloatArray:
    """Return s = log_b(alpha) (A.2): a weak signal grows as the number of leaves to the power s; below 1/2 (B.3).

    >>> round(float(exponent(Joint(fan_in=5, gamma=0.9, rho=0.1))), 3)
    0.295
    """
    return np.asarray(np.log(alpha(joint)) / np.log(odd_fan_in(joint.fan_in)))


def fixed_point(joint: Joint) -> FloatArray:
    """Return mu*, the bias of deep trees: 0 where alpha is at most 1, else the one root of T(mu) = mu above 0 (A.2).

    T(mu)/mu is a decreasing, convex function of mu^2, so that Newton's method from the left never overshoots; for
    b = 3 its first step is the closed form mu*^2 = 2 (alpha-1) / ((1-rho) gamma^3) (B.1). Without loss (gamma = 1)
    mu* is 1 for rho < 1; for rho = 1 too the map is the identity, no bias is special, and the result is NaN.

    >>> round(float(fixed_point(Joint(fan_in=3, gamma=0.9, rho=0.1))), 4)
    0.9642
    """
    gain = alpha(joint)
    fan_in, gamma, rho, copied = np.broadcast_arrays(joint.fan_in, joint.gamma, joint.rho, copied_slope(joint))
    found = np.where(gamma == 1, np.where(rho == 1, np.nan, 1.0), 0.0)
    is_open = (gain - 1 > ROUNDING) & (gamma < 1)
    if np.any(is_open):
        fan_ins: Counts = joint.fan_in if isinstance(joint.fan_in, int) else fan_in[is_open]
        found[is_open] = _root(fan_ins, gamma[is_open], rho[is_open], copied[is_open], gain[is_open] - 1)
    return found


def _root(fan_in: Counts, gamma: FloatArray, rho: FloatArray, copied: FloatArray, excess: FloatArray) -> FloatArray:
    """Return mu > 0 with T(mu)/mu = 1 where T(mu)/mu - 1 is `excess` > 0 at 0; one-dimensional arrays."""
    half_width = (odd_fan_in(fan_in) - 1) / 2
    free = (1 - rho) * gamma
    bend_at_0 = majority_slope(0.0, fan_in) * half_width / 3
    squared = excess / (free * gamma * gamma * bend_at_0)
    for _ in range(_NEWTON_STEPS):
        bias = gamma * np.sqrt(np.minimum(squared, 1.0))
        ratio = majority(bias, fan_in) / bias
        bend = (ratio - majority_slope(bias, fan_in)) / (2 * bias * bias)
        bend = np.where(half_width * bias * bias < 1e-6, bend_at_0, bend)  # the difference above cancels there
        change = (copied + free * ratio - 1) / (free * gamma * gamma * bend)
        squared = squared + change
        if np.all(np.abs(change) <= 1e-14 * squared):
            break
    return np.asarray(np.sqrt(np.clip(squared, 0.0, 1.0)))


def critical_rho(fan_in: Counts, gamma: Numbers, *, share: Share = "after", exponent: Numbers = 0.0) -> FloatArray:
    """Return the rho from which on signals collapse: (f' - 1/gamma) / (f' - 1) after the channel (B.1).

    It is 0 where they collapse at any rho, and 1 for gamma = 1, which does not collapse for any rho below 1.

    Args:
        fan_in: Messages per node, 3 to 1,000,000.
        gamma: Correlation of read with sent messages, above 0 to 1.
        share: Where copies are made.
        exponent: With a number above 0, the rho from which on s is at most this number.

    >>> round(float(critical_rho(5, 0.6)), 3), float(critical_rho(3, 0.6))
    (0.238, 0.0)
    """
    refuse_outside("exponent", exponent, least=0)
    top = alpha(Joint(fan_in=fan_in, gamma=gamma, share=share))
    bottom = alpha(Joint(fan_in=fan_in, gamma=gamma, rho=1.0, share=share))
    spare = np.asarray(top - _gain_for(exponent, fan_in))
    is_open = spare > 0
    return np.where(is_open, np.minimum(spare / np.where(is_open, top - bottom, 1.0), 1.0), 0.0)


def critical_gamma(fan_in: Counts, rho: Numbers, *, share: Share = "after", exponent: Numbers = 0.0) -> FloatArray:
    """Return the gamma up to which signals collapse: 1 / (rho + (1-rho) f') after the channel (B.1).

    Before the channel it is the root of rho f_b(gamma) + (1-rho) f' gamma = 1, by Newton's method from the left.

    Args:
        fan_in: Messages per node, 3 to 1,000,000.
        rho: Share of nodes whose messages are copies, 0 to 1.
        share: Where copies are made.
        exponent: With a number above 0, the gamma up to which s is at most this number; NaN where s is so at any.

    >>> [round(float(critical_gamma(b, 0.0)), 3) for b in (3, 5, 7)]
    [0.667, 0.533, 0.457]
    """
    refuse_outside("exponent", exponent, least=0)
    wanted = _gain_for(exponent, fan_in)
    lossless = alpha(Joint(fan_in=fan_in, rho=rho))
    found = np.asarray(wanted / lossless)
    if share == "before":
        found = _critical_gamma_before(fan_in, rho, np.asarray(wanted))
    return np.where(wanted > lossless * (1 + ROUNDING), np.nan, np.minimum(found, 1.0))


def _critical_gamma_before(fan_in: Counts, rho: Numbers, wanted: FloatArray) -> FloatArray:
    slope = majority_slope(0.0, fan_in)
    gamma = np.minimum(np.asarray(wanted / slope + np.zeros_like(rho)), 1.0)
    for _ in range(_NEWTON_STEPS):
        lacking = wanted - rho * majority(gamma, fan_in) - (1 - np.asarray(rho)) * slope * gamma
        rising = rho * majority_slope(gamma, fan_in) + (1 - np.asarray(rho)) * slope
        change = np.divide(lacking, rising, out=np.zeros_like(gamma), where=rising > 0)
        gamma = np.clip(gamma + change, 0.0, 1.0)
        if np.all(np.abs(change) <= 1e-15):
            break
    return np.asarray(gamma)


def _gain_for(exponent: Numbers, fan_in: Counts) -> FloatArray:
    return np.asarray(np.power(np.asarray(odd_fan_in(fan_in), dtype=np.float64), exponent))


def phase_grid(
    fan_in: int, gammas: FloatArray, rhos: FloatArray, *, beta: float | None = None, share: Share = "after"
) -> PhaseGrid:
    """Return the phase diagram over all pairs of a gamma and a rho; blocks keep memory to little but the result.

    Args:
        fan_in: Messages per node.
        gammas: One-dimensional, the columns.
        rhos: One-dimensional, the rows.
        beta: Return on compute of one agent; None leaves open whether a tree pays where signals grow.
        share: Where copies are made.
    """
    if beta is not None:
        refuse_outside("beta", beta, **BETA)
    shape = (len(rhos), len(gammas))
    gain, fixed, powers = (np.empty(shape) for _ in range(3))
    regime = np.empty(shape, dtype=np.int8)
    rows = max(1, _BLOCK // max(1, len(gammas)))
    for first in range(0, len(rhos), rows):
        block = slice(first, first + rows)
        joint = Joint(fan_in=fan_in, gamma=gammas, rho=rhos[block, np.newaxis], share=share)
        gain[block], fixed[block], powers[block] = alpha(joint), fixed_point(joint), exponent(joint)
        regime[block] = _regimes(gain[block], powers[block], np.asarray(gammas), beta)
    return PhaseGrid(alpha=gain, fixed_point=fixed, exponent=powers, regime=regime)


def _regimes(gain: FloatArray, powers: FloatArray, gammas: FloatArray, beta: float | None) -> NDArray[np.int8]:
    grown: FloatArray | int = UNSURE if beta is None else np.where(powers - beta > ROUNDING, SYNERGY, SATURATION)
    return np.asarray(np.where((gain - 1 <= ROUNDING) & (gammas < 1), COLLAPSE, grown), dtype=np.int8)
