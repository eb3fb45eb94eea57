"""The environments that ship, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from orchestra_agents.errors import InputError
from orchestra_evals.environments.craft import Craft
from orchestra_evals.environments.environment import Environment
from orchestra_evals.environments.lookup import Lookup

ENVIRONMENTS: dict[str, Callable[..., Environment]] = {"craft": Craft, "lookup": Lookup}
"""The environments that ship; their parameters are integers, the ranges of which they check."""


def make_environment(spec: str) -> Environment:
    """Return a fresh environment that ships under `spec`, for example `lookup:queries=12,tools=5,seed=1`.

    Raises:
        InputError: There is no such environment, it has no such parameter, or a value is out of its range.
    """
    name, _, rest = spec.partition(":")
    if name not in ENVIRONMENTS:
        known = ", ".join(sorted(ENVIRONMENTS))
        raise InputError("environment", f"must be one of {known} (with :key=value,...), got {spec!r}")
    return ENVIRONMENTS[name](**_parameters(name, rest))


def _parameters(name: str, text: str) -> dict[str, int]:
    allowed = list(inspect.signature(ENVIRONMENTS[name]).parameters)
    values: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in allowed or key in values:
            told = f"{part!r} is no parameter; allowed, once each: {', '.join(allowed)}"
            raise InputError("environment", f"{name}: {told}")
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise InputError("environment", f"{name}: {key} must be an integer of at least 0, got {value!r}")
        values[key] = int(value)
    return values
