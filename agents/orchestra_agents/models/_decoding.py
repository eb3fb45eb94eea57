"""JSON that a server sent, read strictly."""

from __future__ import annotations

import json
import math

from orchestra_agents.errors import ServerError
from orchestra_agents.models.contract import Json


def decoded(body: bytes) -> Json:
    """Return the JSON value of a 2xx body.

    Raises:
        ServerError: It is none.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        unusable = ServerError(f"the server answered something that is not JSON ({len(body)} bytes)")
        unusable.calls = 1
        raise unusable from error


def _no_constant(name: str) -> float:
    """Refuse what JSON has no word for, but infinity below, which log-probabilities really carry."""
    if name == "-Infinity":
        return -math.inf
    raise ValueError(f"{name} is not JSON")
