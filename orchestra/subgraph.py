"""A whole run as one node of somebody else's LangGraph application: their checkpointer, streaming and interrupts."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from orchestra.panel import ModelSpec
from orchestra.performance import Performance, app
from orchestra.planning import Plan
from orchestra.result import RunResult, result_of
from orchestra.running import ENDLESS, Hooks, check_answerable, perform_run
from orchestra.session import Session
from orchestra_agents.errors import RunDeclined
from orchestra_agents.journal.records import Record
from orchestra_agents.journal.replay import RunState
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, digest
from orchestra_topologies.graph import TaskGraph

_NOBODY = Hooks()
_STATE_S = "the state's task"
_AGAIN: Any = Command(goto="decompose")
"""Takes the run's graph up at its start, where everything recorded is answered from the journal."""


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
    task: Plan | TaskGraph | str | None = None,
    *,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
    session: Session | None = None,
    journal: Path | str | None = None,
    approve: bool = False,
    hooks: Hooks = _NOBODY,
) -> Subgraph:
    """Return a compiled LangGraph graph that carries out `task`, to be added as a node to another graph.

    It reads `task` of the state around it and writes `answer` and `run`. Its checkpointer is that of the graph it is
    put into. What is paid for stands in the journal, so a node that LangGraph runs again, after an interrupt or a
    crash, goes on with the same run and asks nothing twice. Records are streamed as custom events
    (`stream_mode="custom"`), the run's own nodes with `subgraphs=True`.

    Args:
        task: What is done; None, or a plan whose task is text, takes the state's `task`, where there is one.
        model: As in `run`.
        budget: As in `run`; for each execution of the node.
        session: Owner of models, ledger and journal, kept open by you; None makes one for each execution.
        journal: Journal file without a session; None keeps a temporary one for as long as this machine does.
        approve: Whether the run interrupts before it spends anything on the task graph; resume with
            `Command(resume=True)`, anything else declines. Needs a checkpointer around it.
        hooks: Who is told, beside the stream.

    Raises:
        InputError: The task cannot be carried out as asked.
    """
    inner = app()
    plan = _plan(task, model, budget)
    path = Path(journal or tempfile.mkdtemp(prefix="orchestra-"))
    path = path if journal else path / "journal.db"

    async def orchestra(state: RunIO, config: RunnableConfig) -> RunIO:
        async def invoke(performance: Performance) -> None:
            settings: Any = {**config, "recursion_limit": ENDLESS}
            await inner.ainvoke({}, settings, context=performance)
            if not performance.is_through:  # their checkpoint is ahead of the run, whose end was never recorded
                await inner.ainvoke(_AGAIN, settings, context=performance)

        run_id, write = _run_id(config), get_stream_writer()

        def watch(record: Record) -> None:
            write({"run_id": run_id, "kind": record.kind, **record.model_dump(mode="json")})
            if hooks.watch is not None:
                hooks.watch(record)

        async def perform(owner: Session) -> RunResult:
            told = replace(hooks, watch=watch)
            try:
                return await perform_run(_told(plan, state), owner, run_id, told, invoke, asks_first=approve)
            except RunDeclined:
                return result_of(run_id, RunState.of(owner.journal.entries(run_id)), owner.journal.path)

        if session is not None:
            result = await perform(session)
        else:
            async with Session(journal=path) as own:
                result = await perform(own)
        return {"answer": result.answer, "run": result.as_dict()}

    graph: StateGraph[RunIO, None, RunIO, RunIO] = StateGraph(RunIO)
    graph.add_node("orchestra", orchestra)
    graph.add_edge(START, "orchestra")
    graph.add_edge("orchestra", END)
    return graph.compile()


def _plan(task: Plan | TaskGraph | str | None, model: ModelSpec | None, budget: Budget | None) -> Plan | None:
    """Return the plan, as far as it stands before anything is known of the state."""
    if task is None and model is None and budget is None:
        return None
    plan = task if isinstance(task, Plan) else Plan(task=_STATE_S if task is None else task)
    if isinstance(plan.task, TaskGraph):
        check_answerable(plan.task, plan)
    caps = (budget or Budget()).or_else(plan.budget)
    return replace(plan, model=model if model is not None else plan.model, budget=caps)


def _told(plan: Plan | None, state: RunIO) -> Plan:
    """Return the plan with the task of the state around it, where the plan leaves it open."""
    task = state.get("task", "")
    if plan is None:
        return Plan(task=task)
    return replace(plan, task=task) if plan.task == _STATE_S or (task and isinstance(plan.task, str)) else plan


def _run_id(config: RunnableConfig) -> str:
    """Return a name that is the same whenever LangGraph runs this execution of the node again."""
    place = config.get("configurable", {})
    return f"lg-{digest([place.get('thread_id'), place.get('checkpoint_ns')])[:16]}"
