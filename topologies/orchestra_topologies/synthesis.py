"""How the outcomes of a DAG become one answer: composed in DAG order, by code."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra_agents.answers import AnswerType
from orchestra_agents.journal.records import RunStatus
from orchestra_agents.models.contract import Json
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.outcome import Outcome


def final_ids(graph: TaskGraph) -> list[str]:
    """Return the subtasks that nothing depends on, in DAG order: their answers are the task's."""
    return [subtask.id for subtask in graph if not graph.successors(subtask.id)]


def whole_answer(graph: TaskGraph) -> AnswerType:
    """Return the answer type of the whole task: that of its only final subtask, else text."""
    final = final_ids(graph)
    return graph[final[0]].answer if len(final) == 1 else AnswerType("text")


def compose(graph: TaskGraph, outcomes: Mapping[str, Outcome]) -> Json:
    """Return the answer of the only final subtask, else an object of all final subtasks' answers by id.

    An answer that is missing is None. Outputs of different questions are never merged by a model here
    (AdaptOrch, hole 4).
    """
    final = final_ids(graph)
    if len(final) == 1:
        return outcomes[final[0]].answer
    return {one: outcomes[one].answer for one in final}


def overall(outcomes: Mapping[str, Outcome]) -> RunStatus:
    """Return how the run ended: stopped by budget before failed before undecided before ok."""
    statuses = {outcome.status for outcome in outcomes.values()}
    if "cancelled" in statuses:
        return "budget"
    if "failed" in statuses:
        return "failed"
    return "undecided" if "undecided" in statuses else "ok"
