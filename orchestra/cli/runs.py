"""`orchestra runs` and `orchestra show`: what the journal holds."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestra.cli.common import JournalOption, JsonOption, journal_path, print_json
from orchestra.drive_result import drive_result_of
from orchestra.report.drive import drive_view
from orchestra.report.solving import solved_view
from orchestra.report.text import result_view
from orchestra.result import RunResult, graph_of, result_of
from orchestra.solved import Solved, solved_of
from orchestra_agents.errors import InputError, UnknownRun
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.collect import collect
from orchestra_agents.journal.lock import RunLock
from orchestra_agents.journal.records import (
    ProblemSolved,
    ProblemSplit,
    RunEnded,
    SubtaskEnded,
    TeamEnded,
    ToolCalled,
    ToolObserved,
    Verified,
)
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json

_DECISIONS = (SubtaskEnded, TeamEnded, ToolCalled, ToolObserved, Verified, ProblemSplit, ProblemSolved)
"""The records that `show --json` lists."""


def runs_command(journal: JournalOption = None, json_: JsonOption = False) -> None:
    """List the runs in the journal, oldest first."""
    path = journal_path(journal)
    rows: list[dict[str, Json]] = []
    if journal is not None or path.exists():
        with Journal(path, "read") as opened:
            rows = [_row(opened, run_id) for run_id in opened.run_ids()]
    if json_:
        print_json({"journal": str(path), "runs": rows})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "kind", "status", "subtasks", "calls", "evidence", "started"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(str(row[key]) for key in ("run_id", "kind", "status", "subtasks", "calls", "evidence", "started"))
        )
    Console(highlight=False).print(table if rows else f"no runs in {path}")


def show_command(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID")],
    journal: JournalOption = None,
    page: Annotated[int, typer.Option(help="Page of decisions, from 1.")] = 1,
    page_size: Annotated[int, typer.Option(help="Decisions a page, 1 to 10000.")] = 100,
    baseline: Annotated[
        str | None, typer.Option(help="A run of one agent on the same task, which coordination is compared with.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Show a run: its subtasks, usage, manifest and decisions."""
    if page < 1:
        raise InputError("--page", f"must be an integer of at least 1, got {page}")
    if not 1 <= page_size <= 10_000:
        raise InputError("--page-size", f"must be an integer from 1 to 10000, got {page_size}")
    with Journal(journal_path(journal), "read") as opened:
        if opened.kind(run_id) == "drive":
            if baseline is not None:
                raise InputError("--baseline", "compares runs of task graphs, and this is a chain")
            _show_chain(opened, run_id, Page(page, page_size), as_json=json_)
        else:
            _show_graph(opened, run_id, Page(page, page_size), baseline=baseline, as_json=json_)


def gc_command(
    run_ids: Annotated[list[str] | None, typer.Argument(metavar="[RUN_ID]...", help="Runs to remove.")] = None,
    journal: JournalOption = None,
    older_than: Annotated[float | None, typer.Option(help="Remove runs that started this many days ago.")] = None,
    json_: JsonOption = False,
) -> None:
    """Remove runs, and texts that nothing refers to, and make the journal's file smaller."""
    if older_than is not None and not older_than >= 0:
        raise InputError("--older-than", f"must be a number of days of at least 0, got {older_than:g}")
    path = journal_path(journal)
    with Journal(path, "read"):  # a journal that is not there is not made
        pass
    with Journal(path) as opened:
        old = [] if older_than is None else _older(opened, datetime.timedelta(days=older_than))
        collected = collect(opened, dict.fromkeys([*(run_ids or ()), *old]))
    if json_:
        print_json({"journal": str(path), **asdict(collected)})
        return
    freed = collected.bytes_before - collected.bytes_after
    Console(highlight=False).print(
        f"removed {len(collected.runs)} runs and {collected.texts} texts, {freed:,} bytes; {path} has "
        f"{collected.bytes_after:,}"
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Which decisions are shown."""

    number: int
    """From 1."""
    size: int

    @property
    def first(self) -> int:
        """Place of the first one, from 0."""
        return (self.number - 1) * self.size

    def of(self, total: int) -> dict[str, Json]:
        """Return what the JSON document says of it."""
        return {"page": self.number, "pages": max(1, -(-total // self.size))}


def _show_graph(journal: Journal, run_id: str, page: Page, *, baseline: str | None, as_json: bool) -> None:
    state = _state_of(journal, run_id)
    assert state.started is not None
    is_solving = state.started.what == "solve"
    result = solved_of(run_id, state, journal.path) if is_solving else result_of(run_id, state, journal.path)
    if baseline is not None:
        result = _compared(result, journal, baseline)
    if not as_json:
        Console(highlight=False).print(result_view(result) if isinstance(result, RunResult) else solved_view(result))
        return
    decisions = list(_decisions(journal, run_id))
    shown = {
        "kind": state.started.what,
        "status": _status(state.ended, journal.path, run_id),
        "manifest": state.manifest,
        "decisions": decisions[page.first : page.first + page.size],
    }
    print_json(result.as_dict() | shown | page.of(len(decisions)))


def _state_of(journal: Journal, run_id: str) -> RunState:
    state = RunState.of(journal.entries(run_id))
    if state.started is None:
        raise UnknownRun(run_id, str(journal.path))
    return state


def _compared(result: RunResult | Solved, journal: Journal, baseline: str) -> RunResult:
    """Return the result with its coordination compared to that of another run.

    Raises:
        InputError: One of the two is no run of a task graph.
    """
    if not isinstance(result, RunResult) or journal.kind(baseline) != "graph":
        raise InputError("--baseline", "compares two runs of task graphs")
    other = _state_of(journal, baseline)
    if other.teams:
        raise InputError("--baseline", f"{baseline!r} is a run of teams; the baseline is a run of one agent")
    if graph_of(other) != graph_of(_state_of(journal, result.run_id)):
        raise InputError("--baseline", f"{baseline!r} worked on another task graph than {result.run_id!r}")
    single = result_of(baseline, other, journal.path).coordination
    return replace(result, coordination=result.coordination.beside(single))


def _show_chain(journal: Journal, run_id: str, page: Page, *, as_json: bool) -> None:
    state = ChainState.whole(journal, run_id)
    result = drive_result_of(run_id, state, journal.path)
    status = _status(state.ended, journal.path, run_id)
    if not as_json:
        Console(highlight=False).print(drive_view(result))
        return
    rows = journal.steps(run_id, first=page.first, count=page.size)
    choices = [*state.margins, *state.rungs, *([state.stopped] if state.stopped else [])]
    shown = {
        "kind": "drive",
        "status": status,
        "manifest": state.manifest,
        "choices": [{"kind": choice.kind, **choice.model_dump(mode="json")} for choice in choices],
        "decisions": [{"step": row.step, **row.record.model_dump(mode="json", exclude_defaults=True)} for row in rows],
    }
    print_json(result.as_dict() | shown | page.of(state.steps))


def _older(journal: Journal, age: datetime.timedelta) -> list[str]:
    """Return the runs that began at least `age` ago."""
    latest = datetime.datetime.now(datetime.UTC) - age
    return [
        run_id
        for run_id in journal.run_ids()
        if (started := journal.started(run_id)) is not None and datetime.datetime.fromisoformat(started.at) <= latest
    ]


def _row(journal: Journal, run_id: str) -> dict[str, Json]:
    if journal.kind(run_id) == "drive":
        return _chain_row(journal, run_id)
    state = RunState.of(journal.entries(run_id))
    graph = graph_of(state)
    ids = {subtask["id"] for subtask in graph["subtasks"]} if graph else state.splits.keys()
    settled = len(ids & (state.subtasks.keys() | state.solved.keys()))
    return {
        "run_id": run_id,
        "kind": state.started.what if state.started else "decomposition",
        "status": _status(state.ended, journal.path, run_id),
        "subtasks": f"{settled}/{len(ids)}" if ids else "-",
        "calls": state.usage.calls,
        "evidence": state.started.evidence if state.started else "-",
        "started": state.started.at if state.started else "-",
    }


def _chain_row(journal: Journal, run_id: str) -> dict[str, Json]:
    state = ChainState.whole(journal, run_id)
    assert state.started is not None
    return {
        "run_id": run_id,
        "kind": "drive",
        "status": _status(state.ended, journal.path, run_id),
        "subtasks": f"{state.steps:,} steps",
        "calls": state.usage.calls,
        "evidence": state.evidence,
        "started": state.started.at,
    }


def _decisions(journal: Journal, run_id: str) -> Iterator[dict[str, Json]]:
    for entry in journal.entries(run_id):
        if isinstance(entry.record, _DECISIONS):
            yield {"seq": entry.seq, "kind": entry.record.kind, **entry.record.model_dump(mode="json")}


def _status(ended: RunEnded | None, journal: Path, run_id: str) -> str:
    """Return how the latest attempt ended; without an end it is running if somebody owns it, else interrupted."""
    if ended is not None:
        return ended.status
    return "running" if RunLock.owner(journal, run_id) else "interrupted"
