"""What a chain came to, read from its journal: the same whether it just ended, was resumed, or is looked up later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from orchestra_agents.chains.estimate import estimate_of
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.records import RunStatus
from orchestra_agents.journal.replay import Usage
from orchestra_agents.models.contract import Evidence, Json
from orchestra_agents.voting.forecast import Forecast, forecast
from orchestra_agents.voting.intervals import clopper_pearson, zero_bound

Basis = Literal["sentinels", "agreement", "truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveResult:
    """What a chain came to."""

    run_id: str
    status: RunStatus
    steps: int
    """Steps decided."""
    correct: bool | None
    """Whether every decision, and the final state, is right; None where the process cannot check itself."""
    final: Json
    """The state after the last step; after a kill, that of the latest snapshot."""
    votes: int
    red_flags: int
    undecided: int
    """Votes that ended at their cap without a decision."""
    k: int
    """Margin at step 0; it never falls."""
    k_last: int
    """Margin at the last step."""
    p_estimate: dict[str, Json]
    """Accuracy of a vote: mean, low, high, basis (`agreement` assumes that errors are independent), level 0.95."""
    wrong_decisions: int | None
    """Against the process's reference; None where it has none."""
    wrong_votes: int | None
    """Votes against the reference, nearly all outvoted; None where it has none."""
    error_bound: float | None
    """Upper bound on the error of a decision that the run supports, at 95 %; None where it cannot be checked."""
    distinct_questions: int
    distinct_questions_exact: bool
    state_by: Literal["model", "code"]
    """Who says what the next state is."""
    sentinels: dict[str, Json] | None
    """What the sentinels say about p and rho, with their vote histogram; None without sentinels."""
    forecast: dict[str, Json] | None
    """What was said before the first call, None where nothing was known of the model."""
    came_true: dict[str, Json]
    """The same figures as they were."""
    usage: Usage
    journal: Path
    evidence: Evidence
    seconds: float
    """Wall-clock seconds over all attempts that ended."""
    steps_per_second: float | None
    """Steps decided in a second of them; None after a kill, whose time is not known."""
    reason: str | None
    """Why the chain stopped, where it did not end by itself."""
    notes: list[str]

    def as_dict(self) -> dict[str, Json]:
        """Return the result as the JSON document that the command line prints."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return values | {"usage": self.usage.as_dict(), "journal": str(self.journal)}


def drive_result_of(run_id: str, state: ChainState, journal: Path) -> DriveResult:
    """Return the result of a chain from its state; one without an end counts as interrupted."""
    ended, sums = state.ended, state.sums
    told: dict[str, Json] = ended.answer if ended is not None and isinstance(ended.answer, dict) else {}
    is_checked = bool(state.manifest.get("is_checked"))
    estimate = estimate_of(state.sentinels, state.rung)
    said = forecast_of(state)
    return DriveResult(
        run_id=run_id,
        status=ended.status if ended else "interrupted",
        steps=state.steps,
        correct=told.get("correct"),
        final=state.final,
        votes=sums.votes,
        red_flags=state.usage.flagged,
        undecided=state.undecided,
        k=state.margins[0].k if state.margins else 0,
        k_last=state.k if state.margins else 0,
        p_estimate=_agreement(state) if estimate is None else estimate.p.as_dict() | {"basis": "sentinels"},
        wrong_decisions=sums.wrong_decisions if is_checked else None,
        wrong_votes=sums.wrong_votes if is_checked else None,
        error_bound=_bound(sums.wrong_decisions, state.steps) if is_checked else None,
        distinct_questions=min(sums.questions.count, state.steps),
        distinct_questions_exact=sums.questions.is_exact,
        state_by=state.manifest.get("state_by", "code"),
        sentinels=None if estimate is None else estimate.as_dict(),
        forecast=None if said is None else asdict(said),
        came_true=_came_true(state),
        usage=state.usage,
        journal=journal,
        evidence=state.evidence,
        seconds=round(state.seconds, 3),
        steps_per_second=round(state.steps / state.seconds, 1) if state.seconds else None,
        reason=ended.reason if ended else None,
        notes=list(ended.notes) if ended else [],
    )


def forecast_of(state: ChainState) -> Forecast | None:
    """Return what was forecast for a chain before its first step, None where nothing was known of the model."""
    options, policy = state.manifest.get("forecast"), state.manifest.get("policy")
    if options is None or policy is None or not state.margins:
        return None
    return forecast(k=state.margins[0].k, **options)


def _came_true(state: ChainState) -> dict[str, Json]:
    sums, usage = state.sums, state.usage
    return {
        "votes_per_step": sums.votes / state.steps if state.steps else None,
        "calls": usage.calls,
        "agreement": sums.agreeing / sums.votes if sums.votes else None,
    }


def _agreement(state: ChainState) -> dict[str, Json]:
    """Return the share of votes that agreed with what was decided, as an estimate of p if errors are independent."""
    sums = state.sums
    if not sums.votes:
        return {"mean": None, "low": None, "high": None, "level": 0.95, "basis": "agreement"}
    interval = clopper_pearson(sums.agreeing, sums.votes)
    mean = sums.agreeing / sums.votes
    return {"mean": mean, "low": interval.low, "high": interval.high, "level": interval.level, "basis": "agreement"}


def _bound(wrong: int, steps: int) -> float | None:
    if not steps:
        return None
    return clopper_pearson(wrong, steps, level=0.9).high if wrong else zero_bound(steps)
