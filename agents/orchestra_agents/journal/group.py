"""Group commit: many chains share one wait for the disk, on a thread that no event loop waits for."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

_LARGEST_GROUP = 1_000
_BUSY_TIMEOUT_MS = 10_000


class GroupCommit:
    """A thread that commits whatever has come together since its last commit, safe against a loss of power.

    Args:
        db: A connection of the thread's own.
        translate: Turns what SQLite says into the error that callers are promised.
    """

    def __init__(self, db: sqlite3.Connection, translate: Callable[[Exception], Exception]) -> None:
        self._db, self._translate = db, translate
        db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        db.execute("PRAGMA synchronous = FULL")
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="orchestra-group-commit", daemon=True)
        self._thread.start()

    def append(self, statement: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        """Return a future of the running loop that is done once the statement is committed."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._queue.put((statement, values, loop, written))
        return written

    def close(self) -> None:
        """Commit what is queued, and end the thread."""
        self._queue.put(None)
        self._thread.join()
        self._db.close()

    def _work(self) -> None:
        is_open = True
        while is_open:
            group = [self._queue.get()]
            while len(group) < _LARGEST_GROUP and not self._queue.empty():
                group.append(self._queue.get())
            is_open = group[-1] is not None
            self._commit([write for write in group if write is not None])

    def _commit(self, group: list[_Write]) -> None:
        error: Exception | None = None
        try:
            if group:
                self._db.execute("BEGIN IMMEDIATE")
                for statement, values, _, _ in group:
                    self._db.execute(statement, values)
                self._db.execute("COMMIT")
        except sqlite3.Error as failure:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            error = self._translate(failure)
        for _, _, loop, written in group:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, written, error)


_Write = tuple[str, tuple[Any, ...], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


def _settle(written: asyncio.Future[None], error: Exception | None) -> None:
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
