"""The registry of record types: the only things that can stand in a journal."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from orchestra_agents.errors import JournalError
from orchestra_agents.journal.chain_records import (
    MarginChosen,
    RungChosen,
    SentinelAnswered,
    Snapshot,
    StepDecided,
    StepObserved,
    StepStopped,
)
from orchestra_agents.journal.records import (
    Approval,
    Asked,
    CallFailed,
    Condensed,
    Decomposed,
    Embedded,
    EndpointProbed,
    MessageSent,
    ProblemSolved,
    ProblemSplit,
    Record,
    Routed,
    RunEnded,
    RunResumed,
    RunStarted,
    Sampled,
    SubtaskEnded,
    SubtaskStarted,
    Synthesised,
    TeamEnded,
    ToolCalled,
    ToolObserved,
    Verified,
)

REGISTRY: dict[str, type[Record]] = {
    record.kind: record
    for record in (
        RunStarted,
        RunResumed,
        Decomposed,
        Routed,
        EndpointProbed,
        SubtaskStarted,
        Asked,
        Sampled,
        CallFailed,
        Embedded,
        Verified,
        ToolCalled,
        ToolObserved,
        MessageSent,
        TeamEnded,
        Condensed,
        Synthesised,
        Approval,
        SubtaskEnded,
        StepDecided,
        StepStopped,
        StepObserved,
        MarginChosen,
        RungChosen,
        SentinelAnswered,
        Snapshot,
        ProblemSplit,
        ProblemSolved,
        RunEnded,
    )
}


def load(kind: str, body: Any) -> Record:
    """Return the record that stands in the journal as `kind` with the JSON text `body`.

    Raises:
        JournalError: `journal.record`, for an unknown type, anything but JSON text, or a missing or extra field.
    """
    record = REGISTRY.get(kind)
    if record is None:
        raise JournalError("journal.record", f"journal: unknown record type {kind!r}; refused")
    if not isinstance(body, str):
        raise JournalError("journal.record", f"journal: a {kind} record is not JSON text; refused")
    try:
        return record.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise JournalError("journal.record", f"journal: bad {kind} record, {where}: {first['msg']}; refused") from error


def dump(record: Record) -> str:
    """Return the JSON text of `record`, which `load` is known to read back.

    Raises:
        JournalError: `journal.record`, for a value that JSON has no word for or that nests too deeply to be read.
    """
    try:
        body = record.model_dump_json()
    except ValueError as error:
        problem = f"journal: a {record.kind} record is not JSON ({error}); refused"
        raise JournalError("journal.record", problem) from error
    load(record.kind, body)
    return body
