"""What the journal and the file of rows hold of a cell before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestra.result import result_of
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Cost
from orchestra_evals.runner.cells import Cell, caps
from orchestra_evals.runner.endings import Status, status_of
from orchestra_evals.runner.rows import Row
from orchestra_evals.runner.scoring import JUDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of a cell."""

    begun: frozenset[str]
    """Runs that the journal holds of it."""
    ended: dict[str, Status]
    """How those ended that came to an end."""
    spent: Cost
    """What they took of the cell's caps."""
    judged: Cost
    """What judges took."""
    taken: dict[str, Cost]
    """What each run took, with those made beside it."""

    def is_over(self, status: Status | None, *, retry_errors: bool) -> bool:
        """Return whether a run that ended so is not gone on with; one that the budget stopped is."""
        return status == "ok" or (status == "infra_error" and not retry_errors)

    def is_kept(self, row: Row, cell: Cell, *, retry_errors: bool) -> bool:
        """Return whether a row of the cell stands as it is.

        One that the caps did not pay for stands while they are the same, unless it was time that was up.
        """
        if row.status == "budget":
            is_same = row.cap == caps(cell.budget) and cell.budget.seconds is None
            return is_same and bool(self.begun)
        return self.ended.get(row.run_id) is not None and self.is_over(row.status, retry_errors=retry_errors)


def survey(cell: Cell, journal: Journal) -> Survey:
    """Return what the journal holds of a cell."""
    wanted = {item.run_id for item in cell.items()}
    ended: dict[str, Status] = {}
    begun: set[str] = set()
    taken: dict[str, Cost] = {}
    judged = Cost()
    for name in journal.run_ids():
        run_id = name.partition(".")[0]
        if run_id not in wanted:
            continue
        state = RunState.of(journal.entries(name))
        if JUDGE in name:
            judged += state.usage.as_cost()
            continue
        taken[run_id] = taken.get(run_id, Cost()) + state.usage.as_cost()
        if name == run_id:
            begun.add(name)
            if (status := how(state, journal.path)) is not None:
                ended[name] = status
    spent = sum(taken.values(), Cost())
    return Survey(begun=frozenset(begun), ended=ended, spent=spent, judged=judged, taken=taken)


def how(state: RunState, path: Path) -> Status | None:
    """Return how a run ended for its sample, None where it was stopped on its way."""
    ended = state.ended
    if ended is None or ended.status in ("ok", "undecided"):
        return None if ended is None else "ok"
    return status_of(result_of("", state, path))
