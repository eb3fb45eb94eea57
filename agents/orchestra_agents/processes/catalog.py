"""The processes that ship, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

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
    """Return the process that ships under `spec`, for example `hanoi:disks=20`.

    Raises:
        InputError: There is no such process, or it has no such parameter.
    """
    name, _, rest = spec.partition(":")
    if name not in BUILT_IN:
        known = ", ".join(sorted(BUILT_IN))
        raise InputError("process", f"must be one of {known} (with :key=value,...) or module.path:Name, got {spec!r}")
    return BUILT_IN[name](**_parameters(name, rest))


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
