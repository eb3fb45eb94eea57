"""Which regime a question is in, and what binds it: collapse, saturation, synergy, or unsure.

- collapse: alpha is at most 1 where messages are lossy. Votes that code counts (gamma 1) cannot collapse (B.1).
- synergy: alpha is above 1, the exponent above beta, the fan-in fits the window, and where there is a budget an exact
  finite tree beats one agent that spends it all.
- saturation: a tree is no use for another reason, which `binding` names.
- unsure: what would decide was not said, or intervals straddle a boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, TypeAlias

from orchestra.budget.domain import BETA, BUDGET, KAPPA, MESSAGE_TOKENS, ROUNDING, UNIT, WINDOW, refuse_outside
from orchestra.budget.joint import Joint, Share, alpha, odd_fan_in
from orchestra.budget.phase import critical_gamma, critical_rho, exponent, fixed_point
from orchestra.budget.trees import Curve, compare, saturation_budget, would_more_help

Regime: TypeAlias = Literal["synergy", "saturation", "collapse", "unsure"]
Binding: TypeAlias = Literal["rho", "gamma", "beta", "window", "budget", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a question says beside its joint; None is what it leaves open.

    Raises:
        InputError: A value is outside its domain.
    """

    beta: float | None = None
    """Return on compute of one agent, 0 to 10."""
    kappa: float | None = None
    """Bias of an agent with compute 1, 1e-12 to 1,000,000; None compares weak signals, which nothing saturates."""
    mu0: float | None = None
    """Bias of a leaf, 0 to 1; where kappa is None it tells a baseline that is too strong."""
    budget: float | None = None
    """Tokens to spend, 1 to 1e15; None is as many as needed."""
    message_tokens: float | None = None
    """Tokens of one message, 1 to 10,000,000."""
    window: int | None = None
    """Tokens that a node can read, 1 to 10,000,000."""

    def __post_init__(self) -> None:
        limits = {"beta": BETA, "kappa": KAPPA, "mu0": UNIT, "budget": BUDGET} | {
            "message_tokens": MESSAGE_TOKENS,
            "window": WINDOW,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if value is not None:
                refuse_outside(name, value, **limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The regime of a question and why."""

    regime: Regime
    binding: Binding | None
    """What keeps a tree from paying; in synergy what would end it first; None where nothing was said that decides."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number that is known to lie between two limits."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Half way between the limits."""
        return (self.low + self.high) / 2


def judge(joint: Joint, setting: Setting) -> Judgement:
    """Return the regime of one joint in a setting, with what binds."""
    if float(alpha(joint)) - 1 <= ROUNDING and joint.gamma < 1:
        return _collapse(joint)
    if setting.beta is None:
        return _told("unsure", None, "without beta it is open whether one agent makes more of the same tokens")
    return _too_wide(joint, setting) or _too_slow(joint, setting.beta) or _at_a_budget(joint, setting, setting.beta)


def judge_intervals(
    fan_in: int,
    *,
    gamma: Interval,
    rho: Interval,
    beta: Interval | None = None,
    setting: Setting | None = None,
    share: Share = "after",
) -> Judgement:
    """Return the regime that holds for all values within the limits, or unsure where their corners differ (B.8.5).

    Where it is unsure, `binding` is the first of gamma, rho and beta whose interval alone, with the others at their
    middle, straddles a boundary. A gain counted in replayed votes comes in as rho, by `joint.equivalent_rho`.

    Args:
        fan_in: Messages per node.
        gamma: Limits of gamma.
        rho: Limits of rho.
        beta: Limits of beta; None is not known.
        setting: The rest of the question; its own beta is not used.
        share: Where copies are made.
    """
    rest = setting or Setting()
    spans = {"gamma": gamma, "rho": rho} | ({} if beta is None else {"beta": beta})

    def at(values: dict[str, float]) -> Judgement:
        joint = Joint(fan_in=fan_in, gamma=values["gamma"], rho=values["rho"], share=share)
        return judge(joint, replace(rest, beta=values.get("beta")))

    middle = {name: span.middle for name, span in spans.items()}
    corners = [
        at(dict(zip(spans, corner, strict=True))) for corner in product(*((s.low, s.high) for s in spans.values()))
    ]
    centre = at(middle)
    if {corner.regime for corner in corners} == {centre.regime}:
        return centre
    names: tuple[Binding, ...] = ("gamma", "rho", "beta")
    for name in names:
        if name in spans:
            ends = {at(middle | {name: end}).regime for end in (spans[name].low, spans[name].high)}
            if len(ends) > 1:
                return _told("unsure", name, f"the limits of {name} lie on both sides of a boundary")
    return _told("unsure", None, "the limits, taken together, lie on both sides of a boundary")


def _collapse(joint: Joint) -> Judgement:
    lossless = Joint(fan_in=joint.fan_in, gamma=joint.gamma, share=joint.share)
    gain = float(alpha(joint))
    if float(alpha(lossless)) - 1 <= ROUNDING:
        why = f"alpha={gain:.4g} is at most 1: messages are so lossy that even independent errors would take over"
        return _told("collapse", "gamma", why)
    limit = float(critical_rho(int(joint.fan_in), joint.gamma, share=joint.share))
    return _told("collapse", "rho", f"alpha={gain:.4g} is at most 1: at this gamma, rho must be below {limit:.3g}")


def _too_wide(joint: Joint, setting: Setting) -> Judgement | None:
    if setting.window is None or setting.message_tokens is None:
        return None
    fan_in = int(odd_fan_in(joint.fan_in))
    needed = fan_in * setting.message_tokens
    if needed <= setting.window:
        return None
    return _told("saturation", "window", f"{fan_in} messages are {needed:g} tokens, more than the window holds")


def _too_slow(joint: Joint, beta: float) -> Judgement | None:
    power = float(exponent(joint))
    if power - beta > ROUNDING:
        return None
    if joint.rho == 1:
        return _told("saturation", "rho", "all agents are copies of one (rho=1), and more of them add nothing")
    return _told("saturation", "beta", f"one agent makes more of tokens: s={power:.4g} is not above beta={beta:g}")


def _at_a_budget(joint: Joint, setting: Setting, beta: float) -> Judgement:
    goal = float(fixed_point(joint))
    if setting.kappa is None and setting.mu0 is not None and setting.mu0 >= goal:
        return _told("saturation", "baseline", f"a leaf is already at mu*={goal:.4g} or above, which joining leads to")
    if setting.budget is None:
        return _told("synergy", _nearest_end(joint, beta), "weak signals grow faster with agents than with compute")
    if setting.message_tokens is None:
        return _told("unsure", None, "without the tokens of a message it is open what a tree costs")
    curve = Curve(beta=beta, message_tokens=setting.message_tokens, kappa=setting.kappa)
    compared = compare(joint, setting.budget, curve)
    if compared.is_ahead and compared.best is not None:
        best = compared.best
        told = f"a tree of {best.leaves} leaves has {best.ratio:.3g} times the bias of one agent at this budget"
        return _told("synergy", _nearest_end(joint, beta), told)
    end = float("inf") if setting.kappa is None else float(saturation_budget(goal, beta, setting.kappa))
    if would_more_help(joint, setting.budget, curve, end):
        return _told("saturation", "budget", "no full tree beats one agent yet; at a larger budget one does")
    return _told("saturation", "baseline", "one agent is so good that no full tree beats it, now or with more budget")


def _nearest_end(joint: Joint, beta: float) -> Binding:
    """Return which of gamma, rho and beta needs the least change until s is no longer above beta."""
    fan_in, share = int(joint.fan_in), joint.share
    left: dict[Binding, float] = {
        "gamma": float(joint.gamma - critical_gamma(fan_in, joint.rho, share=share, exponent=beta)),
        "rho": float(critical_rho(fan_in, joint.gamma, share=share, exponent=beta) - joint.rho),
        "beta": float(exponent(joint)) - beta,
    }
    return min(left, key=lambda name: left[name])


def _told(regime: Regime, binding: Binding | None, reason: str) -> Judgement:
    return Judgement(regime=regime, binding=binding, reason=reason)
