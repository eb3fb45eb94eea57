"""The suites that ship, by name; each is loaded when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestra.naming import own_object
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.pinned import pinned
from orchestra_evals.suites.puzzle_suite import Run
from orchestra_evals.suites.suite import Suite

SUITES: Mapping[str, str] = MappingProxyType(
    {
        "3sat": "sat:Sat",
        "addition": "arithmetic:addition",
        "blocks": "blocks:blocks",
        "checkers": "checkers:checkers",
        "craft": "acting:craft",
        "hanoi": "hanoi:hanoi",
        "human-eval": "human_eval:HumanEval",
        "lookup": "acting:lookup",
        "multiplication": "arithmetic:multiplication",
        "reachability": "reachability:Reachability",
        "rewrite": "rewrite:Rewrite",
        "river": "river:river",
    }
)
"""Where the suites that ship are made: a module of this package, and what in it makes the suite.

Beside them there is `gym:NAME` for each generator of reasoning-gym, and `file:PATH` for a user's own file.
"""

_FROM_TEXT = MappingProxyType({"file": "file_suite:named_file", "gym": "gym:Gym"})


def make_suite(spec: str, *, run: Run | None = None) -> Suite:
    """Return the suite that ships under `spec`: `NAME`, `NAME:key=value,...`, `gym:NAME` or `file:PATH,...`.

    `module.path:Name` is one of the user's own, made where it is a class; modules of the current folder are found.

    A key is a parameter of the suite, or one of its axes, which then keeps that value in all default difficulties:
    `reachability:extra=20,form=logic`. What may stand behind `file:`, `file_names` says.

    Args:
        spec: The name, with what belongs to it.
        run: Runs programs in isolation, for suites whose answers are programs.

    Raises:
        InputError: There is no such suite, it has no such parameter or axis, or a value is not allowed.
    """
    name, _, rest = spec.partition(":")
    if name in _FROM_TEXT:
        suite: Suite = _made(_FROM_TEXT[name])(rest)
        return suite
    if name not in SUITES and rest.isidentifier() and all(part.isidentifier() for part in name.split(".")):
        return own_object(name, rest, "suite")  # type: ignore[no-any-return]  # what it is, its use will tell
    if name not in SUITES:
        known = ", ".join([*SUITES, "file:PATH", "gym:NAME", "module.path:Name"])
        raise InputError("suite", f"must be one of {known} (with :key=value,...), got {spec!r}")
    make = _made(SUITES[name])
    values, asked = _values(name, rest), _parameters(make)
    runs = {"run": run} if "run" in inspect.signature(make).parameters else {}
    suite = make(**{key: values.pop(key) for key in asked if key in values}, **runs)
    for key in values:
        if key not in suite.about.axes:
            allowed = ", ".join([*asked, *suite.about.axes])
            raise InputError("suite", f"{name}: {key!r} is no parameter; allowed, once each: {allowed}")
    return pinned(suite, values) if values else suite


def _made(place: str) -> Callable[..., Suite]:
    module, _, maker = place.partition(":")
    made: Callable[..., Suite] = getattr(importlib.import_module(f"orchestra_evals.suites.{module}"), maker)
    return made


def _values(name: str, text: str) -> dict[str, Json]:
    """Return what `key=value,...` says; digits are integers."""
    values: dict[str, Json] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not value or key in values:
            raise InputError("suite", f"{name}: {part!r} must be key=value, each key once")
        is_number = value.isascii() and value.isdigit() and len(value) < 19
        values[key] = int(value) if is_number else value
    return values


def _parameters(make: Callable[..., Suite]) -> list[str]:
    """Return the parameters that a text can give."""
    parameters = inspect.signature(make).parameters.values()
    return [parameter.name for parameter in parameters if isinstance(parameter.default, int | str)]
