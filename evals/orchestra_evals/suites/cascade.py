"""Cascades of string rewrites, and what an earlier one does to a later one's chances (PBEBench, arXiv 2505.23126)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LETTERS = "abcdefghijkuvwxyz"
"""What strings are made of."""
WIDEST = 3
"""Most letters that a program finds or writes."""
LONGEST = 1_000
"""Most letters of a string; a cascade that makes longer ones is given up, so that none can fill the memory."""

_SEPARATOR = "|"
_OTHER_OUTPUTS = 0.5  # share of programs that look for what another one writes

Program = tuple[str, str]
"""What is found and what is written in its place, wherever it stands, from left to right (`str.replace`)."""
Relation = Literal["feeding", "bleeding", "counterfeeding", "counterbleeding"]
RELATIONS: tuple[Relation, ...] = ("feeding", "bleeding", "counterfeeding", "counterbleeding")
"""An earlier program makes or destroys places for a later one; counter: the later one would, if it came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Programs, applied in their order to all of the strings."""

    inputs: tuple[str, ...]
    programs: tuple[Program, ...]
    outputs: tuple[str, ...]
    effective: int
    """How many of the programs change anything."""


def applied(program: Program, strings: Sequence[str]) -> list[str]:
    """Return the strings after one program; one that finds nothing in particular, or too much, changes nothing."""
    found, written = program
    if not found or max(len(found), len(written)) > WIDEST:
        return list(strings)
    return [string.replace(found, written) for string in strings]


def run_cascade(programs: Sequence[Program], strings: Sequence[str]) -> list[str] | None:
    """Return the strings after all programs; None where one grows beyond `LONGEST` letters on the way."""
    now = list(strings)
    for program in programs:
        now = applied(program, now)
        if max(map(len, now)) > LONGEST:
            return None
    return now


def dominant_relation(programs: Sequence[Program], strings: Sequence[str]) -> Relation | None:
    """Return the relation that more pairs of programs have than any other, None where there is no such one.

    A pair has a relation where the first of the two, as applied to what the strings are just before the earlier
    program's turn, changes how often what the other looks for stands in them.
    """
    pairs: Counter[Relation] = Counter()
    now = _SEPARATOR.join(strings)  # one text, in which no program that is made of letters finds the separator
    for place, (found, written) in enumerate(programs):
        after = now.replace(found, written)
        for later, more in programs[place + 1 :]:
            change = after.count(later) - now.count(later)
            if change:
                pairs["feeding" if change > 0 else "bleeding"] += 1
            change = now.replace(later, more).count(found) - now.count(found)
            if change:
                pairs["counterfeeding" if change > 0 else "counterbleeding"] += 1
        now = after
    first, second = [*pairs.most_common(2), (None, 0), (None, 0)][:2]
    return first[0] if first[1] > second[1] else None


def draw_cascade(length: int, relation: Relation, strings: int, rng: random.Random) -> Cascade:
    """Return a cascade that changes a string, in which `relation` dominates and half of the programs do something.

    Args:
        length: How many programs, at least 2.
        relation: What the pairs of programs are to each other, by rejection of all others.
        strings: How many strings of 2 to 6 letters.
        rng: What everything is drawn from.
    """
    while True:
        inputs = ["".join(rng.choices(LETTERS, k=rng.randint(2, 6))) for _ in range(strings)]
        programs = _draw_programs(inputs, length, rng)
        effective = 0
        now = inputs
        for program in programs:
            before, now = now, applied(program, now)
            effective += before != now
            if max(map(len, now)) > LONGEST:
                break
        is_kept = 2 * effective >= length and now != inputs and max(map(len, now)) <= LONGEST
        if is_kept and dominant_relation(programs, inputs) == relation:
            return Cascade(inputs=tuple(inputs), programs=tuple(programs), outputs=tuple(now), effective=effective)


def edit_distance(one: str, other: str) -> int:
    """Return the least number of letters to insert, delete or replace that makes one text the other (Levenshtein).

    >>> edit_distance("kitten", "sitting")
    3
    """
    above = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        row = [place]
        for column, wanted in enumerate(other, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != wanted)))
        above = row
    return above[-1]


def _draw_programs(inputs: Sequence[str], length: int, rng: random.Random) -> list[Program]:
    """Return programs that look for parts of the inputs or of what others write, whichever their order will be."""
    written = ["".join(rng.choices(LETTERS, k=rng.randint(1, WIDEST))) for _ in range(length)]
    programs: list[Program] = []
    while len(programs) < length:
        own = written[len(programs)]
        others = written[: len(programs)] + written[len(programs) + 1 :]
        width = rng.randint(1, WIDEST)
        sources = others if rng.random() < _OTHER_OUTPUTS else inputs
        parts = [text[at : at + width] for text in sources for at in range(len(text) - width + 1)]
        found = rng.choice(parts) if parts else own
        if found != own:
            programs.append((found, own))
    return programs
