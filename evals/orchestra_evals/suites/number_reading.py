"""The number that a text ends with, as an exact fraction."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Literal

from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json

Percent = Literal["unit", "hundredth"]
"""What a percent sign means: it is left out like any unit (12 % is 12), or 12 % is 0.12."""

_LONGEST = 400
"""Most characters of a number, and largest exponent."""
_DIGITS = r"\.?[0-9](?:[0-9.,]*[0-9])?"
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_])(?:(?<![.,)\]])(?P<sign>[-+\u2212]))?[$€£¥]?"
    rf"(?P<body>[0-9]+ [0-9]+/[0-9]+(?!/|[.,]?[0-9])|{_DIGITS}(?:[eE][-+]?[0-9]+)?(?:/{_DIGITS})*)"
    r"(?P<percent>\s?\\?%)?"
)
_PLAIN = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def number_of(value: Json, *, percent: Percent = "unit") -> Fraction:
    """Return the number that `value` is, or the last one in it where it is a text.

    A number is written with a point for decimals and, if at all, commas between all thousands: 1,234.5. It may have a
    sign and an exponent, be a fraction 3/4 or a mixed number 1 3/4, and stand behind a currency sign. Floats are read
    as the shortest decimal that names them. Digits right behind a Latin letter (H2) are no number; a minus right behind
    one, or behind a digit (10-4), is no sign. LaTeX and number words are not read.

    Raises:
        ValueError: There is no number, or the last one can be read in more than one way: 12,34 or 1/2/2024.

    >>> number_of("12 of 16, so the share is 3/4."), number_of("$1,234.50"), number_of(0.1)
    (Fraction(3, 4), Fraction(2469, 2), Fraction(1, 10))
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a {type(value).__name__} is no number")
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number")
        return Fraction(repr(value))
    found = None
    for found in _NUMBER.finditer(value):  # noqa: B007 # the last one is wanted
        pass
    if found is None:
        raise ValueError("there is no number")
    size = _size(found["body"]) * (-1 if found["sign"] in ("-", "\u2212") else 1)
    return size / 100 if found["percent"] and percent == "hundredth" else size


def json_number(value: Fraction) -> int | float:
    """Return the JSON number nearest to `value`."""
    return value.numerator if value.denominator == 1 else float(value)


def _size(body: str) -> Fraction:
    whole, space, rest = body.rpartition(" ")
    parts = rest.split("/")
    if len(body) > _LONGEST or len(parts) > 2:
        raise ValueError(f"{shown(body)} is no number that can be read")
    top, *bottom = map(_plain, parts)
    if bottom == [0] or (space and top >= bottom[0]):
        raise ValueError(f"{shown(body)} is no number that can be read")
    return (_plain(whole) if space else 0) + (top / bottom[0] if bottom else top)


def _plain(text: str) -> Fraction:
    exponent = text.lower().partition("e")[2]
    if not _PLAIN.fullmatch(text) or abs(int(exponent or 0)) > _LONGEST:
        raise ValueError(f"{shown(text)} is no number that can be read")
    return Fraction(text.replace(",", ""))
