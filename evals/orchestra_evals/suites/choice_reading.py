"""Choices with letters: how a question lists them, and which of them a reply names."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence

LETTERS = string.ascii_uppercase
"""The letters of the choices; there are no more choices than letters."""

_LETTER = re.compile(r"\(?([A-Za-z])\)?[.:]?")
_LABELLED = re.compile(r"\(?([A-Za-z])[.:)]+\s+(.+)", re.DOTALL)
_STATED = re.compile(r"\banswer\s*(?::|is\b:?)[\s*_]*", re.IGNORECASE)
_MARKS = " \t\r\n*_`\"'"


def lettered(choices: Sequence[str]) -> str:
    r"""Return the choices as a question lists them.

    >>> lettered(["red", "blue"])
    'A) red\nB) blue'
    """
    return "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def place_of(text: str, choices: Sequence[str]) -> int:
    """Return the place of the choice that `text` names.

    The whole text may be a choice, its letter (`B`, `b`, `(B)`, `B.`, `B)`, `B:`) or both (`B) blue`). Else the last
    `Answer: ...` or `answer is ...` of each line counts that goes on with one of these to the end of the line. Case,
    width and white space of choices do not matter, nor do quotes, stars and a full stop around what is named.

    Args:
        text: The reply.
        choices: Their texts; empty where only letters are known.

    Raises:
        ValueError: It names none, or several; a letter whose text is another one, or which is itself the text of
            another choice, names none.

    >>> place_of("Red is out. The answer is **(B)**.", ["red", "blue"])
    1
    """
    whole = _named(text, choices)
    found = [_named(said, choices) for said in _stated(text)] if whole is None else [whole]
    places = {place for place in found if place is not None}
    if len(places) != 1:
        raise ValueError("the answer names more than one choice" if places else "the answer names none of the choices")
    return places.pop()


def _stated(text: str) -> Iterator[str]:
    """Yield what stands behind the last `answer is` of each line, to the end of its line."""
    ends = [found.end() for found in _STATED.finditer(text)]
    last = {text.rfind("\n", 0, end): end for end in ends}
    for end in last.values():
        yield text[end:].partition("\n")[0]


def _named(text: str, choices: Sequence[str]) -> int | None:
    said = text.strip(_MARKS)
    bare = said.removesuffix(".").rstrip(_MARKS)
    readings = [
        *(_place_of_text(piece, choices) for piece in (text.strip(), said, bare)),
        _lettered(said, choices),
        _lettered(bare, choices),
    ]
    return next((place for place in readings if place is not None), None)


def _lettered(said: str, choices: Sequence[str]) -> int | None:
    """Return the place that a letter names, alone or with the text of the same choice behind it."""
    if alone := _LETTER.fullmatch(said):
        return _place_of_letter(alone[1], choices)
    labelled = _LABELLED.fullmatch(said)
    place = _place_of_letter(labelled[1], choices) if labelled else None
    if labelled and choices and place != _place_of_text(labelled[2], choices):
        return None
    return place


def _place_of_text(text: str, choices: Sequence[str]) -> int | None:
    if text in choices:
        return choices.index(text)
    folded = _folded(text)
    alike = [place for place, choice in enumerate(choices) if _folded(choice) == folded]
    return alike[0] if len(alike) == 1 else None


def _place_of_letter(letter: str, choices: Sequence[str]) -> int | None:
    place = LETTERS.index(letter.upper())
    if choices and (place >= len(choices) or _place_of_text(letter, choices) not in (None, place)):
        return None
    return place


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
