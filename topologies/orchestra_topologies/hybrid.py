"""Hybrid: independent branches run side by side, dependent ones one after another.

By default a subtask starts the moment its own inputs are settled. With `context=layers` (the paper's form) it is
shown the answers of all earlier layers, and therefore waits for them.
"""

from __future__ import annotations

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_topologies.dataflow import dataflow
from orchestra_topologies.execution import Execution
from orchestra_topologies.graph import Subtask
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.progress import Progress, TopologyGraph


def build() -> TopologyGraph:
    """Return the graph: one node that settles the next group of subtasks, repeated until none is left."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("next_group", _next_group)
    graph.add_edge(START, "next_group")
    graph.add_conditional_edges("next_group", _more, {"more": "next_group", "done": END})
    return graph


async def _next_group(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    if run.conduct.context != "layers":
        await dataflow(
            run.graph,
            run.perform,
            run.outcomes,
            ids=run.order,
            settle=run.settle,
            fail_fast=run.conduct.fail_fast,
        )
        return {"settled": len(run.outcomes)}
    layer = next(layer for layer in run.graph.layers if layer[0] not in run.outcomes)
    earlier = [one for one in run.order if one in run.outcomes and run.outcomes[one].status == "ok"]

    async def work(subtask: Subtask) -> Outcome:
        return await run.perform(subtask, inputs=earlier)

    await dataflow(run.graph, work, run.outcomes, ids=layer, settle=run.settle, fail_fast=run.conduct.fail_fast)
    return {"settled": len(run.outcomes)}


async def _more(state: Progress, runtime: Runtime[Execution]) -> Literal["more", "done"]:
    return "more" if len(runtime.context.outcomes) < len(runtime.context.graph) else "done"
