"""What a model is measured on: the rows of a file, or the items that another package makes of a name."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestra.budget.items import Item, Row, load_rows
from orchestra_agents.errors import InputError

ITEMS = "orchestra.items"
"""Entry-point group of third-party items: each a function of a name, the most items wanted and a seed, which returns
items, equal ones for equal arguments, and raises `InputError` where it knows no such name."""


def items_or_rows(
    said: str, *, most: int, seed: int, of_rows: Mapping[str, object]
) -> tuple[Sequence[Row | Item], bool]:
    """Return what is measured, and whether it is rows, of which some are to be drawn.

    Args:
        said: A file that exists or whose name ends in .jsonl, else a name; one with a colon, `file:rows.jsonl`, too.
        most: Most items wanted of a name.
        seed: Which they are.
        of_rows: Values of the options that only rows leave open: what a name stands for says itself what is asked.

    Raises:
        InputError: The file cannot be read or a line is no row, nobody knows the name, or such an option is given.
    """
    if _is_file(said):
        return load_rows(Path(said)), True
    for option in (option for option, value in of_rows.items() if value):
        raise InputError(f"--{option}", "is for rows of a file; a suite says itself what is asked")
    problem = InputError("FILE.jsonl", f"there is no file {said!r}, and no package that makes items of a name")
    for entry in importlib.metadata.entry_points(group=ITEMS):
        make: Callable[[str, int, int], list[Item]] = entry.load()
        try:
            return make(said, most, seed), False
        except InputError as error:
            problem = error
    raise problem


def _is_file(said: str) -> bool:
    is_there = os.path.exists(said) and not os.path.isdir(said)  # False for what is too long or too odd to be a path
    return is_there or (said.endswith(".jsonl") and ":" not in said)
