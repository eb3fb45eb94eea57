"""`orchestra drive`: a long-horizon process, step by step, stopped and taken up again at will."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from orchestra.cli.common import (
    EXIT_CODES,
    Access,
    BaseUrlOption,
    CallsOption,
    ConcurrencyOption,
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
from orchestra.drive_result import DriveResult, drive_result_of
from orchestra.driving import DriveHooks, drive, remade, resume_drive, room_of
from orchestra.naming import process_of
from orchestra.report.drive import DriveProgress, StepFile, drive_view
from orchestra.report.text import stderr_console
from orchestra.session import CONCURRENCY, Session, new_run_id
from orchestra_agents.chains.chain import Question
from orchestra_agents.chains.policy import DrivePolicy
from orchestra_agents.drive import Driver
from orchestra_agents.errors import InputError, JournalError
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.processes.catalog import BUILT_IN

Start = Callable[[DriveHooks], Coroutine[Any, Any, DriveResult]]
"""Begins to drive with the hooks it is given."""


def drive_command(
    process: Annotated[str, typer.Argument(metavar="PROCESS", help="hanoi:disks=20, ... or module.path:Name.")],
    model: ModelOption = None,
    k: Annotated[str, typer.Option("--k", help="Margin of the votes, or auto: by the law.")] = "auto",
    target: Annotated[float, typer.Option(help="Probability wanted for the whole chain being right.")] = 0.95,
    max_votes: Annotated[int | None, typer.Option("--max-votes", help="Most valid votes of a step.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after this step.")] = None,
    p: Annotated[float | None, typer.Option("--p", help="Accuracy of a vote, where it is known.")] = None,
    rho: Annotated[float, typer.Option(help="Share of steps with shared errors that k allows for.")] = 0.0,
    adaptive: Annotated[str, typer.Option(help="on: hard steps raise the margin; off: k is fixed.")] = "on",
    sentinels: Annotated[float, typer.Option(help="Questions with known answers a step, 0 to 1.")] = 0.0,
    speculate: Annotated[int, typer.Option(help="Steps begun ahead of an open vote, 0 to 64.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the run's samples.")] = 0,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature, 0 to 2.")] = None,
    first_temperature: Annotated[float | None, typer.Option(help="Temperature of each step's first sample.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Most tokens of one reply.")] = None,
    record: Annotated[str, typer.Option(help="decisions, disagreements or all.")] = "decisions",
    stream: Annotated[Path | None, typer.Option(help="Append one JSON line per acknowledged step.")] = None,
    on_undecided: Annotated[str, typer.Option(help="stop, or ask: a person on the terminal.")] = "stop",
    durability: Annotated[
        str, typer.Option(help="process: survives kill -9; power: a loss of power, too.")
    ] = "process",
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
    journal: JournalOption = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Name of the run; an existing one is resumed.")] = None,
    accept_change: Annotated[bool, typer.Option("--accept-change", help="Resume although something changed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Drive a process of dependent steps, each decided by vote and recorded before the next begins."""
    if adaptive not in ("on", "off"):
        raise InputError("--adaptive", f"must be on or off, got {adaptive!r}")
    if on_undecided not in ("stop", "ask"):
        raise InputError("--on-undecided", f"must be stop or ask, got {on_undecided!r}")
    policy = DrivePolicy(
        k=_margin(k),
        target=target,
        adaptive=adaptive == "on",
        max_votes=max_votes,
        p=p,
        rho=rho,
        record=record,  # type: ignore[arg-type]  # checked there
        sentinels=sentinels,
        speculate=speculate,
        seed=seed,
        temperature=temperature,
        first_temperature=first_temperature,
        max_tokens=max_tokens,
    )
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    name = run_id or new_run_id()
    room = room_of(process_of(process))
    if speculate:
        room.setdefault("concurrency", CONCURRENCY * (1 + speculate))
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    session = make_session(journal, model, base_url, durability=durability, access=access, **room)

    def start(hooks: DriveHooks) -> Coroutine[Any, Any, DriveResult]:
        return drive(
            process,
            k="auto" if policy.k is None else policy.k,
            steps=steps,
            policy=policy,
            budget=budget,
            session=session,
            run_id=name,
            hooks=replace(hooks, accept_change=accept_change),
        )

    _carry_out(
        start,
        _Drive(name, session, stream, on_undecided == "ask", process.partition(":")[0] not in BUILT_IN),
        as_json=json_,
    )


def resume_drive_command(
    run_id: str, *, journal: Path | None, base_url: str | None, budget: Budget, access: Access, as_json: bool
) -> None:
    """Go on with a chain where it stopped; what `orchestra resume` does with one."""
    with Journal(journal_path(journal), "read") as opened:
        started = opened.started(run_id)
    room = {} if started is None else room_of(remade(run_id, started.manifest))
    session = make_session(journal, None, base_url, access=access, **room)

    def start(hooks: DriveHooks) -> Coroutine[Any, Any, DriveResult]:
        return resume_drive(run_id, session=session, budget=budget, hooks=hooks)

    _carry_out(start, _Drive(run_id, session), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Drive:
    """What belongs to one chain of the command line."""

    run_id: str
    session: Session
    stream: Path | None = None
    asks: bool = False
    is_own: bool = False
    """Whether the process is the user's, which no journal makes again."""


def _margin(k: str) -> int | None:
    if k == "auto":
        return None
    if not k.isascii() or not k.isdigit():
        raise InputError("--k", f"must be auto or an integer of at least 1, got {k!r}")
    return int(k)


def _carry_out(start: Start, run: _Drive, *, as_json: bool) -> None:
    """Drive to the end or to a signal, print what came of it, and exit as interfaces promise."""
    console = stderr_console()
    with DriveProgress(console) as progress, contextlib.ExitStack() as files:
        hooks = _hooks(progress, run, files)
        begun: list[Driver] = []
        told = hooks.begin

        def begin(driver: Driver) -> None:
            begun.append(driver)
            if told is not None:
                told(driver)

        is_lost = False
        try:
            result, caught = asyncio.run(until_signal(lambda: start(replace(hooks, begin=begin)), run.session))
        except JournalError as error:
            if not begun:
                raise
            console.print(f"orchestra: {error}", soft_wrap=True, markup=False)
            result, caught, is_lost = _unrecorded(run, begun[0], error), 0, error.code == "journal.missing"
        except Exception:
            if not begun:
                raise
            traceback.print_exc()  # of the user's own process, most likely: where it went wrong is what he needs
            result, caught = None, 0
    result = result or _stored(run)
    if as_json:
        print_json(result.as_dict())
    else:
        Console(highlight=False).print(drive_view(result))
    if result.status != "ok" and not is_lost:
        where = f"{run.run_id} --journal {shlex.quote(str(result.journal))}"
        resume = (
            f"go on with the same command and --run-id {where}"
            if run.is_own
            else f"go on with: orchestra resume {where}"
        )
        resume += f" --base-url {shlex.quote(run.session.base_url)}" if run.session.base_url else ""
        resume += " and a larger --budget-..." if result.status == "budget" else ""
        console.print(resume, soft_wrap=True, markup=False)
    stop(128 + caught if caught else EXIT_CODES[result.status])


def _hooks(progress: DriveProgress, run: _Drive, files: contextlib.ExitStack) -> DriveHooks:
    ask = _person(progress) if run.asks else None
    if run.stream is None:
        return DriveHooks(begin=progress.begin, step=progress.step if progress.console.is_terminal else None, ask=ask)
    lines = StepFile(run.stream)
    files.callback(lines.close)

    def step(number: int, body: str) -> None:
        lines.step(number, body)
        progress.step(number, body)

    return DriveHooks(check=lines.begin, begin=progress.begin, step=step, ask=ask)


def _person(progress: DriveProgress) -> Callable[[Question, str], Coroutine[Any, Any, str | None]]:
    async def ask(question: Question, how_it_stands: str) -> str | None:
        progress.console.print(question.content(), markup=False)
        progress.console.print(how_it_stands, markup=False)
        progress.console.print("Answer (empty stops): ", end="", markup=False)
        return (await read_line(sys.stdin.fileno())).rstrip("\r\n") or None

    return ask


def _unrecorded(run: _Drive, driver: Driver, error: JournalError) -> DriveResult:
    """Return what a chain came to whose journal failed and cannot say it."""
    result = drive_result_of(run.run_id, driver.state, run.session.path)
    return replace(result, status="failed", reason=str(error))


def _stored(run: _Drive) -> DriveResult:
    """Return what the journal says of a chain that a signal stopped."""
    with Journal(run.session.path, "read") as journal:
        return drive_result_of(run.run_id, ChainState.whole(journal, run.run_id), journal.path)
