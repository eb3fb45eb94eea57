"""What a chain will cost and how sure it will be, said before its first call."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.voting.law import calls, rho_allowed, run_reliability, step_error, votes_per_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The law's figures for one margin, if errors are as correlated as `rho` says and no more."""

    k: int
    p: float
    """Accuracy of a valid vote."""
    steps: int
    rho: float
    """Share of steps whose votes are copies of one draw."""
    valid: float
    """Share of replies without a red flag."""
    target: float
    p_step: float
    """Probability that a step is decided right."""
    p_run: float
    """Probability that all are."""
    votes_per_step: float
    """Mean valid votes."""
    calls: float
    """Mean calls of the whole chain, flagged replies included."""
    rho_allowed: float
    """Largest rho at which k still meets the target; 0 where it does not even without shared errors."""


def forecast(
    *, k: int, p: float, steps: int, target: float, rho: float = 0.0, valid: float = 1.0, wrong: int = 1
) -> Forecast:
    """Return the forecast for `steps` votes with margin `k`, without adaptive margins.

    Raises:
        InputError: A value is outside its domain.
    """
    votes = votes_per_step(p, k, wrong=wrong, rho=rho)
    return Forecast(
        k=k,
        p=p,
        steps=steps,
        rho=rho,
        valid=valid,
        target=target,
        p_step=1 - step_error(p, k, wrong=wrong, rho=rho),
        p_run=run_reliability(p, k, steps, wrong=wrong, rho=rho),
        votes_per_step=votes,
        calls=calls(steps, votes, valid),
        rho_allowed=rho_allowed(p, k, steps, target, wrong=wrong),
    )
