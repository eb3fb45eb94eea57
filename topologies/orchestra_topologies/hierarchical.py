"""Hierarchical: a lead briefs the workers, they answer, it reads their reports, sends some back, and reconciles.

What the lead says reaches a worker as material beside the subtask, which stays the instruction; dependencies hold
whatever it says. It can send a subtask back, but it cannot change, add or drop one. A lead whose replies cannot be used
costs nothing but itself: the plain subtasks are run, and the run says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Prompt
from orchestra_agents.models.window import most_tokens
from orchestra_topologies.dataflow import dataflow
from orchestra_topologies.execution import Execution, roomy
from orchestra_topologies.fitting import Reader
from orchestra_topologies.gate import resolve_all
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.outcome import Outcome, stopped_by
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.prompts import (
    BRIEF_CHARACTERS,
    MOST_SENT_BACK,
    Given,
    briefs_answer,
    lead_prompt,
    monitor_prompt,
    redo_answer,
)

LEAD = "<lead>"
"""Node of the lead's briefing; no subtask can be called so."""
MOST_ROUNDS = 2
"""How often the lead may read the reports and send subtasks back."""

_TOKENS_A_BRIEF = BRIEF_CHARACTERS // 2


def build() -> TopologyGraph:
    """Return the graph: plan, then delegate and monitor in turns, then reconcile."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("plan", _plan)
    graph.add_node("delegate", _delegate)
    graph.add_node("monitor", _monitor)
    graph.add_node("reconcile", _reconcile)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "delegate")
    graph.add_edge("delegate", "monitor")
    graph.add_conditional_edges("monitor", _next, {"sent back": "delegate", "accepted": "reconcile"})
    graph.add_edge("reconcile", END)
    return graph


async def _plan(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context

    def prompt(given: Sequence[Given], problem: str) -> Prompt:
        return lead_prompt(run.graph, run.disputes, problem)

    outcome = await _lead(run, LEAD, briefs_answer(run.graph), prompt, tokens=_TOKENS_A_BRIEF * len(run.graph))
    if outcome.status == "ok":
        run.briefs = dict(outcome.answer)
    elif outcome.cause is not None:
        run.notes.append(f"the lead gave no usable plan ({outcome.cause.message}); the plain plan was used")
    return {"settled": 0, "rounds": 0}


async def _delegate(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    ids = [one for one in run.order if one not in run.outcomes]
    fail_fast = run.conduct.fail_fast
    await dataflow(run.graph, run.perform, run.outcomes, ids=ids, settle=run.settle, fail_fast=fail_fast)
    return {"settled": len(run.outcomes)}


async def _monitor(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run, rounds = runtime.context, state.get("rounds", 0)
    asked = [one for one in run.order if _may_be_sent_back(run, one)]
    is_stopped = run.stop is not None or (run.conduct.fail_fast and stopped_by(run.outcomes) is not None)
    if is_stopped or rounds >= MOST_ROUNDS or not asked:
        return {}
    answer = redo_answer(asked)
    reports = [run.given(one) for one in run.order]
    outcome = await _lead(
        run,
        f"<lead monitors {rounds + 1}>",
        answer,
        lambda given, problem: monitor_prompt(run.graph, given, answer, problem),
        tokens=_TOKENS_A_BRIEF * min(len(asked), MOST_SENT_BACK),
        reports=reports,
    )
    if outcome.status != "ok":
        if outcome.cause is not None:
            run.notes.append(f"the lead did not read the reports ({outcome.cause.message}); they stand as they are")
        return {"rounds": MOST_ROUNDS}
    sent_back = {one["id"]: one["note"] for one in outcome.answer["redo"]}
    run.briefs |= sent_back
    for one in _with_dependants(run.graph, sent_back):
        del run.outcomes[one]
    if sent_back:
        run.notes.append(f"the lead sent back {', '.join(sent_back)}")
    return {"settled": len(run.outcomes), "rounds": rounds + 1}


async def _next(state: Progress, runtime: Runtime[Execution]) -> Literal["sent back", "accepted"]:
    return "sent back" if len(runtime.context.outcomes) < len(runtime.context.graph) else "accepted"


async def _reconcile(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    run.resolutions = await resolve_all(run, role="lead")
    return {}


async def _lead(
    run: Execution,
    node: str,
    answer: AnswerType,
    prompt: Callable[[Sequence[Given], str], Prompt],
    *,
    tokens: int,
    reports: Sequence[Given] = (),
) -> Outcome:
    """Return what the lead says about the reports, its reply having room for `tokens`, or half its window."""

    def asks(given: Sequence[Given]) -> Question:
        return Question(node=node, prompt=prompt(given, ""), answer=answer)

    terms = run.terms("lead")
    window = await run.window_of(terms.models, most_tokens(prompt(reports, "")) + tokens)
    if window is not None:
        tokens = min(tokens, window // 2)
    reader = Reader(
        node=node,
        purpose="tell which reports are missing, do not answer their subtask, or contradict another one",
        terms=replace(terms, sampling=roomy(terms.sampling, tokens)),
        asks=asks,
    )
    return await run.read_until_usable(reader, reports, answer, prompt)


def _may_be_sent_back(run: Execution, one: str) -> bool:
    """Whether somebody worked on it; an answer that passed its check is not the lead's to doubt."""
    status = run.outcomes[one].status
    return status in ("failed", "undecided") or (status == "ok" and run.graph[one].verify is None)


def _with_dependants(graph: TaskGraph, ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    rest = list(ids)
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += graph.successors(one)
    return found
