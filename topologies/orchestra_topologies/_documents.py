"""Graph files and the context files they name, read from disk as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import object_without_doubles
from orchestra_agents.models.contract import Json

MAX_GRAPH_BYTES = 50_000_000
"""Largest graph file."""
MAX_CONTEXT_BYTES = 1_000_000
"""Largest context file."""
_MAX_DEPTH = 64
"""Deepest nesting of a YAML file; libyaml's composer crashes the process on some hundred thousand levels."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _GraphLoader(_Loader):  # type: ignore[misc] # whichever of the two there is
    """The safe loader, with dates left as text and without silent loss where a key comes twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # a table of the base class
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Loader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping that `node` spells."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key comes twice in one mapping", node.start_mark)
        return mapping


def read_document(path: Path) -> dict[str, Json]:
    """Return the mapping that a graph file holds: JSON where the name ends in .json, else YAML.

    Raises:
        InputError: The file cannot be read, is too large, is not what its name promises, or not a mapping.
    """
    name = str(path)
    text = _read_text(path, name, MAX_GRAPH_BYTES)
    document = _parse_json(text, name) if path.suffix == ".json" else _parse_yaml(text, name)
    if not isinstance(document, dict):
        raise InputError(name, f"must be a mapping with goal, context and subtasks, got {type(document).__name__}")
    return document


def read_context(names: Sequence[Json], folder: Path, allow_outside: Iterable[str | PathLike[str]] = ()) -> str:
    """Return the named file, or several joined, each under a header line that names it.

    Args:
        names: File names relative to `folder`.
        folder: Folder of the graph file.
        allow_outside: Files and folders that may be read although they lie outside it.

    Raises:
        InputError: A name is none, comes twice, leads outside, or its file is missing, too large or not text.
    """
    home = folder.resolve()
    parts: list[tuple[str, str]] = []
    allowed = [home, *(Path(one).resolve() for one in allow_outside)]
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name or name in names[:place]:
            raise InputError(f"context[{place}]", f"must be a file name that comes once, got {name!r}")
        try:
            path = (home / name).resolve()
            if path.is_symlink():  # from Python 3.13 on a link in a circle resolves to itself
                raise OSError("a link in a circle")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError("context", f"{name!r} cannot be a file name: {error}") from error
        if not any(path.is_relative_to(one) for one in allowed):
            raise InputError("context", f"{name} lies outside the graph file's folder; allow it by name to read it")
        parts.append((name, _read_text(path, name, MAX_CONTEXT_BYTES, field="context")))
    if len(parts) == 1:
        return parts[0][1]
    return "\n".join(f"=== {name} ===\n{text}" for name, text in parts)


def _read_text(path: Path, name: str, limit: int, field: str | None = None) -> str:
    def refuse(problem: str) -> InputError:
        return InputError(field, f"{name} {problem}") if field else InputError(name, problem)

    try:
        if not path.exists():
            raise refuse("does not exist")
        if not path.is_file():
            raise refuse("must be a file, not a folder or device")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise refuse(f"must have at most {limit:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"must be UTF-8 text; byte {error.start} is not") from error
    if "\0" in text:
        raise refuse("must be text, but holds a zero byte")
    return text


def _parse_json(text: str, name: str) -> Json:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=object_without_doubles)
    except json.JSONDecodeError as error:
        raise InputError(name, f"line {error.lineno} is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(name, f"is not JSON that can be used: {error}") from error


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is no JSON number")


def _parse_yaml(text: str, name: str) -> Json:
    try:
        _check_events(text, name)
        return yaml.load(text, Loader=_GraphLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1} is" if mark else "is"
        raise InputError(name, f"{line} not YAML: {' '.join(filter(None, (error.context, error.problem)))}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(name, f"is not YAML that can be used: {' '.join(str(error).split())}") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what lets a small file become a huge or strange value, before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1  # type: ignore[union-attr] # a parsed event has a mark
        if isinstance(event, yaml.AliasEvent):
            raise InputError(name, f"line {line} repeats *{event.anchor}; write aliases out, they are not read here")
        tag = getattr(event, "tag", None)
        if tag:
            raise InputError(name, f"line {line} has the tag {tag}; tags are not read here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise InputError(name, f"line {line} nests more than {_MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
