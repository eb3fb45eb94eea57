"""Long numbers as answers: text of digits, because JSON numbers lose digits on the way through floats."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json


def digits_schema(*, least: int = 1, most: int) -> dict[str, Json]:
    """Return the JSON schema of a text of so many digits."""
    return {"type": "string", "pattern": "^[0-9]+$", "minLength": least, "maxLength": most}


def digits_answer(*, most: int) -> AnswerType:
    """Return the type of a number of at most `most` digits."""
    return AnswerType.parse({"json": digits_schema(most=most)})


def is_digits(text: str) -> bool:
    """Tell whether a text is made of the digits 0 to 9."""
    return text.isascii() and text.isdigit()


def slips_of(number: str) -> Iterator[str]:
    """Yield other numbers of as many digits: one digit is off by one, a carry forgotten or one too many.

    >>> list(slips_of("105"))
    ['115', '195', '106', '104', '205']
    """
    for place in dict.fromkeys((len(number) // 2, len(number) - 1, 0)):
        for change in (1, -1):
            digit = (int(number[place]) + change) % 10
            if place or digit or len(number) == 1:
                yield f"{number[:place]}{digit}{number[place + 1 :]}"
