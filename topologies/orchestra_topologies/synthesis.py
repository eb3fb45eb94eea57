"""How the outcomes of a DAG become one answer: different questions are composed in DAG order, by code.

Subtasks that say they answer the same question (`answers`) stand together as one part of the answer; how they become
one is `gate.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.journal.records import RunStatus
from orchestra_agents.models.contract import Json
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.subtask import own_keys

Operator = Literal["none", "last", "verified", "only", "same", "vote", "medoid", "merge", "arbitrate"]
"""How several answers became one, in the order in which it is tried."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the task's answer."""

    name: str
    """Id of its subtask, or of the question that several subtasks answer."""
    members: tuple[str, ...]
    """Ids of those who answer it, in DAG order."""
    is_question: bool
    """Whether it is a question that several subtasks answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What became of one question."""

    question: str
    members: tuple[str, ...]
    """Subtasks whose answers were looked at: those that ended ok, in DAG order."""
    operator: Operator
    answer: Json = None
    """The question's answer; None where there is none."""
    is_settled: bool = True
    """Whether the answer stands: consistent, or the arbiter's choice is close enough to what it was made from."""
    consistency: float | None = None
    """Mean similarity over all pairs, in [-1, 1]; None where nothing was compared."""
    threshold: float | None = None
    """What the figure was compared with."""
    basis: str | None = None
    """What the similarity is based on; `lexical` compares words, not meaning."""
    after: float | None = None
    """Mean similarity of an arbiter's choice to the answers it was made from (hole 1)."""
    conflicts: tuple[str, ...] = ()
    """What an arbiter saw."""
    evidence: str | None = None
    """What an arbiter gave for its choice."""
    problem: str | None = None
    """Why there is no answer, or why it is not what it should be."""

    def as_dict(self) -> dict[str, Json]:
        """Return it as JSON."""
        values = asdict(self)
        return values | {"members": list(self.members), "conflicts": list(self.conflicts)}


def questions(graph: TaskGraph) -> dict[str, tuple[str, ...]]:
    """Return the subtasks that answer each question which several say they answer, in DAG order."""
    groups: dict[str, list[str]] = {}
    for subtask in graph:
        if subtask.answers is not None:
            groups.setdefault(subtask.answers, []).append(subtask.id)
    return {question: tuple(members) for question, members in groups.items() if len(members) > 1}


def final_questions(graph: TaskGraph) -> dict[str, tuple[str, ...]]:
    """Return those of `questions` that are parts of the task's answer; answers that others read are weighed by them."""
    return {part.name: part.members for part in parts(graph) if part.is_question}


def parts(graph: TaskGraph) -> list[Part]:
    """Return the parts of the task's answer: its final subtasks in DAG order, those of one question as one.

    Final is what nothing depends on, and what says so itself.
    """
    asked = questions(graph)
    found: dict[str, Part] = {}
    for subtask in graph:
        if subtask.final or not graph.successors(subtask.id):
            is_question = subtask.answers in asked
            name = subtask.answers if is_question and subtask.answers is not None else subtask.id
            members = asked[name] if is_question else (subtask.id,)
            found.setdefault(name, Part(name, members, is_question))
    return list(found.values())


def lost_together(graph: TaskGraph) -> list[str]:
    """Return the keys of subtasks that do not hold where one agent answers the whole graph.

    The check and repair of the only final subtask are the whole answer's, and tools that every subtask has are its own.
    """
    last, kept = only_final(graph), {"verify", "repair"}
    own = {key for subtask in graph for key in own_keys(subtask) if not (subtask is last and key in kept)}
    if len({subtask.tools for subtask in graph}) == 1:
        own.discard("tools")
    return sorted(own)


def only_final(graph: TaskGraph) -> Subtask | None:
    """Return the subtask whose answer is the task's, None where several are."""
    found = parts(graph)
    return graph[found[0].members[0]] if len(found) == 1 and len(found[0].members) == 1 else None


def whole_answer(graph: TaskGraph) -> AnswerType:
    """Return the answer type of the whole task: that of its only part, else text."""
    found = parts(graph)
    return graph[found[0].members[0]].answer if len(found) == 1 else AnswerType("text")


def compose(graph: TaskGraph, outcomes: Mapping[str, Outcome], resolved: Mapping[str, Resolution]) -> Json:
    """Return the answer of the only part, else an object of all parts' answers by subtask or question.

    An answer that is missing is None. Outputs of different questions are never merged by a model here
    (AdaptOrch, hole 4).

    Args:
        graph: The subtasks.
        outcomes: How they ended, by id.
        resolved: What became of each question that several subtasks answer.
    """
    found = parts(graph)
    answers = {part.name: (resolved if part.is_question else outcomes)[part.name].answer for part in found}
    return answers[found[0].name] if len(found) == 1 else answers


def overall(graph: TaskGraph, outcomes: Mapping[str, Outcome]) -> RunStatus:
    """Return how the run ended: stopped by budget before failed before undecided before ok.

    What a subtask's readers did without, by their `join`, does not count against the run. Everything else does, under
    what its root ended as: what was skipped or cancelled because of an undecided subtask leaves the run undecided.
    """
    done_without = set(tolerated(graph, outcomes))
    missing = {one: outcome for one, outcome in outcomes.items() if outcome.status != "ok" and one not in done_without}
    if any(outcome.cause is not None and outcome.cause.code == "budget" for outcome in missing.values()):
        return "budget"
    roots = (outcomes.get(outcome.root(one)) for one, outcome in missing.items())
    if any(root is None or root.status != "undecided" for root in roots):
        return "failed"
    return "undecided" if missing else "ok"


def tolerated(graph: TaskGraph, outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return the subtasks that did not end ok and that everybody who depends on them did without, in DAG order.

    A subtask is done without where all its readers started all the same, and a final one, or one that answers a
    question, never is.
    """
    found: set[str] = set()
    final = {member for part in parts(graph) for member in part.members}
    for one in reversed(graph.order):
        if one not in outcomes or outcomes[one].status == "ok" or one in final:
            continue
        readers = graph.successors(one)
        if all(reader in found or outcomes[reader].status not in ("skipped", "cancelled") for reader in readers):
            found.add(one)
    return [one for one in graph.order if one in found]
