"""Rows of an evaluation as a CSV file that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestra_agents.models.contract import Json, canonical_json

FIRST = ("run_id", "suite", "system", "model", "topology", "sample_id", "epoch", "status", "score", "output", "error")
"""Columns that come first, where there are such."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that some spreadsheet takes for a formula; the last four are the full-width forms of the first."""


def export_csv(rows: Iterable[Mapping[str, Json]], path: str | os.PathLike[str]) -> Path:
    """Write rows as CSV (UTF-8, first line the names) and return its path.

    Objects in a row become columns of their own, `usage.input`; lists are JSON; what is null or missing is empty. A
    text that a spreadsheet would take for a formula gets an apostrophe before it: models write what they like. The file
    is replaced as a whole.

    Args:
        rows: As the runner writes them, one JSON object each.
        path: The file.
    """
    flat = [dict(_flat(row)) for row in rows]
    columns = _columns(flat)
    target = Path(path)
    written = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with written.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([_cell(name) for name in columns])
            writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)
    return target


def _columns(flat: Sequence[Mapping[str, Json]]) -> list[str]:
    """Return the names of the columns; an object that is null in some rows is the columns of the others."""
    said = {name: any(row.get(name) is not None for row in flat) for row in flat for name in row}
    owners = {name.rpartition(".")[0] for name in said}
    names = [name for name, is_said in said.items() if is_said or name not in owners]
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def _flat(row: Mapping[str, Json], before: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _cell(value: Json) -> Json:
    """Return a value as a cell: numbers as they are, texts so that they stay texts."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else canonical_json(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
