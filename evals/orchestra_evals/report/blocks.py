"""What a report is made of before it is Markdown or HTML: headings, texts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

NOTHING = "-"
"""What stands in a cell that has nothing to say."""


@dataclass(frozen=True, slots=True)
class Text:
    """Some sentences, a heading, what must not be overlooked, or a command line."""

    text: str
    kind: Literal["p", "h1", "h2", "h3", "notice", "code"] = "p"


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences that each stand for themselves."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table."""

    caption: str
    evidence: str
    """What its figures were measured on: real, SIMULATED, or both."""
    columns: tuple[str, ...]
    numbers: tuple[bool, ...]
    """Which columns are figures."""
    rows: tuple[tuple[str, ...], ...]
    """The cells, the first of each row being its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure."""

    file: str
    """Name of its file, which is safe in any path and address."""
    caption: str
    evidence: str
    svg: str


Block: TypeAlias = Text | Bullets | Table | Picture


@dataclass(frozen=True, slots=True)
class Column(Generic[T_contra]):
    """A column of a table of some kind of items."""

    name: str
    cell: Callable[[T_contra], str]
    is_number: bool = True


def table(caption: str, evidence: str, columns: Iterable[Column[T]], items: Sequence[T]) -> Table:
    """Return the table of some items: without columns that say nothing, and equal ones sharing a row."""
    first, *others = columns
    held = [(column, [column.cell(item) for item in items]) for column in others]
    kept = [(column, cells) for column, cells in held if set(cells) - {NOTHING}]
    names: dict[tuple[str, ...], list[str]] = {}
    for place, item in enumerate(items):
        names.setdefault(tuple(cells[place] for _, cells in kept), []).append(first.cell(item))
    return Table(
        caption=caption,
        evidence=evidence,
        columns=(first.name, *(column.name for column, _ in kept)),
        numbers=(first.is_number, *(column.is_number for column, _ in kept)),
        rows=tuple(("; ".join(told), *cells) for cells, told in names.items()),
    )
