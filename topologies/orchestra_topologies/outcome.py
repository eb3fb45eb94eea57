"""How a subtask ended: failure is data, never an exception and never an input of another agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra_agents.journal.records import CauseRecord, Status, SubtaskEnded
from orchestra_agents.microagent import Decision
from orchestra_agents.models.contract import Json
from orchestra_topologies.subtask import Subtask


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a subtask did not end well."""

    code: str
    """Stable name: an error's code, or undecided, red_flag, timeout, budget, dependency, fail_fast, verify, judge."""
    message: str
    """The reason as one sentence."""
    because: str | None = None
    """Id of the subtask at the root, where that is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a subtask."""

    status: Status
    answer: Json = None
    """The typed answer; None unless ok."""
    voted: bool = False
    votes: int = 0
    samples: int = 0
    k: int | None = None
    margin: int | None = None
    tally: Mapping[str, int] | None = None
    cause: Cause | None = None
    covered_by: str | None = None
    """`whole` where one agent answered the whole task instead."""
    selected: Mapping[str, Json] | None = None
    """Which of several samples was taken, by whom and why."""
    rejected: Json = None
    """The answer that did not pass its check; not recorded."""

    @classmethod
    def of(cls, decision: Decision, *, k: int | None) -> Outcome:
        """Return the outcome of a decision; `k` is its margin where votes were counted, None for one agent alone."""
        voted = k is not None
        status: Status = "ok"
        cause = None
        if not decision.decided and decision.votes:
            status, cause = "undecided", Cause(code="undecided", message=decision.reason)
        elif not decision.decided:
            flagged = f"{decision.reason}; the last one was {decision.flag}" if decision.flag else decision.reason
            status, cause = "failed", Cause(code="red_flag", message=flagged)
        return cls(
            status=status,
            answer=decision.answer,
            voted=voted,
            votes=decision.votes if voted else 0,
            samples=decision.samples,
            k=k,
            margin=decision.margin if voted else None,
            tally=decision.tally if voted else None,
            cause=cause,
        )

    @classmethod
    def from_record(cls, record: SubtaskEnded) -> Outcome:
        """Return the outcome that stands in the journal."""
        values = {name: getattr(record, name) for name in _SHARED}
        cause = record.cause
        return cls(**values, cause=None if cause is None else Cause(**cause.model_dump()))

    def to_record(self, node: str, *, prompt: str | None, seconds: float) -> SubtaskEnded:
        """Return the journal's record of this outcome of `node`; `prompt` is the digest of what was asked."""
        values = {name: getattr(self, name) for name in _SHARED}
        cause = self.cause
        return SubtaskEnded(
            **values,
            node=node,
            input=prompt,
            cause=None if cause is None else CauseRecord(code=cause.code, message=cause.message, because=cause.because),
            seconds=round(seconds, 6),
        )

    def root(self, node: str) -> str:
        """Return the id of the subtask that is to blame for how `node` ended so: itself, or whom it names."""
        return (self.cause.because if self.cause else None) or node


def blocking(subtask: Subtask, settled: Mapping[str, Outcome]) -> Outcome | None:
    """Return the outcome of a subtask that its settled inputs keep from starting, None where it may start.

    The first input that is not ok is to blame; what a stop cancelled is cancelled, all else is skipped.
    """
    inputs = [one for one, _ in subtask.depends_on]
    missing = [one for one in inputs if settled[one].status != "ok"]
    needed = subtask.join.needed(len(inputs))
    if len(inputs) - len(missing) >= needed:
        return None
    first = next((one for one in missing if settled[one].status == "cancelled"), missing[0])
    blamed = settled[first]
    wanted = "needs" if needed == len(inputs) else f"needs {needed} of {len(inputs)} inputs, among them"
    is_stopped = blamed.status == "cancelled"
    code = blamed.cause.code if blamed.cause and is_stopped else "dependency"
    message = f"{wanted} {first}, which is {blamed.status}"
    return Outcome(
        status="cancelled" if is_stopped else "skipped",
        cause=Cause(code=code, message=message, because=blamed.root(first)),
    )


def stopped(one: str, outcome: Outcome) -> Outcome:
    """Return what becomes of all others where subtask `one` did not end ok and the run is to fail fast."""
    message = f"stopped because {one} is {outcome.status} (fail_fast)"
    return Outcome(status="cancelled", cause=Cause(code="fail_fast", message=message, because=outcome.root(one)))


def stopped_by(settled: Mapping[str, Outcome]) -> Outcome | None:
    """Return what becomes of those that are not settled yet where one that is did not end ok, else None."""
    failed = next((one for one, outcome in settled.items() if outcome.status != "ok"), None)
    return None if failed is None else stopped(failed, settled[failed])


_SHARED = ("status", "answer", "voted", "votes", "samples", "k", "margin", "tally", "covered_by", "selected")
