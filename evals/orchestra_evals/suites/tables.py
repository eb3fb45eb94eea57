"""Rows of a user's file, JSONL, JSON, CSV or YAML, read once and safely; every problem names the file and the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestra_agents.documents import parse_yaml, read_text
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import parse_json, shown
from orchestra_agents.models.contract import Json, canonical_json

MAX_BYTES = 100_000_000
"""Largest file."""
MAX_ROWS = 200_000
"""Most rows of a file."""
_SHOWN_COLUMNS = 12
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it stands in the file."""

    where: str
    """The file and the line, or the row from 1 where the format has no lines, as errors name it."""
    values: Mapping[str, Json]

    def has(self, column: str) -> bool:
        """Return whether there is such a column."""
        return self._find(column) is not _MISSING

    def value(self, column: str) -> Json:
        """Return what stands under `column`; `answers.text` is the key `text` of what stands under `answers`.

        Raises:
            InputError: There is no such column, or nothing in it.
        """
        found = self.value_or_none(column)
        if found is None:
            raise InputError(self.where, f"{column} is empty")
        return found

    def value_or_none(self, column: str) -> Json:
        """Return what stands under `column`, None where it is nothing but white space.

        Raises:
            InputError: There is no such column.
        """
        found = self._find(column)
        if found is _MISSING:
            named = ", ".join(list(self.values)[:_SHOWN_COLUMNS])
            raise InputError(self.where, f"{column} is missing; there is {named or 'nothing at all'}")
        is_blank = found in ([], {}) or (isinstance(found, str) and not found.strip())
        return None if is_blank else found

    def _find(self, column: str) -> Json:
        if column in self.values:
            return self.values[column]
        found: Json = self.values
        for key in column.split("."):
            if not isinstance(found, Mapping) or key not in found:
                return _MISSING
            found = found[key]
        return found


def read_records(path: Path) -> list[Record]:
    """Return the rows of a file; what it is, its name's ending says.

    JSONL (`.jsonl`, `.ndjson`) has an object on each line, JSON (`.json`) and YAML (`.yaml`, `.yml`) are a list of
    them, CSV (`.csv`, `.tsv`) names its columns in the first line. A byte order mark and blank lines are passed over.

    Raises:
        InputError: It cannot be read, is too large, of another format, or one of its rows is no row.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(str(path), f"must end in one of {', '.join(_READERS)}")
    records = []
    for record in reader(read_text(path, max_bytes=MAX_BYTES), str(path)):
        records.append(record)
        if len(records) > MAX_ROWS:
            raise InputError(str(path), f"must have at most {MAX_ROWS:,} rows")
    if not records:
        raise InputError(str(path), "has no rows")
    return records


def _of_jsonl(text: str, name: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{name}, line {number}"
            try:
                said = parse_json(line)
            except ValueError as error:
                raise InputError(where, f"must be a JSON object: {_plain(error)}") from error
            yield _record(where, said)


def _of_json(text: str, name: str) -> Iterator[Record]:
    try:
        said = parse_json(text)
    except ValueError as error:
        found = re.search(r" at line (\d+)", str(error))
        line = f"line {found[1]} " if found else ""
        raise InputError(name, f"{line}is not JSON: {_plain(error)}") from error
    yield from (_record(f"{name}, row {number}", row) for number, row in enumerate(_listed(said, name), 1))


def _of_csv(text: str, name: str) -> Iterator[Record]:
    return _of_columns(text, name, ",")


def _of_tsv(text: str, name: str) -> Iterator[Record]:
    return _of_columns(text, name, "\t")


def _of_columns(text: str, name: str, delimiter: str) -> Iterator[Record]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for row in rows:
            where, line = f"{name}, line {line}", rows.line_num + 1
            if not any(field.strip() for field in row):
                continue
            if not header:
                header = [column.strip() for column in row]
                if len(set(header)) < len(header) or not all(header):
                    raise InputError(where, f"must name every column once, got {shown(header)}")
            elif len(row) != len(header):
                raise InputError(where, f"must have {len(header)} fields as the first line has, got {len(row)}")
            else:
                yield _record(where, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise InputError(name, f"line {line} is not CSV: {error}") from error


def _of_yaml(text: str, name: str) -> Iterator[Record]:
    document = parse_yaml(text, name, scalars="json")
    rows = _listed(document.value, name)
    yield from (_record(f"{name}, line {line}", row) for line, row in zip(document.lines, rows, strict=True))


_READERS: Mapping[str, Callable[[str, str], Iterator[Record]]] = MappingProxyType(
    {
        ".jsonl": _of_jsonl,
        ".ndjson": _of_jsonl,
        ".json": _of_json,
        ".csv": _of_csv,
        ".tsv": _of_tsv,
        ".yaml": _of_yaml,
        ".yml": _of_yaml,
    }
)


def _listed(said: Json, name: str) -> list[Json]:
    if not isinstance(said, list):
        raise InputError(name, "must be a list of objects, one for each row")
    return said


def _record(where: str, said: Json) -> Record:
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said):
        raise InputError(where, f"must be an object whose keys name the columns, got {shown(said)}")
    try:
        canonical_json(said).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(where, "holds a number that is not finite, or something else JSON has no word for") from error
    return Record(where, MappingProxyType(said))


def _plain(error: ValueError) -> str:
    """Return what is wrong with a JSON text, without the column, which is counted in another text."""
    return str(error).partition(" at line ")[0]
