"""Work that several wait for is done once, and outlives none of them."""

from __future__ import annotations

import asyncio

import pytest

from orchestra_agents.shared_work import SharedWork
from orchestra_agents.working_time import WorkClock, waiting


class Work:
    """Work that ends when it is told to, and counts what becomes of it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.begun = self.ended = self.cancelled = 0
        self.may_end = asyncio.Event()
        self._failure = failure

    async def __call__(self) -> None:
        """Wait for the end."""
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # what ends takes its time
            self.cancelled += 1
            raise
        if self._failure is not None:
            raise self._failure
        self.ended += 1


def waiters(shared: SharedWork, work: Work, count: int) -> list[asyncio.Task[None]]:
    """So many that wait for the same work."""
    return [asyncio.create_task(shared.wait("key", work)) for _ in range(count)]


async def test_it_is_done_once_for_all_who_wait() -> None:
    """Whoever comes while it is done waits for it; whoever comes later has it done again."""
    shared, work = SharedWork(), Work()
    tasks = waiters(shared, work, 3)
    await asyncio.sleep(0)
    work.may_end.set()
    await asyncio.gather(*tasks)
    assert (work.begun, work.ended) == (1, 1)
    await shared.wait("key", work)
    assert (work.begun, work.ended) == (2, 2)


async def test_who_came_first_may_leave() -> None:
    """The others have it done all the same."""
    shared, work = SharedWork(), Work()
    first, *others = waiters(shared, work, 3)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_end.set()
    await asyncio.gather(*others)
    assert (work.begun, work.ended, work.cancelled) == (1, 1, 0)


async def test_nobody_left_is_nothing_left() -> None:
    """The last one who is cancelled leaves when the work has ended, and the next one begins anew."""
    shared, work = SharedWork(), Work()
    before = asyncio.all_tasks()
    tasks = waiters(shared, work, 2)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True))
    assert (work.cancelled, asyncio.all_tasks()) == (1, before)
    work.may_end.set()
    await shared.wait("key", work)
    assert (work.begun, work.ended) == (2, 1)


async def test_a_failure_is_everybody_s() -> None:
    """What the work raises is raised to all who wait, and forgotten with the last of them."""
    shared, work = SharedWork(), Work(ValueError("no"))
    tasks = waiters(shared, work, 3)
    await asyncio.sleep(0)
    tasks[0].cancel()
    work.may_end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes] == [asyncio.CancelledError, ValueError, ValueError]


async def test_no_clock_of_the_first_runs_with_it() -> None:
    """A wait within the work is no wait of whoever happened to need it first."""
    shared = SharedWork()

    async def wait() -> None:
        with waiting():
            await asyncio.sleep(0.05)

    clock = WorkClock()
    with clock.running():
        await shared.wait("key", wait)
    assert clock.seconds() >= 0.04
