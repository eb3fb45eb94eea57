"""Files of text, JSON and YAML from anybody: small, and without what a reader could be led astray by."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import object_without_doubles
from orchestra_agents.models.contract import Json

Scalars = Literal["yaml", "undated", "json"]
"""What a bare word of YAML may be: a value wherever YAML 1.1 says so; the same, but dates are text; or a value only
where JSON has it, so that `no`, `12:30`, `010` and dates are text, which in YAML 1.1 are false, 750, 8 and dates."""

_MAX_DEPTH = 64
"""Deepest nesting of a YAML file; libyaml's composer crashes the process on some hundred thousand levels."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML text says, and where."""

    value: Json
    lines: tuple[int, ...]
    """The line, from 1, on which each item of `value` begins; empty where it is no list."""


def read_text(path: Path, *, max_bytes: int, refuse: Callable[[str], InputError] | None = None) -> str:
    """Return the text of a file, without the byte order mark, after reading no more than may be allowed.

    Args:
        path: The file.
        max_bytes: Largest size.
        refuse: Makes the error from the end of the sentence "FILE ..."; by default its field is the path.

    Raises:
        InputError: It is no file that can be read, is too large, or holds something else than UTF-8 text.
    """
    refuse = refuse or partial(InputError, str(path))
    try:
        if not path.exists():
            raise refuse("does not exist")
        if not path.is_file():
            raise refuse("must be a file, not a folder or device")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > max_bytes:
        raise refuse(f"must have at most {max_bytes:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"must be UTF-8 text; byte {error.start} is not") from error
    if "\0" in text:
        raise refuse("must be text, but holds a zero byte")
    return text


def read_document(path: Path, *, max_bytes: int, scalars: Scalars = "yaml") -> Json:
    """Return the value that a file holds: JSON where its name ends in .json, else YAML.

    Raises:
        InputError: `read_text` or `parse_document` refuses it; the field is the path.
    """
    return parse_document(read_text(path, max_bytes=max_bytes), str(path), scalars=scalars)


def parse_document(text: str, name: str, *, scalars: Scalars = "yaml") -> Json:
    """Return the value that a text spells: JSON where the name ends in .json, else YAML.

    Args:
        text: What the file holds.
        name: The file's, the field of errors.
        scalars: What a bare word of YAML may be.

    Raises:
        InputError: It is neither, or says a key twice, NaN (JSON), or what `parse_yaml` refuses.
    """
    if not name.lower().endswith(".json"):
        return parse_yaml(text, name, scalars=scalars).value
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=object_without_doubles)
    except json.JSONDecodeError as error:
        raise InputError(name, f"line {error.lineno} is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(name, f"is not JSON that can be used: {error}") from error


def parse_yaml(text: str, name: str, *, scalars: Scalars = "yaml") -> Document:
    """Return what a YAML text says.

    Args:
        text: What the file holds.
        name: The file's, the field of errors.
        scalars: What a bare word may be.

    Raises:
        InputError: It is not YAML, uses aliases, tags or a key twice, or nests too deeply.
    """
    try:
        _check_events(text, name)
        loader = _LOADERS[scalars](text)
        try:
            node = loader.get_single_node()
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1} is" if mark else "is"
        raise InputError(name, f"{line} not YAML: {' '.join(filter(None, (error.context, error.problem)))}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(name, f"is not YAML that can be used: {' '.join(str(error).split())}") from error
    items = node.value if isinstance(node, yaml.SequenceNode) else ()
    return Document(value, tuple(item.start_mark.line + 1 for item in items))


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is no JSON number")


def _check_events(text: str, name: str) -> None:
    """Refuse what lets a small file become a huge or strange value, before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1  # type: ignore[union-attr] # a parsed event has a mark
        if isinstance(event, yaml.AliasEvent):
            raise InputError(name, f"line {line} repeats *{event.anchor}; write aliases out, they are not read here")
        if tag := getattr(event, "tag", None):
            raise InputError(name, f"line {line} has the tag {tag}; tags are not read here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise InputError(name, f"line {line} nests more than {_MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _YamlLoader(_Loader):  # type: ignore[misc] # whichever of the two there is
    """The safe loader, without silent loss where a key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping that `node` spells."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key comes twice in one mapping", node.start_mark)
        return mapping


class _UndatedLoader(_YamlLoader):
    """The loader that leaves dates as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # a table of the base class
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Loader.yaml_implicit_resolvers.items()
    }


class _JsonLoader(_YamlLoader):
    """The loader that leaves as text what JSON would not take for a value."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 # a table of the base class


for _tag, _pattern, _first in (
    ("null", r"(?:null|~|)\Z", ["n", "~", ""]),
    ("bool", r"(?:true|false)\Z", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)\Z", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z", "-0123456789"),
):
    _JsonLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))

_LOADERS: dict[Scalars, type[_YamlLoader]] = {"yaml": _YamlLoader, "undated": _UndatedLoader, "json": _JsonLoader}
