"""An evaluation as it happens, on standard error: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.rows import Row


class RowProgress:
    """Counts rows; use as a context manager and pass `watch` to the evaluation."""

    def __init__(self, console: Console, cells: Sequence[Cell]) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = sum(len(cell.samples) * cell.selection.repeats for cell in cells)
        self._task = self._bar.add_task("asking", total=total)
        self._scores: list[float] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def watch(self, row: Row) -> None:
        """Count a row."""
        if row.score is not None:
            self._scores.append(row.score)
        mean = f"mean {sum(self._scores) / len(self._scores):.3f}" if self._scores else "asking"
        self._bar.update(self._task, advance=1, description=mean)
