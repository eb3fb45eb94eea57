"""The limit on calls in flight: slots in the order of asking, none lost however waiters leave."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.limit import CallLimit


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
