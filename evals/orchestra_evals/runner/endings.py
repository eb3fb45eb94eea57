"""How a run ended for the sample it was about: measured, stopped by the budget, or lost to the infrastructure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestra.result import RunResult
from orchestra_agents.errors import ContextExceeded, ModelError, ModelUnavailable
from orchestra_agents.journal.records import RunEnded, RunResumed
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Entry
from orchestra_evals.suites.suite import Outcome as Checked
from orchestra_evals.systems.own import INFRASTRUCTURE

Status = Literal["ok", "budget", "infra_error"]
"""`ok`: the sample was measured. Nothing is scored where the caps did not pay for it, or no model answered."""
Outcome = Checked | Literal["truncated", "undecided", "failed"]
"""What came of a sample that was measured: what the checker says of its answer, or why there is none."""


def _codes(kind: type[ModelError]) -> Iterator[str]:
    yield kind.code
    for sub in kind.__subclasses__():
        yield from _codes(sub)


_LOST = {*_codes(ModelError), ModelUnavailable.code, INFRASTRUCTURE} - {ContextExceeded.code}
"""Codes of errors of the infrastructure. A prompt that does not fit the window is the fault of who made it so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a sample has no answer."""

    code: str
    message: str

    @property
    def is_infrastructure(self) -> bool:
        """Whether nothing was learnt about the system."""
        return self.code in _LOST


@dataclass(slots=True)
class Past:
    """What the journal holds of the run of a sample, folded from its records."""

    state: RunState
    at: str = ""
    """When it was first begun: UTC, ISO 8601."""
    is_retried: bool = False
    """Whether it was asked again after it had failed."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Past:
        """Return what `entries` come to."""
        past = cls(RunState())
        for entry in entries:
            if isinstance(entry.record, RunResumed):
                past.is_retried |= past.has_failed
            past.state.apply(entry)
        if past.state.started is not None:
            past.at = past.state.started.at
        return past

    @property
    def has_failed(self) -> bool:
        """Whether its latest attempt ended so."""
        ended: RunEnded | None = self.state.ended
        return ended is not None and ended.status == "failed"


def fault_of(result: RunResult) -> Fault | None:
    """Return why a run has no answer, the infrastructure before all other reasons; None where it ended ok."""
    if result.status == "ok":
        return None
    if result.status == "budget":
        said = next((one for one in _causes(result) if one.code == "budget"), None)
        return said or Fault(code="budget", message=result.reason)
    found = list(_causes(result))
    lost = next((fault for fault in found if fault.is_infrastructure), None)
    if lost is not None or found:
        return lost or found[0]
    code, colon, message = result.reason.partition(": ")  # of a run that ended before it had subtasks
    return Fault(code=code, message=message) if colon and code in _LOST else Fault(code="run", message=result.reason)


def status_of(result: RunResult) -> Status | None:
    """Return whether a sample was measured by a run, None where the run has not come to an end."""
    if result.status == "interrupted":
        return None
    if result.status == "budget":
        return "budget"
    fault = fault_of(result)
    return "infra_error" if fault is not None and fault.is_infrastructure else "ok"


def outcome_of(fault: Fault) -> Outcome:
    """Return what a run without an answer comes to, for which the system itself is to blame."""
    if fault.code == "red_flag":
        return "truncated" if fault.message.rstrip().endswith("truncated") else "malformed"
    return "undecided" if fault.code == "undecided" else "failed"


def _causes(result: RunResult) -> Iterator[Fault]:
    """Yield why subtasks, and whoever answered for all of them, did not end ok."""
    whole: dict[str, Any] = result.whole or {}
    for cause in [*filter(None, [whole.get("cause")]), *result.causes]:
        yield Fault(code=str(cause["code"]), message=str(cause["message"]))
