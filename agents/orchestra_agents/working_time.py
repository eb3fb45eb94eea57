"""Time spent working: a clock that stands still while a call waits for its turn or for a server to take it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

_running: ContextVar[tuple[WorkClock, ...]] = ContextVar("running_work_clocks", default=())


class WorkClock:
    """Counts the seconds of what runs within it, without those in which any of its calls waited.

    Args:
        limit: A time limit to hold still meanwhile, too; it is to be rescheduled by `expire_after` alone.
    """

    def __init__(self, limit: asyncio.Timeout | None = None) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._waited = 0.0
        self._waits = 0
        self._wait_began = 0.0
        self._due: float | None = None
        """When the limit expires, by this clock."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hear of every wait of the calls that are made within."""
        token = _running.set((*_running.get(), self))
        try:
            yield
        finally:
            _running.reset(token)

    def seconds(self) -> float:
        """Return the seconds since the clock was made, waits left out."""
        now = self._loop.time()
        return now - self._started - self._waited - (now - self._wait_began if self._waits else 0.0)

    def expire_after(self, seconds: float) -> None:
        """Let the limit expire after so many seconds of work from now on."""
        self._due = self.seconds() + seconds
        self._reschedule()

    def pause(self) -> None:
        """A call begins to wait."""
        if not self._waits:
            self._wait_began = self._loop.time()
        self._waits += 1
        self._reschedule()

    def resume(self) -> None:
        """A call waits no longer."""
        self._waits -= 1
        if not self._waits:
            self._waited += self._loop.time() - self._wait_began
        self._reschedule()

    def _reschedule(self) -> None:
        if self._limit is None or self._due is None:
            return
        with suppress(RuntimeError):  # the limit is over: it expired, or a call within outlived it
            self._limit.reschedule(None if self._waits else self._started + self._waited + self._due)


@contextmanager
def waiting() -> Iterator[None]:
    """Hold the clocks still that run in this context."""
    clocks = _running.get()
    for clock in clocks:
        clock.pause()
    try:
        yield
    finally:
        for clock in clocks:
            clock.resume()
