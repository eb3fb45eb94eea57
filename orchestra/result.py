"""What a run came to, read from its journal: the same whether it just ended, was resumed, or is looked up later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.coordination import Coordination, coordination_of
from orchestra_agents.journal.records import RunStatus, SubtaskEnded
from orchestra_agents.journal.replay import RunState, Usage
from orchestra_agents.models.contract import Evidence, Json
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to."""

    run_id: str
    status: RunStatus
    topology: str | None
    """What the run followed; None where it stopped before routing."""
    team: str | None
    reason: str
    """Why this topology, or why the run stopped before."""
    answer: Json
    """Typed by the final subtask's answer type; an object by id where several subtasks are final."""
    subtasks: dict[str, dict[str, Json]]
    """Status, answer, whether and with how many votes, and cause where one is due, by id in DAG order."""
    usage: Usage
    journal: Path
    evidence: Evidence
    seconds: float
    """Wall-clock seconds over all attempts."""
    ignored_edges: list[list[str]]
    """Edges along which the topology passed no upstream text."""
    whole: dict[str, Json] | None
    """Status, answer and votes of one agent that answered for all subtasks; None in other topologies."""
    notes: list[str]
    """What you should know about how the run went."""
    causes: list[dict[str, Json]]
    """The subtasks that are themselves to blame, in DAG order: subtask, status, code, message, and whom they kept."""
    reroutes: int
    """Passes over the graph after the first, because answers contradicted each other; 0 to 5."""
    synthesis: list[dict[str, Json]]
    """What each pass came to: topology, coupling, what became of each question with several answers, the verdict."""
    condensed: list[dict[str, Json]]
    """Whose inputs were made to fit its context window, and how."""
    coordination: Coordination
    """Turns, messages and what they were worth; compared with one agent by `coordination.beside`."""

    def as_dict(self) -> dict[str, Json]:
        """Return the result as the JSON document that the command line prints."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return values | {
            "usage": self.usage.as_dict(),
            "journal": str(self.journal),
            "coordination": self.coordination.as_dict(),
        }


def result_of(run_id: str, state: RunState, journal: Path) -> RunResult:
    """Return the result of a graph run from its state; one without an end counts as interrupted."""
    routed = state.routed
    decision = routed.decision if routed else {}
    whole = state.subtasks.get(WHOLE) if decision.get("topology") == "single" else None
    ended = state.ended
    return RunResult(
        run_id=run_id,
        status=ended.status if ended else "interrupted",
        topology=decision.get("topology"),
        team=decision.get("team"),
        reason=decision.get("reason") or (ended.reason if ended and ended.reason else "stopped before routing"),
        answer=ended.answer if ended else None,
        subtasks=dict(_subtasks(state)),
        usage=state.usage,
        journal=journal,
        evidence=state.evidence,
        seconds=round(state.seconds, 3),
        ignored_edges=routed.ignored_edges if routed else [],
        whole=_subtask(whole) if whole is not None else None,
        notes=list(ended.notes) if ended else [],
        causes=list(_causes(state)),
        reroutes=max(state.passes, default=0),
        synthesis=[state.passes[place].model_dump(mode="json") for place in sorted(state.passes)],
        condensed=[record.model_dump(mode="json") for record in state.condensed.values()],
        coordination=coordination_of(state, task_graph_of(state)),
    )


def graph_of(state: RunState) -> dict[str, Json] | None:
    """Return the run's task graph as JSON; None before text has been decomposed."""
    if state.decomposed is not None:
        return state.decomposed.graph
    task = state.manifest.get("task")
    return task if isinstance(task, dict) else None


def task_graph_of(state: RunState) -> TaskGraph | None:
    """Return the run's task graph; None before text has been decomposed."""
    said = graph_of(state)
    return None if said is None else TaskGraph.from_dict(said, max_subtasks=len(said["subtasks"]), max_layers=10**9)


def _subtasks(state: RunState) -> Iterator[tuple[str, dict[str, Json]]]:
    graph = graph_of(state)
    for subtask in graph["subtasks"] if graph else []:
        yield subtask["id"], _subtask(state.subtasks.get(subtask["id"]))


def _causes(state: RunState) -> Iterator[dict[str, Json]]:
    """Yield the roots of all that did not end ok, each with those it kept from ending."""
    kept: dict[str, list[str]] = {}
    graph = graph_of(state)
    for subtask in graph["subtasks"] if graph else []:
        record = state.subtasks.get(subtask["id"])
        if record is not None and record.status != "ok" and record.covered_by is None:
            root = (record.cause.because if record.cause else None) or record.node
            kept.setdefault(root, [])
            if root != record.node:
                kept[root].append(record.node)
    for root, others in kept.items():
        record = state.subtasks.get(root)
        if record is not None and record.cause is not None:
            cause = {"code": record.cause.code, "message": record.cause.message}
            yield {"subtask": root, "status": record.status, **cause, "kept": others}


def _subtask(record: SubtaskEnded | None) -> dict[str, Json]:
    if record is None:
        cause = {"code": "interrupted", "message": "the run stopped before this subtask ended", "because": None}
        return {"status": "cancelled", "answer": None, "voted": False, "votes": 0, "cause": cause}
    values: dict[str, Json] = {
        "status": record.status,
        "answer": record.answer,
        "voted": record.voted,
        "votes": record.votes,
        "samples": record.samples,
        "seconds": record.seconds,
    }
    if record.voted:
        values |= {"k": record.k, "margin": record.margin, "tally": record.tally}
    if record.cause is not None:
        values["cause"] = record.cause.model_dump()
    if record.selected is not None:
        values["selected"] = record.selected
    if record.covered_by is not None:
        values["covered_by"] = record.covered_by
    return values
