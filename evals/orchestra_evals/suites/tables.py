"""Rows of a user's file, JSONL, JSON, CSV or YAML, read once and safely; every problem names the file and the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import parse_json, shown
from orchestra_agents.models.contract import Json, canonical_json

MAX_BYTES = 100_000_000
"""Largest file."""
MAX_ROWS = 200_000
"""Most rows of a file."""
_MAX_DEPTH = 64
"""Deepest nesting of a YAML file; libyaml's composer crashes the process on some hundred thousand levels."""
_SHOWN_COLUMNS = 12
_MISSING = object()

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
    for record in reader(_text(path), str(path)):
        records.append(record)
        if len(records) > MAX_ROWS:
            raise InputError(str(path), f"must have at most {MAX_ROWS:,} rows")
    if not records:
        raise InputError(str(path), "has no rows")
    return records


def _text(path: Path) -> str:
    name = str(path)
    try:
        if not path.exists():
            raise InputError(name, "does not exist")
        if not path.is_file():
            raise InputError(name, "must be a file, not a folder or device")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(name, f"cannot be read: {problem}") from error
    if len(data) > MAX_BYTES:
        raise InputError(name, f"must have at most {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(name, f"must be UTF-8 text; byte {error.start} is not") from error
    if "\0" in text:
        raise InputError(name, "must be text, but holds a zero byte")
    return text


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
        line = re.search(r" at line (\d+)", str(error))
        raise InputError(f"{name}, line {line[1]}" if line else name, f"is not JSON: {_plain(error)}") from error
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
        raise InputError(f"{name}, line {line}", f"is not CSV: {error}") from error


class _RowLoader(_Loader):  # type: ignore[misc] # whichever of the two there is
    """The safe loader, without silent loss where a key comes twice; what JSON would not take for a value is text.

    So `no`, `12:30`, `010` and dates stay what they are, which in YAML 1.1 are false, 750, 8 and dates.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 # a table of the base class

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping that `node` spells."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key comes twice in one mapping", node.start_mark)
        return mapping

    def rows(self, name: str) -> Iterator[Record]:
        """Yield the rows of the list that the file holds."""
        node = self.get_single_node()
        for child in _listed(node.value if isinstance(node, yaml.SequenceNode) else None, name):
            yield _record(f"{name}, line {child.start_mark.line + 1}", self.construct_object(child, deep=True))


for _tag, _pattern, _first in (
    ("null", r"(?:null|~|)\Z", ["n", "~", ""]),
    ("bool", r"(?:true|false)\Z", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)\Z", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z", "-0123456789"),
):
    _RowLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _of_yaml(text: str, name: str) -> Iterator[Record]:
    try:
        _check_events(text, name)
        loader = _RowLoader(text)
        try:
            yield from loader.rows(name)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise InputError(where, f"is not YAML: {' '.join(filter(None, (error.context, error.problem)))}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(name, f"is not YAML that can be used: {' '.join(str(error).split())}") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what lets a small file become a huge or strange value, before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        where = f"{name}, line {event.start_mark.line + 1}"  # type: ignore[union-attr] # a parsed event has a mark
        if isinstance(event, yaml.AliasEvent):
            raise InputError(where, f"repeats *{event.anchor}; write aliases out, they are not read here")
        if tag := getattr(event, "tag", None):
            raise InputError(where, f"has the tag {tag}; tags are not read here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise InputError(where, f"nests more than {_MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


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
