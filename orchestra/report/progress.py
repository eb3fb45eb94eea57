"""A run as it happens, on standard error: live on a terminal, a line per subtask elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from orchestra.report.text import votes_text
from orchestra_agents.journal.records import Decomposed, Record, Routed, Sampled, SubtaskEnded, SubtaskStarted


class _Rate(ProgressColumn):
    """Samples a second, over the run so far."""

    def render(self, task: Task) -> Text:
        """Return the rate."""
        samples, elapsed = task.fields.get("samples", 0), task.elapsed or 0
        return Text(f"{samples / elapsed:.1f} samples/s" if elapsed > 0 and samples else "", style="dim")


class RunProgress:
    """Watches a run's records; use as a context manager and pass `watch` to the run's hooks."""

    def __init__(self, console: Console, total: int | None = None) -> None:
        self.console = console
        self._samples = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("planning", total=total, samples=0)
        self._working: dict[str, None] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the display still, so that somebody may be asked."""
        self._bar.stop()
        yield
        self._bar.start()

    def watch(self, record: Record) -> None:
        """Show what `record` changes."""
        match record:
            case Decomposed():
                self.console.print(Text(record.reason))
                self._bar.update(self._task, total=len(record.graph["subtasks"]))
            case Routed():
                self._bar.update(self._task, completed=0, total=record.shape["subtasks"], description="running")
            case SubtaskStarted():
                self._working[record.node] = None
                self._describe()
            case Sampled():
                self._samples += 1
                self._bar.update(self._task, samples=self._samples)
            case SubtaskEnded():
                self._working.pop(record.node, None)
                self._describe()
                self._ended(record)

    def _describe(self) -> None:
        self._bar.update(self._task, description=escape(", ".join(list(self._working)[:3])) or "running")

    def _ended(self, record: SubtaskEnded) -> None:
        if not record.node.startswith("<"):
            self._bar.advance(self._task)
        said = record.cause.message if record.cause else _short(record.answer)
        votes = votes_text(record.model_dump(mode="json"))
        self.console.print(Text(f"  {record.node}: {record.status}, votes {votes}, {record.seconds:.1f} s: {said}"))


def _short(answer: object) -> str:
    text = " ".join(str(answer).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
