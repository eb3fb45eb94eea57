"""`orchestra eval run`: one system on one suite, measured, stopped and taken up again at will."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from orchestra.cli.common import (
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
    stop,
    until_signal,
)
from orchestra.cli.plan import ProfileOption, TeamOption
from orchestra.panel import parse_models
from orchestra.report.text import stderr_console
from orchestra_agents.errors import InputError
from orchestra_agents.prices import Prices
from orchestra_evals.cli.competing import (
    CodeOption,
    DecomposeOption,
    DifficultyOption,
    SuiteArgument,
    ThresholdOption,
    load_suite,
    make_choices,
    make_system,
    opening,
    parse_difficulty,
)
from orchestra_evals.cli.progress import RowProgress
from orchestra_evals.cli.views import cell_view, estimate_view
from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.composing import cells_of
from orchestra_evals.runner.estimates import estimate
from orchestra_evals.runner.evaluating import Evaluator, Keeping
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.suite import Split
from orchestra_evals.systems.self_consistency import TEMPERATURE as SELF_CONSISTENT


def run_command(
    suite: SuiteArgument,
    model: ModelOption = None,
    system: Annotated[
        str, typer.Option("--system", help="wiring, selfconsistency, or module.path:function of your own.")
    ] = "wiring",
    topology: Annotated[str, typer.Option(help="auto, single, sequential, parallel, hierarchical or hybrid.")] = "auto",
    team: TeamOption = "auto",
    k: Annotated[str | None, typer.Option("--k", help="Margin of the votable subtasks, or auto.")] = None,
    decompose: DecomposeOption = "suite",
    profile: ProfileOption = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Most samples.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples and of their runs.")] = 0,
    split: Annotated[str, typer.Option("--split", help="calibrate, test or held_out.")] = "test",
    difficulty: DifficultyOption = None,
    repeats: Annotated[int, typer.Option("--repeats", help="How often each sample is asked.")] = 1,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature, 0 to 2.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Most tokens of one reply.")] = None,
    threshold: ThresholdOption = None,
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
    name: Annotated[str, typer.Option("--name", help="Name of the evaluation; a new one asks everything anew.")] = "",
    json_: JsonOption = False,
) -> None:
    """Measure one system on a suite; the same command goes on where it was stopped."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError("--threshold", f"must be a number from 0 to 1, got {threshold:g}")
    if temperature is None and system == "selfconsistency":
        temperature = SELF_CONSISTENT
    choices = make_choices(topology=topology, team=team, k=k, temperature=temperature, max_tokens=max_tokens)
    competing = make_system(system, choices, decompose=decompose, profile=profile)
    selection = Selection(
        limit=limit, seed=seed, split=cast(Split, split), difficulty=parse_difficulty(difficulty or ()), repeats=repeats
    )
    budget = make_budget(budget_calls, budget_tokens, budget_usd, budget_seconds)
    cells = cells_of(
        load_suite(suite, allow_code=allow_code),
        {competing.name: competing},
        models=[parse_models(model or ())],
        budget=budget,
        selection=selection,
        name=name,
    )
    if dry_run:
        tell_estimate(cells, prices, as_json=json_)
        return
    access = Access(
        concurrency=concurrency, rpm=rpm, tpm=tpm, prices=prices, allow_unpriced=allow_unpriced, probe=probe
    )
    where = journal_path(journal)
    rows = out or where.parent / "evals" / f"{cells[0].slug}.jsonl"
    keeping = Keeping(journal=where, out=rows, name=name, retry_errors=retry_errors)
    idle = make_session(where, None, base_url, access=access)
    with RowProgress(stderr_console(), cells) as progress:
        evaluator = Evaluator(cells, keeping=keeping, opens=opening(base_url, access), watch=progress.watch)
        _, caught = asyncio.run(until_signal(evaluator.run, idle))
    found = evaluator.evaluation()
    [cell] = found.cells
    if json_:
        print_json(cell.as_dict() | found.where())
    else:
        Console(highlight=False).print(cell_view(cell, found))
    code = 128 + caught if caught else exit_code(cell, threshold)
    if caught or cell.statuses["budget"] or cell.statuses["infra_error"]:
        _say_how_to_go_on(cell)
    stop(code)


def tell_estimate(cells: Sequence[Cell], prices: Path | None, *, as_json: bool) -> None:
    """Print what cells will take, and ask nothing."""
    said = asyncio.run(estimate(cells, Prices.shipped() if prices is None else Prices.load(prices)))
    if as_json:
        print_json(said.as_dict())
    else:
        Console(highlight=False).print(estimate_view(said))


def exit_code(cell: CellScore, threshold: float | None) -> int:
    """Return what a cell means to the shell.

    Without any score 3 where the budget stopped it, else 1; 4 below the threshold; 3 and 5 where the budget, or lost
    samples, left it incomplete.
    """
    statuses, score = cell.statuses, cell.mean.score
    if score is None:
        return 3 if statuses["budget"] else 1
    if threshold is not None and score < threshold:
        return 4
    if statuses["budget"]:
        return 3
    return 5 if statuses["infra_error"] or statuses["missing"] else 0


def _say_how_to_go_on(cell: CellScore) -> None:
    console, statuses = stderr_console(), cell.statuses
    first = next((row.error for row in cell.rows if row.status == "infra_error" and row.error is not None), None)
    if first is not None:
        told = f"{statuses['infra_error']} samples were lost, the first to {first.code}: {first.message}"
        console.print(told, markup=False)
    more = [" and a larger --budget-..."] if statuses["budget"] else []
    more += [" and --retry-errors"] if statuses["infra_error"] else []
    program = shlex.join(["orchestra", *sys.argv[1:]])
    console.print(f"go on with: {program}{''.join(more)}", markup=False)
