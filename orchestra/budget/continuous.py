"""The risk of averaged numbers in a star, a chain and a tree: the second predictor, for outputs that are no votes.

A leaf errs with variance v0; errors of siblings have correlation rho; every message adds independent noise of variance
`noise` (sigma_c^2); nodes average (phase_transition.md A.4, B.6; arXiv 2601.17311). In a tree rho acts on each level,
so that its floor vanishes with depth; a star's, rho v0, does not. A prompt that all agents share behaves like the star.

Averaging knows no ties: an even fan-in counts in full. All numbers broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestra.budget.domain import (
    BETA,
    BUDGET,
    LARGEST_DEPTH,
    LARGEST_FAN_IN,
    MESSAGE_TOKENS,
    ROUNDING,
    VARIANCE,
    FloatArray,
    Numbers,
    refuse_outside,
)

_DEEPEST = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Averaging:
    """Whose outputs are averaged, and how they err.

    Raises:
        InputError: A value is outside its domain.
    """

    variance: Numbers
    """v0, the variance of a leaf's error, 0 to 1e100."""
    noise: Numbers
    """sigma_c^2, the variance that a message adds, 0 to 1e100."""
    rho: Numbers = 0.0
    """Correlation of the errors of siblings, 0 to 1."""

    def __post_init__(self) -> None:
        refuse_outside("variance", self.variance, **VARIANCE)
        refuse_outside("noise", self.noise, **VARIANCE)
        refuse_outside("rho", self.rho, least=0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragingTree:
    """A full tree of averages that spends a budget."""

    depth: int
    leaves: int
    compute_per_leaf: float
    risk: float


def star_risk(source: Averaging, leaves: Numbers) -> FloatArray:
    """Return v0 [rho + (1-rho)/N] + sigma_c^2/N, for N of at least 1 leaves whose messages one node reads (B.6)."""
    refuse_outside("leaves", leaves, least=1)
    return np.asarray(source.variance * (source.rho + (1 - source.rho) / leaves) + source.noise / leaves)


def chain_risk(source: Averaging, leaves: Numbers) -> FloatArray:
    """Return v0 [rho + (1-rho)/N] + sigma_c^2 (N-1)(2N-1)/(6N), where a running mean is handed on (derived, B.6)."""
    refuse_outside("leaves", leaves, least=1)
    count = np.asarray(leaves, dtype=np.float64)
    shared = source.variance * (source.rho + (1 - source.rho) / count)
    return np.asarray(shared + source.noise * (count - 1) * (2 * count - 1) / (6 * count))


def best_chain(source: Averaging) -> FloatArray:
    """Return the whole number of agents with which a chain has its least risk: about sqrt(3 (1-rho) v0/sigma_c^2).

    The exact minimum over real N is sqrt((3 (1-rho) v0)/sigma_c^2 + 1/2); infinite without noise, at least 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        independent = np.asarray((1 - source.rho) * source.variance)
        real = np.where(independent > 0, np.sqrt(3 * independent / source.noise + 0.5), 1.0)
    is_finite = np.isfinite(real)
    low = np.maximum(np.floor(np.where(is_finite, real, 1.0)), 1.0)
    whole = np.where(chain_risk(source, low + 1) < chain_risk(source, low), low + 1, low)
    return np.where(is_finite, whole, np.inf)


def contraction(rho: Numbers, fan_in: int) -> FloatArray:
    """Return K = rho + (1-rho)/b, what a level of a tree leaves of the variance (B.6)."""
    _refuse_fan_in(fan_in)
    refuse_outside("rho", rho, least=0, most=1)
    return np.asarray(rho + (1 - np.asarray(rho)) / fan_in)


def growth_exponent(rho: Numbers, fan_in: int) -> FloatArray:
    """Return t = -log_b K, 0 to 1, which stands for s in the allocation of averaged outputs (A.3, B.6).

    >>> float(growth_exponent(0.0, 5))
    1.0
    """
    return np.asarray(np.abs(np.log(contraction(rho, fan_in)) / np.log(fan_in)))


def tree_risk(source: Averaging, fan_in: int, depth: Numbers) -> FloatArray:
    """Return v_L = K^L v0 + (sigma_c^2/b)(1-K^L)/(1-K), the solution of v_{l+1} = K v_l + sigma_c^2/b (B.6).

    For rho = 1, where K is 1, it is v0 + L sigma_c^2/b.
    """
    refuse_outside("depth", depth, least=0, most=LARGEST_DEPTH)
    kept = contraction(source.rho, fan_in)
    power = np.power(kept, depth)
    levels = np.where(kept < 1, (1 - power) / np.where(kept < 1, 1 - kept, 1.0), depth)
    return np.asarray(power * source.variance + np.asarray(source.noise) / fan_in * levels)


def tree_fixed_point(source: Averaging, fan_in: int) -> FloatArray:
    """Return v* = sigma_c^2 / [(b-1)(1-rho)], the risk of a deep tree (A.4); NaN for rho = 1, where there is none.

    >>> float(tree_fixed_point(Averaging(variance=1.0, noise=0.4, rho=0.2), 5))
    0.125
    """
    _refuse_fan_in(fan_in)
    free = (fan_in - 1) * (1 - np.asarray(source.rho))
    return np.where(free > 0, source.noise / np.where(free > 0, free, 1.0), np.nan)


def averaging_trees(
    source: Averaging, fan_in: int, *, budget: float, beta: float, message_tokens: float
) -> tuple[AveragingTree, ...]:
    """Return the full trees that a budget affords, by depth from 0 on, which is one agent.

    The variance of `source` is that of one agent that spends the whole budget B; a leaf with compute x has
    v0 (B/x)^beta. A tree of N leaves costs N x + c0 (N-1) with c0 = 2 m b/(b-1), as in A.3.

    Args:
        source: One source of numbers.
        fan_in: Messages per node, at least 2.
        budget: Compute in tokens, 1 to 1e15.
        beta: Return on compute: the variance falls as x^-beta; 0 to 10.
        message_tokens: Tokens of one message, 1 to 10,000,000.
    """
    _refuse_fan_in(fan_in)
    refuse_outside("budget", budget, **BUDGET)
    refuse_outside("beta", beta, **BETA)
    refuse_outside("message_tokens", message_tokens, **MESSAGE_TOKENS)
    c0 = 2 * message_tokens * fan_in / (fan_in - 1)
    trees = []
    for depth in range(_DEEPEST):
        leaves = fan_in**depth
        compute = (budget - c0 * (leaves - 1)) / leaves
        if compute <= 0:
            break
        variance = min(float(source.variance) * (budget / compute) ** beta, VARIANCE["most"])
        leaf = Averaging(variance=variance, noise=source.noise, rho=source.rho)
        risk = float(tree_risk(leaf, fan_in, depth))
        trees.append(AveragingTree(depth=depth, leaves=leaves, compute_per_leaf=compute, risk=risk))
    return tuple(trees)


def is_ahead(trees: tuple[AveragingTree, ...]) -> bool:
    """Tell whether one of the trees has a lower risk than the first of them, one agent."""
    return min(tree.risk for tree in trees) < trees[0].risk * (1 - ROUNDING)


def _refuse_fan_in(fan_in: int) -> None:
    refuse_outside("fan_in", fan_in, least=2, most=LARGEST_FAN_IN)
