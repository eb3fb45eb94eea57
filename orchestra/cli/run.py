"""`orchestra run` and `orchestra resume`: from a task to its answer, stopped and taken up again at will."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from rich.console import Console

from orchestra.cli.common import (
    EXIT_CODES,
    Access,
    BaseUrlOption,
    CallsOption,
    ConcurrencyOption,
    ContextOption,
    DecomposerOption,
    JournalOption,
    JsonOption,
    ModelOption,
    PricesOption,
    ProbeOption,
    RpmOption,
    SecondsOption,
    TokensOption,
    TpmOption,
    UnpricedOption,
    UsdOption,
    journal_path,
    make_budget,
    make_session,
    print_json,
    read_line,
    stop,
    until_signal,
)
from orchestra.cli.drive import resume_drive_command
from orchestra.cli.plan import ProfileOption, RolesOption, TeamOption, planned
from orchestra.cli.tools import AllowOption, EffectsOption, McpOption, ToolsOption, bringing
from orchestra.designing import Design
from orchestra.planning import Plan
from orchestra.report.progress import RunProgress
from orchestra.report.text import plan_view, result_view, stderr_console
from orchestra.result import RunResult, result_of
from orchestra.running import AllowEffects, Approve, Hooks, resume_graph
from orchestra.running import run as run_plan
from orchestra.session import Session, new_run_id
from orchestra_agents.acting import Effect
from orchestra_agents.errors import InputError, RunDeclined
from orchestra_agents.journal.records import Condensed, Decomposed, Record, Routed
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_agents.tracing import log_record
from orchestra_topologies.graph import TaskGraph

Start = Callable[[Callable[[Record], None]], Coroutine[Any, Any, RunResult]]
"""Begins a run that tells its records to the watcher it is given."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What belongs to one run of the command line."""

    run_id: str
    session: Session
    progress: RunProgress


def run_command(
    task: Annotated[str, typer.Argument(metavar="FILE|TEXT|PLAN", help="A task graph, a plan, or the task in words.")],
    model: ModelOption = None,
    topology: Annotated[str, typer.Option(help="auto, single, sequential, parallel, hierarchical or hybrid.")] = "auto",
    team: TeamOption = "auto",
    k: Annotated[str | None, typer.Option("--k", help="Margin of the votable subtasks, or auto.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the run's samples.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature, 0 to 2.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Most tokens of one reply.")] = None,
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_seconds: SecondsOption = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Let the first failure cancel all others.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds until a subtask has failed.")] = None,
    window: Annotated[int | None, typer.Option("--window", help="Tokens of the models' context window.")] = None,
    embedding: Annotated[str | None, typer.Option("--embedding", help="provider:model that compares texts.")] = None,
    decomposer: DecomposerOption = None,
    context: ContextOption = None,
    roles: RolesOption = None,
    profile: ProfileOption = None,
    tools: ToolsOption = None,
    mcp: McpOption = None,
    effects: EffectsOption = None,
    allow_effects: AllowOption = False,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    rpm: RpmOption = None,
    tpm: TpmOption = None,
    prices: PricesOption = None,
    allow_unpriced: UnpricedOption = False,
    probe: ProbeOption = None,
    journal: JournalOption = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Name of the run; an existing one is resumed.")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Show the plan and ask before spending.")] = False,
    accept_change: Annotated[bool, typer.Option("--accept-change", help="Resume although something changed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Run a task and print each subtask's answer with its votes."""
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    asked: dict[str, Json] = {"topology": topology, "team": team, "k": k, "seed": seed, "fail_fast": fail_fast or None}
    asked |= {"temperature": temperature, "max_tokens": max_tokens}
    asked |= {"timeout_s": timeout, "window": window, "embedding": embedding}
    plan = planned(task, model, asked, decomposer=decomposer, context=context or (), roles=roles, profile=profile)
    plan = replace(plan, budget=budget.or_else(plan.budget), base_url=base_url or plan.base_url)
    _check_terminal(approve)
    progress, name = RunProgress(stderr_console()), run_id or new_run_id()
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    session = make_session(journal, None, None, access=access)
    hooks = Hooks(accept_change=accept_change, allow_effects=_allower(progress, approve, allow_effects))
    brought = bringing(tools, mcp, effects)
    shown = _PlanShown(plan, progress.console, k=k, is_quiet=json_ or approve)

    def start(told: Callable[[Record], None]) -> Coroutine[Any, Any, RunResult]:
        def watch(record: Record) -> None:
            shown.watch(record)
            told(record)

        async def running() -> RunResult:
            approver = _approver(progress) if approve else None
            async with brought.toolbox() as box:
                watched = replace(hooks, watch=watch)
                return await run_plan(plan, session=session, run_id=name, approve=approver, tools=box, hooks=watched)

        return running()

    _carry_out(start, _Run(name, session, progress), as_json=json_)


def resume_command(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Name of the run; `orchestra runs` lists them.")],
    journal: JournalOption = None,
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_seconds: SecondsOption = None,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    rpm: RpmOption = None,
    tpm: TpmOption = None,
    prices: PricesOption = None,
    allow_unpriced: UnpricedOption = False,
    probe: ProbeOption = None,
    tools: ToolsOption = None,
    mcp: McpOption = None,
    effects: EffectsOption = None,
    allow_effects: AllowOption = False,
    approve: Annotated[bool, typer.Option("--approve", help="Ask, where the run waits for an approval.")] = False,
    json_: JsonOption = False,
) -> None:
    """Go on with a run where it stopped; a finished one prints its result and asks nothing."""
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    with Journal(journal_path(journal), "read") as opened:  # an unknown run is refused before writing is thought of
        is_chain = opened.kind(run_id) == "drive"
    if is_chain:
        resume_drive_command(run_id, journal=journal, base_url=base_url, budget=budget, access=access, as_json=json_)
    _check_terminal(approve)
    session, progress = make_session(journal, None, base_url, access=access), RunProgress(stderr_console())
    approver = _approver(progress) if approve else None
    allowed, brought = _allower(progress, approve, allow_effects), bringing(tools, mcp, effects)

    async def resuming(told: Callable[[Record], None]) -> RunResult:
        hooks = Hooks(watch=told, allow_effects=allowed)
        async with brought.toolbox() as box:
            return await resume_graph(run_id, session=session, budget=budget, approve=approver, tools=box, hooks=hooks)

    _carry_out(resuming, _Run(run_id, session, progress), as_json=json_)


def _carry_out(start: Start, run: _Run, *, as_json: bool) -> None:
    """Run to the end or to a signal, print what came of it, and exit as interfaces promise."""

    def watch(record: Record) -> None:
        run.progress.watch(record)
        log_record(run.run_id, record)

    with run.progress:
        result, caught = asyncio.run(until_signal(lambda: _unless_declined(start(watch), run), run.session))
    result = result or result_of(run.run_id, _state(run), run.session.path)
    if as_json:
        print_json(result.as_dict())
    else:
        Console(highlight=False).print(result_view(result))
    if result.status in ("budget", "undecided", "interrupted"):
        resume = f"go on with: orchestra resume {run.run_id} --journal {shlex.quote(str(result.journal))}"
        resume += " --approve" if result.status == "interrupted" and _is_unapproved(run) else ""
        resume += " and a larger --budget-..." if result.status == "budget" else ""
        run.progress.console.print(resume, soft_wrap=True, markup=False)
    stop(128 + caught if caught else EXIT_CODES[result.status])


async def _unless_declined(running: Coroutine[Any, Any, RunResult], run: _Run) -> RunResult | None:
    """Return the result, None where the person asked said no."""
    try:
        return await running
    except RunDeclined as error:
        run.progress.console.print(str(error))
        return None


def _state(run: _Run) -> RunState:
    """Return what the journal says of a run that was stopped."""
    with Journal(run.session.path, "read") as journal:
        return RunState.of(journal.entries(run.run_id))


def _is_unapproved(run: _Run) -> bool:
    approval = _state(run).approval
    return approval is not None and approval.status != "granted"


@dataclass(slots=True)
class _PlanShown:
    """Shows the plan as soon as it stands, and what becomes of it."""

    plan: Plan
    console: Console
    k: str | None
    is_quiet: bool

    def watch(self, record: Record) -> None:
        """Show what `record` decides."""
        match record:
            case Decomposed():
                self.plan = replace(self.plan, task=TaskGraph.from_dict(record.graph), context="", decomposer=None)
            case Routed() if isinstance(self.plan.task, TaskGraph) and not record.reroutes:
                _hint(self.k, self.plan, self.plan.task, self.console)
                if not self.is_quiet:
                    self.console.print(plan_view(self.plan.task, self.plan.design))
            case Routed() | Condensed():
                told = record.decision["reason"] if isinstance(record, Routed) else record.reason
                self.console.print(str(told), markup=False)


def _check_terminal(approve: bool) -> None:
    if approve and not sys.stdin.isatty():
        raise InputError("--approve", "needs a terminal to ask on")


def _approver(progress: RunProgress) -> Approve:
    """Return what shows the plan and asks whether to go on."""

    async def approve(graph: TaskGraph, made: Design) -> bool:
        progress.console.print(plan_view(graph, made))
        return await _asked(progress, "Run it? [y/N] ")

    return approve


def _allower(progress: RunProgress, approve: bool, allow_all: bool) -> AllowEffects:
    """Return who allows calls that must not happen twice: everybody, a person on the terminal, or nobody."""
    if allow_all or not approve:
        return allow_all
    one_at_a_time = asyncio.Lock()  # there is one terminal

    async def allow(effect: Effect) -> bool:
        again = ", which may have happened already," if effect.is_repeated else ""
        call = f"{effect.tool} {canonical_json(effect.arguments)}"
        async with one_at_a_time:
            return await _asked(progress, f"{effect.node} wants to call{again} {call}. Allow it? [y/N] ")

    return allow


async def _asked(progress: RunProgress, question: str) -> bool:
    """Return whether somebody on the terminal says yes."""
    console, reply = progress.console, ""
    with progress.paused():
        console.print(question, end="", markup=False)
        try:
            reply = await read_line(sys.stdin.fileno())
        finally:
            if not reply.endswith("\n"):  # a signal, or the end of the input: nobody else ends this line
                console.print()
    return reply.strip().lower() in ("y", "yes")


def _hint(k: str | None, plan: Plan, graph: TaskGraph, console: Console) -> None:
    """Say once what --k does not do."""
    if k == "auto":
        if plan.profile is None:
            console.print("--k auto needs a profile of the model; without one it means the default, ahead by 3")
    elif k is not None:
        unvoted = ", ".join(subtask.id for subtask in graph if not subtask.answer.votable)
        if unvoted:
            told = f"--k {k} does not apply to text and code answers, which are asked once: {unvoted}"
            console.print(told, markup=False)
        several = sorted({team.name for team in plan.decide(graph).teams.values() if team.is_several})
        if several:
            console.print(f"--k {k} is the margin of votes; {', '.join(several)} does not vote by it", markup=False)
