"""Texts with gaps, `{question}`, that are filled from the columns of a row or the parts of a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_agents.sections import as_text

_PIECE = re.compile(r"\{\{|\}\}|\{[^{}]+\}|[{}]")


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the value of a name goes."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """Texts and gaps in turn."""

    parts: tuple[str | Gap, ...]

    @classmethod
    def parse(cls, text: str, field: str) -> Template:
        """Return the template that `text` spells: `{name}` is a gap, `{{` and `}}` are braces.

        Args:
            text: The template.
            field: Whose template it is, for the error.

        Raises:
            InputError: A brace stands alone.

        >>> Template.parse("Q: {question}", "input").names
        ('question',)
        """
        parts: list[str | Gap] = []
        end = 0
        for found in _PIECE.finditer(text):
            parts.append(text[end : found.start()])
            end = found.end()
            if len(found[0]) == 1:
                raise InputError(field, f"has a lone {found[0]} in {shown(text)}; write it twice for a brace")
            parts.append(found[0][0] if found[0] in ("{{", "}}") else Gap(found[0][1:-1]))
        parts.append(text[end:])
        return cls(tuple(part for part in parts if part))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the gaps, each once."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Gap)))

    def fill(self, value: Callable[[str], str]) -> str:
        """Return the text with each gap filled by what `value` returns for its name."""
        return "".join(value(part.name) if isinstance(part, Gap) else part for part in self.parts)


def displayed(value: Json) -> str:
    r"""Return a value as a question shows it: None as nothing, a list one item a line, lists in it joined by spaces.

    >>> displayed([["Rome", ["Rome is old.", "It is large."]], 5])
    'Rome Rome is old. It is large.\n5'
    """
    if value is None:
        return ""
    return "\n".join(map(_joined, value)) if isinstance(value, list) else as_text(value)


def _joined(value: Json) -> str:
    return " ".join(map(_joined, value)) if isinstance(value, list) else as_text(value)
