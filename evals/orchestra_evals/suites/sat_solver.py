"""Exact satisfiability of small formulas by truth tables: bit k of a number is the value under assignment k."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

Clause = tuple[int, ...]
"""Literals, of which one has to hold: v is variable v, counted from 1, and -v its negation."""


def solutions(clauses: Sequence[Clause], variables: int) -> int:
    """Return the truth table of a formula: bit k is set where assignment k satisfies all clauses.

    Variable v is true in assignment k where bit v - 1 of k is set; with 15 variables a table has 32,768 bits.
    """
    every = (1 << (1 << variables)) - 1
    found = every
    for clause in clauses:
        holds = 0
        for literal in clause:
            table = _table(abs(literal) - 1, variables)
            holds |= table if literal > 0 else every ^ table
        found &= holds
    return found


def assignment(table: int, variables: int) -> list[bool] | None:
    """Return the values of the first assignment in a truth table, None where there is none."""
    if table == 0:
        return None
    first = (table & -table).bit_length() - 1
    return [bool(first >> place & 1) for place in range(variables)]


@cache
def _table(place: int, variables: int) -> int:
    """Return the truth table of one variable: blocks of 2^place zeros and as many ones, in turns."""
    width = 1 << place
    table = ((1 << width) - 1) << width
    for _ in range(place + 1, variables):
        width *= 2
        table |= table << width
    return table
