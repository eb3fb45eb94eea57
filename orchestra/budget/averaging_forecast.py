"""One question about a tree of averages and all that the theory says to it: `forecast phase --outputs continuous`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np

from orchestra.budget.continuous import (
    Averaging,
    AveragingTree,
    averaging_trees,
    best_chain,
    chain_risk,
    contraction,
    growth_exponent,
    is_ahead,
    star_risk,
    tree_fixed_point,
    tree_risk,
)
from orchestra.budget.domain import LARGEST_DEPTH, ROUNDING, refuse_outside
from orchestra.budget.regime import Binding, Judgement, Regime, Setting
from orchestra.budget.trees import Allocation, allocate


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragingQuestion:
    """What is known of agents whose numbers are averaged; None is left open, and so is what it decides."""

    fan_in: int
    source: Averaging
    """The variance is that of one agent; with a budget, of one that spends it all."""
    setting: Setting
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragingForecast:
    """What the theory says; keys that only votes have are None, the others stand for their counterparts (A.3, B.6)."""

    outputs: str = "continuous"
    alpha: float
    """1/K, the factor by which a level lowers the variance."""
    fixed_point: float | None
    """v*, the risk of a deep tree."""
    exponent: float
    """t = -log_b K."""
    regime: Regime
    binding: Binding | None
    reason: str
    bias_by_depth: None = None
    critical_rho: None = None
    critical_gamma: None = None
    mixing_depth: None = None
    threshold_budget: float | None
    compute_per_leaf: float | None
    leaves: float | None
    contraction: float
    """K = rho + (1-rho)/b."""
    risk_by_depth: list[float] | None
    """Of the tree."""
    star_by_depth: list[float] | None
    """Of a star with as many leaves, whatever the window."""
    chain_by_depth: list[float] | None
    """Of a chain with as many agents."""
    star_leaves: int | None
    """Most leaves of a star within the window."""
    star_risk: float | None
    best_chain: float | None
    """Agents with which a chain has its least risk; None where it has none."""
    best_chain_risk: float | None
    trees: list[AveragingTree] | None
    assumed: list[str]


def forecast_averaging(asked: AveragingQuestion) -> AveragingForecast:
    """Return all figures for a question.

    Raises:
        InputError: A value is outside its domain; the field is its name.
    """
    source, setting = asked.source, asked.setting
    kept = float(contraction(source.rho, asked.fan_in))
    goal = float(tree_fixed_point(source, asked.fan_in))
    longest, star_leaves = float(best_chain(source)), _star_leaves(setting)
    trees, spent = _trees(asked), _allocation(asked)
    tree, star, chain = _risks(asked)
    judged = _judge(asked, goal, trees)
    return AveragingForecast(
        alpha=1 / kept,
        fixed_point=None if isnan(goal) else goal,
        exponent=float(growth_exponent(source.rho, asked.fan_in)),
        regime=judged.regime,
        binding=judged.binding,
        reason=judged.reason,
        contraction=kept,
        threshold_budget=spent.threshold_budget,
        compute_per_leaf=spent.compute_per_leaf,
        leaves=spent.leaves,
        risk_by_depth=tree,
        star_by_depth=star,
        chain_by_depth=chain,
        star_leaves=star_leaves,
        star_risk=None if star_leaves is None else float(star_risk(source, star_leaves)),
        best_chain=longest if isfinite(longest) else None,
        best_chain_risk=float(chain_risk(source, longest)) if isfinite(longest) else None,
        trees=trees,
        assumed=[
            "in the tree rho acts on each level, so that its floor vanishes with depth; a prompt that all agents share "
            "behaves like the star, whose floor stays"
        ],
    )


def _risks(asked: AveragingQuestion) -> tuple[list[float] | None, ...]:
    """Return the risks of tree, star and chain by depth."""
    if asked.depth is None:
        return None, None, None
    refuse_outside("depth", asked.depth, least=0, most=LARGEST_DEPTH)
    depths = np.arange(asked.depth + 1.0)
    leaves = np.power(float(asked.fan_in), np.minimum(depths, 100 / np.log10(asked.fan_in)))  # a star is at its floor
    star, chain = star_risk(asked.source, leaves), chain_risk(asked.source, leaves)
    return tuple([float(one) for one in risk] for risk in (tree_risk(asked.source, asked.fan_in, depths), star, chain))


def _star_leaves(setting: Setting) -> int | None:
    if setting.window is None or setting.message_tokens is None:
        return None
    return max(1, int(setting.window // setting.message_tokens))


def _allocation(asked: AveragingQuestion) -> Allocation:
    beta, tokens = asked.setting.beta, asked.setting.message_tokens
    if beta is None or tokens is None:
        return Allocation()
    c0 = 2 * tokens * asked.fan_in / (asked.fan_in - 1)
    return allocate(beta, float(growth_exponent(asked.source.rho, asked.fan_in)), c0, asked.setting.budget)


def _trees(asked: AveragingQuestion) -> list[AveragingTree] | None:
    setting = asked.setting
    if setting.budget is None or setting.beta is None or setting.message_tokens is None:
        return None
    given = {"budget": setting.budget, "beta": setting.beta, "message_tokens": setting.message_tokens}
    return list(averaging_trees(asked.source, asked.fan_in, **given))


def _judge(asked: AveragingQuestion, goal: float, trees: list[AveragingTree] | None) -> Judgement:
    setting = asked.setting
    if setting.beta is None:
        return Judgement(regime="unsure", binding=None, reason="without beta it is open whether one agent does better")
    if setting.window and setting.message_tokens and asked.fan_in * setting.message_tokens > setting.window:
        return Judgement(regime="saturation", binding="window", reason="the messages of a node do not fit the window")
    power = float(growth_exponent(asked.source.rho, asked.fan_in))
    if power - setting.beta <= ROUNDING:
        why = f"one agent makes more of tokens: t={power:.4g} is not above beta={setting.beta:g}"
        return Judgement(regime="saturation", binding="beta", reason=why)
    if not goal < float(asked.source.variance):
        why = f"one agent's variance is already at v*={goal:.4g} or below"
        return Judgement(regime="saturation", binding="baseline", reason=why)
    if setting.budget is not None and trees is None:
        return Judgement(regime="unsure", binding=None, reason="without the tokens of a message a tree has no price")
    if trees is not None and not is_ahead(tuple(trees)):
        return Judgement(regime="saturation", binding="budget", reason="no full tree beats one agent at this budget")
    return Judgement(regime="synergy", binding="beta", reason="errors average out faster than compute removes them")
