"""The limit on calls in flight: slots in the order of asking, none lost however waiters leave."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.limit import CallLimit, Slots
from orchestra_agents.working_time import waiting


async def test_a_waiter_cancelled_while_slots_are_given_back_loses_none() -> None:
    """Cancelled waiters may be passed over by a release before they hear of it."""
    limit = CallLimit(1)
    await limit.acquire()
    waiting = [asyncio.create_task(limit.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()
    limit.release()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in done] == [True, True, False]
    limit.release()
    assert limit.take(5) == 1


@given(st.integers(1, 4), st.integers(0, 2**32))
def test_whatever_is_cancelled_all_slots_come_back_and_the_width_holds(width: int, seed: int) -> None:
    """Thirty callers, some cancelled at random moments: never more at work than slots, and all free in the end."""
    rng, at_work, most = random.Random(seed), 0, 0

    async def caller(limit: CallLimit, seconds: float) -> None:
        nonlocal at_work, most
        await limit.acquire()
        at_work += 1
        most = max(most, at_work)
        try:
            await asyncio.sleep(seconds)
        finally:
            at_work -= 1
            limit.release()

    async def main() -> int:
        limit = CallLimit(width)
        tasks = [asyncio.create_task(caller(limit, rng.choice([0, 0.1, 1]))) for _ in range(30)]
        for task in rng.sample(tasks, 15):
            await asyncio.sleep(rng.choice([0, 0, 0.05]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return limit.take(99)

    assert run_virtual(main()) == width
    assert most <= width


async def test_a_slot_is_lent_while_its_call_waits() -> None:
    """Who waits holds nobody up; when the wait is over a slot is waited for, and all are given back at the end."""
    limit, told = CallLimit(1), []

    async def waits() -> None:
        await limit.acquire()
        slots = Slots(limit)
        try:
            with slots.lending():
                async with waiting():
                    told.append("waits")
                    await asyncio.sleep(0.01)
                told.append("goes on")
        finally:
            slots.release()

    async def works() -> None:
        await limit.acquire()
        told.append("works")
        await asyncio.sleep(0.05)
        told.append("is through")
        limit.release()

    await asyncio.gather(waits(), works())
    assert told == ["waits", "works", "is through", "goes on"]
    assert limit.take(5) == 1


async def test_a_slot_that_is_lent_is_not_given_back_twice() -> None:
    """A call that is cancelled while it waits, or waits for its slot again, leaves the limit as it was."""
    limit = CallLimit(1)

    async def waits() -> None:
        await limit.acquire()
        slots = Slots(limit)
        try:
            with slots.lending():
                async with waiting():
                    await asyncio.sleep(0.01)
        finally:
            slots.release()

    for hold_up in (False, True):
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        if hold_up:
            await limit.acquire()
            await asyncio.sleep(0.03)
        task.cancel()
        await asyncio.wait([task])
        if hold_up:
            limit.release()
        assert limit.take(5) == 1
        limit.release()
