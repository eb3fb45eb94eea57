"""`orchestra run` and `orchestra resume`: from a task to its answer, stopped and taken up again at will."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from orchestra.cli.common import (
    EXIT_CODES,
    BaseUrlOption,
    CallsOption,
    JournalOption,
    JsonOption,
    ModelOption,
    SecondsOption,
    TokensOption,
    UsdOption,
    journal_path,
    make_budget,
    make_session,
    print_json,
    stop,
)
from orchestra.cli.plan import planned
from orchestra.planning import Design
from orchestra.report.progress import RunProgress
from orchestra.report.text import plan_view, result_view, stderr_console
from orchestra.result import RunResult, result_of
from orchestra.running import Hooks, new_run_id
from orchestra.running import resume as resume_run
from orchestra.running import run as run_plan
from orchestra.session import Session
from orchestra_agents.errors import InputError, RunDeclined
from orchestra_agents.journal.records import Record, RunResumed, RunStarted
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.tracing import log_record
from orchestra_topologies.graph import TaskGraph

Start = Callable[[Hooks], Awaitable[RunResult]]


def run_command(
    task: Annotated[str, typer.Argument(metavar="FILE|TEXT|PLAN", help="A task graph, a plan, or the task in words.")],
    model: ModelOption = None,
    topology: Annotated[str, typer.Option(help="auto, single, sequential, parallel, hierarchical or hybrid.")] = "auto",
    team: Annotated[str, typer.Option(help="auto, solo or vote.")] = "auto",
    k: Annotated[str | None, typer.Option("--k", help="Margin of the votable subtasks, or auto.")] = None,
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_seconds: SecondsOption = None,
    base_url: BaseUrlOption = None,
    journal: JournalOption = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Name of the run; an existing one is resumed.")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Show the plan and ask before spending.")] = False,
    accept_change: Annotated[bool, typer.Option("--accept-change", help="Resume although something changed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Run a task and print each subtask's answer with its votes."""
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    plan = planned(task, model, topology, team, k)
    if budget != Budget():
        plan = replace(plan, budget=budget)
    if approve and not sys.stdin.isatty():
        raise InputError("--approve", "needs a terminal to ask on")
    session, name = make_session(journal, None, base_url), run_id or new_run_id()
    hooks = Hooks(approve=_ask if approve else None, accept_change=accept_change)

    def announce(console: Console) -> None:
        if isinstance(plan.task, TaskGraph) and not json_ and not approve:
            console.print(plan_view(plan.task, plan.design))
            console.print()
        _hint(k, plan.task, console)

    async def start(told: Hooks) -> RunResult:
        return await run_plan(plan, session=session, run_id=name, hooks=told)

    _carry_out(session, name, hooks, start, json_, announce)


def resume_command(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Name of the run; `orchestra runs` lists them.")],
    journal: JournalOption = None,
    budget_calls: CallsOption = None,
    budget_tokens: TokensOption = None,
    budget_usd: UsdOption = None,
    budget_seconds: SecondsOption = None,
    json_: JsonOption = False,
) -> None:
    """Go on with a run where it stopped; a finished one prints its result and asks nothing."""
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    with Journal(journal_path(journal), "read") as opened:
        opened.run_number(run_id)  # an unknown run is refused before the journal is opened for writing
    session = make_session(journal, None, None)
    _carry_out(
        session, run_id, Hooks(), lambda told: resume_run(run_id, session=session, budget=budget, hooks=told), json_
    )


def _carry_out(
    session: Session,
    run_id: str,
    hooks: Hooks,
    start: Start,
    as_json: bool,
    announce: Callable[[Console], None] = lambda console: None,
) -> None:
    """Run to the end or to a signal, print what came of it, and exit as interfaces promise.

    What is to be announced is said with the first record: before it, all there is to say may be a refusal.
    """
    console = stderr_console()
    with RunProgress(console) as progress:

        def watch(record: Record) -> None:
            if isinstance(record, RunStarted | RunResumed):
                announce(console)
            progress.watch(record)
            log_record(run_id, record)

        result, caught = asyncio.run(_until_signal(session, run_id, replace(hooks, watch=watch), start))
    if as_json:
        print_json(result.as_dict())
    else:
        Console(highlight=False).print(result_view(result))
    if result.status in ("budget", "undecided", "interrupted"):
        console.print(f"go on with: orchestra resume {run_id} --journal {result.journal}", soft_wrap=True)
    stop(128 + caught if caught else EXIT_CODES[result.status])


async def _until_signal(session: Session, run_id: str, hooks: Hooks, start: Start) -> tuple[RunResult, int]:
    """Return the result and the signal that cut the run short, 0 if none did."""
    loop, caught = asyncio.get_running_loop(), 0

    async def work() -> RunResult:
        return await start(hooks)

    async with session:
        task = asyncio.create_task(work())

        def cancel(number: int) -> None:
            nonlocal caught
            caught = caught or number
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel, number)
        try:
            return await task, 0
        except RunDeclined as error:
            stderr_console().print(str(error))
        except asyncio.CancelledError:
            if not caught:
                raise
        return result_of(run_id, RunState.of(session.journal.entries(run_id)), session.journal.path), caught


async def _ask(graph: TaskGraph, made: Design) -> bool:
    console = stderr_console()
    console.print(plan_view(graph, made))
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)  # so that Ctrl-C ends the question, too
    return typer.confirm("Run it?", err=True)


def _hint(k: str | None, task: TaskGraph | str, console: Console) -> None:
    """Say once what --k does not do."""
    if k == "auto":
        console.print("--k auto needs a profile of the model; without one it means the default, ahead by 3")
    elif k is not None and isinstance(task, TaskGraph):
        unvoted = [subtask.id for subtask in task if not subtask.answer.votable]
        if unvoted:
            console.print(
                f"--k {k} does not apply to text and code answers, which are asked once: {', '.join(unvoted)}"
            )
