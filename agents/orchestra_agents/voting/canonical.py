"""Which answers count as equal: a function from an answer to the text that is counted."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from orchestra_agents.errors import RedFlag
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, canonical_json

Canonical = Callable[[Json], str]
"""Returns the text that stands for an answer; equal texts are one answer. Raises `RedFlag` for what is none."""


def exact(answer: Json) -> str:
    """Return a text as it is, to the last space, and any other value as canonical JSON.

    >>> exact(" Yes"), exact(3)
    (' Yes', '3')
    """
    return answer if isinstance(answer, str) else structure(answer)


def stripped(answer: Json) -> str:
    r"""Return a text without outer white space, and any other value as canonical JSON.

    >>> stripped(" Yes\n")
    'Yes'
    """
    return exact(answer).strip()


def structure(answer: Json) -> str:
    """Return the canonical JSON of a value: the order of keys does not count, all else does.

    Raises:
        RedFlag: `not_json`, for what JSON cannot say (a NaN, a set).

    >>> structure({"b": [1, "x"], "a": None})
    '{"a":null,"b":[1,"x"]}'
    """
    try:
        return canonical_json(answer)
    except (TypeError, ValueError, RecursionError) as error:
        raise RedFlag("not_json", shown(answer)) from error


def numeric(answer: Json) -> str:
    """Return a number, or a text that is one, in the shortest plain form: 1, 1.0, "1.00" and 1e0 are one answer.

    Digits are kept however many there are; more than 21 zeros at the end, or decimals, are written with an exponent.

    Raises:
        RedFlag: `not_a_number`, for anything else; infinities, booleans and digits in groups are no numbers.

    >>> numeric(1), numeric(" 1.00 "), numeric("-0"), numeric(25e-2), numeric("1e+100")
    ('1', '1', '0', '0.25', '1E+100')
    """
    if isinstance(answer, bool) or not isinstance(answer, int | float | str):
        raise RedFlag("not_a_number", shown(answer))
    if isinstance(answer, str) and "_" in answer:  # which Decimal would read over
        raise RedFlag("not_a_number", shown(answer))
    try:
        number = Decimal(str(answer).strip() if isinstance(answer, float | str) else answer)
    except InvalidOperation as error:
        raise RedFlag("not_a_number", shown(answer)) from error
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise RedFlag("not_a_number", shown(answer))
    kept = len("".join(map(str, digits)).rstrip("0"))
    shortest = Decimal((sign, digits[:kept], exponent + len(digits) - kept))
    if kept == 0:
        return "0"
    return f"{shortest:f}" if abs(shortest.as_tuple().exponent) <= 21 else f"{shortest:E}"  # type: ignore[arg-type] # finite
