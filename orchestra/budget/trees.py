"""What a budget buys: one agent that spends it all, or a full tree of agents that pay for their messages.

A leaf with compute x has bias min(1, kappa x^beta). Each of the b(N-1)/(b-1) messages of a tree with N = b^L leaves is
written once and read once, so that it costs N x + c0 (N-1) with c0 = 2 m b/(b-1) (A.3, B.4 of phase_transition.md;
arXiv 2601.17311). The continuous optimum says how large leaves should be; whether a tree pays is decided by the exact
comparison over depths, because at the threshold N is only about 2 and because biases saturate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from scipy.special import xlogy

from orchestra.budget.domain import BETA, BUDGET, KAPPA, MESSAGE_TOKENS, ROUNDING, FloatArray, Numbers, refuse_outside
from orchestra.budget.joint import Joint, odd_fan_in, step

_DEEPEST = 64
_REACH = 1e12
"""How many times larger budgets are looked at before none is said to help."""
_LOOKS = 240
_WEAK = 1e-9
"""Bias of one agent with the whole budget where kappa is not known: so small that nothing saturates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What agents and messages cost and bring.

    Raises:
        InputError: A value is outside its domain.
    """

    beta: float
    """Return on compute: a leaf's bias grows as x^beta; 0 to 10."""
    message_tokens: float
    """Tokens of one message, 1 to 10,000,000."""
    kappa: float | None = None
    """Bias of an agent with compute 1, 1e-12 to 1,000,000; None is the limit of weak signals, where it drops out."""

    def __post_init__(self) -> None:
        refuse_outside("beta", self.beta, **BETA)
        refuse_outside("message_tokens", self.message_tokens, **MESSAGE_TOKENS)
        if self.kappa is not None:
            refuse_outside("kappa", self.kappa, **KAPPA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The continuous optimum of a large tree; None is what was not said, or what does not exist."""

    threshold_budget: float | None = None
    """Where the tree is as good as one agent; None where s <= beta, for then it never is."""
    compute_per_leaf: float | None = None
    """x*; the whole budget where s <= beta."""
    leaves: float | None = None
    """N*, a real number; 1 where s <= beta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A full tree that spends a budget; depth 0 is one agent alone."""

    depth: int
    leaves: int
    compute_per_leaf: float
    leaf_bias: float | None
    """None where kappa is not known."""
    bias: float | None
    """Bias of the root; None where kappa is not known."""
    ratio: float
    """Bias over that of one agent with the whole budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every full tree that a budget affords, beside one agent that spends it all."""

    one_agent: Tree
    trees: tuple[Tree, ...]
    """By depth, from 1 on; empty where the budget does not pay for the messages of the smallest."""
    best: Tree | None
    """The tree with the highest bias, of equals the smallest."""
    is_ahead: bool
    """Whether the best tree beats the one agent."""
    advantage: float | None
    """Bias of the best tree less that of the one agent; None without a tree or kappa."""


def leaf_bias(compute: Numbers, beta: float, kappa: float) -> FloatArray:
    """Return min(1, kappa x^beta), the bias of an agent with compute x of at least 0 (A.1)."""
    refuse_outside("compute", compute, least=0)
    return np.minimum(1.0, kappa * np.power(np.asarray(compute, dtype=np.float64), beta))


def overhead(fan_in: int, message_tokens: float) -> float:
    """Return c0 = 2 m b/(b-1), what messages cost per leaf but the first (A.3); b is the odd fan-in.

    >>> overhead(3, 50)
    150.0
    """
    odd = int(odd_fan_in(fan_in))
    return 2 * message_tokens * odd / (odd - 1)


def optimal_compute(beta: Numbers, exponent: Numbers, c0: Numbers) -> FloatArray:
    """Return x* = beta c0/(s-beta), the best compute of a leaf in a large tree; infinite where s <= beta (A.3).

    >>> round(float(optimal_compute(0.2, 0.369, 150)), 1)
    177.5
    """
    ahead = np.asarray(exponent) - beta
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ahead > ROUNDING, beta * np.asarray(c0) / ahead, np.inf)


def optimal_leaves(budget: Numbers, beta: Numbers, exponent: Numbers, c0: Numbers) -> FloatArray:
    """Return N* = B/(x* + c0), a real number; 1 where s <= beta, for then all goes into one agent (A.3)."""
    compute = optimal_compute(beta, exponent, c0)
    return np.where(np.isfinite(compute), budget / (compute + c0), 1.0)


def threshold_budget(beta: Numbers, exponent: Numbers, c0: Numbers) -> FloatArray:
    """Return B_th = c0/(s-beta) (s^s/beta^beta)^(1/(s-beta)), infinite where s <= beta (derived, B.4).

    There the continuous tree is as good as one agent, with about 2 leaves: the first full tree decides (`compare`).

    >>> round(float(threshold_budget(0.2, 0.369, 150)), 1)
    676.1
    """
    ahead = np.asarray(exponent) - beta
    is_ahead = ahead > ROUNDING
    safe = np.where(is_ahead, ahead, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.exp((xlogy(exponent, exponent) - xlogy(beta, beta)) / safe)
        return np.where(is_ahead, np.asarray(c0) / safe * power, np.inf)


def allocate(beta: float, exponent: float, c0: float, budget: float | None) -> Allocation:
    """Return how a tree with growth exponent s (t, for averages) spends a budget: the continuous optimum (A.3)."""
    compute, threshold = float(optimal_compute(beta, exponent, c0)), float(threshold_budget(beta, exponent, c0))
    return Allocation(
        threshold_budget=threshold if isfinite(threshold) else None,
        compute_per_leaf=compute if isfinite(compute) else budget,
        leaves=None if budget is None else float(optimal_leaves(budget, beta, exponent, c0)),
    )


def saturation_budget(fixed_point: Numbers, beta: float, kappa: float) -> FloatArray:
    """Return (mu*/kappa)^(1/beta), the budget at which one agent passes mu* and no tree pays any more (B.4)."""
    ratio = np.asarray(fixed_point) / kappa
    if beta == 0:
        return np.where(ratio > 1, np.inf, 0.0)
    with np.errstate(over="ignore"):
        return np.asarray(np.power(ratio, 1 / beta))


def compute_per_leaf(budget: Numbers, fan_in: int, depth: int, message_tokens: float) -> FloatArray:
    """Return x = (B - c0 (N-1))/N of a full tree, NaN where the budget does not pay for the messages."""
    leaves = float(odd_fan_in(fan_in)) ** depth
    left = np.asarray(budget - overhead(fan_in, message_tokens) * (leaves - 1))
    return np.where(left > 0, left / leaves, np.nan)


def tree_bias(budget: Numbers, joint: Joint, depth: int, curve: Curve, kappa: float) -> FloatArray:
    """Return the bias of the root of a full tree that spends a budget; NaN where the budget is too small.

    Args:
        budget: Compute in tokens; an array broadcasts.
        joint: One joint.
        depth: Levels; 0 is one agent.
        curve: What agents and messages cost and bring.
        kappa: Bias of an agent with compute 1.
    """
    compute = compute_per_leaf(budget, _one_fan_in(joint), depth, curve.message_tokens)
    bias = np.where(np.isnan(compute), np.nan, leaf_bias(np.nan_to_num(compute), curve.beta, kappa))
    for _ in range(depth):
        bias = np.where(np.isnan(bias), np.nan, step(np.nan_to_num(bias), joint))
    return bias


def compare(joint: Joint, budget: float, curve: Curve) -> Comparison:
    """Return every full tree that a budget affords beside one agent that spends it all, exactly.

    Args:
        joint: One joint.
        budget: Compute in tokens, 1 to 1e15; messages are paid from it.
        curve: What agents and messages cost and bring.
    """
    refuse_outside("budget", budget, **BUDGET)
    kappa = _kappa(curve, budget)
    alone = float(tree_bias(budget, joint, 0, curve, kappa))
    trees = tuple(_tree(joint, budget, depth, curve, alone) for depth in _depths(joint, budget, curve))
    best = max(trees, key=lambda tree: (tree.ratio, -tree.depth), default=None)
    return Comparison(
        one_agent=_tree(joint, budget, 0, curve, alone),
        trees=trees,
        best=best,
        is_ahead=best is not None and best.ratio - 1 > ROUNDING,
        advantage=None if best is None or best.bias is None else best.bias - alone,
    )


def would_more_help(joint: Joint, budget: float, curve: Curve, end: float) -> bool:
    """Tell whether a tree beats one agent at some larger budget below `end` (up to 10^12 times as large).

    Args:
        joint: One joint.
        budget: The budget at hand, in tokens.
        curve: What agents and messages cost and bring, kappa among it.
        end: The budget from which on no tree pays: `saturation_budget`.
    """
    last = min(end, budget * _REACH)
    if not budget < last or curve.kappa is None:
        return budget < last
    budgets = np.geomspace(budget, last, _LOOKS)
    alone = tree_bias(budgets, joint, 0, curve, curve.kappa)
    for depth in _depths(joint, last, curve):
        is_ahead = tree_bias(budgets, joint, depth, curve, curve.kappa) > alone * (1 + ROUNDING)
        if np.any(is_ahead):
            return True
    return False


def _tree(joint: Joint, budget: float, depth: int, curve: Curve, alone: float) -> Tree:
    kappa = _kappa(curve, budget)
    compute = float(compute_per_leaf(budget, _one_fan_in(joint), depth, curve.message_tokens))
    bias = float(tree_bias(budget, joint, depth, curve, kappa))
    is_known = curve.kappa is not None
    return Tree(
        depth=depth,
        leaves=int(odd_fan_in(_one_fan_in(joint))) ** depth,
        compute_per_leaf=compute,
        leaf_bias=float(leaf_bias(compute, curve.beta, kappa)) if is_known else None,
        bias=bias if is_known else None,
        ratio=bias / alone,
    )


def _depths(joint: Joint, budget: float, curve: Curve) -> range:
    """Return the depths from 1 on whose messages the budget pays for."""
    depth = 1
    while depth <= _DEEPEST and compute_per_leaf(budget, _one_fan_in(joint), depth, curve.message_tokens) > 0:
        depth += 1
    return range(1, depth)


def _kappa(curve: Curve, budget: float) -> float:
    return _WEAK / budget**curve.beta if curve.kappa is None else curve.kappa


def _one_fan_in(joint: Joint) -> int:
    return int(joint.fan_in)
