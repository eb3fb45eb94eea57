"""Plans and results as people read them in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra.coordination import Coordination
from orchestra.designing import Design
from orchestra.result import RunResult
from orchestra.solved import Solved
from orchestra_agents.models.contract import Json
from orchestra_topologies.graph import TaskGraph

_STYLES = {"ok": "green", "failed": "red", "undecided": "yellow", "skipped": "dim", "cancelled": "dim"}
_MOST_ROWS = 200
_MOST_NAMED = 5


def plan_view(graph: TaskGraph, made: Design) -> RenderableType:
    """Return the graph, its shape and the decision with its reason."""
    shape = made.shape
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("subtask", "needs", "answer", "team"):
        table.add_column(column, overflow="fold")
    for subtask in list(graph)[:_MOST_ROWS]:
        needs = ", ".join(graph.predecessors(subtask.id)) or "-"
        team = made.teams.get(subtask.id)
        table.add_row(
            Text(subtask.id), Text(needs), Text(_kind(subtask.answer.spec())), str(team) if team else "whole task"
        )
    more = [Text(f"... and {len(graph) - _MOST_ROWS} more", style="dim")] if len(graph) > _MOST_ROWS else []
    figures = (
        f"{shape.subtasks} subtasks, {shape.edges} edges, width {shape.width}, depth {shape.depth:g} tokens, "
        f"coupling {shape.coupling:.2f}, ratio {shape.ratio:.2f}"
    )
    decision = Text.assemble((f"{made.topology} x {made.team}", "bold"), f"  {made.reason}")
    ignored = [Text(f"upstream text is not passed along {len(made.ignored_edges)} weak edges", style="dim")]
    return Group(table, *more, Text(), Text(figures), decision, *(ignored if made.ignored_edges else []))


def result_view(result: RunResult) -> RenderableType:
    """Return each subtask's answer with its votes, then the answer, what it took and where it stands."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("subtask", "status", "votes", "answer"):
        table.add_column(column, overflow="fold")
    for one, subtask in list(result.subtasks.items())[:_MOST_ROWS]:
        status = str(subtask["status"])
        said = (subtask.get("cause") or {}).get("message") or shown_answer(subtask["answer"])
        table.add_row(Text(one), Text(status, style=_STYLES.get(status, "")), votes_text(subtask), Text(said))
    return Group(
        table,
        Text(),
        Text.assemble(("wired   ", "bold"), _wired(result)),
        Text.assemble(("answer  ", "bold"), shown_answer(result.answer)),
        Text.assemble(("status  ", "bold"), result.status),
        *(Text.assemble(("cause   ", "bold"), _cause(cause)) for cause in result.causes[:_MOST_ROWS]),
        *(Text.assemble(("note    ", "bold"), note) for note in result.notes),
        *(Text.assemble(("team    ", "bold"), line) for line in _coordination(result.coordination)),
        *closing_lines(result),
    )


def closing_lines(result: RunResult | Solved) -> list[Text]:
    """Return what a run took, who answered it and where it stands."""
    usage = result.usage
    took = (
        f"{usage.calls} calls, {usage.samples} samples ({usage.flagged} flagged), {usage.input_tokens} + "
        f"{usage.output_tokens} tokens{' (partly estimated)' if usage.estimated else ''}, {result.seconds:.1f} s"
    )
    kind = "a real model" if result.evidence == "real" else "a SIMULATED model"
    return [
        Text.assemble(("usage   ", "bold"), took),
        Text.assemble(("run     ", "bold"), f"{result.run_id}, answered by {kind}, recorded in {result.journal}"),
    ]


def _coordination(found: Coordination) -> Iterator[str]:
    """Yield what coordination took, where agents told one another something or acted, and what it is worth."""
    if found.messages or found.actions or found.redundancy is not None:
        said = [f"{found.turns} turns, {found.messages} messages"]
        if found.redundancy is not None:
            said.append(f"redundancy {found.redundancy:.2f} ({found.redundancy_basis})")
        if found.actions:
            said.append("actions " + ", ".join(f"{count} {status}" for status, count in sorted(found.actions.items())))
        if found.unproductive_share:
            said.append(f"{found.unproductive_share * 100:.0f} % of the tokens unproductive")
        yield ", ".join(said)
    if found.overhead_percent is not None:
        figures = {
            "overhead": (found.overhead_percent, "{:+.0f} %"),
            "efficiency": (found.efficiency, "{:.3f}"),
            "failure ratio": (found.failure_ratio, "{:.2f}"),
            "absorption": (found.absorption, "{:.2f}"),
        }
        known = [f"{name} {form.format(value)}" for name, (value, form) in figures.items() if value is not None]
        yield f"beside one agent: {', '.join(known)}"


def _wired(result: RunResult) -> str:
    """Return how the subtasks were wired, by whom each was answered, and why."""
    chosen = f"{result.topology} x {result.team}: " if result.topology else ""
    passes = f" ({result.reroutes + 1} passes)" if result.reroutes else ""
    return f"{chosen}{result.reason}{passes}"


def _cause(cause: dict[str, Json]) -> str:
    """Return a root cause as one line, with whom it kept from ending."""
    kept = cause["kept"]
    more = f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else ""
    others = f" (and with it {', '.join(kept[:_MOST_NAMED])}{more})" if kept else ""
    return f"{cause['subtask']} {cause['status']}{others}: {cause['message']}"


def votes_text(subtask: dict[str, Json]) -> str:
    """Return a subtask's votes in short: `3:1` for three against one, `-` where nothing was counted."""
    tally = subtask.get("tally")
    return ":".join(str(votes) for votes in sorted(tally.values(), reverse=True)) if tally else "-"


def _kind(spec: Json) -> str:
    if isinstance(spec, str):
        return spec
    [(kind, detail)] = spec.items()
    return " | ".join(detail) if kind == "choice" else str(kind)


def shown_answer(answer: Json) -> str:
    """Return an answer as people read it: text as it is, anything else as JSON."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def stderr_console() -> Console:
    """Return the console for everything that is not the result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
