"""The question whether a server holds a model to a JSON schema, and what a reply to it shows. Pure."""

from __future__ import annotations

import json

from orchestra_agents.models.contract import Completion, Json, Sampling, canonical_json
from orchestra_agents.models.inquiry import LONG

_MEMBERS = ("left", "right")
BOUND = Sampling(
    temperature=1.0,
    max_tokens=LONG,  # what a model thinks before it answers counts too
    schema=canonical_json(
        {
            "type": "object",
            "properties": {"side": {"type": "string", "enum": list(_MEMBERS)}},
            "required": ["side"],
            "additionalProperties": False,
        }
    ),
)
"""How the question is asked; what is asked must not be answered so by itself."""


def obeys(completion: Completion) -> bool | None:
    """Return whether a completion obeys the schema; None where it was cut off or held back, which tells nothing.

    >>> obeys(Completion(text='{"side":"left"}')), obeys(Completion(text="Left!")), obeys(Completion(text='{"si'))
    (True, False, None)
    """
    try:
        value: Json = json.loads(completion.text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value.get("side") in _MEMBERS:
        return True
    return None if _is_cut(completion) else False


def _is_cut(completion: Completion) -> bool:
    """Whether a completion is not all that the model would have said; not every server says why it ended."""
    text = completion.text.strip()
    is_ended = completion.finish_reason not in ("length", "content_filter") and completion.usage.output_tokens < LONG
    return not is_ended or not text or (text.startswith("{") and not text.endswith("}"))
