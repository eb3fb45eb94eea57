"""What the commands share: their options, the way they print, and where things lie."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, cast, get_args

import platformdirs
import typer

from orchestra.panel import parse_models
from orchestra.session import CONCURRENCY, Session
from orchestra_agents.errors import InputError
from orchestra_agents.journal.sqlite import Durability
from orchestra_agents.json_schema import shown
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Json
from orchestra_agents.models.throttle import Rate

T = TypeVar("T")

ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="provider:model; repeat for a panel, or role=provider:model for one role."),
]
BaseUrlOption = Annotated[str | None, typer.Option("--base-url", help="Address of an OpenAI-compatible server.")]
DecomposerOption = Annotated[
    str | None, typer.Option(help="Who splits a task in words: general or software (a model), or a graph file.")
]
ContextOption = Annotated[list[Path] | None, typer.Option(help="Text file that a task in words may use; repeat.")]
JournalOption = Annotated[Path | None, typer.Option("--journal", help="Journal file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
CallsOption = Annotated[int | None, typer.Option("--budget-calls", help="Most calls.")]
TokensOption = Annotated[int | None, typer.Option("--budget-tokens", help="Most tokens, input and output together.")]
UsdOption = Annotated[float | None, typer.Option("--budget-usd", help="Most US dollars.")]
SecondsOption = Annotated[float | None, typer.Option("--budget-seconds", help="No call starts later than this.")]

_AGAIN = "not kept, give it again to resume"
RpmOption = Annotated[
    float | None,
    typer.Option("--rpm", help=f"Requests a minute that each served model may be asked; {_AGAIN}."),
]
TpmOption = Annotated[
    float | None, typer.Option("--tpm", help=f"Tokens a minute that each served model may take; {_AGAIN}.")
]
PricesOption = Annotated[
    Path | None, typer.Option("--prices", help=f"File of prices, on top of the list that ships; {_AGAIN}.")
]
UnpricedOption = Annotated[
    bool,
    typer.Option("--allow-unpriced", help=f"Ask models whose price is not known, their cost being null; {_AGAIN}."),
]
ProbeOption = Annotated[
    bool | None,
    typer.Option("--probe/--no-probe", help="Ask each server once what it really does; by default for large runs."),
]
ConcurrencyOption = Annotated[int | None, typer.Option("--concurrency", help="Calls in flight at once.")]

EXIT_CODES = {"ok": 0, "failed": 1, "budget": 3, "undecided": 5, "interrupted": 5, "running": 0}
"""What each status of a run means to the shell."""

_CHUNK = 4096


def journal_path(given: Path | None) -> Path:
    """Return the journal to use: the one asked for, else the user's own in the platform's state folder."""
    return given or platformdirs.user_state_path("orchestra") / "journal.db"


def make_budget(calls: int | None, tokens: int | None, usd: float | None, seconds: float | None) -> Budget:
    """Return the budget that the options describe.

    Raises:
        InputError: A cap is not above 0.
    """
    for name, value in (("calls", calls), ("tokens", tokens), ("usd", usd), ("seconds", seconds)):
        if value is not None and not value > 0:
            raise InputError(f"--budget-{name}", f"must be above 0, got {shown(value)}")
    return Budget(calls=calls, tokens=tokens, usd=usd, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How models may be asked, as the options say."""

    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    prices: Path | None = None
    allow_unpriced: bool = False
    probe: bool | None = None

    def rate(self) -> Rate:
        """Return what may be asked in a minute.

        Raises:
            InputError: A rate is not above 0.
        """
        for name, value in (("--rpm", self.rpm), ("--tpm", self.tpm)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(name, f"must be a number above 0, got {shown(value)}")
        return Rate(requests=self.rpm, tokens=self.tpm)


_PLAIN = Access()
_NOTHING = Cost()


def make_session(
    journal: Path | None,
    models: Sequence[str] | None,
    base_url: str | None,
    *,
    concurrency: int | None = None,
    slots: int | None = None,
    durability: str = "process",
    access: Access = _PLAIN,
    budget: Budget | None = None,
    spent: Cost = _NOTHING,
) -> Session:
    """Return the session of a command, under caps of its own where it makes several runs.

    Raises:
        InputError: concurrency, durability, a rate or the file of prices is not allowed.
    """
    if durability not in get_args(Durability):
        raise InputError("--durability", f"must be process or power, got {durability!r}")
    return Session(
        model=parse_models(models or ()),
        journal=journal_path(journal),
        base_url=base_url,
        concurrency=access.concurrency if access.concurrency is not None else concurrency or CONCURRENCY,
        slots=slots,
        durability=cast(Durability, durability),
        environ=os.environ,
        rate=access.rate(),
        prices=access.prices,
        allow_unpriced=access.allow_unpriced,
        probe=access.probe,
        facts=platformdirs.user_cache_path("orchestra") / "endpoints.json",
        budget=budget,
        spent=spent,
    )


async def until_signal(start: Callable[[], Coroutine[Any, Any, T]], session: Session) -> tuple[T | None, int]:
    """Return the result within `session`, or None and the signal (SIGINT, SIGTERM) that cut it short."""
    loop, caught = asyncio.get_running_loop(), 0
    async with session:
        task = asyncio.create_task(start())

        def cancel(number: int) -> None:
            nonlocal caught
            caught = caught or number
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel, number)
        try:
            return await task, 0
        except asyncio.CancelledError:
            if not caught:
                raise
            return None, caught


async def read_line(descriptor: int) -> str:
    """Return the next line of a terminal, what there is of it at the end of the input, "" where there is nothing.

    Signals and everything else in the event loop go on meanwhile, and nothing is left behind when the wait is
    cancelled: a thread in `input()` would have to be waited for.
    """
    loop, read = asyncio.get_running_loop(), bytearray()
    is_whole: asyncio.Future[None] = loop.create_future()

    def more() -> None:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:  # the terminal is gone
            chunk = b""
        read.extend(chunk)
        if (not chunk or b"\n" in chunk) and not is_whole.done():
            is_whole.set_result(None)

    loop.add_reader(descriptor, more)
    try:
        await is_whole
    finally:
        loop.remove_reader(descriptor)
    return read.decode("utf-8", "replace")


def print_json(value: Json) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def stop(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)
