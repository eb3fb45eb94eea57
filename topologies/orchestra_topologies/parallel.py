"""Parallel: everything at once as far as the order allows; upstream text only along strong and critical edges."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_topologies.dataflow import dataflow
from orchestra_topologies.execution import Execution
from orchestra_topologies.graph import Subtask
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.wiring import strong_inputs


def build() -> TopologyGraph:
    """Return the graph: one node in which every subtask starts as soon as it may."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("fan_out", _fan_out)
    graph.add_edge(START, "fan_out")
    graph.add_edge("fan_out", END)
    return graph


async def _fan_out(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context

    async def work(subtask: Subtask) -> Outcome:
        return await run.perform(subtask, inputs=strong_inputs(subtask, run.stronger))

    await dataflow(run.graph, work, run.outcomes, ids=run.order, settle=run.settle, fail_fast=run.conduct.fail_fast)
    return {"settled": len(run.outcomes)}
