"""Making a journal smaller: runs that nobody wants any more, and texts that no record refers to."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from orchestra_agents.journal.lock import RunLock
from orchestra_agents.journal.sqlite import Journal, step_keys


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed."""

    runs: tuple[str, ...]
    texts: int
    bytes_before: int
    bytes_after: int


def collect(journal: Journal, run_ids: Iterable[str] = ()) -> Collected:
    """Remove `run_ids` with all their records, texts that no record refers to, and the space that they took.

    Raises:
        UnknownRun: No such run.
        RunOwned: A live process works on one of them; nothing was removed.
        JournalError: The file cannot be written.
    """
    numbers = {run_id: journal.run_number(run_id) for run_id in run_ids}
    before = _size(journal)
    with ExitStack() as owned, journal.transaction() as db:
        for run_id in numbers:
            owned.callback(RunLock.acquire(journal.path, run_id).release)
        for number in numbers.values():
            for table in ("records", "snapshots", "runs"):
                db.execute(f"DELETE FROM {table} WHERE run = ?", (number,))
            keys = step_keys(number)
            db.execute("DELETE FROM steps WHERE key BETWEEN ? AND ?", (keys.start, keys[-1]))
        texts = db.execute(
            "DELETE FROM blobs WHERE hash NOT IN (SELECT json_extract(body, '$.text') FROM records"
            " WHERE kind IN ('sample.replied', 'texts.embedded', 'tool.observed', 'message.sent'))"
        ).rowcount
    journal.compact()
    return Collected(tuple(numbers), texts, before, _size(journal))


def _size(journal: Journal) -> int:
    """Return the bytes of the journal and of what was not moved into it yet."""
    path = journal.path
    return sum(file.stat().st_size for file in (path, path.with_name(f"{path.name}-wal")) if file.is_file())
