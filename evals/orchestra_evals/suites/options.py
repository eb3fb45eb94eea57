"""Options that the name of a value gives, `numeric:abs=0.01`: read from the name, and written back into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import field, fields
from typing import Any

from orchestra_agents.errors import InputError


def option(default: Any, read: Callable[[str], Any], *, is_last: bool = False) -> Any:
    """Return a dataclass field that the value's name can give.

    Args:
        default: Its value where the name does not give it.
        read: Turns what the name says into the value; its ValueError says what is allowed.
        is_last: Whether it takes all the rest of the name, commas included.
    """
    return field(default=default, metadata={"read": read, "is_last": is_last})


def options_of(kind: Any, field_name: str, name: str, text: str) -> dict[str, Any]:
    """Return the options that `key=value,...` gives to a dataclass with fields made by `option`.

    Args:
        kind: The dataclass.
        field_name: Whose name it is, for the errors.
        name: What is before the colon.
        text: What is behind it.

    Raises:
        InputError: A key is none of the options or comes twice, or a value is not allowed.
    """
    known = {one.name: one.metadata for one in fields(kind) if "read" in one.metadata}
    values: dict[str, Any] = {}
    while text:
        key, equals, rest = text.partition("=")
        if key not in known or not equals or key in values:
            allowed = f"allowed, once each: {', '.join(known)}" if known else "it has no options"
            raise InputError(field_name, f"{name}: {text.partition(',')[0]!r} must be key=value; {allowed}")
        value, _, text = (rest, "", "") if known[key]["is_last"] else rest.partition(",")
        try:
            values[key] = known[key]["read"](value)
        except ValueError as error:
            raise InputError(field_name, f"{name}: {key} must be {error}, got {value!r}") from error
    return values


def name_of(name: str, value: Any) -> str:
    """Return `name` with those options of `value` that are not the default, as `options_of` reads them."""
    said = [
        f"{one.name}={_said(getattr(value, one.name))}"
        for one in sorted(fields(value), key=lambda one: bool(one.metadata.get("is_last")))
        if "read" in one.metadata and getattr(value, one.name) != one.default
    ]
    return f"{name}:{','.join(said)}" if said else name


def is_yes(text: str) -> bool:
    """Return whether `text` is yes.

    Raises:
        ValueError: It is neither yes nor no.
    """
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


def amount(text: str) -> float:
    """Return the number that `text` is.

    Raises:
        ValueError: It is none that is finite and at least 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError("a number of at least 0")
    return value


def one_of(allowed: Collection[str]) -> Callable[[str], str]:
    """Return what reads one of the words allowed."""

    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(" or ".join(allowed))
        return text

    return read


def _said(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else f"{value!r}" if isinstance(value, float) else str(value)
