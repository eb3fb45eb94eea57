"""A whole run as a LangGraph graph: decompose, route, approve, one of five topologies, synthesise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import TypeAlias

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from orchestra.decomposition import decompose_text
from orchestra.planning import Design, Plan, design
from orchestra.result import graph_of
from orchestra_agents.errors import RunDeclined
from orchestra_agents.journal.records import Decomposed, Routed
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.models.contract import Json
from orchestra_agents.sampler import Sampler
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.execution import WHOLE, Execution, Panel
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.progress import Progress
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import compose

Approve = Callable[[TaskGraph, Design], Awaitable[bool]]
"""Asked before the graph's first model call; False ends the run."""
App: TypeAlias = "CompiledStateGraph[Progress, Performance, Progress, Progress]"


@dataclass(init=False, eq=False)
class Performance(Execution):
    """A graph run with its plan, from the task's text to the answer."""

    design: Design
    answer: Json = None

    def __init__(
        self, plan: Plan, approve: Approve | None, *, panel: Panel, sampler: Sampler, journal: RunJournal
    ) -> None:
        sampling = plan.choices.sampling()
        super().__init__(panel=panel, sampling=sampling, sampler=sampler, journal=journal, state=sampler.state)
        self.plan, self.approve = plan, approve


@cache
def app() -> App:
    """Return the LangGraph application of a run, compiled once; it needs a `Performance` as context."""
    graph: StateGraph[Progress, Performance, Progress, Progress] = StateGraph(Progress, context_schema=Performance)
    graph.add_node("decompose", _decompose)
    graph.add_node("route", _route)
    graph.add_node("approve", _approve)
    graph.add_node("synthesise", _synthesise)
    for name, build in TOPOLOGIES.items():
        graph.add_node(name, build().compile())
        graph.add_edge(name, "synthesise")
    graph.add_edge(START, "decompose")
    graph.add_edge("decompose", "route")
    graph.add_edge("route", "approve")
    graph.add_conditional_edges("approve", _topology, {name: name for name in TOPOLOGIES})
    graph.add_edge("synthesise", END)
    return graph.compile()


async def _decompose(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    task = performance.plan.task
    if isinstance(task, str) and performance.state.decomposed is None:
        sampler = performance.sampler.panel(performance.panel.choose(role="decomposer"))
        made = await decompose_text(task, sampler, performance.sampling)
        performance.journal.append(Decomposed(graph=made.graph.to_dict(), reason=made.reason, repairs=made.repairs))
    return {"settled": 0}


async def _route(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    task = performance.plan.task
    graph = task if isinstance(task, TaskGraph) else TaskGraph.from_dict(graph_of(performance.state) or {})
    made = performance.design = design(graph, performance.plan.choices)
    performance.assign(graph, made.teams, performance.plan.choices.context)
    record = Routed(
        shape=asdict(made.shape),
        route=made.route_dict(),
        decision=made.decision_dict(),
        ignored_edges=[list(edge) for edge in made.ignored_edges],
    )
    if record != performance.state.routed:
        performance.journal.append(record)
    return {}


async def _approve(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    approve = performance.approve
    if approve is not None and not await approve(performance.graph, performance.design):
        raise RunDeclined("the plan was declined; nothing more was spent")
    return {}


async def _topology(state: Progress, runtime: Runtime[Performance]) -> Topology:
    return runtime.context.design.topology


async def _synthesise(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    whole = performance.outcomes.get(WHOLE)
    performance.answer = whole.answer if whole else compose(performance.graph, performance.outcomes)
    return {}
