"""`orchestra runs` and `orchestra show`: what the journal holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestra.cli.common import JournalOption, JsonOption, journal_path, print_json
from orchestra.report.text import result_view
from orchestra.result import graph_of, result_of
from orchestra_agents.errors import InputError, UnknownRun
from orchestra_agents.journal.lock import RunLock
from orchestra_agents.journal.records import SubtaskEnded
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json


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
    json_: JsonOption = False,
) -> None:
    """Show a run: its subtasks, usage, manifest and decisions."""
    if page < 1:
        raise InputError("--page", f"must be an integer of at least 1, got {page}")
    if not 1 <= page_size <= 10_000:
        raise InputError("--page-size", f"must be an integer from 1 to 10000, got {page_size}")
    with Journal(journal_path(journal), "read") as opened:
        state = RunState.of(opened.entries(run_id))
        if state.started is None:
            raise UnknownRun(run_id, str(opened.path))
        result = result_of(run_id, state, opened.path)
        if not json_:
            Console(highlight=False).print(result_view(result))
            return
        decisions = list(_decisions(opened, run_id))
    first = (page - 1) * page_size
    paged = {
        "kind": state.started.what,
        "status": _status(state, opened.path, run_id),
        "manifest": state.manifest,
        "decisions": decisions[first : first + page_size],
        "page": page,
        "pages": max(1, -(-len(decisions) // page_size)),
    }
    print_json(result.as_dict() | paged)


def _row(journal: Journal, run_id: str) -> dict[str, Json]:
    state = RunState.of(journal.entries(run_id))
    graph = graph_of(state)
    ids = {subtask["id"] for subtask in graph["subtasks"]} if graph else set()
    settled = len(ids & state.subtasks.keys())
    return {
        "run_id": run_id,
        "kind": state.started.what if state.started else "decomposition",
        "status": _status(state, journal.path, run_id),
        "subtasks": f"{settled}/{len(ids)}" if graph else "-",
        "calls": state.usage.calls,
        "evidence": state.started.evidence if state.started else "-",
        "started": state.started.at if state.started else "-",
    }


def _decisions(journal: Journal, run_id: str) -> Iterator[dict[str, Json]]:
    for entry in journal.entries(run_id):
        if isinstance(entry.record, SubtaskEnded):
            yield {"seq": entry.seq, **entry.record.model_dump(mode="json")}


def _status(state: RunState, journal: Path, run_id: str) -> str:
    """Return how the latest attempt ended; without an end it is running if somebody owns it, else interrupted."""
    if state.ended is not None:
        return state.ended.status
    return "running" if RunLock.owner(journal, run_id) else "interrupted"
