"""Questions that a small model answers well: patterns to continue, each with few possible tokens as an answer."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import combinations

from orchestra_agents.errors import RedFlag
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.voting.jury import Juror, Jury

PEGS = "ABC"
_LENGTH = 18
"""Pegs in a run of the cycle."""
_DIGITS = 24
"""Digits in a counting run."""
JURORS = 32
"""Members of a comparison's jury: 16 sets of examples, each in both orders of the operands."""
_EXAMPLES = 20
_STYLES = ("max(a, b) = ", "max([a, b]) == ", "The greater of a and b is ", "Math.max(a, b); // ")


def peg_run(peg: int, step: int) -> Prompt:
    """Return a run of the cycle of pegs that ends at `peg`, `step` (1 or 2) pegs further each time, to be continued.

    >>> peg_run(0, 1).text
    'B -> C -> A -> B -> C -> A -> B -> C -> A -> B -> C -> A -> B -> C -> A -> B -> C -> A ->'
    """
    run = [PEGS[(peg - back * step) % 3] for back in range(_LENGTH - 1, -1, -1)]
    return Prompt(text=f"{' -> '.join(run)} ->")


def counting_run(digit: int) -> Prompt:
    """Return a counting run of digits that ends at `digit`, to be continued.

    >>> counting_run(1).text
    '890123456789012345678901'
    """
    return Prompt(text="".join(str((digit - back) % 10) for back in range(_DIGITS - 1, -1, -1)))


def one_of(text: str, allowed: str) -> str:
    """Return the one character of a reply, if it is allowed.

    Raises:
        RedFlag: `not_allowed`.
    """
    said = text.strip()
    if len(said) != 1 or said not in allowed:
        raise RedFlag("not_allowed", repr(text))
    return said


@lru_cache(maxsize=128)
def larger_of(first: int, second: int, *, k: int) -> Jury:
    """Return a jury of 32 that says which of two different digits is larger; both orders of them, at temperature 0.

    The pairs of digits are split into two halves; who is asked about a pair of one half has examples from the other, so
    that no juror is shown the pair that is asked, in either order, and each juror's examples stay the same.
    """
    low, high = sorted((first, second))
    half = 1 - _half_of(low, high)
    fixed = Sampling(temperature=0.0, max_tokens=1, grammar=f'root ::= "{low}" | "{high}"')
    jurors = []
    for number in range(JURORS // 2):
        examples, style = _examples(half, number), _STYLES[number % len(_STYLES)]
        for one, other in ((low, high), (high, low)):
            text = f"{examples}{_line(style, one, other)}"
            jurors.append(Juror(prompt=Prompt(text=text), sampling=fixed))
    return Jury(tuple(jurors), k)


@lru_cache(maxsize=1)
def _halves() -> tuple[tuple[tuple[int, int], ...], ...]:
    pairs = list(combinations(range(10), 2))
    random.Random(11_000).shuffle(pairs)
    return tuple(pairs[: len(pairs) // 2]), tuple(pairs[len(pairs) // 2 :])


def _half_of(low: int, high: int) -> int:
    return int((low, high) not in _halves()[0])


@lru_cache(maxsize=JURORS)
def _examples(half: int, number: int) -> str:
    """Return 20 lines of examples, as often with the larger digit first as second."""
    rng = random.Random(11_000 + number)
    pairs = rng.sample(_halves()[half], _EXAMPLES)
    lines = []
    for place, (low, high) in enumerate(pairs):
        one, other = (low, high) if place % 2 else (high, low)
        lines.append(f"{_line(_STYLES[number % len(_STYLES)], one, other)}{high}\n")
    rng.shuffle(lines)
    return "".join(lines)


def _line(style: str, one: int, other: int) -> str:
    """Return a style with its two operands in place."""
    before, _, rest = style.partition("a, b") if "a, b" in style else style.partition("a and b")
    joint = ", " if "a, b" in style else " and "
    return f"{before}{one}{joint}{other}{rest}"
