"""A whole run as one node of somebody else's LangGraph application: their checkpointer, streaming and interrupts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from orchestra.performance import Performance, app
from orchestra.planning import Plan
from orchestra.result import result_of
from orchestra.running import ENDLESS, Hooks, perform_run
from orchestra.session import Session
from orchestra_agents.errors import RunDeclined
from orchestra_agents.journal.records import Record
from orchestra_agents.journal.replay import RunState
from orchestra_agents.models.contract import Json, digest
from orchestra_topologies.graph import TaskGraph

_NOBODY = Hooks()


class RunIO(TypedDict, total=False):
    """The keys that the subgraph shares with the graph around it."""

    task: str
    """What is to be done, where the plan does not say it."""
    answer: Json
    """The run's answer."""
    run: dict[str, Json]
    """The run's whole result, as `orchestra run --json` prints it."""


Subgraph: TypeAlias = "CompiledStateGraph[RunIO, None, RunIO, RunIO]"


def as_subgraph(
    plan: Plan | TaskGraph | None = None, *, session: Session, approve: bool = False, hooks: Hooks = _NOBODY
) -> Subgraph:
    """Return a compiled LangGraph graph that carries out `plan`, to be added as a node to another graph.

    It reads `task` of the state around it and writes `answer` and `run`. Its checkpointer is that of the graph it is
    put into. What is paid for stands in the session's journal, so a node that LangGraph runs again, after an interrupt
    or a crash, goes on with the same run and asks nothing twice. Records are streamed as custom events
    (`stream_mode="custom"`), the run's own nodes with `subgraphs=True`.

    Args:
        plan: What is done; None, or a plan whose task is text, takes the state's `task`, where there is one.
        session: Owner of models, ledger and journal; it must stay open as long as the graph is used.
        approve: Whether the run interrupts before it spends anything on the task graph; resume with
            `Command(resume=True)`, anything else declines. Needs a checkpointer around it.
        hooks: Who is told, beside the stream.
    """
    inner = app()
    fixed = Plan(task=plan) if isinstance(plan, TaskGraph) else plan

    async def orchestra(state: RunIO, config: RunnableConfig) -> RunIO:
        run_id = _run_id(config)
        write = get_stream_writer()

        def watch(record: Record) -> None:
            write({"run_id": run_id, "kind": record.kind, **record.model_dump(mode="json")})
            if hooks.watch is not None:
                hooks.watch(record)

        async def invoke(performance: Performance) -> None:
            settings: Any = {**config, "recursion_limit": ENDLESS}
            await inner.ainvoke({}, settings, context=performance, durability="exit")

        watched = replace(hooks, watch=watch)
        try:
            result = await perform_run(_plan_for(fixed, state), session, run_id, watched, invoke, asks_first=approve)
        except RunDeclined:
            result = result_of(run_id, RunState.of(session.journal.entries(run_id)), session.journal.path)
        return {"answer": result.answer, "run": result.as_dict()}

    graph: StateGraph[RunIO, None, RunIO, RunIO] = StateGraph(RunIO)
    graph.add_node("orchestra", orchestra)
    graph.add_edge(START, "orchestra")
    graph.add_edge("orchestra", END)
    return graph.compile()


def _plan_for(plan: Plan | None, state: RunIO) -> Plan:
    """Return the plan with the task of the state around it, where the plan leaves it open."""
    task = state.get("task")
    if plan is None:
        return Plan(task=task or "")
    return replace(plan, task=task) if task and isinstance(plan.task, str) else plan


def _run_id(config: RunnableConfig) -> str:
    """Return a name that is the same whenever LangGraph runs this execution of the node again."""
    place = config.get("configurable", {})
    return f"lg-{digest([place.get('thread_id'), place.get('checkpoint_ns')])[:16]}"
