"""A whole run as a LangGraph graph: decompose, route, approve, one of five topologies, synthesise."""

from __future__ import annotations

import asyncio
import datetime
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from orchestra.decomposition import decompose_text
from orchestra.planning import Choices, Design, ModelSpec, Plan, design
from orchestra.result import RunResult, graph_of, result_of
from orchestra.session import Session
from orchestra_agents.errors import BudgetExceeded, InputError, ManifestChanged, ModelError, RunDeclined, UnknownRun
from orchestra_agents.journal.records import Decomposed, Record, Routed, RunEnded, RunResumed, RunStarted, RunStatus
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Entry, RunJournal, check_run_id
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Evidence, Json
from orchestra_agents.sampler import Sampler
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.execution import WHOLE, Execution, Panel
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.progress import Progress
from orchestra_topologies.prompts import VERSION as PROMPTS_VERSION
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import compose, overall

Approve = Callable[[TaskGraph, Design], Awaitable[bool]]
"""Asked before the graph's first model call; False ends the run."""
App: TypeAlias = "CompiledStateGraph[Progress, Performance, Progress, Progress]"
_FREE = frozenset({"embedded", "gguf", "simulated", "scripted", "ollama", "vllm", "llamacpp"})  # run at no price a call
_ENDLESS = 1_000_000_000  # LangGraph's recursion limit; every loop of ours ends with the graph it settles


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Who is asked and told during a run."""

    approve: Approve | None = None
    """Asked before spending; None approves."""
    watch: Callable[[Record], None] | None = None
    """Told every record after its commit."""
    accept_change: bool = False
    """Whether a run may be resumed with another task, model or choice than it was started with."""


@dataclass(init=False, eq=False)
class Performance(Execution):
    """A graph run with its plan, from the task's text to the answer."""

    design: Design
    answer: Json = None

    def __init__(self, plan: Plan, hooks: Hooks, *, panel: Panel, sampler: Sampler, journal: RunJournal) -> None:
        sampling = plan.choices.sampling()
        super().__init__(panel=panel, sampling=sampling, sampler=sampler, journal=journal, state=sampler.state)
        self.plan, self.hooks = plan, hooks


async def run(
    task: Plan | TaskGraph | str,
    *,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
    session: Session | None = None,
    journal: Path | str | None = None,
    run_id: str | None = None,
    hooks: Hooks = Hooks(),
) -> RunResult:
    """Run a plan, a graph or a text to its end and return what it came to.

    Args:
        task: A plan is followed as it is; a graph or text is planned with `model` and `budget` first.
        model: Name, panel of names, or either by role.
        budget: Caps; with a plan they replace the plan's.
        session: Owner of models, ledger and journal; None makes one for this run.
        journal: Journal file of a run without session; None keeps a temporary one.
        run_id: Name of the run; an existing one is resumed. None makes a new name.
        hooks: Who is asked and told on the way.

    Raises:
        InputError: The task, a model name or a choice is wrong; nothing was written.
        ManifestChanged: `run_id` was started with something else.
        RunOwned: Another live process is working on `run_id`.
    """
    plan = task if isinstance(task, Plan) else Plan(task=task)
    plan = replace(plan, model=model if model is not None else plan.model, budget=budget or plan.budget)
    if session is not None:
        return await _run(plan, session, run_id or new_run_id(), hooks)
    async with Session(journal=journal) as own:
        return await _run(plan, own, run_id or new_run_id(), hooks)


async def resume(
    run_id: str,
    *,
    session: Session,
    budget: Budget | None = None,
    hooks: Hooks = Hooks(),
) -> RunResult:
    """Go on with a run where it stopped, from what its journal says; a finished one is returned as it stands.

    Raises:
        UnknownRun: The journal holds no such run.
        RunOwned: Another live process is working on it.
    """
    state = RunState.of(session.journal.entries(run_id))
    if state.started is None:
        raise UnknownRun(run_id, str(session.journal.path))
    manifest = state.manifest
    task = manifest["task"]
    session.base_url = session.base_url or manifest["base_url"]
    plan = Plan(
        task=task if isinstance(task, str) else TaskGraph.from_dict(task),
        model=manifest["models"],
        budget=budget or Budget(),
        choices=Choices(**manifest["choices"]),
    )
    return await _run(plan, session, run_id, hooks)


async def stream(
    task: Plan | TaskGraph | str, *, session: Session | None = None, **options: Any
) -> AsyncIterator[Record]:
    """Yield the records of a run, each after its commit; takes what `run` takes."""
    queue: asyncio.Queue[Record | None] = asyncio.Queue()
    hooks = replace(options.pop("hooks", Hooks()), watch=queue.put_nowait)
    running = asyncio.create_task(run(task, session=session, hooks=hooks, **options))
    running.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (record := await queue.get()) is not None:
            yield record
        await running
    finally:
        running.cancel()
        await asyncio.wait([running])


def run_sync(task: Plan | TaskGraph | str, **options: Any) -> RunResult:
    """Run a task from synchronous code; takes what `run` takes.

    Raises:
        InputError: An event loop is running already: await `orchestra.run(...)` there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run(task, **options))
    raise InputError("run_sync", "an event loop is running here; write `await orchestra.run(...)` instead")


def new_run_id() -> str:
    """Return a fresh name: UTC time and four random hexadecimal digits."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


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
    approve = performance.hooks.approve
    if approve is not None and not await approve(performance.graph, performance.design):
        raise RunDeclined("the plan was declined; nothing more was spent")
    return {}


def _topology(state: Progress, runtime: Runtime[Performance]) -> Topology:
    return runtime.context.design.topology


async def _synthesise(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    whole = performance.outcomes.get(WHOLE)
    performance.answer = whole.answer if whole else compose(performance.graph, performance.outcomes)
    return {}


async def _run(plan: Plan, session: Session, run_id: str, hooks: Hooks) -> RunResult:
    check_run_id(run_id)
    wanted: list[str] = []
    if isinstance(plan.task, TaskGraph):
        design(plan.task, plan.choices)  # what cannot be answered as asked is refused before anything is written
        wanted = [subtask.model for subtask in plan.task if subtask.model is not None]
    panel = session.panel(plan.model, wanted=wanted)
    if plan.budget.usd is not None:
        _check_prices(panel)
    with session.journal.own(run_id) as journal:
        state = RunState.of(journal.entries())
        if _begin(plan, session, panel, journal, state, hooks):
            await _perform(plan, session, panel, journal, state, hooks)
        return result_of(run_id, state, session.journal.path)


def _begin(plan: Plan, session: Session, panel: Panel, journal: RunJournal, state: RunState, hooks: Hooks) -> bool:
    """Record that the run, or a further attempt at it, begins; False if it is finished already."""
    manifest = _manifest(plan, session, panel)
    changes = _differences(state.manifest, manifest) if state.started else []
    if changes and not hooks.accept_change:
        raise ManifestChanged(journal.run_id, changes)
    if state.ended is not None and state.ended.status == "ok" and not changes:
        return False

    def told(entry: Entry) -> None:
        state.apply(entry)
        if hooks.watch is not None:
            hooks.watch(entry.record)

    journal.listen(told)
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if state.started is None:
        journal.append(RunStarted(what="graph", manifest=manifest, evidence=_evidence(panel), at=at))
    else:
        journal.append(RunResumed(at=at, changed=manifest if changes else None))
    return True


async def _perform(
    plan: Plan, session: Session, panel: Panel, journal: RunJournal, state: RunState, hooks: Hooks
) -> None:
    ledger = session.ledger(plan.budget, state.usage.as_cost())
    sampler = Sampler(panel.default, journal=journal, state=state, ledger=ledger, limit=session.limit)
    performance = Performance(plan, hooks, panel=panel, sampler=sampler, journal=journal)
    loop = asyncio.get_running_loop()
    started = loop.time()

    def end(status: RunStatus, reason: str | None = None) -> None:
        seconds = round(loop.time() - started, 6)
        journal.append(RunEnded(status=status, answer=performance.answer, reason=reason, seconds=seconds))

    try:
        await app().ainvoke({}, {"recursion_limit": _ENDLESS}, context=performance)
    except asyncio.CancelledError:
        end("interrupted", "interrupted")
        raise
    except RunDeclined as error:
        end("interrupted", str(error))
        raise
    except ModelError as error:  # only decomposition lets one through: without a graph there is no subtask to blame
        end("failed", f"{error.code}: {error}")
    except BudgetExceeded as error:
        end("budget", str(error))
    except ExceptionGroup as group:
        raise _first(group) from group
    else:
        reason = performance.stop.message if performance.stop else None
        end(overall(performance.outcomes), reason)


def _first(group: ExceptionGroup) -> Exception:
    """Return the first cause in a group of errors; the group stays attached to it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _manifest(plan: Plan, session: Session, panel: Panel) -> dict[str, Json]:
    """Return what a resumed run must have in common with its start."""
    models = {"worker": [model.name for model in panel.default]}
    models |= {role: [model.name for model in members] for role, members in panel.roles.items()}
    return {
        "task": plan.task if isinstance(plan.task, str) else plan.task.to_dict(),
        "models": models,
        "choices": asdict(plan.choices),
        "prompts": PROMPTS_VERSION,
        "base_url": session.base_url,
    }


def _differences(before: Mapping[str, Json], now: Mapping[str, Json], within: str = "") -> list[str]:
    """Return what changed, by key; a changed task is only named, anything else is shown as it was and is."""
    changed = []
    for key in dict.fromkeys([*before, *now]):
        then, new = before.get(key), now.get(key)
        if key == "task" or then == new:
            changed += ["task differs"] if then != new else []
        elif isinstance(then, dict) and isinstance(new, dict):
            changed += _differences(then, new, f"{key}.")
        else:
            changed.append(f"{within}{key} differs ({then} then, {new} now)")
    return changed


def _check_prices(panel: Panel) -> None:
    for model in panel.everyone():
        if model.name.partition(":")[0] not in _FREE:
            raise InputError("budget.usd", f"the price of {model.name} is not known here; use budget calls or tokens")


def _evidence(panel: Panel) -> Evidence:
    return "simulated" if any(model.evidence == "simulated" for model in panel.everyone()) else "real"
