"""How a subtask ended: failure is data, never an exception and never an input of another agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra_agents.journal.records import CauseRecord, Status, SubtaskEnded
from orchestra_agents.microagent import Decision
from orchestra_agents.models.contract import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a subtask did not end well."""

    code: str
    """Stable name: an error's code, or undecided, red_flag, timeout, budget, dependency."""
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

    @classmethod
    def of(cls, decision: Decision, *, k: int | None) -> Outcome:
        """Return the outcome of a decision; `k` is its margin where votes were counted, None for one agent alone."""
        voted = k is not None
        status: Status = "ok"
        cause = None
        if not decision.decided and decision.votes:
            status, cause = "undecided", Cause(code="undecided", message=decision.reason)
        elif not decision.decided:
            status, cause = "failed", Cause(code="red_flag", message=decision.reason)
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

    def blocks(self, node: str) -> Outcome | None:
        """Return what becomes of a dependant of `node` that ended so: None if it may start."""
        if self.status == "ok":
            return None
        root = (self.cause.because if self.cause else None) or node
        code = self.cause.code if self.cause and self.status == "cancelled" else "dependency"
        return Outcome(
            status="cancelled" if self.status == "cancelled" else "skipped",
            cause=Cause(code=code, message=f"needs {node}, which is {self.status}", because=root),
        )


_SHARED = ("status", "answer", "voted", "votes", "samples", "k", "margin", "tally", "covered_by")
