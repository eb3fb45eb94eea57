"""Tools of `lookup` that answer no query; none changes anything."""

from __future__ import annotations

from datetime import date
from statistics import mean

from orchestra_agents.models.contract import Json
from orchestra_agents.tools import Tool, tool
from orchestra_evals.environments.lookup_tables import COLUMNS, Tables

_UNITS = {"m": 1.0, "km": 1000.0, "mile": 1609.344, "foot": 0.3048}
_TERMS = {"row": "One entry of a table.", "column": "One property of all rows.", "archive": "Values of former years."}


class LookupDistractors:
    """Thirteen of them, the archive first: what it says is out of date and wrong of every cell.

    Args:
        tables: What they are about.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def tools(self, count: int) -> list[Tool]:
        """Return the first `count` of them, most tempting first."""
        functions = (
            *(self.search_archive, self.average, self.maximum, self.minimum, self.count_rows, self.list_tables),
            *(self.sort_rows, self.compare_rows, self.convert_length, self.add, self.weekday, self.count_letters),
            self.define,
        )
        return [tool(function, effects="none") for function in functions[:count]]

    async def search_archive(self, table: str, row: str, column: str) -> str:
        """Search the archive of former years for the value of one cell."""
        return self._tables.archive[self._tables.cell(table, row, column)]

    async def average(self, table: str, column: str) -> float:
        """Return the average of a column of numbers."""
        return float(mean(self._numbers(table, column).values()))

    async def maximum(self, table: str, column: str) -> int:
        """Return the largest number of a column."""
        return max(self._numbers(table, column).values())

    async def minimum(self, table: str, column: str) -> int:
        """Return the smallest number of a column."""
        return min(self._numbers(table, column).values())

    async def count_rows(self, table: str) -> int:
        """Return how many rows a table has."""
        return len(self._tables.keys(table))

    async def list_tables(self) -> Json:
        """List the tables and their columns."""
        return {table: list(columns) for table, columns in COLUMNS.items()}

    async def sort_rows(self, table: str, column: str) -> list[str]:
        """Return the rows of a table, ordered by a column."""
        values = self._tables.column(table, column)
        return sorted(values, key=lambda row: (len(values[row]) if values[row].isdigit() else 0, values[row]))

    async def compare_rows(self, table: str, column: str, first_row: str, second_row: str) -> bool:
        """Tell whether two rows have the same value in a column."""
        first, second = (self._tables.cell(table, row, column) for row in (first_row, second_row))
        return self._tables.values[first] == self._tables.values[second]

    async def convert_length(self, length: float, unit: str, wanted_unit: str) -> float:
        """Convert a length; the units are m, km, mile and foot."""
        if unknown := {unit, wanted_unit} - _UNITS.keys():
            raise ValueError(f"no unit is called {min(unknown)!r}; there are {', '.join(_UNITS)}")
        return length * _UNITS[unit] / _UNITS[wanted_unit]

    async def add(self, first: float, second: float) -> float:
        """Add two numbers."""
        return first + second

    async def weekday(self, iso_date: str) -> str:
        """Return the day of the week of a date such as 2026-01-31."""
        return date.fromisoformat(iso_date).strftime("%A")

    async def count_letters(self, word: str) -> int:
        """Return how many letters a word has."""
        return sum(letter.isalpha() for letter in word)

    async def define(self, term: str) -> str:
        """Return what a term means: row, column or archive."""
        if term not in _TERMS:
            raise ValueError(f"{term!r} is not explained here; {', '.join(_TERMS)} are")
        return _TERMS[term]

    def _numbers(self, table: str, column: str) -> dict[str, int]:
        values = self._tables.column(table, column)
        if not all(value.isdigit() for value in values.values()):
            raise ValueError(f"{column} of {table} is no column of numbers")
        return {row: int(value) for row, value in values.items()}
