"""Processes by name: those that ship, and those of a user's own."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from orchestra_agents.errors import InputError
from orchestra_agents.process import Process
from orchestra_agents.processes.addition import Addition
from orchestra_agents.processes.addition_counting import AdditionCounting
from orchestra_agents.processes.extraction import Extraction
from orchestra_agents.processes.hanoi import Hanoi
from orchestra_agents.processes.hanoi_atomic import HanoiAtomic

BUILT_IN: dict[str, Callable[..., Process]] = {
    "addition": Addition,
    "addition-counting": AdditionCounting,
    "extraction": Extraction,
    "hanoi": Hanoi,
    "hanoi-atomic": HanoiAtomic,
}
"""The processes that ship; their parameters are integers, the ranges of which they check."""


def make_process(spec: str) -> Process:
    """Return the process that `spec` names: `hanoi:disks=20`, or `module.path:Name` for a class or object of your own.

    Raises:
        InputError: There is no such process, or it has no such parameter.
    """
    name, _, rest = spec.partition(":")
    if name in BUILT_IN:
        return BUILT_IN[name](**_parameters(name, rest))
    if not rest.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        known = ", ".join(sorted(BUILT_IN))
        raise InputError("process", f"must be one of {known} (with :key=value,...) or module.path:Name, got {spec!r}")
    return _own(name, rest)


def _parameters(name: str, text: str) -> dict[str, int]:
    allowed = list(inspect.signature(BUILT_IN[name]).parameters)
    values: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in allowed or key in values:
            raise InputError("process", f"{name}: {part!r} is no parameter; allowed, once each: {', '.join(allowed)}")
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise InputError("process", f"{name}: {key} must be an integer of at least 0, got {value!r}")
        values[key] = int(value)
    return values


def _own(module: str, name: str) -> Process:
    """Return a user's own process; modules of the current folder are found."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        found: Any = getattr(importlib.import_module(module), name)
        process: Process = found() if callable(found) and inspect.isclass(found) else found  # type: ignore[assignment]
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the boundary to code that is not ours
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError("process", f"{module}:{name} cannot be made ({told})") from error
    return process
