"""Measured runs that a team law is fitted to: the published ones, or a user's own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import cast

from orchestra.budget.team_priors import ARCHITECTURES, Architecture
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown

MOST_TOOLS = 1_000
MOST_INTELLIGENCE = 100.0

_STUDY_NAMES = {"sas": "solo", "hybrid": "peers"}
_COLUMNS = ("benchmark", "architecture", "model", "tools", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRun:
    """What one architecture with one model achieved on one family of tasks."""

    family: str
    """Family of tasks, such as a benchmark: what is left out as a whole when the law is validated."""
    architecture: Architecture
    model: str
    tools: int
    """Number of tools that an agent had, 0 to 1000."""
    accuracy: float
    """Share of the tasks solved, 0 to 1."""
    intelligence: float | None = None
    """Intelligence index of the model, 0 to 100; None takes the mean of the runs that have one."""
    single_accuracy: float | None = None
    """Accuracy of one agent with this model on this family, 0 to 1. None derives it: the mean of the solo runs with the
    same family and model, and for a solo run the mean of all solo runs of the family, as it must not explain itself."""


def check_tools(field: str, value: object) -> int:
    """Return a number of tools.

    Raises:
        InputError: It is no integer from 0 to 1000.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOOLS:
        raise InputError(field, f"must be an integer from 0 to {MOST_TOOLS}, got {shown(value)}")
    return value


def check_number(field: str, value: object, most: float = 1.0) -> float:
    """Return a number from 0 to `most`.

    Raises:
        InputError: It is none.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not (isfinite(value) and 0 <= value <= most):
        raise InputError(field, f"must be a number from 0 to {most:g}, got {shown(value)}")
    return float(value)


def check_run(where: str, run: TeamRun) -> None:
    """Refuse a run with a value outside its domain.

    Args:
        where: What the run is called in the refusal, such as `runs[3]`.
        run: The run.

    Raises:
        InputError: A value is outside its domain.
    """
    if run.architecture not in ARCHITECTURES:
        raise InputError(
            f"{where}.architecture", f"must be one of {', '.join(ARCHITECTURES)}, got {shown(run.architecture)}"
        )
    check_tools(f"{where}.tools", run.tools)
    check_number(f"{where}.accuracy", run.accuracy)
    if run.intelligence is not None:
        check_number(f"{where}.intelligence", run.intelligence, MOST_INTELLIGENCE)
    if run.single_accuracy is not None:
        check_number(f"{where}.single_accuracy", run.single_accuracy)


def single_accuracies(runs: Sequence[TeamRun]) -> list[float]:
    """Return the single-agent accuracy of each run: the one given, else derived as `TeamRun.single_accuracy` says.

    Raises:
        InputError: A run has none and there is no solo run to derive it from.
    """
    solo: dict[tuple[str, str | None], list[float]] = {}
    for run in runs:
        if run.architecture == "solo":
            for model in (run.model, None):
                solo.setdefault((run.family, model), []).append(run.accuracy)
    found = []
    for place, run in enumerate(runs):
        alike = solo.get((run.family, None if run.architecture == "solo" else run.model))
        if run.single_accuracy is not None:
            found.append(run.single_accuracy)
        elif alike is not None:
            found.append(sum(alike) / len(alike))
        else:
            raise InputError(
                f"runs[{place}].single_accuracy",
                f"must be given, as there is no solo run of model {shown(run.model)} on {shown(run.family)}",
            )
    return found


def read_runs(path: Path) -> tuple[TeamRun, ...]:
    """Return the runs of a CSV file with a header.

    Columns are benchmark, architecture (our names or the study's), model, tools, accuracy and, if known,
    intelligence_index and single_accuracy; others are ignored.

    Raises:
        InputError: The file, a column or a value is missing or wrong; the line is named.
    """
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            return _parsed(str(path), opened)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(str(path), f"cannot be read as a CSV file: {error}") from error


@cache
def published_runs() -> tuple[TeamRun, ...]:
    """Return the 180 runs of the study (arXiv 2512.08296 v2); `data/PROVENANCE.md` says where they are from."""
    data = files("orchestra.budget").joinpath("data", "agent_scaling_180.csv")
    return _parsed(data.name, data.read_text(encoding="utf-8").splitlines())


def _parsed(name: str, lines: Iterable[str]) -> tuple[TeamRun, ...]:
    reader = csv.DictReader(lines)
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(name, f"must have the columns {', '.join(_COLUMNS)}; {', '.join(missing)} missing")
    return tuple(_run(f"{name}, line {reader.line_num}", row) for row in reader)


def _run(where: str, row: Mapping[str, str | None]) -> TeamRun:
    named = (row["architecture"] or "").strip().lower()
    run = TeamRun(
        family=row["benchmark"] or "",
        architecture=cast(Architecture, _STUDY_NAMES.get(named, named)),
        model=row["model"] or "",
        tools=cast(int, _number(f"{where}.tools", row["tools"], int)),
        accuracy=_number(f"{where}.accuracy", row["accuracy"]),
        intelligence=_optional(f"{where}.intelligence_index", row.get("intelligence_index")),
        single_accuracy=_optional(f"{where}.single_accuracy", row.get("single_accuracy")),
    )
    check_run(where, run)
    return run


def _optional(field: str, text: str | None) -> float | None:
    return None if not (text or "").strip() else _number(field, text)


def _number(field: str, text: str | None, kind: type[int] | type[float] = float) -> float:
    try:
        return kind(text or "")
    except ValueError as error:
        wanted = "an integer" if kind is int else "a number"
        raise InputError(field, f"must be {wanted}, got {shown(text or '')}") from error
