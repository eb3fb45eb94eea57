"""The columns by which a table tells its rows: system, and model and evidence where these differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra_evals.report.blocks import NOTHING, Column, Table, table
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_rows import Named
from orchestra_evals.report.wording import one_line

_MOST_COLUMNS = 6


def who(document: ComparisonDocument) -> tuple[Column[Named], ...]:
    """Return the columns that name a row."""
    found: list[Column[Named]] = [Column("system", lambda row: named(document, row.system), is_number=False)]
    if len({row.model for row in document.rows}) > 1:
        found.append(Column("model", lambda row: one_line(row.model), is_number=False))
    if len({row.evidence for row in document.rows}) > 1:
        found.append(Column("evidence", lambda row: _evidence(document, row), is_number=False))
    return tuple(found)


def named(document: ComparisonDocument, system: str) -> str:
    """Return the name of a system, marked where it is the baseline or the pick."""
    marks = {document.baseline: " (baseline)", document.pick: " (pick)"}
    return f"{one_line(system)}{marks.get(system, '')}"


def _evidence(document: ComparisonDocument, row: Named) -> str:
    kinds = {one.evidence for one in document.rows if (one.system, one.model) == (row.system, row.model)}
    return "SIMULATED" if "simulated" in kinds else "real" if kinds else NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A row whose cells are found by the names of their columns."""

    system: str
    model: str
    cells: Mapping[str, str]


def spread(document: ComparisonDocument, caption: str, rows: Sequence[Spread], keys: Sequence[str]) -> Iterator[Table]:
    """Yield tables that have a row for each system and a column for each key, a few keys in each."""
    for first in range(0, len(keys), _MOST_COLUMNS):
        columns: list[Column[Spread]] = [*who(document), *map(_column, keys[first : first + _MOST_COLUMNS])]
        yield table(caption, document.evidence_of(), columns, rows)


def _column(key: str) -> Column[Spread]:
    return Column(key, lambda row: row.cells.get(key, NOTHING))
