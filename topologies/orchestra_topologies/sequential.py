"""Sequential: one subtask after another in topological order, each shown the answers it depends on."""

from __future__ import annotations

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_topologies.execution import Execution
from orchestra_topologies.outcome import blocking, stopped_by
from orchestra_topologies.progress import Progress, TopologyGraph


def build() -> TopologyGraph:
    """Return the graph: one node that answers the next subtask, repeated until none is left."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("next_subtask", _next_subtask)
    graph.add_edge(START, "next_subtask")
    graph.add_conditional_edges("next_subtask", _more, {"more": "next_subtask", "done": END})
    return graph


async def _next_subtask(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    subtask = run.graph[run.order[len(run.outcomes)]]
    failed = stopped_by(run.outcomes) if run.conduct.fail_fast else None
    blocked = failed or blocking(subtask, run.outcomes)
    if blocked is None:
        run.outcomes[subtask.id] = await run.perform(subtask)
    else:
        run.settle(subtask, blocked)
    return {"settled": len(run.outcomes)}


async def _more(state: Progress, runtime: Runtime[Execution]) -> Literal["more", "done"]:
    return "more" if len(runtime.context.outcomes) < len(runtime.context.graph) else "done"
