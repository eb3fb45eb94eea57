"""Deterministic members of a JSON schema: what a model that knows nothing can still answer in form."""

from __future__ import annotations

import json
import math
from typing import Any

from orchestra_agents.models.contract import Json, canonical_json, digest

_MOST = 1000
"""No array or text is made longer than this."""
_WORD = "simulated"


def member_of(schema: str, *, key: str) -> str:
    """Return the JSON text of one value that satisfies `schema`, fixed by `key`.

    Knows enum, const, anyOf, type, properties, additionalProperties, required, items, minItems and minimum; other
    keywords are not looked at.
    """
    return canonical_json(_member(json.loads(schema), key))


def wrap(value: Json, schema: str | None) -> str:
    """Return `value` as a reply under `schema`: in the object with the key `answer` that typed questions ask for."""
    if schema is None:
        return value if isinstance(value, str) else canonical_json(value)
    return canonical_json({"answer": value})


def _member(schema: dict[str, Any] | bool, key: str) -> Json:
    choice = int(digest(key)[:8], 16)
    if isinstance(schema, bool):  # true allows everything, false has no member
        schema = {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][choice % len(schema["enum"])]
    if schema.get("anyOf"):
        return _member(schema["anyOf"][choice % len(schema["anyOf"])], f"{key}|")
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties: dict[str, Any] = schema.get("properties", {})
            required, others = schema.get("required", list(properties)), schema.get("additionalProperties", True)
            return {name: _member(properties.get(name, others), f"{key}.{name}") for name in required}
        case "array":
            items, count = schema.get("items", {}), _within(schema.get("minItems", 1), schema, "minItems", "maxItems")
            return [_member(items, f"{key}[{place}]") for place in range(min(_MOST, count))]
        case "integer" | "number":
            return _within(choice % 10, schema, "minimum", "maximum")
        case "boolean":
            return bool(choice % 2)
        case "null":
            return None
        case _:
            length = min(_MOST, _within(len(_WORD), schema, "minLength", "maxLength"))
            return (_WORD * (length // len(_WORD) + 1))[:length]


def _within(wanted: int, schema: dict[str, Any], low: str, high: str) -> int:
    """Return the integer nearest to `wanted` that keeps both bounds of a schema."""
    if low in schema:
        wanted = max(wanted, math.ceil(schema[low]))
    return min(wanted, math.floor(schema[high])) if high in schema else wanted
