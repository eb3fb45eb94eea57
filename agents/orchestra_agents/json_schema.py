"""JSON values compared by what they mean, and checked against the part of JSON Schema that answers need."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from reprlib import Repr
from typing import Any

import pydantic_core

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, canonical_json

_SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")

_MOST_PARTS = 10_000
_VALUES = ("default", "const", "enum", "examples")  # what stands there is no schema
_ROOM = 8
"""Levels of nesting that are kept free for whatever a value will stand in."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "number": (int, float),
    "integer": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}


def canonical_value(value: Json) -> str:
    """Return the one JSON text of all values that equal `value`: keys sorted, 3.0 and 3.00 written as 3.

    Floats are read as the shortest decimal that names them, so 1e30 equals the integer 10**30.

    Raises:
        ValueError: `value` is not JSON: it holds NaN, an infinity, or something JSON has no word for.

    >>> canonical_value({"b": 3.0, "a": 0.50})
    '{"a":0.5,"b":3}'
    """
    try:
        return canonical_json(json.loads(canonical_json(value), parse_float=_number))
    except (TypeError, RecursionError) as error:
        raise ValueError("not a JSON value") from error


def parse_json(text: str) -> Json:
    """Return the JSON value that `text` is, numbers in canonical form.

    Raises:
        ValueError: `text` is not one JSON value, says a key twice or a number that is not finite, holds half a
            surrogate pair, or nests too deeply.
    """
    pydantic_core.from_json("[" * _ROOM + text + "]" * _ROOM)  # what the journal could not read back is refused here
    try:
        return json.loads(
            text, parse_float=_number, parse_constant=_refuse_constant, object_pairs_hook=object_without_doubles
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def object_without_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object that `pairs` spell, for `json.loads`.

    Raises:
        ValueError: A key comes twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def shown(value: object) -> str:
    """Return `value` as an error message shows it: its repr, shortened, always one line.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'"
    """
    brief = Repr()
    brief.maxstring = brief.maxother = 60
    try:
        return " ".join(brief.repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        return f"a huge {type(value).__name__}"


def closed_object(properties: dict[str, Json]) -> dict[str, Json]:
    """Return the schema of an object with all of these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_problem(schema: Json) -> str | None:
    """Return what is wrong with a JSON schema, as far as `mismatch` reads it, or None."""
    if not isinstance(schema, dict):
        return f"a schema must be a mapping, got {shown(schema)}"
    kinds = _kinds(schema)
    if not isinstance(kinds, list) or not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
        return f"type must be one of {', '.join(_TYPES)}, got {shown(schema.get('type'))}"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return f"required must be a list of names, got {shown(required)}"
    if not isinstance(schema.get("enum", []), list):
        return f"enum must be a list, got {shown(schema['enum'])}"
    if not isinstance(schema.get("properties", {}), dict):
        return f"properties must be a mapping, got {shown(schema['properties'])}"
    if not isinstance(schema.get("anyOf", []), list):
        return f"anyOf must be a list of schemas, got {shown(schema['anyOf'])}"
    for name in _SIZES:
        size = schema.get(name, 0)
        if isinstance(size, bool) or not isinstance(size, int | float) or not -1e15 <= size <= 1e15:
            return f"{name} must be a number within 1e15 of 0, got {shown(size)}"
    return next((problem for inner in _inner_schemas(schema) if (problem := schema_problem(inner))), None)


def inlined(schema: dict[str, Any], field: str) -> dict[str, Any]:
    """Return `schema` with every definition it refers to written where it is used, and without titles.

    Args:
        schema: With its definitions under `$defs`, as pydantic writes them.
        field: Whose schema it is, for the error.

    Raises:
        InputError: A definition refers to itself, or is not there, or all of it is too large.

    >>> inlined({"$defs": {"A": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/A"}}}, "tool")
    {'properties': {'a': {'type': 'integer'}}}
    """
    definitions, left = schema.get("$defs", {}), _MOST_PARTS

    def copied(value: Any, within: tuple[str, ...]) -> Any:
        nonlocal left
        left -= 1
        if left < 0:  # definitions that name one another twice grow without bound
            raise InputError(field, f"must have at most {_MOST_PARTS:,} parts, definitions written out")
        if isinstance(value, list):
            return [copied(one, within) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            name = str(value["$ref"]).removeprefix("#/$defs/")
            if name in within or name not in definitions:
                raise InputError(field, f"the type {shown(name)} refers to itself, or to nothing; use a plainer one")
            return copied(
                {**definitions[name], **{key: one for key, one in value.items() if key != "$ref"}}, (*within, name)
            )
        return {
            key: {name: copied(one, within) for name, one in item.items()}
            if key == "properties"
            else item
            if key in _VALUES
            else copied(item, within)
            for key, item in value.items()
            if key not in ("$defs", "title")
        }

    made: dict[str, Any] = copied(schema, ())
    return made


def mismatch(value: Json, schema: dict[str, Any], where: str = "answer") -> str | None:
    """Return how `value` departs from `schema`, or None.

    This is a structural check, not a validator: it reads type, enum, const, anyOf, required, properties, items (one
    schema), additionalProperties, minItems, maxItems, minLength, maxLength, minimum and maximum. Every other keyword is
    left to the server that constrains the completion.
    """
    alternatives = [one for one in schema.get("anyOf", ()) if isinstance(one, dict)]
    if alternatives and all(mismatch(value, one, where) for one in alternatives):
        return f"{where} is none of the alternatives allowed"
    kinds = _kinds(schema)
    if kinds and not any(_is_kind(value, kind) for kind in kinds):
        return f"{where} must be {' or '.join(kinds)}"
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and canonical_value(value) not in {canonical_value(one) for one in allowed}:
        return f"{where} is none of the allowed values"
    if problem := _size_mismatch(value, schema, where):
        return problem
    if isinstance(value, dict):
        return _object_mismatch(value, schema, where)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        problems = (mismatch(item, schema["items"], f"{where}[{index}]") for index, item in enumerate(value))
        return next(filter(None, problems), None)
    return None


def _size_mismatch(value: Json, schema: dict[str, Any], where: str) -> str | None:
    if isinstance(value, bool | dict | None):
        return None
    low, high = _SIZES[0:2] if isinstance(value, str) else _SIZES[2:4] if isinstance(value, list) else _SIZES[4:6]
    size = len(value) if isinstance(value, str | list) else value
    is_kept = schema.get(low, -math.inf) <= size <= schema.get(high, math.inf)
    return None if is_kept else f"{where} does not keep {low} or {high}"


def _object_mismatch(value: dict[str, Json], schema: dict[str, Any], where: str) -> str | None:
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where}.{missing[0]} is missing"
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        inner = properties.get(name, others)
        if inner is False:
            return f"{where}.{name} is not allowed"
        if isinstance(inner, dict) and (problem := mismatch(item, inner, f"{where}.{name}")):
            return problem
    return None


def _kinds(schema: dict[str, Any]) -> Any:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _inner_schemas(schema: dict[str, Any]) -> Iterator[Json]:
    yield from (inner for inner in schema.get("properties", {}).values() if not isinstance(inner, bool))
    yield from (inner for inner in schema.get("anyOf", ()) if not isinstance(inner, bool))
    for keyword in ("items", "additionalProperties"):
        if not isinstance(schema.get(keyword, True), bool):
            yield schema[keyword]


def _is_kind(value: Json, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    whole = kind != "integer" or isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES[kind]) and whole


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return int(Decimal(repr(value))) if value.is_integer() else value


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is not a finite number")
