"""`orchestra plan`: what would be done, before anything is spent."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.cli.common import (
    BaseUrlOption,
    ContextOption,
    DecomposerOption,
    JsonOption,
    ModelOption,
    PricesOption,
    UnpricedOption,
    print_json,
)
from orchestra.decomposition import decompose
from orchestra.designing import forecast_of
from orchestra.panel import parse_models, price_of
from orchestra.planning import Instruction, Plan, read_task
from orchestra.report.forecast import forecast_view
from orchestra.report.text import plan_view
from orchestra.session import Session
from orchestra_agents.errors import InputError, ModelError
from orchestra_agents.models.contract import Json
from orchestra_agents.prices import Prices
from orchestra_agents.roles.cards import load_cards, shipped_cards
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_topologies.graph import TaskGraph

TeamOption = Annotated[
    str,
    typer.Option(
        help="auto, solo, vote, independent, decentralized, centralized, peers or tree; NAME:option=value for options."
    ),
]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", help="What `orchestra calibrate` measured of the model, a JSON file.")
]
RolesOption = Annotated[Path | None, typer.Option("--roles", help="Folder of role cards in place of those that ship.")]


def plan_command(
    task: Annotated[
        str, typer.Argument(metavar="FILE|TEXT", help="A task graph file, a plan file, or the task in words.")
    ],
    model: ModelOption = None,
    topology: Annotated[str, typer.Option(help="auto, single, sequential, parallel, hierarchical or hybrid.")] = "auto",
    team: TeamOption = "auto",
    k: Annotated[str | None, typer.Option("--k", help="Margin of the votable subtasks, or auto.")] = None,
    decomposer: DecomposerOption = None,
    context: ContextOption = None,
    roles: RolesOption = None,
    profile: ProfileOption = None,
    base_url: BaseUrlOption = None,
    prices: PricesOption = None,
    allow_unpriced: UnpricedOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the plan to this file; `run` executes exactly it.")
    ] = None,
    json_: JsonOption = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the plan as a Mermaid flowchart.")] = False,
) -> None:
    """Show shape, route and reason. Spends nothing when given a graph file."""
    asked = {"topology": topology, "team": team, "k": k}
    plan = planned(task, model, asked, decomposer=decomposer, context=context or (), roles=roles, profile=profile)
    plan = replace(plan, base_url=base_url or plan.base_url)
    known, graph = Prices.shipped() if prices is None else Prices.load(prices), plan.task
    if isinstance(graph, str):
        try:
            graph = asyncio.run(_decomposed(plan, known, allow_unpriced=allow_unpriced))
        except ModelError as error:
            if json_:
                print_json({"status": "failed", "error": {"code": error.code, "message": str(error)}})
            raise
    made = plan.decide(graph)
    forecast = made.forecast or forecast_of(graph, plan.choices, budget=plan.budget)
    document: dict[str, Json] = {
        "shape": asdict(made.shape),
        "route": made.route_dict(),
        "decision": made.decision_dict(),
        "graph": graph.to_dict(),
        "forecast": forecast.as_dict(price_of(plan.model, known, plan.base_url, os.environ)),
    }
    if out is not None:
        _write(out, replace(plan, task=graph, context="", decomposer=None).to_dict() | document)
    if json_:
        print_json(document)
    elif mermaid:
        draw = importlib.import_module("orchestra.report.mermaid").mermaid  # brings LangGraph, which takes a second
        typer.echo(draw(graph, made), nl=False)
    else:
        console = Console(highlight=False)
        console.print(plan_view(graph, made))
        if plan.profile is not None:
            console.print(Text(), forecast_view(forecast))


def planned(
    task: str,
    model: Sequence[str] | None,
    asked: Mapping[str, Json],
    *,
    decomposer: str | None = None,
    context: Sequence[Path] = (),
    roles: Path | None = None,
    profile: Path | None = None,
) -> Plan:
    """Return the plan that command-line arguments describe; what they say overrides a plan file.

    Args:
        task: A file, or the task in words.
        model: The `--model` arguments.
        asked: Choices by name; what is None or `auto` was not asked for.
        decomposer: An instruction, or a graph file.
        context: Text files that a task in words may use.
        roles: A folder of role cards.
        profile: A file that `orchestra calibrate` wrote.

    Raises:
        InputError: An argument is wrong.
    """
    read = read_task(task)
    plan = read if isinstance(read, Plan) else Plan(task=read)
    if decomposer is not None:
        is_named = decomposer in get_args(Instruction)
        plan = replace(plan, decomposer=decomposer if is_named else Path(decomposer))
    if context:
        plan = replace(plan, context="\n\n".join(map(_text, context)))
    if roles is not None:
        shipped = shipped_cards()
        cards = {role: card for role, card in load_cards(roles).items() if shipped.get(role) != card}
        plan = replace(plan, roles=cards)
    if profile is not None:
        plan = replace(plan, profile=Profile.load(profile))
    given = {name: value for name, value in asked.items() if value is not None and (value != "auto" or name == "k")}
    if given.get("k", "auto") != "auto":
        given["k"] = parse_k(str(given["k"]))
    choices = Choices(**{**asdict(plan.choices), **given})
    return replace(plan, choices=choices, model=parse_models(model or ()) or plan.model)


def parse_k(text: str) -> int:
    """Return the margin that `--k` asks for.

    Raises:
        InputError: It is no integer from 1 to the largest margin.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= LARGEST_K:
        raise InputError("--k", f"must be auto or an integer from 1 to {LARGEST_K}, got {text!r}")
    return int(text)


async def _decomposed(plan: Plan, prices: Prices, *, allow_unpriced: bool) -> TaskGraph:
    with tempfile.TemporaryDirectory(prefix="orchestra-") as folder:
        journal = Path(folder) / "journal.db"
        async with Session(
            base_url=plan.base_url, journal=journal, prices=prices, allow_unpriced=allow_unpriced
        ) as session:
            made = await decompose(
                str(plan.task),
                model=plan.model,
                session=session,
                choices=plan.choices,
                context=plan.context,
                decomposer=plan.decomposer,
            )
            return made.graph


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--context", f"cannot read {path} as UTF-8 text") from error


def _write(path: Path, document: Json) -> None:
    if path.suffix != ".json":
        raise InputError("--out", f"must be a file name that ends in .json, got {path.name!r}")
    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError("--out", f"cannot write {path}: {error.strerror}") from error
