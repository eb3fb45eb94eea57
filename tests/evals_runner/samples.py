"""What the tests of the runner share: small evaluations, and what of a table must not depend on how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestra.choices import Choices
from orchestra_evals.runner.evaluating import Keeping
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.rows import Row, row_of
from orchestra_evals.systems.system import GraphSource
from orchestra_evals.systems.wiring import Wiring

Json = Any
SIMULATED = "simulated:p=0.8,seed=4"


def wired(topology: str = "single", team: str = "solo", *, decompose: GraphSource = "suite", **more: Json) -> Wiring:
    """Return a wiring, by default of one agent that is asked once."""
    return Wiring(choices=Choices(topology=topology, team=team, **more), decompose=decompose)  # type: ignore[arg-type]


def kept(folder: Path, **more: Json) -> Keeping:
    """Return where an evaluation keeps its records and rows in a folder."""
    return Keeping(journal=folder / "journal.db", out=folder / "rows.jsonl", **more)


def rows_in(folder: Path) -> list[Row]:
    """Return the rows that stand in the file of `kept`."""
    return [row_of(line) for line in (folder / "rows.jsonl").read_bytes().splitlines()]


def table(cell: CellScore) -> Json:
    """Return what of a cell must not depend on kills and resumes."""
    told = cell.as_dict()
    names = ("n", "score", "interval", "statuses", "outcomes", "by_difficulty", "graphs", "repeats")
    return {name: told[name] for name in names} | {"rows": {row.run_id: (row.outcome, row.output) for row in cell.rows}}
