"""`orchestra eval list`: every suite with its size, axes, scoring and licence."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from orchestra.cli.common import JsonOption, print_json
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.catalog import SUITES, make_suite
from orchestra_evals.suites.gym import Gym, generators
from orchestra_evals.suites.scorers import SCORERS
from orchestra_evals.suites.suite import About

_FILE: dict[str, Json] = {
    "summary": "The rows of your own file: JSONL, JSON, CSV or YAML, with its fields mapped.",
    "scoring": f"By a scorer: {', '.join(SCORERS)}.",
    "licence": "that of the file",
    "axes": {},
    "default": [],
    "size": None,
    "version": 1,
}

_WORDS = ("scoring", "licence")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One line of the list."""

    name: str
    about: About | None = None
    problem: str | None = None
    """Why it cannot be used here."""
    generators: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Json]:
        """Return it as JSON."""
        told: dict[str, Json] = {"name": self.name, "problem": self.problem}
        if self.generators:
            told["generators"] = list(self.generators)
        return told | (_FILE if self.name.startswith("file") else _about(self.about))


def list_command(json_: JsonOption = False) -> None:
    """List the suites with their size, axes of difficulty, scoring, and the licence of their data."""
    rows = [_listed(name) for name in SUITES] + [_gym(), _Listed(name="file:PATH")]
    told = [row.as_dict() for row in rows]
    if json_:
        print_json({"suites": told})
        return
    console = Console(highlight=False)
    for row in told:
        console.print(Text.assemble((row["name"], "bold"), f"  {row['problem'] or row['summary']}"))
        for key, value in (("size", _size(row)), ("axes", _axes(row)), *((key, row[key]) for key in _WORDS)):
            console.print(Text(f"  {key:8} {value}"))


def _listed(name: str) -> _Listed:
    try:
        return _Listed(name=name, about=make_suite(name).about)
    except InputError as error:
        return _Listed(name=name, problem=str(error))


def _gym() -> _Listed:
    try:
        return _Listed(name="gym:NAME", about=Gym.about, generators=tuple(generators()))
    except InputError as error:
        return _Listed(name="gym:NAME", about=Gym.about, problem=str(error))


def _about(about: About | None) -> dict[str, Json]:
    if about is None:
        return dict.fromkeys(_FILE)
    return {
        "summary": about.summary,
        "scoring": about.scoring,
        "licence": about.licence,
        "axes": {axis: list(values) for axis, values in about.axes.items()},
        "default": [dict(one) for one in about.default],
        "size": about.size,
        "version": about.version,
    }


def _size(row: dict[str, Json]) -> str:
    if row.get("generators"):
        return f"endless, {len(row['generators'])} generators"
    if row["problem"]:
        return "-"
    return "endless" if row["size"] is None and not row["name"].startswith("file") else str(row["size"] or "-")


def _axes(row: dict[str, Json]) -> str:
    return "; ".join(f"{axis} {values[0]}..{values[-1]}" for axis, values in (row["axes"] or {}).items()) or "-"
