"""What a report is made of before it is Markdown or HTML: headings, texts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

NOTHING = "-"
"""What stands in a cell that has nothing to say."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, of level 1 (the report) to 3."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Sentences that must not be overlooked."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences that each stand for themselves."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A command line."""

    text: str


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
    """The file."""
    inline: str
    """The same as an element of an HTML page, whose colours it takes."""


Block: TypeAlias = Heading | Paragraph | Notice | Bullets | Code | Table | Picture


@dataclass(frozen=True, slots=True)
class Column(Generic[T_contra]):
    """A column of a table of some kind of items."""

    name: str
    cell: Callable[[T_contra], str]
    is_number: bool = True
    is_optional: bool = False
    """Whether it is left out where no cell says anything."""


def table(caption: str, evidence: str, columns: Iterable[Column[T]], items: Sequence[T]) -> Table:
    """Return the table of some items, one row each, without optional columns that say nothing."""
    held = [(column, [column.cell(item) for item in items]) for column in columns]
    kept = [(column, cells) for column, cells in held if not column.is_optional or set(cells) - {NOTHING}]
    return Table(
        caption=caption,
        evidence=evidence,
        columns=tuple(column.name for column, _ in kept),
        numbers=tuple(column.is_number for column, _ in kept),
        rows=tuple(zip(*(cells for _, cells in kept), strict=True)),
    )
