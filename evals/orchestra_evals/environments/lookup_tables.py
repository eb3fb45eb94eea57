"""The tables of `lookup`: invented rows, what they hold, what an archive wrongly holds, and questions about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

ROWS = 10
_STARTS = ("Ar", "Bel", "Cor", "Dun", "Es", "Fal", "Gor", "Hol", "Is", "Jun", "Kel", "Lor")
_ENDS = ("vale", "mar", "wick", "tor", "dane", "low", "rin", "stead", "by", "nath")
_WORDS = ["".join(both) for both in product(_STARTS, _ENDS)]
_COLUMNS: Mapping[str, Mapping[str, Sequence[object]]] = {
    "cities": {"population": range(20_000, 900_000), "founded": range(1100, 1900), "mayor": _WORDS, "river": _WORDS},
    "people": {"birth_year": range(1940, 2005), "badge": range(1000, 9999), "employer": _WORDS, "hometown": _WORDS},
    "products": {"price": range(5, 900), "stock": range(10, 5000), "maker": _WORDS, "supplier": _WORDS},
}
"""What the values of each column are drawn from; all of them are invented, so that no model knows them by heart."""
COLUMNS: Mapping[str, tuple[str, ...]] = {table: tuple(columns) for table, columns in _COLUMNS.items()}
"""The columns of each table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in a table."""

    table: str
    row: str
    column: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question about one cell."""

    number: int
    cell: Cell

    @property
    def question(self) -> str:
        """The question in words."""
        return f"What is {self.cell.column} of {self.cell.row} in {self.cell.table}?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What there is to look up; all values of one column differ, those of the archive included."""

    rows: Mapping[str, Sequence[str]]
    """The keys of each table."""
    values: Mapping[Cell, str]
    """What is right."""
    archive: Mapping[Cell, str]
    """What was so once, and is wrong of every cell."""

    def cell(self, table: str, row: str, column: str) -> Cell:
        """Return the cell of that name.

        Raises:
            ValueError: There is no such table, row or column.
        """
        self.column(table, column)
        if row not in self.rows[table]:
            raise ValueError(f"{table} has no row {row!r}; its rows are {', '.join(self.rows[table])}")
        return Cell(table, row, column)

    def column(self, table: str, column: str) -> dict[str, str]:
        """Return the values of a column by row.

        Raises:
            ValueError: There is no such table or column.
        """
        keys = self.keys(table)
        if column not in COLUMNS[table]:
            raise ValueError(f"{table} has no column {column!r}; its columns are {', '.join(COLUMNS[table])}")
        return {row: self.values[Cell(table, row, column)] for row in keys}

    def keys(self, table: str) -> Sequence[str]:
        """Return the rows of a table.

        Raises:
            ValueError: There is no such table.
        """
        if table not in self.rows:
            raise ValueError(f"no table is called {table!r}; there are {', '.join(self.rows)}")
        return self.rows[table]

    def below(self, cell: Cell) -> Cell:
        """Return the cell one row further down, after the last the first: what a slip of the eye reads."""
        rows = self.rows[cell.table]
        return Cell(cell.table, rows[(rows.index(cell.row) + 1) % len(rows)], cell.column)


def draw_tables(random: Random) -> Tables:
    """Return tables with `ROWS` rows each."""
    rows: dict[str, list[str]] = {}
    values: dict[Cell, str] = {}
    archive: dict[Cell, str] = {}
    for table, columns in _COLUMNS.items():
        rows[table] = random.sample(_WORDS, ROWS)
        for column, domain in columns.items():
            drawn = [str(value) for value in random.sample(domain, 2 * ROWS)]
            cells = [Cell(table, row, column) for row in rows[table]]
            values |= zip(cells, drawn[:ROWS], strict=True)
            archive |= zip(cells, drawn[ROWS:], strict=True)
    return Tables(rows=rows, values=values, archive=archive)


def draw_queries(tables: Tables, count: int, random: Random) -> list[Query]:
    """Return `count` questions, each about a cell of its own."""
    return [Query(number, cell) for number, cell in enumerate(random.sample(list(tables.values), count))]
