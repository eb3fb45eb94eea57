"""`orchestra calibrate`: measure a model on items with known answers, and keep what was measured as a profile."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from orchestra.budget.pilot import MESSAGES, TEMPERATURE, PilotDesign, calibrate
from orchestra.budget.profile import Profile
from orchestra.budget.recorded_votes import profile_of_run
from orchestra.cli.calibrate_items import items_or_rows
from orchestra.cli.common import (
    EXIT_CODES,
    Access,
    BaseUrlOption,
    CallsOption,
    ConcurrencyOption,
    JournalOption,
    JsonOption,
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
    stop,
    until_signal,
)
from orchestra.report.calibration import profile_view, unknown
from orchestra.report.progress import RunProgress
from orchestra.report.text import stderr_console
from orchestra.session import Session, new_run_id
from orchestra_agents.errors import BudgetExceeded, InputError, ModelError
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal


def calibrate_command(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE.jsonl|SUITE", help="Rows {input, target, choices?}, or a suite of `eval list`."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="provider:model that is measured.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Profile to write, a .json file.")] = None,
    items: Annotated[int, typer.Option("--items", help="Most items measured.")] = 60,
    panel: Annotated[int, typer.Option("--panel", help="Votes asked of each item.")] = 5,
    messages: Annotated[str, typer.Option("--messages", help="Lengths of messages in tokens, or none.")] = ",".join(
        map(str, MESSAGES)
    ),
    question: Annotated[str, typer.Option("--question", help="What is asked of every input.")] = "",
    choices: Annotated[str | None, typer.Option("--choices", help="Allowed answers, a,b,c, if rows name none.")] = None,
    examples: Annotated[int, typer.Option("--examples", help="Worked examples shown, from rows not measured.")] = 0,
    chain: Annotated[
        int | None, typer.Option("--chain", help="Rows asked at once for a second size, 2 unless said; 1: none.")
    ] = None,
    thoughts: Annotated[
        str, typer.Option("--thoughts", help="Levels of compute: tokens of thought before an answer.")
    ] = "none",
    from_run: Annotated[str | None, typer.Option("--from-run", help="Take the votes of this run, ask nothing.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of items, bits and samples.")] = 0,
    temperature: Annotated[float, typer.Option("--temperature", help="Sampling temperature, 0 to 2.")] = TEMPERATURE,
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
    json_: JsonOption = False,
) -> None:
    """Measure a model: accuracy, shared errors, messages, compute, and what a wrong input spoils."""
    if out is None:
        raise InputError("--out", "is missing; name the profile to write, as in --out profile.json")
    _check_writable(out)
    if (file is None) == (from_run is None):
        raise InputError("FILE.jsonl", "give a file or suite of items, or --from-run RUN, exactly one of them")
    if from_run is not None:
        with Journal(journal_path(journal), "read") as opened:
            profile = profile_of_run(opened, from_run, model=model)
        _tell(profile, out, {"run_id": from_run, "journal": str(journal_path(journal))}, as_json=json_)
        return
    assert file is not None
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    named = () if choices is None else tuple(one.strip() for one in choices.split(","))
    lengths = _numbers("--messages", messages)
    of_rows = {"question": question, "choices": choices, "examples": examples, "chain": None if chain == 1 else chain}
    measured_on, are_rows = items_or_rows(file, most=items, seed=seed, of_rows=of_rows)
    design = PilotDesign(
        question=question,
        items=min(items, max(2, len(measured_on) - examples)),
        examples=examples,
        chain=chain if chain is not None else 2 if are_rows else 1,
        thoughts=_numbers("--thoughts", thoughts),
        seed=seed,
        temperature=temperature,
    )
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    named_model, name = None if model is None else [model], run_id or new_run_id()
    session = make_session(journal, named_model, base_url, access=access)
    with RunProgress(stderr_console()) as progress:

        def start() -> Coroutine[Any, Any, Profile]:
            return calibrate(
                measured_on,
                panel=panel,
                messages=lengths,
                choices=named,
                design=design,
                budget=budget,
                session=session,
                run_id=name,
                watch=progress.watch,
            )

        measured, caught = _measured(start, session, name)
    if measured is None:
        stop(128 + caught)
    _tell(measured, out, _run(session, name), as_json=json_)


def _measured(
    start: Callable[[], Coroutine[Any, Any, Profile]], session: Session, name: str
) -> tuple[Profile | None, int]:
    """Return the profile, or None and the signal that cut the run short; what stops it otherwise ends the command."""
    console = stderr_console()
    resume = f"go on with the same command and --run-id {name} --journal {shlex.quote(str(session.path))}"
    try:
        profile, caught = asyncio.run(until_signal(start, session))
    except BudgetExceeded as error:
        console.print(f"orchestra: {error}", soft_wrap=True, markup=False)
        console.print(f"{resume} and a larger --budget-...", soft_wrap=True, markup=False)
        stop(EXIT_CODES["budget"])
    except ModelError:
        console.print(resume, soft_wrap=True, markup=False)
        raise
    if profile is None:
        console.print(resume, soft_wrap=True, markup=False)
    return profile, caught


def _tell(profile: Profile, out: Path, run: dict[str, Any], *, as_json: bool) -> None:
    """Keep the profile and print it."""
    profile.save(out)
    if as_json:
        print_json({**run, "status": "ok", "out": str(out), "unknown": unknown(profile), "profile": profile.to_dict()})
        return
    console = Console(highlight=False)
    console.print(profile_view(profile))
    console.print(f"written to {out}", soft_wrap=True, markup=False)


def _run(session: Session, name: str) -> dict[str, Any]:
    """Return what the journal says of a run that is through."""
    with Journal(session.path, "read") as journal:
        state = RunState.of(journal.entries(name))
        usage = state.usage.as_dict()
    seconds = round(state.seconds, 3)
    return {"run_id": name, "usage": usage, "journal": str(journal.path), "seconds": seconds}


def _numbers(option: str, text: str) -> tuple[int, ...]:
    if text.strip().lower() in ("", "none"):
        return ()
    parts = [one.strip() for one in text.split(",")]
    if not all(one.isascii() and one.isdigit() for one in parts):
        raise InputError(option, f"must be integers, 32,128,512, or none, got {text!r}")
    return tuple(map(int, parts))


def _check_writable(out: Path) -> None:
    """Refuse a profile that could not be written, before anything is spent.

    Raises:
        InputError: The name does not end in .json, it is a folder, or its folder is missing or cannot be written.
    """
    if out.suffix.lower() != ".json":
        raise InputError("--out", f"must end in .json, got {str(out)!r}")
    if not out.parent.is_dir() or out.is_dir():
        raise InputError("--out", f"must be a file in a folder that exists, got {str(out)!r}")
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}."):
            pass
    except OSError as error:
        raise InputError("--out", f"cannot be written: {os.strerror(error.errno or 0)}") from error
