"""One question about a tree of votes and all that the theory says to it: the figures of `forecast phase`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from orchestra.budget.depth import (
    bias_by_depth,
    growth_depth,
    leaves_worth_buying,
    lower_bias,
    mixing_depth,
    mixing_depth_estimate,
    upper_bias,
)
from orchestra.budget.domain import LARGEST_DEPTH, FloatArray, refuse_outside
from orchestra.budget.joint import Joint, Share, alpha, odd_fan_in
from orchestra.budget.messages import GammaCurve, MessageChoice, best_message, exponential_through
from orchestra.budget.phase import critical_gamma, critical_rho, exponent, fixed_point
from orchestra.budget.regime import Binding, Regime, Setting, judge
from orchestra.budget.trees import (
    Allocation,
    Comparison,
    Curve,
    Tree,
    allocate,
    compare,
    overhead,
    saturation_budget,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseQuestion:
    """What is known of the agents and of the budget; None is left open, and so is what it decides."""

    fan_in: int
    gamma: float
    rho: float
    setting: Setting
    depth: int | None = None
    share: Share = "after"
    gamma_curve: GammaCurve | None = None
    """gamma by the length of messages; None takes the exponential curve through `gamma` at `message_tokens`."""

    @property
    def joint(self) -> Joint:
        """The joint of the question's tree."""
        return Joint(fan_in=self.fan_in, gamma=self.gamma, rho=self.rho, share=self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseForecast:
    """What the theory says; None is what an option left open would decide, or what does not exist."""

    outputs: str = "vote"
    share: Share
    counted_fan_in: int
    """The odd fan-in that counts."""
    alpha: float
    fixed_point: float | None
    """mu*; None where gamma and rho are 1 and every bias stays as it is."""
    exponent: float
    regime: Regime
    binding: Binding | None
    reason: str
    bias_by_depth: list[float] | None
    lower_by_depth: list[float] | None
    """Rigorous lower bound of each level."""
    upper_by_depth: list[float] | None
    """Clipped upper bound of each level."""
    critical_rho: float
    """Signals collapse from here on; 0 if always, 1 if never."""
    critical_gamma: float
    """Signals collapse up to here."""
    mixing_depth: int | None
    """Least depth within a tenth of mu*, by the recursion."""
    mixing_depth_estimate: float | None
    growth_depth: float | None
    leaves_worth_buying: float | None
    threshold_budget: float | None
    """Where the continuous tree is as good as one agent; None where s <= beta, for then it never is."""
    saturation_budget: float | None
    """Where one agent passes mu*."""
    compute_per_leaf: float | None
    """x* of the continuous optimum; the whole budget where s <= beta."""
    leaves: float | None
    """N* of the continuous optimum, a real number; 1 where s <= beta."""
    one_agent: Tree | None
    best_tree: Tree | None
    """The best full tree that the budget affords, exactly."""
    advantage: float | None
    trees: list[Tree] | None
    best_message: MessageChoice | None
    assumed: list[str]


def forecast_phase(asked: PhaseQuestion) -> PhaseForecast:
    """Return all figures for a question.

    Raises:
        InputError: A value is outside its domain; the field is its name.
    """
    joint, setting = asked.joint, asked.setting
    judged = judge(joint, setting)
    compared, spent = _compared(joint, setting), _allocation(joint, setting)
    levels, lower, upper = _levels(asked)
    mu0 = setting.mu0
    return PhaseForecast(
        share=asked.share,
        counted_fan_in=int(odd_fan_in(asked.fan_in)),
        alpha=float(alpha(joint)),
        fixed_point=_finite(fixed_point(joint)),
        exponent=float(exponent(joint)),
        regime=judged.regime,
        binding=judged.binding,
        reason=judged.reason,
        critical_rho=float(critical_rho(asked.fan_in, asked.gamma, share=asked.share)),
        critical_gamma=float(critical_gamma(asked.fan_in, asked.rho, share=asked.share)),
        bias_by_depth=levels,
        lower_by_depth=lower,
        upper_by_depth=upper,
        mixing_depth=None if mu0 is None else _whole(mixing_depth(mu0, joint)),
        mixing_depth_estimate=None if mu0 is None else _finite(mixing_depth_estimate(mu0, joint)),
        growth_depth=None if mu0 is None else _finite(growth_depth(mu0, joint)),
        leaves_worth_buying=None if mu0 is None else _finite(leaves_worth_buying(mu0, joint)),
        threshold_budget=spent.threshold_budget,
        saturation_budget=_saturation_budget(joint, setting),
        compute_per_leaf=spent.compute_per_leaf,
        leaves=spent.leaves,
        one_agent=None if compared is None else compared.one_agent,
        best_tree=None if compared is None else compared.best,
        advantage=None if compared is None else compared.advantage,
        trees=None if compared is None else list(compared.trees),
        best_message=_best_message(asked),
        assumed=_assumed(asked),
    )


def _levels(asked: PhaseQuestion) -> tuple[list[float] | None, ...]:
    """Return the bias of each level, its lower and its upper bound."""
    mu0, depth = asked.setting.mu0, asked.depth
    if depth is not None:
        refuse_outside("depth", depth, least=0, most=LARGEST_DEPTH)
    if mu0 is None or depth is None:
        return None, None, None
    levels = bias_by_depth(mu0, asked.joint, depth)
    depths = np.arange(depth + 1.0)
    bounds = (lower_bias(mu0, asked.joint, depths), upper_bias(mu0, asked.joint, depths))
    return tuple([float(one) for one in values] for values in (levels, *bounds))


def _allocation(joint: Joint, setting: Setting) -> Allocation:
    if setting.beta is None or setting.message_tokens is None:
        return Allocation()
    c0 = overhead(int(joint.fan_in), setting.message_tokens)
    return allocate(setting.beta, float(exponent(joint)), c0, setting.budget)


def _saturation_budget(joint: Joint, setting: Setting) -> float | None:
    if setting.beta is None or setting.kappa is None:
        return None
    return _finite(saturation_budget(fixed_point(joint), setting.beta, setting.kappa))


def _compared(joint: Joint, setting: Setting) -> Comparison | None:
    if setting.beta is None or setting.message_tokens is None or setting.budget is None:
        return None
    curve = Curve(beta=setting.beta, message_tokens=setting.message_tokens, kappa=setting.kappa)
    return compare(joint, setting.budget, curve)


def _best_message(asked: PhaseQuestion) -> MessageChoice | None:
    window, tokens, curve = asked.setting.window, asked.setting.message_tokens, asked.gamma_curve
    if window is None:
        return None
    if curve is None:
        if tokens is None or asked.gamma == 1:
            return None
        curve = exponential_through(tokens, asked.gamma)
    return best_message(window, curve, rho=asked.rho, share=asked.share)


def _assumed(asked: PhaseQuestion) -> list[str]:
    setting = asked.setting
    where = "what is read" if asked.share == "after" else "what is sent"
    told = [
        f"in a share rho={asked.rho:g} of the nodes all messages are copies of {where}, else errors are independent; "
        "errors that come from the difficulty of an item gain less (compare with replayed votes)"
    ]
    if asked.fan_in % 2 == 0:
        told.append(
            f"a fan-in of {asked.fan_in} counts as {asked.fan_in - 1}: the even vote only breaks ties by chance"
        )
    if asked.gamma == 1:
        told.append("votes are counted by code (gamma=1), which cannot collapse")
    if setting.budget is not None and setting.kappa is None:
        told.append("without kappa, trees and one agent are compared for weak signals, which nothing saturates")
    if setting.window is not None and asked.gamma_curve is None and setting.message_tokens and asked.gamma < 1:
        told.append("gamma(m) = 1 - exp(-m/m0) through the gamma given, for the best length of messages")
    return told


def _finite(value: FloatArray) -> float | None:
    number = float(value)
    return number if isfinite(number) else None


def _whole(value: FloatArray) -> int | None:
    number = _finite(value)
    return None if number is None else int(number)
