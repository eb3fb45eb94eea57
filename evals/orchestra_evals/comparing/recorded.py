"""What the journal holds of a comparison beside the rows: how runs were coordinated, and votes that can be cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.coordination import coordination_of
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_evals.comparing.coordinating import Runs
from orchestra_evals.comparing.cuts import Cut, Cutting
from orchestra_evals.comparing.lineup import RIVAL
from orchestra_evals.isolation import IsolationFailed
from orchestra_evals.runner.evaluation import CellScore, Evaluation
from orchestra_evals.suites.file_suite import judge_of
from orchestra_evals.systems.own import Own


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the journal holds of the samples that were measured, by cell."""

    runs: Mapping[str, Runs]
    """How the runs were coordinated; none of a user's own systems, which do what nobody sees."""
    cuts: Mapping[str, tuple[Cut, ...]]
    """Of self-consistency, by votes."""
    uncut: str = ""
    """Why it is not cut."""

    @classmethod
    def of(cls, found: Evaluation) -> Recorded:
        """Return what the journal of an evaluation holds, each run read once."""
        if not any(cell.measured for cell in found.cells):  # there may be no journal yet
            return cls(runs={}, cuts={})
        cuttings = {cell.cell.id: Cutting.of(cell.cell) for cell in found.cells if cell.system == RIVAL}
        with Journal(found.journal, "read") as journal:
            known = frozenset(journal.run_ids())
            runs = {cell.cell.id: _read(cell, journal, known, cuttings.get(cell.cell.id)) for cell in found.cells}
        if judge_of(found.cells[0].cell.suite) is not None:
            told = "a model judges the answers, and would have to be asked about those of fewer votes"
            return cls(runs=runs, cuts={}, uncut=told)
        try:
            return cls(runs=runs, cuts={name: cutting.cuts() for name, cutting in cuttings.items()})
        except IsolationFailed as error:
            return cls(runs=runs, cuts={}, uncut=f"answers of fewer votes could not be run: {error}")


def _read(cell: CellScore, journal: Journal, known: frozenset[str], cutting: Cutting | None) -> Runs:
    """Return the figures of the runs of a cell, and give them to what will cut them."""
    if isinstance(cell.cell.system, Own):
        return {}
    figures = {}
    for row in cell.measured:
        if row.run_id not in known:  # a system of a user's own class may keep no record
            continue
        state = RunState.of(journal.entries(row.run_id))
        figures[row.sample_id, row.epoch] = coordination_of(state, None, success=row.score)
        if cutting is not None:
            cutting.add(row, state, journal)
    return figures
