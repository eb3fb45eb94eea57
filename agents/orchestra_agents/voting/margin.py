"""Which lead a chain's votes need: chosen at its first step, raised where the hard steps ask for it, never lowered."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.errors import InputError
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_agents.voting.law import k_min

PILOT_STEPS = 200
"""Steps after which a chain that was told nothing about its model knows enough to choose."""
PILOT_P = 0.9
"""Accuracy that the pilot's margin is safe for."""
ASSUMED_STEPS = 1_000_000
"""Length of a process that does not know its own."""
_ENOUGH = 20
"""Late votes that say something about hard steps."""


@dataclass(frozen=True, slots=True)
class Margin:
    """A margin and why."""

    k: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the votes so far say."""

    steps: int
    votes: int
    agreeing: int
    contested: int
    """Steps in which two votes or more disagreed."""
    late_votes: int
    """Votes of those steps after the second that disagreed: drawn where it is known to be hard."""
    late_agreeing: int


def first_margin(p: float, *, steps: int, target: float, rho: float = 0.0, source: str) -> Margin:
    """Return the law's least margin for votes that are right with probability p.

    Raises:
        InputError: No margin reaches the target.
    """
    k = k_min(p, steps, target, rho=rho)
    if k is None:
        told = f"no margin reaches {target:g} over {steps:,} steps at p={p:g} and rho={rho:g}; state k, or ask less"
        raise InputError("k", told)
    return Margin(k, f"least k for reliability {target:g} over {steps:,} steps at p={p:g} ({source})")


def pilot_margin(*, steps: int, target: float) -> Margin:
    """Return the margin of the first steps of a chain whose model is not known."""
    pilot = min(steps, PILOT_STEPS)
    safe = k_min(PILOT_P, pilot, target) or 1
    return Margin(safe, f"pilot of {pilot} steps, safe for p={PILOT_P:g}: the model's p is not known yet")


def margin_after_pilot(seen: Evidence, k: int, *, steps: int, target: float, rho: float = 0.0) -> Margin | None:
    """Return a larger margin, if the pilot's lower bound on p asks for one."""
    if not seen.votes:
        return None
    low = clopper_pearson(seen.agreeing, seen.votes).low
    wanted = k_min(low, steps, target, rho=rho) or LARGEST_K
    if wanted <= k:
        return None
    if wanted == LARGEST_K:
        wanted = 2 * k  # no margin helps at that p: take more care, and let undecided votes say so
    told = f"p is at least {low:.4f} by the agreement of {seen.votes} votes in the pilot"
    return Margin(wanted, f"{told}: least k for reliability {target:g} over {steps:,} steps")


def margin_for_hard_steps(seen: Evidence, k: int, *, steps: int, target: float) -> Margin | None:
    """Return a larger margin, if the steps that were contested so far ask for one: the hard tail decides, not the mean.

    The accuracy of hard steps is estimated from their late votes, which were drawn after two had disagreed and so are
    no worse than the rest of that step's; the number of such steps to come, from their share so far.
    """
    if seen.late_votes < _ENOUGH:
        return None
    p = (seen.late_agreeing + 1) / (seen.late_votes + 2)
    to_come = max(1, round(steps * seen.contested / seen.steps))
    wanted = k_min(p, to_come, target) or 2 * k
    if wanted <= k:
        return None
    wanted = min(wanted, 2 * k)
    told = f"{seen.contested} of {seen.steps} steps were contested, their votes right with p={p:.3f}"
    return Margin(wanted, f"{told}: {to_come:,} such steps in all need k={wanted}")
