"""Running, resuming and streaming: one attempt after another at a run, until it is finished."""

from __future__ import annotations

import asyncio
import datetime
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt
from langgraph.types import Command

from orchestra.decomposition import Decomposition, own_graph, recorded_graph
from orchestra.designing import Design, design
from orchestra.drive_result import DriveResult
from orchestra.driving import DriveHooks, Step, drive, resume_drive, stream_steps
from orchestra.manifest import differences, manifest_of, plan_of
from orchestra.panel import ModelSpec
from orchestra.performance import Performance, app
from orchestra.planning import Plan, toolbox_of
from orchestra.result import RunResult, result_of
from orchestra.session import Session, new_run_id
from orchestra_agents.acting import Effect
from orchestra_agents.errors import (
    BudgetExceeded,
    InputError,
    ManifestChanged,
    ModelError,
    ModelUnavailable,
    RunDeclined,
    UnknownRun,
)
from orchestra_agents.journal.records import Record, RunEnded, RunResumed, RunStarted, RunStatus
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Entry, RunJournal, check_run_id
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import digest
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.process import Process
from orchestra_agents.roles.cards import shipped_cards
from orchestra_agents.sampler import Sampler
from orchestra_agents.tools import NO_TOOLS, Tool, Toolbox
from orchestra_agents.verification import check_runnable
from orchestra_topologies.conduct import Means
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.panel import Panel

ENDLESS = 1_000_000_000
"""LangGraph's recursion limit; every loop of ours ends with the graph it settles."""

_BEGUN_BY = {
    "solve": "solve, whose roles are",
    "calibrate": "calibrate, whose items are",
    "sample": "an evaluation, whose system is",
}

Approve = Callable[[TaskGraph, Design], Awaitable[bool] | bool]
"""Asked before anything is spent on a task graph; anything but True ends the run."""
AllowEffects = bool | Callable[[Effect], Awaitable[bool] | bool]
"""Who allows calls of tools with effects `once`; anything but True refuses one."""
Invoke = Callable[[Performance], Awaitable[None]]
"""Carries a performance through its LangGraph application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Who is told during a run, and what may have changed since it was started."""

    watch: Callable[[Record], None] | None = None
    """Told every record after its commit."""
    accept_change: bool = False
    """Whether a run may be resumed with another task, model or choice than it was started with."""
    allow_effects: AllowEffects = False
    """Whether tools may be called whose effects must not happen twice (`once`): all, none, or those that a function of
    the effect allows."""

    async def allow(self, effect: Effect) -> bool:
        """Return whether a call may be made."""
        if isinstance(self.allow_effects, bool):
            return self.allow_effects
        said = self.allow_effects(effect)
        return (await said if inspect.isawaitable(said) else said) is True


async def run(
    task: Plan | TaskGraph | str,
    *,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
    session: Session | None = None,
    journal: Path | str | None = None,
    run_id: str | None = None,
    approve: Approve | None = None,
    tools: Toolbox | Iterable[Tool] | None = None,
    hooks: Hooks = Hooks(),
) -> RunResult:
    """Run a plan, a graph or a text to its end and return what it came to.

    Args:
        task: A plan is followed as it is; a graph or text is planned with `model` and `budget` first.
        model: Name, panel of names, or either by role.
        budget: Caps; with a plan, or a run that is resumed, each replaces the one it had.
        session: Owner of models, ledger and journal; None makes one for this run.
        journal: Journal file of a run without session; None keeps a temporary one.
        run_id: Name of the run; an existing one is resumed. None makes a new name.
        approve: Shown the graph and its design before anything is spent on it; a LangGraph interrupt, and journaled: a
            run that was stopped at the question asks again when it is resumed. None asks nobody.
        tools: The tools there are, in place of the plan's; a subtask is granted those that it names.
        hooks: Who is told on the way.

    Raises:
        InputError: The task, a model name or a choice is wrong; nothing was written.
        ManifestChanged: `run_id` was started with something else.
        RunOwned: Another live process is working on `run_id`.
        RunDeclined: `approve` said no, or the run waits for an approval and nobody is asked.
    """
    plan = task if isinstance(task, Plan) else Plan(task=task)
    caps = (budget or Budget()).or_else(plan.budget)
    plan = replace(plan, model=model if model is not None else plan.model, budget=caps)
    plan = plan if tools is None else replace(plan, tools=toolbox_of(tools))
    if session is not None:
        return await _run(plan, session, run_id or new_run_id(), hooks, approve)
    async with Session(journal=journal) as own:
        return await _run(plan, own, run_id or new_run_id(), hooks, approve)


async def resume(
    run_id: str,
    *,
    session: Session,
    budget: Budget | None = None,
    approve: Approve | None = None,
    tools: Toolbox | Iterable[Tool] = NO_TOOLS,
    hooks: Hooks = Hooks(),
) -> RunResult | DriveResult:
    """Go on with a run or a chain where it stopped, from what its journal says; a finished one is returned as it is.

    Models are the session's, if it has some, else those that the run's manifest names; caps that are not given are
    those of the attempt before. Tools are no part of a journal: bring those along that the run began with.

    Raises:
        UnknownRun: The journal holds no such run.
        InputError: It is one that `solve`, `calibrate` or an evaluation began; repeat that call.
        ManifestChanged: The session's models are not those of the run.
        RunOwned: Another live process is working on it.
    """
    if session.journal.kind(run_id) == "drive":
        watched = DriveHooks(accept_change=hooks.accept_change)
        return await resume_drive(run_id, session=session, budget=budget, hooks=watched)
    return await resume_graph(run_id, session=session, budget=budget, approve=approve, tools=tools, hooks=hooks)


async def resume_graph(
    run_id: str,
    *,
    session: Session,
    budget: Budget | None = None,
    approve: Approve | None = None,
    tools: Toolbox | Iterable[Tool] = NO_TOOLS,
    hooks: Hooks = Hooks(),
) -> RunResult:
    """Go on with a run of a graph or a text; see `resume`."""
    state = RunState.of(session.journal.entries(run_id))
    if state.started is None:
        raise UnknownRun(run_id, str(session.journal.path))
    if (begun := _BEGUN_BY.get(state.started.what)) is not None:
        raise InputError("run_id", f"run {run_id!r} was begun by {begun} not in the journal; repeat that call to go on")
    if state.ended is not None and state.ended.status == "ok":
        return result_of(run_id, state, session.journal.path)
    plan = plan_of(state.manifest, budget or Budget())
    model = plan.model if session.model is None else session.model
    plan = replace(plan, model=model, base_url=session.base_url or plan.base_url, tools=toolbox_of(tools))
    return await _run(plan, session, run_id, hooks, approve)


async def stream(
    task: Plan | TaskGraph | str | Process, *, session: Session | None = None, **options: Any
) -> AsyncIterator[Record | Step]:
    """Yield the records of a run or the steps of a process, each after its commit; takes what `run` or `drive` does."""
    if not isinstance(task, Plan | TaskGraph | str):
        async for step in stream_steps(task, session=session, **options):
            yield step
        return
    queue: asyncio.Queue[Record | None] = asyncio.Queue()
    hooks: Hooks = options.pop("hooks", Hooks())

    def watch(record: Record) -> None:
        if hooks.watch is not None:
            hooks.watch(record)
        queue.put_nowait(record)

    running = asyncio.create_task(run(task, session=session, hooks=replace(hooks, watch=watch), **options))
    running.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (record := await queue.get()) is not None:
            yield record
        await running
    finally:
        running.cancel()
        await asyncio.wait([running])


@overload
def run_sync(task: Plan | TaskGraph | str, **options: Any) -> RunResult: ...


@overload
def run_sync(task: Process, **options: Any) -> DriveResult: ...


def run_sync(task: Plan | TaskGraph | str | Process, **options: Any) -> RunResult | DriveResult:
    """Run a task, or drive a process, from synchronous code; takes what `run` or `drive` takes.

    Raises:
        InputError: An event loop is running already: await `orchestra.run(...)` there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if isinstance(task, Plan | TaskGraph | str):
            return asyncio.run(run(task, **options))
        return asyncio.run(drive(task, **options))
    raise InputError("run_sync", "an event loop is running here; write `await orchestra.run(...)` instead")


async def _run(plan: Plan, session: Session, run_id: str, hooks: Hooks, approve: Approve | None) -> RunResult:
    async def alone(performance: Performance) -> None:
        await _invoke(performance, approve)

    return await perform_run(plan, session, run_id, hooks, alone, asks_first=approve is not None)


async def _invoke(performance: Performance, approve: Approve | None) -> None:
    """Go through the run's graph, asking `approve` where it interrupts."""
    config: Any = {"recursion_limit": ENDLESS, "configurable": {"thread_id": performance.journal.run_id}}
    if not performance.asks_first:
        await app().ainvoke({}, config, context=performance)
        return
    graph = app(InMemorySaver())
    said = await graph.ainvoke({}, config, context=performance)
    while "__interrupt__" in said:
        if approve is None:
            raise RunDeclined(
                f"run {performance.journal.run_id!r} waits for approval; resume it with approve (--approve)"
            )
        answer = approve(performance.graph, performance.design)
        granted = (await answer if inspect.isawaitable(answer) else answer) is True
        said = await graph.ainvoke(Command(resume=granted), config, context=performance)


async def perform_run(
    plan: Plan,
    session: Session,
    run_id: str,
    hooks: Hooks,
    invoke: Invoke,
    *,
    asks_first: bool,
    what: Literal["graph", "sample"] = "graph",
) -> RunResult:
    """Make one attempt at a run, carried through its LangGraph application by `invoke`, and return what it came to.

    Args:
        plan: What is done.
        session: Where.
        run_id: The run.
        hooks: Who is told.
        invoke: Carries it out.
        asks_first: Whether it is to be approved before anything is spent.
        what: `sample` where only the caller of this knows how it is carried out: `resume` then refuses it.

    Raises:
        InputError, ManifestChanged, RunOwned, RunDeclined: As `run`.
    """
    check_run_id(run_id)
    made = await _made(plan, session, run_id)
    graph = plan.task if isinstance(plan.task, TaskGraph) else made.graph if made is not None else None
    if graph is not None:
        check_answerable(graph, plan)  # before anything is written
    subtasks = [] if graph is None else list(graph)
    wanted = [subtask.model for subtask in subtasks if subtask.model is not None]
    panel = session.panel(plan.model, wanted=wanted, base_url=plan.base_url)
    panel.check_roles({subtask.role for subtask in subtasks if subtask.role is not None})
    embedder = session.embedder(plan.choices.embedding, panel, base_url=plan.base_url)
    session.check_prices(plan.budget, panel, embedder)
    session.check_sampling(panel, plan.choices.sampling())
    with session.journal.own(run_id) as journal:
        state = RunState.of(journal.entries())
        address = plan.base_url or state.manifest.get("base_url")
        plan = replace(plan, budget=plan.budget.or_else(Budget(**state.budget)), base_url=address)
        session.check_prices(plan.budget, panel, embedder)
        attempt = _Attempt(plan, made, session, panel, journal, state, embedder)
        if attempt.begin(hooks, what):
            await attempt.perform(invoke, hooks, asks_first=asks_first)
        return result_of(run_id, state, session.journal.path)


async def _made(plan: Plan, session: Session, run_id: str) -> Decomposition | None:
    """Return the graph that a function or file of the user's gives a text; None where there is none, or a model's."""
    if isinstance(plan.task, TaskGraph) or plan.decomposer is None:
        return None
    try:
        state = RunState() if session.is_new else RunState.of(session.journal.entries(run_id))
    except UnknownRun:
        state = RunState()
    return recorded_graph(plan, state) or await own_graph(plan)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a run: the first, or a resumed one."""

    plan: Plan
    made: Decomposition | None
    """The graph that the plan's own function or file gives its text."""
    session: Session
    panel: Panel
    journal: RunJournal
    state: RunState
    embedder: Embedder | None

    def begin(self, hooks: Hooks, what: Literal["graph", "sample"]) -> bool:
        """Record that the attempt begins; False if the run is finished already."""
        state, manifest = self.state, manifest_of(self.plan, self.panel)
        changes = differences(state.manifest, manifest) if state.started else []
        if state.decomposed is not None and self._is_to_be_recorded() and not changes:
            changes = ["task differs (the decomposer gave another graph)"]
        if changes and not hooks.accept_change:
            raise ManifestChanged(self.journal.run_id, changes)
        if state.ended is not None and state.ended.status == "ok" and not changes:
            return False

        def told(entry: Entry) -> None:
            state.apply(entry)
            if hooks.watch is not None:
                hooks.watch(entry.record)

        self.journal.listen(told)
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        evidence, budget = self.panel.evidence, asdict(self.plan.budget)
        if state.started is None:
            self.journal.append(RunStarted(what=what, manifest=manifest, evidence=evidence, budget=budget, at=at))
        else:
            changed = manifest if changes else None
            self.journal.append(RunResumed(at=at, evidence=evidence, budget=budget, changed=changed))
        if self.made is not None and self._is_to_be_recorded():
            self.journal.append(self.made.to_record())
        return True

    def _is_to_be_recorded(self) -> bool:
        """Return whether the user's own graph is not the one that the journal holds."""
        recorded = self.state.decomposed
        return self.made is not None and (recorded is None or digest(recorded.graph) != self.made.graph.digest())

    async def perform(self, invoke: Invoke, hooks: Hooks, *, asks_first: bool) -> None:
        """Go through the run's graph and record how it ended."""
        ledger = self.session.ledger(self.plan.budget, self.state.usage.as_cost())
        ledger.start()
        sampler = Sampler(
            self.panel.default,
            journal=self.journal,
            state=self.state,
            ledger=ledger,
            limit=self.session.limit,
            tariff=self.session.tariff,
            probing=self.session.probing,
        )
        plan = self.plan
        if self.made is not None:  # the graph itself, not what was written down of it, which has no functions
            plan = replace(plan, task=self.made.graph, context="", decomposer=None)
        performance = Performance(
            plan,
            asks_first=asks_first,
            panel=self.panel,
            sampler=sampler,
            journal=self.journal,
            embedder=self.embedder,
            means=Means(cards={**shipped_cards(), **self.plan.roles}, tools=self.plan.tools, allow=hooks.allow),
        )
        loop = asyncio.get_running_loop()
        started = loop.time()

        def end(status: RunStatus, reason: str | None = None) -> None:
            seconds = round(loop.time() - started, 6)
            notes = performance.told()
            self.journal.append(
                RunEnded(status=status, answer=performance.answer, reason=reason, notes=notes, seconds=seconds)
            )

        try:
            await invoke(performance)
        except asyncio.CancelledError:
            end("interrupted", "interrupted")
            raise
        except RunDeclined as error:
            end("interrupted", str(error))
            raise
        except GraphInterrupt:  # the LangGraph application around this run is to ask
            end("interrupted", "waits for approval")
            raise
        except (ModelError, ModelUnavailable) as error:  # of the decomposition: no subtask can be blamed yet
            end("failed", f"{error.code}: {error}")
        except BudgetExceeded as error:
            end("budget", str(error))
        except ExceptionGroup as group:
            raise _first(group) from group
        else:
            end(performance.status(), performance.stop.message if performance.stop else None)


def check_answerable(graph: TaskGraph, plan: Plan) -> None:
    """Refuse a graph that cannot be answered as the plan asks for, with what there is here.

    Raises:
        InputError: A team cannot answer a subtask, or a check or tool is missing.
    """
    design(graph, plan.choices)
    _check_checks(graph)
    _check_tools(graph, plan.tools)


def _check_tools(graph: TaskGraph, tools: Toolbox) -> None:
    """Refuse a graph that names tools which nobody brought along."""
    for subtask in graph:
        tools.grant(subtask.tools, field=f"subtasks[{subtask.id}].tools")


def _check_checks(graph: TaskGraph) -> None:
    """Refuse a graph whose answers could not be checked here."""
    for subtask in graph:
        if subtask.verify is not None:
            try:
                check_runnable(subtask.verify)
            except InputError as error:
                problem = str(error).removeprefix("verify: ")
                raise InputError(f"subtasks[{subtask.id}].verify", problem) from error


def _first(group: ExceptionGroup) -> Exception:
    """Return the first cause in a group of errors; the group stays attached to it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
