"""The part of JSON Schema that Anthropic's structured outputs take. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestra_agents.json_schema import schema_problem
from orchestra_agents.models.contract import Json

_AS_IT_IS = ("type", "description", "required")
_SAYS_SOMETHING = {"type", "enum", "const", "anyOf", "allOf"}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
_HARD_PATTERN = re.compile(r"\\[bB1-9]|\(\?|\{")  # word boundaries, back-references, lookarounds and counts


def sendable(schema: Json) -> dict[str, Json] | None:
    """Return `schema` as the interface takes it, or None where it has no words for it.

    Keywords that it refuses (lengths, ranges, counts, most patterns) are left out: more is then allowed than `schema`
    allows, and whoever reads the reply checks it against the whole. Every object must be closed: one that names its
    properties and says nothing of others is; one that is open on purpose has no words here, nor have references and a
    schema that takes any value.

    >>> sendable({"type": "integer", "minimum": 1})
    {'type': 'integer'}
    >>> sendable({"type": "object", "additionalProperties": {"type": "string"}}) is None
    True
    """
    return _sendable(schema) if schema_problem(schema) is None else None


def _sendable(schema: Json) -> dict[str, Json] | None:
    """Return a well-formed schema, or a part of one, as the interface takes it."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return None
    taken = {name: schema[name] for name in _AS_IT_IS if name in schema} | _values(schema) | _details(schema)
    for keyword in ("anyOf", "allOf", "items"):
        if keyword in schema:
            inner = schema[keyword]
            parts = [_sendable(part) for part in (inner if isinstance(inner, list) else [inner])]
            if None in parts:
                return None
            taken[keyword] = parts if isinstance(inner, list) else parts[0]
    if "properties" in schema or "object" in _kinds(schema):
        closed = _closed(schema)
        return None if closed is None else taken | closed
    return taken if taken.keys() & _SAYS_SOMETHING else None


def _kinds(schema: Mapping[str, Json]) -> list[Json]:
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _values(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the values that are allowed, where all of them are plain."""
    lists = {"const": [schema.get("const")], "enum": schema.get("enum")}
    return {
        name: schema[name]
        for name, values in lists.items()
        if name in schema and isinstance(values, list) and not any(isinstance(value, dict | list) for value in values)
    }


def _details(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the finer keywords, where they say something that is taken."""
    taken: dict[str, Json] = {}
    if schema.get("minItems") in (0, 1):
        taken["minItems"] = schema["minItems"]
    if schema.get("format") in _FORMATS:
        taken["format"] = schema["format"]
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not _HARD_PATTERN.search(pattern):
        taken["pattern"] = pattern
    return taken


def _closed(schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the keywords of an object that has these properties alone, None where it may or must have others."""
    others = schema.get("additionalProperties", "properties" not in schema)
    parts = {name: _sendable(part) for name, part in schema.get("properties", {}).items()}
    if others is not False or None in parts.values() or not set(schema.get("required", ())) <= set(parts):
        return None
    return {"type": schema.get("type", "object"), "properties": parts, "additionalProperties": False}
