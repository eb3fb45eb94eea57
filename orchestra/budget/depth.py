"""What levels are worth: the bias by depth, depths that suffice, and bounds that need no recursion.

Equations: phase_transition.md B.5 (arXiv 2601.17311 for the recursion; depths, bounds and the conservative predictor
are derived there). Every `mu0` is the bias of a leaf, 0 to 1; every `depth` counts levels of joints, so that a tree of
depth L has b^L leaves.
"""

from __future__ import annotations

import numpy as np

from orchestra.budget.domain import LARGEST_DEPTH, ROUNDING, FloatArray, Numbers, refuse_outside
from orchestra.budget.joint import Joint, alpha, odd_fan_in, step, step_slope
from orchestra.budget.phase import fixed_point

WITHIN = 0.1
"""Fraction of mu* that may be missing where a tree counts as mixed."""
_HALVINGS = 64


def bias_by_depth(mu0: Numbers, joint: Joint, depth: int) -> FloatArray:
    """Return mu_0 to mu_depth, the recursion mu_{l+1} = T(mu_l) (A.2), in the shape (depth + 1, *broadcast).

    >>> bias_by_depth(0.05, Joint(fan_in=5, gamma=0.6, rho=0.2), 30)[[0, 10, 30]].round(4).tolist()
    [0.05, 0.0606, 0.088]
    """
    refuse_outside("mu0", mu0, least=0, most=1)
    refuse_outside("depth", depth, least=0, most=LARGEST_DEPTH)
    shape = np.broadcast_shapes(np.shape(mu0), np.shape(joint.fan_in), np.shape(joint.gamma), np.shape(joint.rho))
    levels = np.empty((depth + 1, *shape))
    levels[0] = mu0
    for level in range(depth):
        levels[level + 1] = step(levels[level], joint)
    return levels


def growth_depth(mu0: Numbers, joint: Joint) -> FloatArray:
    """Return L_grow = ln(mu*/mu0) / ln(alpha), the levels that a weak signal needs to grow to mu* (B.5).

    0 where mu0 is at least mu*, infinite for mu0 = 0, NaN where nothing grows (alpha at most 1).
    """
    refuse_outside("mu0", mu0, least=0, most=1)
    gain = alpha(joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.maximum(np.log(fixed_point(joint) / mu0) / np.log(gain), 0.0)
    return np.where(gain - 1 > ROUNDING, levels, np.nan)


def mixing_depth_estimate(mu0: Numbers, joint: Joint, within: float = WITHIN) -> FloatArray:
    """Return L(eps) = L_grow + ln(1/eps) / ln(1/T'(mu*)), up to 20 % too many near criticality (B.5).

    Args:
        mu0: Bias of a leaf, 0 to 1.
        joint: The joint.
        within: eps, the fraction of mu* that may be missing, above 0 and below 1.
    """
    refuse_outside("within", within, above=0, most=1)
    slope = step_slope(np.nan_to_num(fixed_point(joint)), joint)
    with np.errstate(divide="ignore"):
        return np.asarray(growth_depth(mu0, joint) + np.log(within) / np.log(slope))


def mixing_depth(mu0: Numbers, joint: Joint, within: float = WITHIN) -> FloatArray:
    """Return the least depth whose bias is within a fraction of mu*, counted by the recursion (B.5).

    NaN where it never is (nothing grows, mu0 = 0) or not within 10,000 levels. A leaf above mu* comes down to it.

    >>> float(mixing_depth(0.05, Joint(fan_in=3, gamma=0.9, rho=0.1)))
    13.0
    """
    refuse_outside("mu0", mu0, least=0, most=1)
    goal = fixed_point(joint)
    bias = np.asarray(mu0 + np.zeros_like(goal))
    found = np.full(bias.shape, np.nan)
    is_open = (goal > 0) & (bias > 0)
    for level in range(LARGEST_DEPTH + 1):
        is_there = is_open & (np.abs(bias - goal) <= within * goal)
        found[is_there] = level
        is_open &= ~is_there
        if not np.any(is_open):
            break
        bias = step(bias, joint)
    return found


def leaves_worth_buying(mu0: Numbers, joint: Joint) -> FloatArray:
    """Return N_mix = b^L_grow = (mu*/mu0)^(1/s), the leaves after which little is left to gain (B.5)."""
    with np.errstate(over="ignore"):
        return np.asarray(np.power(np.asarray(odd_fan_in(joint.fan_in), dtype=np.float64), growth_depth(mu0, joint)))


def upper_bias(mu0: Numbers, joint: Joint, depth: Numbers) -> FloatArray:
    """Return min(mu*, alpha^depth mu0), which no tree of that depth exceeds (B.5).

    Where a leaf is above mu* (or mu* is 0), mu0 stands in for mu*: the bias comes down from there.
    """
    refuse_outside("mu0", mu0, least=0, most=1)
    refuse_outside("depth", depth, least=0)
    return np.minimum(np.fmax(fixed_point(joint), mu0), _grown(alpha(joint), depth, mu0))


def safe_gain(clip: Numbers, joint: Joint) -> FloatArray:
    """Return alpha_c = T(mu_c)/mu_c, the least gain per level up to the bias `clip`, above 0 and at most mu* (B.5)."""
    refuse_outside("clip", clip, above=0, most=1)
    return np.asarray(step(clip, joint) / clip)


def safe_exponent(clip: Numbers, joint: Joint) -> FloatArray:
    """Return s_c = log_b(alpha_c) < s: where it is above beta, a tree pays up to the bias `clip` for sure (B.5)."""
    return np.asarray(np.log(safe_gain(clip, joint)) / np.log(odd_fan_in(joint.fan_in)))


def lower_bias(mu0: Numbers, joint: Joint, depth: Numbers, *, clip: Numbers | None = None) -> FloatArray:
    """Return the conservative predictor min(mu_c, alpha_c^depth mu0), which every tree of that depth reaches (B.5).

    It is rigorous, by concavity, for mu0 up to mu*. A leaf above mu* never comes below mu*, which is the bound there.

    Args:
        mu0: Bias of a leaf, 0 to 1.
        joint: The joint.
        depth: Levels; an array broadcasts.
        clip: mu_c; what is above mu* counts as mu*. None takes the mu_c with the highest bound at each depth.
    """
    refuse_outside("mu0", mu0, least=0, most=1)
    refuse_outside("depth", depth, least=0)
    goal = np.fmax(fixed_point(joint), 0.0)
    if clip is not None:
        refuse_outside("clip", clip, above=0, most=1)
    chosen = _best_clip(mu0, joint, depth, goal) if clip is None else np.minimum(clip, goal)
    ratio = np.divide(step(chosen, joint), chosen, out=np.ones(np.shape(chosen)), where=chosen > 0)
    return np.where(np.asarray(mu0) < goal, np.minimum(chosen, _grown(ratio, depth, mu0)), goal)


def _best_clip(mu0: Numbers, joint: Joint, depth: Numbers, goal: FloatArray) -> FloatArray:
    """Return where mu_c, which rises, meets alpha_c^depth mu0, which falls, by bisection from below."""
    high = np.asarray(goal + np.zeros_like(np.asarray(depth) + np.asarray(mu0)))
    low = np.zeros_like(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ratio = np.divide(step(middle, joint), middle, out=np.ones_like(middle), where=middle > 0)
        is_below = middle <= _grown(ratio, depth, mu0)
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return low


def _grown(gain: FloatArray, depth: Numbers, mu0: Numbers) -> FloatArray:
    """Return gain^depth mu0, without warning where that is too large for a number."""
    with np.errstate(over="ignore", under="ignore"):
        return np.where(np.asarray(mu0) > 0, np.power(gain, depth), 0.0) * mu0
