"""Time spent working: a clock that stands still while calls wait for their turn or for a server to take them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

_running: ContextVar[tuple[WorkClock, ...]] = ContextVar("running_work_clocks", default=())


class WorkClock:
    """Counts the seconds of what runs within it, without those in which all its calls that were under way waited.

    Args:
        limit: A time limit to hold still meanwhile, too; it is to be rescheduled by `expire_after` alone.
    """

    def __init__(self, limit: asyncio.Timeout | None = None) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._waited = 0.0
        self._calls = self._waits = 0
        self._wait_began: float | None = None
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
        return now - self._started - self._waited - (0.0 if self._wait_began is None else now - self._wait_began)

    def expire_after(self, seconds: float) -> None:
        """Let the limit expire after so many seconds of work from now on."""
        self._due = self.seconds() + seconds
        self._reschedule()

    def count(self, *, calls: int = 0, waits: int = 0) -> None:
        """A call begins (1) or ends (-1), or begins to wait or waits no longer."""
        self._calls += calls
        self._waits += waits
        is_still = self._waits > 0 and self._waits >= self._calls
        if is_still == (self._wait_began is not None):
            return
        now = self._loop.time()
        if is_still:
            self._wait_began = now
        elif self._wait_began is not None:
            self._waited += now - self._wait_began
            self._wait_began = None
        self._reschedule()

    def _reschedule(self) -> None:
        if self._limit is None or self._due is None:
            return
        due = None if self._wait_began is not None else self._started + self._waited + self._due
        with suppress(RuntimeError):  # the limit is over: it expired, or a call within outlived it
            self._limit.reschedule(due)


@contextmanager
def calling() -> Iterator[None]:
    """Count what happens within as a call of the clocks that run in this context: it works, but where it waits."""
    clocks = _running.get()
    for clock in clocks:
        clock.count(calls=1)
    try:
        yield
    finally:
        for clock in clocks:
            clock.count(calls=-1)


@contextmanager
def waiting() -> Iterator[None]:
    """Wait within: for the clocks that run in this context it is no work."""
    clocks = _running.get()
    for clock in clocks:
        clock.count(waits=1)
    try:
        yield
    finally:
        for clock in clocks:
            clock.count(waits=-1)
