"""How a decomposer says that a problem is two others, and which of its replies count as equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json, canonical_json


@dataclass(frozen=True, slots=True)
class Split:
    """A problem as two others that can be solved apart."""

    parts: tuple[str, ...]
    """The two subproblems, each understood without anything else."""
    compose: str
    """How the answer follows from theirs, in order."""


class SplitType(AnswerType):
    """The answer of a decomposer: equal where white space and case are, or where both say atomic."""

    __slots__ = ()

    def canonical(self, value: Json) -> str:
        """Return the text by which equal splits count as equal."""
        if not isinstance(value, dict):
            return canonical_json(value)
        if value["atomic"]:
            return '{"atomic":true}'
        plain = {"parts": [_plain(part) for part in value["parts"]], "compose": _plain(value["compose"]).rstrip(".")}
        return canonical_json(plain)


def split_type() -> SplitType:
    """Return the type of a decomposer's answer: {atomic: bool, parts: [text, text], compose: text}, as JSON.

    A text may hold commas, brackets and quotes: nothing is ever parsed out of prose.
    """
    text: dict[str, Json] = {"type": "string"}
    properties = {
        "atomic": {"type": "boolean"},
        "parts": {"type": "array", "items": text, "maxItems": 2},
        "compose": text,
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return SplitType("json", schema=canonical_json(schema))


def split_reply(split: Split | None) -> dict[str, Json]:
    """Return what a decomposer says for `split`, or for an atomic problem.

    >>> split_reply(None)
    {'atomic': True, 'parts': [], 'compose': ''}
    """
    said = asdict(split or Split((), ""))
    return {"atomic": split is None, **said, "parts": list(said["parts"])}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
