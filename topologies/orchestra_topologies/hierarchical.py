"""Hierarchical: a lead briefs every worker, then the workers answer as soon as their inputs are ready.

The lead speaks once, before anybody works; what it says reaches a worker as material beside the subtask, which stays
the instruction. A lead whose briefs cannot be read costs nothing but itself: the plain subtasks are used.
"""

from __future__ import annotations

from dataclasses import replace

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.microagent import Question
from orchestra_topologies.dataflow import dataflow
from orchestra_topologies.execution import Execution
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.prompts import BRIEF_CHARACTERS, briefs_answer, lead_prompt
from orchestra_topologies.teams.team import Team

_TOKENS_A_BRIEF = BRIEF_CHARACTERS // 2
LEAD = "<lead>"
"""Node of the lead's briefing; no subtask can be called so."""


def build() -> TopologyGraph:
    """Return the graph: the lead's briefing, then the workers."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("brief", _brief)
    graph.add_node("delegate", _delegate)
    graph.add_edge(START, "brief")
    graph.add_edge("brief", "delegate")
    graph.add_edge("delegate", END)
    return graph


async def _brief(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    question = Question(node=LEAD, prompt=lead_prompt(run.graph), answer=briefs_answer(run.graph))
    room = replace(run.sampling, max_tokens=max(run.sampling.max_tokens, _TOKENS_A_BRIEF * len(run.graph)))
    outcome = await run.ask(question, Team("solo"), models=run.panel.choose(role="lead"), sampling=room)
    if outcome.status == "ok":
        run.briefs = dict(outcome.answer)
    elif outcome.cause is not None:
        run.notes.append(f"the lead gave no usable briefing ({outcome.cause.message}); the plain subtasks were run")
    return {"settled": 0}


async def _delegate(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    await dataflow(run.graph, run.perform, run.outcomes, ids=run.graph.order, skip=run.settle)
    return {"settled": len(run.outcomes)}
