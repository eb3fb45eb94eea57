"""A forecast of the theory of phase transitions, as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.budget.averaging_forecast import AveragingForecast, AveragingQuestion
from orchestra.budget.phase_forecast import PhaseForecast, PhaseQuestion
from orchestra.budget.regime import Binding, Regime

_WIDTH = 15
_BINDS = {
    "rho": "shared errors (rho)",
    "gamma": "lossy messages (gamma)",
    "beta": "the return on compute of one agent (beta)",
    "window": "the window",
    "budget": "the budget",
    "baseline": "the strength of one agent",
}


def phase_lines(asked: PhaseQuestion, forecast: PhaseForecast) -> list[str]:
    """Return a few plain lines about a tree of votes, with the assumptions last."""
    grows = "a weak signal grows" if forecast.alpha > 1 else "a weak signal does not grow"
    rows = [
        ("regime", _regime(forecast.regime, forecast.binding, forecast.reason)),
        ("gain alpha", f"{forecast.alpha:.4g} per level: {grows}, as leaves^{forecast.exponent:.3f}"),
        ("deep trees", _deep(forecast)),
        ("collapse", _boundary(asked, forecast)),
        *_depth_rows(asked, forecast),
        *_budget_rows(asked, forecast),
    ]
    return [*_table(rows), _assumed(forecast.assumed)]


def averaging_lines(asked: AveragingQuestion, forecast: AveragingForecast, assumed: Sequence[str]) -> list[str]:
    """Return a few plain lines about averages in a tree, a star and a chain, with the assumptions last."""
    fixed = "grow without end" if forecast.fixed_point is None else f"come to v*={forecast.fixed_point:.4g}"
    rows = [
        ("regime", _regime(forecast.regime, forecast.binding, forecast.reason)),
        ("contraction", f"K={forecast.contraction:.4g} per level: variance falls as leaves^-{forecast.exponent:.3f}"),
        ("deep trees", f"{fixed}; one agent has {float(asked.source.variance):.4g}"),
    ]
    if forecast.risk_by_depth and forecast.star_by_depth and forecast.chain_by_depth:
        last = f"tree {forecast.risk_by_depth[-1]:.4g}, star {forecast.star_by_depth[-1]:.4g}"
        told = f"{last}, chain {forecast.chain_by_depth[-1]:.4g} with {asked.fan_in}^{asked.depth} leaves"
        rows.append((f"depth {asked.depth}", told))
    if forecast.star_risk is not None:
        rows.append(("star", f"{forecast.star_leaves:,} messages fit the window: {forecast.star_risk:.4g}"))
    if forecast.best_chain is not None and forecast.best_chain_risk is not None:
        rows.append(("chain", f"best with {forecast.best_chain:,.0f} agents: {forecast.best_chain_risk:.4g}"))
    rows += _allocation_rows(asked.setting.budget, forecast)
    for tree in forecast.trees or ():
        rows.append((f"{tree.leaves:,} leaves", f"risk {tree.risk:.4g}, {tree.compute_per_leaf:,.1f} tokens a leaf"))
    return [*_table(rows), _assumed(assumed)]


def _deep(forecast: PhaseForecast) -> str:
    if forecast.fixed_point is None:
        return "keep the bias of their leaves"
    told = f"come to bias mu*={forecast.fixed_point:.4g}, accuracy {(1 + forecast.fixed_point) / 2:.4g}"
    return told if forecast.fixed_point else f"{told}: chance"


def _boundary(asked: PhaseQuestion, forecast: PhaseForecast) -> str:
    if asked.gamma == 1:
        return f"none: code counts; a model that joined would need gamma above {forecast.critical_gamma:.3f}"
    rho = f"rho={forecast.critical_rho:.3f}" if forecast.critical_rho else "any rho"
    return f"from {rho} on at this gamma, up to gamma={forecast.critical_gamma:.3f} at this rho"


def _depth_rows(asked: PhaseQuestion, forecast: PhaseForecast) -> list[tuple[str, str]]:
    rows = []
    if forecast.bias_by_depth and forecast.lower_by_depth and forecast.upper_by_depth:
        bounds = f"{forecast.lower_by_depth[-1]:.4g} to {forecast.upper_by_depth[-1]:.4g} without recursion"
        told = f"{forecast.bias_by_depth[0]:.4g} becomes {forecast.bias_by_depth[-1]:.4g} (bounds {bounds})"
        rows.append((f"depth {asked.depth}", told))
    if forecast.mixing_depth is not None and forecast.leaves_worth_buying is not None:
        worth = f"about {forecast.leaves_worth_buying:,.0f} leaves are worth buying"
        rows.append(("enough depth", f"{forecast.mixing_depth} levels come within a tenth of mu*; {worth}"))
    return rows


def _budget_rows(asked: PhaseQuestion, forecast: PhaseForecast) -> list[tuple[str, str]]:
    rows = _allocation_rows(asked.setting.budget, forecast)
    tree, alone = forecast.best_tree, forecast.one_agent
    if tree is not None and alone is not None:
        told = f"{tree.leaves:,} leaves of {tree.compute_per_leaf:,.1f} tokens have {tree.ratio:.3g} times its bias"
        if tree.bias is not None and alone.bias is not None:
            told += f": {tree.bias:.4g} against {alone.bias:.4g}"
        rows.append(("beside one", f"the best full tree, {told}"))
    elif alone is not None:
        rows.append(("beside one", "the budget does not pay for the messages of a full tree"))
    if forecast.best_message is not None:
        best = forecast.best_message
        told = f"{best.message_tokens:,} tokens, fan-in {best.fan_in}, gamma {best.gamma:.3f}: s={best.exponent:.3f}"
        rows.append(("best message", told))
    return rows


def _allocation_rows(budget: float | None, forecast: PhaseForecast | AveragingForecast) -> list[tuple[str, str]]:
    if forecast.threshold_budget is None or forecast.compute_per_leaf is None:
        return []
    told = f"leaves of {forecast.compute_per_leaf:,.1f} tokens, from a budget of {forecast.threshold_budget:,.1f} on"
    if forecast.leaves is not None and budget is not None:
        told += f"; {forecast.leaves:,.1f} leaves at {budget:,.0f}"
    return [("continuous", told)]


def _regime(regime: Regime, binding: Binding | None, reason: str) -> str:
    if binding is None:
        return f"{regime}: {reason}"
    role = "would end it first" if regime == "synergy" else "binds"
    return f"{regime}: {reason}; {_BINDS[binding]} {role}"


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name:{_WIDTH}}{told}" for name, told in rows]


def _assumed(assumed: Sequence[str]) -> str:
    return f"Theory, not measured. Assumed: {'; '.join(assumed)}."
