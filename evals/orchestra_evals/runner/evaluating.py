"""Evaluating: cell after cell, several samples of a cell at once, each row written as soon as its run has ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from orchestra.panel import ModelSpec
from orchestra.session import Session
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget, Cost
from orchestra_evals.runner.bench import Bench, Watch
from orchestra_evals.runner.cells import Cell, caps
from orchestra_evals.runner.composing import Systems, cells_of
from orchestra_evals.runner.evaluation import CellScore, Evaluation
from orchestra_evals.runner.row_file import RowFile
from orchestra_evals.runner.rows import Row
from orchestra_evals.runner.selection import Selection
from orchestra_evals.runner.survey import Survey, survey
from orchestra_evals.suites.suite import Suite
from orchestra_evals.systems.own import Own

Opens: TypeAlias = Callable[[Path, Budget, Cost], Session]
"""Opens the session of a cell: its journal, its caps, and what earlier attempts took of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where records and rows are kept, and which are made anew."""

    journal: Path | str | None = None
    """The journal; None keeps a temporary one, whose path the evaluation tells."""
    out: Path | str | None = None
    """File of rows; None writes none."""
    name: str = ""
    """Name of the evaluation. Under another one everything is asked anew."""
    retry_errors: bool = False
    """Whether samples are asked again that the infrastructure lost."""


_KEEPING, _SELECTION, _NOTHING = Keeping(), Selection(), Cost()


async def evaluate(
    suite: Suite | str,
    *,
    systems: Systems | None = None,
    models: Sequence[ModelSpec | None] = (None,),
    budget: Budget | None = None,
    selection: Selection = _SELECTION,
    keeping: Keeping = _KEEPING,
    opens: Opens | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Return what systems score on a suite, each with each model under a budget of its own.

    The same call with the same journal goes on where it was stopped, and asks nothing again that was answered.

    Args:
        suite: A suite, or its name.
        systems: Who competes; None is what `orchestra.run` does by itself.
        models: Who answers; each is a model, a panel, or either by role.
        budget: Caps of each cell, one system with one model.
        selection: Which samples, and how often.
        keeping: Where records and rows are kept.
        opens: Opens the session of a cell; None opens a plain one.
        watch: Told every row that is made.

    Raises:
        InputError: Suite, systems, models or a value is wrong; nothing was asked.
        ModelUnavailable: A model cannot be used here.
        JournalError: A record could not be written, or somebody else is at work on a cell.
    """
    cells = cells_of(suite, systems, models=models, budget=budget, selection=selection, name=keeping.name)
    return await Evaluator(cells, keeping=keeping, opens=opens, watch=watch).run()


class Evaluator:
    """Carries out an evaluation; `evaluation` tells at any time what is known.

    Args:
        cells: What is measured.
        keeping: Where records and rows are kept.
        opens: Opens the session of a cell; None opens a plain one.
        watch: Told every row that is made.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        *,
        keeping: Keeping = _KEEPING,
        opens: Opens | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.cells, self._keeping, self._watch = cells, keeping, watch
        self._opens = opens or plain_session
        self._journal = None if keeping.journal is None else Path(keeping.journal)
        self._rows: dict[str, dict[str, Row]] = {cell.id: {} for cell in cells}

    @property
    def journal(self) -> Path:
        """The journal, a temporary one where none was named."""
        if self._journal is None:
            self._journal = temporary_journal()
        return self._journal

    async def run(self) -> Evaluation:
        """Ask what is not answered yet, and return what all of it comes to.

        Where no sample of a system with some model was answered, that model is not asked for further systems.

        Raises:
            InputError, ModelUnavailable, JournalError: As `evaluate`.
        """
        out = None if self._keeping.out is None else Path(self._keeping.out)
        RowFile(out)  # a file that is none of ours is refused before anything is written
        for cell in self.cells:
            await self._check(cell)
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(self.journal))
            for cell in self.cells:
                stack.enter_context(journal.own(cell.slug))
            file = stack.enter_context(RowFile(out))
            surveys = {cell.id: survey(cell, journal) for cell in self.cells}
            self._take_up(file, surveys)
            lost: set[str] = set()
            for cell in self.cells:
                if cell.model_name not in lost:
                    await self._run_cell(cell, surveys[cell.id], file)
                if not isinstance(cell.system, Own) and self._is_lost(cell):
                    lost.add(cell.model_name)
        return self.evaluation()

    def evaluation(self) -> Evaluation:
        """Return what is known so far."""
        return Evaluation(
            cells=tuple(CellScore.of(cell, self._rows[cell.id]) for cell in self.cells),
            journal=self.journal,
            samples_file=None if self._keeping.out is None else Path(self._keeping.out),
        )

    def _is_lost(self, cell: Cell) -> bool:
        """Return whether the infrastructure lost every sample of a cell: further ones are not sent after them."""
        rows = self._rows[cell.id].values()
        return bool(rows) and all(row.status == "infra_error" for row in rows)

    def _take_up(self, file: RowFile, surveys: Mapping[str, Survey]) -> None:
        """Take the rows that stand; those that will be made anew are cut out of the file."""
        cells = {cell.id: cell for cell in self.cells}
        retry = self._keeping.retry_errors

        def stands(row: Row) -> bool:
            return row.cell not in cells or surveys[row.cell].is_kept(row, cells[row.cell], retry_errors=retry)

        file.keep(stands)
        for cell in self.cells:
            for item in cell.items():
                if item.run_id in file.rows:
                    self._rows[cell.id][item.run_id] = file.rows[item.run_id]

    async def _run_cell(self, cell: Cell, known: Survey, file: RowFile) -> None:
        rows = self._rows[cell.id]
        todo = [item for item in cell.items() if item.run_id not in rows]
        if not todo:
            return

        def add(made: Row) -> None:
            file.append(made)
            rows[made.run_id] = made
            if self._watch is not None:
                self._watch(made)

        async with (
            self._opens(self.journal, cell.budget, known.spent) as session,
            self._opens(self.journal, cell.budget, known.judged) as judges,
        ):
            bench = Bench(
                cell=cell,
                known=known,
                session=session,
                judges=judges,
                retry_errors=self._keeping.retry_errors,
                standing=tuple(rows.values()),
            )
            await bench.rows(iter(todo), add)

    async def _check(self, cell: Cell) -> None:
        """Refuse models that cannot be used, and what a system cannot answer, by one sample of each difficulty."""
        if not cell.is_without_model:
            async with self._opens(self.journal, cell.budget, _NOTHING) as session:
                session.check_prices(cell.budget, session.panel(cell.model))
        kinds = {tuple(sample.difficulty.items()): sample for sample in cell.samples}
        for sample in kinds.values():
            await cell.system.spending(sample, cell.suite, cell.share)


def temporary_journal() -> Path:
    """Return a new place for a journal that nobody named."""
    return Path(tempfile.mkdtemp(prefix="orchestra-")) / "journal.db"


def plain_session(journal: Path, budget: Budget, spent: Cost) -> Session:
    """Open the session of a cell; see `Opens`."""
    return Session(journal=journal, budget=budget if caps(budget) else None, spent=spent)
