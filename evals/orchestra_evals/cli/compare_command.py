"""`orchestra eval compare`: many systems on one suite under one cap, measured, stopped and taken up again at will."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.cli.common import (
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
from orchestra.cli.plan import ProfileOption
from orchestra.panel import parse_models
from orchestra.report.text import stderr_console
from orchestra.session import Session
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import digest
from orchestra_agents.prices import Prices
from orchestra_evals.cli.compare_ending import command_line, exit_code, how_to_go_on
from orchestra_evals.cli.compare_view import cap_line, compare_view, skipped_lines
from orchestra_evals.cli.competing import (
    CodeOption,
    DecomposeOption,
    DifficultyOption,
    SuiteArgument,
    load_suite,
    make_choices,
    make_system,
    opening,
    parse_difficulty,
)
from orchestra_evals.cli.progress import RowProgress
from orchestra_evals.cli.views import estimate_view
from orchestra_evals.comparing.compared import Compared
from orchestra_evals.comparing.contest import Contest, contest_of
from orchestra_evals.comparing.profiling import Pilot, pilots_of
from orchestra_evals.report.document import SCHEMA
from orchestra_evals.report.drawing import require_matplotlib
from orchestra_evals.report.writing import write_report
from orchestra_evals.runner.estimates import estimate
from orchestra_evals.runner.evaluating import Evaluator, Keeping
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.suite import Split
from orchestra_evals.systems.system import GraphSource, System


def compare_command(
    suite: SuiteArgument,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="provider:model; repeat to compare several models.")
    ] = None,
    topology: Annotated[
        list[str] | None,
        typer.Option(
            "--topology", help="all, auto, single, sequential, parallel, hierarchical or hybrid; repeat. Default: all."
        ),
    ] = None,
    team: Annotated[
        list[str] | None,
        typer.Option("--team", help="all, or a team as for `eval run`; repeat. Each topology gets each of them."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", help="module.path:function of your own, or NAME=module.path:function; repeat."),
    ] = None,
    k: Annotated[str | None, typer.Option("--k", help="Margin of the votable subtasks, or auto.")] = None,
    decompose: DecomposeOption = "suite",
    profile: ProfileOption = None,
    calibrate: Annotated[
        int,
        typer.Option(
            "--calibrate", help="Measure a profile of each model first, on so many samples; under no cap.", min=0
        ),
    ] = 0,
    limit: Annotated[int | None, typer.Option("--limit", help="Most samples.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples and of their runs.")] = 0,
    split: Annotated[str, typer.Option("--split", help="calibrate, test or held_out.")] = "test",
    difficulty: DifficultyOption = None,
    repeats: Annotated[int, typer.Option("--repeats", help="How often each sample is asked.")] = 1,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature, 0 to 2.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Most tokens of one reply.")] = None,
    allow_code: CodeOption = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask samples again that the infrastructure lost.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it would take, and ask nothing.")] = False,
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
    probe: ProbeOption = True,
    journal: JournalOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="File of rows, one JSON line a sample.")] = None,
    document: Annotated[
        Path | None, typer.Option("--document", help="File of the comparison; by default beside the rows, as .json.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder that a report of it is written into, as by `eval report`.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the evaluation; a new one asks everything anew.")] = "",
    json_: JsonOption = False,
) -> None:
    """Compare topologies, teams and models on a suite, each under the same cap; see `eval run` for one of them."""
    if calibrate and profile is not None:
        raise InputError("--calibrate", "measures a profile; leave it out, or --profile")
    compete = partial(
        contest_of,
        load_suite(suite, allow_code=allow_code),
        systems=own_systems(system or ()),
        topologies=topology or "all",
        teams=team,
        models=[parse_models([one]) for one in model or ()] or [None],
        budget=make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds),
        choices=make_choices(topology="auto", team="auto", k=k, temperature=temperature, max_tokens=max_tokens),
        decompose=cast(GraphSource, decompose),
        selection=Selection(
            limit=limit,
            seed=seed,
            split=cast(Split, split),
            difficulty=parse_difficulty(difficulty or ()),
            repeats=repeats,
        ),
        name=name,
    )
    contest = asyncio.run(compete(profile=None if profile is None else Profile.load(profile)))
    if report is not None:
        require_matplotlib()
    if dry_run:
        tell_estimate(contest, prices, calibrate=calibrate, as_json=json_)
        return
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    where = journal_path(journal)
    rows = out or where.parent / "evals" / f"{_stem(contest)}.jsonl"
    said = document or rows.with_suffix(".json")
    if said == rows:
        raise InputError("--document", f"must be another file than that of the rows, {rows}")
    check_document(said)
    keeping = Keeping(journal=where, out=rows, name=name, retry_errors=retry_errors)
    idle, opens = make_session(where, None, base_url, access=access), opening(base_url, access)
    pilots: dict[str, Pilot] = {}
    if calibrate:
        pilots = _measured(partial(pilots_of, contest, samples=calibrate, keeping=keeping, opens=opens), idle)
        contest = asyncio.run(compete(profile={name: pilot.profile for name, pilot in pilots.items()}))
    with RowProgress(stderr_console(), contest.cells) as progress:
        evaluator = Evaluator(contest.cells, keeping=keeping, opens=opens, watch=progress.watch)
        _, caught = asyncio.run(until_signal(evaluator.run, idle))
    compared = asyncio.run(
        Compared.of(contest, evaluator.evaluation(), pilots=pilots, command=command_line(sys.argv[1:]))
    )
    compared.save(said)
    if report is not None:
        write_report(compared.as_dict(), report)
    _tell(compared, {"rows": rows, "journal": where, "document": said, "report": report}, as_json=json_)
    cells = compared.evaluation.cells
    if (hint := how_to_go_on(cells, sys.argv[1:], is_cut_short=bool(caught))) is not None:
        stderr_console().print(hint, markup=False)
    stop(128 + caught if caught else exit_code(cells))


def _measured(measure: Callable[[], Coroutine[Any, Any, dict[str, Pilot]]], idle: Session) -> dict[str, Pilot]:
    """Return what was measured of the models; a signal ends the command, and the same one goes on."""
    pilots, caught = asyncio.run(until_signal(measure, idle))
    if pilots is None:
        stop(128 + caught)
    return pilots


def _tell(compared: Compared, places: Mapping[str, Path | None], *, as_json: bool) -> None:
    """Print a comparison, and for people where its files are."""
    if as_json:
        print_json(compared.as_dict())
        return
    console = Console(highlight=False)
    console.print(compare_view(compared.as_dict()))
    for kind, place in places.items():
        if place is not None:
            console.print(f"{kind:8} {place}", soft_wrap=True, markup=False)


def check_document(place: Path) -> None:
    """Refuse to write a document in place of a file that is none.

    Raises:
        InputError: There is such a file.
    """
    if not place.exists():
        return
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = None
    if not isinstance(told, dict) or told.get("document") != SCHEMA:
        raise InputError("--document", f"{place} is there and no comparison; name another file")


def own_systems(options: Sequence[str]) -> dict[str, System]:
    """Return systems of the user's own by name: `module.path:function`, or `NAME=module.path:function`.

    Raises:
        InputError: An option names none, or two have one name.
    """
    found: dict[str, System] = {}
    for option in options:
        name, equals, place = option.partition("=")
        name, place = (name, place) if equals else (option, option)
        if ":" not in place or not name or name in found:
            raise InputError("--system", f"must be module.path:function or NAME=..., each name once, got {option!r}")
        found[name] = make_system(place, Choices())
    return found


def tell_estimate(contest: Contest, prices: Path | None, *, calibrate: int = 0, as_json: bool) -> None:
    """Print what a contest will take, and ask nothing; what measuring a profile first takes is not estimated."""
    said = asyncio.run(estimate(contest.cells, Prices.shipped() if prices is None else Prices.load(prices)))
    said = replace(said, detectable=contest.detectable())
    skipped = [asdict(one) for one in contest.skipped]
    if as_json:
        print_json(said.as_dict() | {"cap_source": contest.cap_source, "skipped": skipped, "calibrate": calibrate})
    else:
        lines = [cap_line(said.cells[0].as_dict()["cap"], contest.cap_source), *skipped_lines(skipped)]
        if calibrate:
            lines.append(f"measuring each model on {calibrate} samples first is not in these figures, and under no cap")
        Console(highlight=False).print(estimate_view(said), *map(Text, lines), sep="\n")


def _stem(contest: Contest) -> str:
    """Return the name of a comparison's files: equal for equal systems, models and samples' seed."""
    suite, _, _ = contest.cells[0].slug.rpartition("-")
    return f"{suite}-compared-{digest([cell.id for cell in contest.cells])[:12]}"
