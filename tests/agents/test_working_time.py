"""The clock of work stands still while calls wait, and so does the limit that it guards; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.errors import RateLimited
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.throttle import Rate, Throttle
from orchestra_agents.working_time import WorkClock, calling, waiting


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


async def wait(seconds: float) -> None:
    """Wait, as a call for its turn."""
    with waiting():
        await asyncio.sleep(seconds)


def test_clock_counts_what_is_not_waited() -> None:
    """Work counts, a wait does not, and the clock can be read in the middle of one."""

    async def main() -> None:
        await asyncio.sleep(5)
        clock = WorkClock()
        with clock.running():
            await asyncio.sleep(2)
            assert clock.seconds() == 2
            with waiting():
                await asyncio.sleep(10)
                assert clock.seconds() == 2
            assert clock.seconds() == 2
            await asyncio.sleep(1)
        assert clock.seconds() == 3

    run_virtual(main())


async def test_waiting_without_a_clock_does_nothing() -> None:
    """Calls that no clock runs for may wait all the same."""
    with waiting(), waiting():
        await asyncio.sleep(0)


def test_time_passes_while_any_call_works() -> None:
    """One call that waits holds nothing still as long as another one of the same clock works."""

    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        clock = WorkClock()

        async def waits() -> None:
            with calling(), waiting():
                await asyncio.sleep(5)

        async def works() -> None:
            with calling():
                await asyncio.sleep(2)

        with clock.running():
            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
                group.create_task(works())
        return clock.seconds(), loop.time()

    assert run_virtual(main()) == (2.0, 5.0)


def test_nested_waits_count_once() -> None:
    """A wait within a wait ends with the outer one."""

    async def main() -> None:
        clock = WorkClock()
        with clock.running():
            with waiting():
                await wait(2)
                await asyncio.sleep(3)
                await wait(2)
                assert clock.seconds() == 0
            await asyncio.sleep(1)
            assert clock.seconds() == 1

    run_virtual(main())


def test_nested_clocks_all_stand_still() -> None:
    """A wait stops every clock that runs around it, and no other."""

    async def main() -> None:
        outer, inner, other = WorkClock(), WorkClock(), WorkClock()
        with outer.running():
            await wait(1)
            with inner.running():
                await wait(2)
            with other.running():
                await asyncio.sleep(3)
        assert (outer.seconds(), inner.seconds(), other.seconds()) == (3, 4, 6)

    run_virtual(main())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=8))
def test_waits_at_once_count_their_union(waits: list[tuple[int, int]]) -> None:
    """However waits overlap, each second in which any call waits is left out once."""

    async def one(begin: int, length: int) -> None:
        await asyncio.sleep(begin)
        await wait(length)

    async def main() -> float:
        clock = WorkClock()
        with clock.running():
            async with asyncio.TaskGroup() as group:
                for begin, length in waits:
                    group.create_task(one(begin, length))
                group.create_task(asyncio.sleep(40))
        return clock.seconds()

    waited = {second for begin, length in waits for second in range(begin, begin + length)}
    assert run_virtual(main()) == 40 - len(waited)


def test_waiting_for_a_turn_is_no_work() -> None:
    """Of a call through a throttle, only the request itself counts."""

    async def main() -> list[float]:
        throttle, seconds = Throttle(ceiling=1), []

        async def ask() -> None:
            clock = WorkClock()
            with clock.running():
                await throttle.run(lambda: asyncio.sleep(2))
            seconds.append(clock.seconds())

        await asyncio.gather(*(ask() for _ in range(5)))
        assert now() == 10
        return seconds

    assert run_virtual(main()) == [2] * 5


def test_waiting_for_the_rate_is_no_work() -> None:
    """What a rate makes a call wait does not count either."""

    async def main() -> None:
        throttle, clock = Throttle(ceiling=1, rate=Rate(requests=2)), WorkClock()
        with clock.running():
            for _ in range(5):
                await throttle.run(lambda: asyncio.sleep(1))
        assert clock.seconds() == pytest.approx(5)
        assert now() > 100

    run_virtual(main())


def test_backing_off_is_no_work() -> None:
    """The waits between the attempts of a call do not count, nor does what the server asks all to wait."""

    async def main() -> None:
        throttle, clock, errors = Throttle(ceiling=1), WorkClock(), 3

        async def answer() -> str:
            nonlocal errors
            await asyncio.sleep(1)
            if errors:
                errors -= 1
                error = RateLimited("wait", retry_after_s=60)
                error.is_busy, error.holds_s = True, 60
                raise error
            return "answer"

        with clock.running():
            answered = await Retry().run(lambda: throttle.run(answer))
        assert answered.value == "answer"
        assert clock.seconds() == pytest.approx(4)
        assert now() > 180

    run_virtual(main())


async def limited(
    work: Callable[[WorkClock], Awaitable[object]], *, seconds: float | None
) -> tuple[float, float, bool, bool]:
    """Do `work` within a limit; return the time, the seconds worked, and whether it expired, as told by either."""
    expired = False
    try:
        async with asyncio.timeout(None) as limit:
            clock = WorkClock(limit)
            if seconds is not None:
                clock.expire_after(seconds)
            with clock.running():
                await work(clock)
    except TimeoutError:
        expired = True
    return now(), clock.seconds(), limit.expired(), expired


def test_limit_expires_after_so_much_work() -> None:
    """A limit is not reached by waiting, and expires after the seconds of work that were left."""

    async def work(clock: WorkClock) -> None:
        await asyncio.sleep(3)
        await wait(100)
        await asyncio.sleep(1)
        await asyncio.gather(wait(10), wait(20))
        await asyncio.sleep(100)

    assert run_virtual(limited(work, seconds=5)) == (125, 5, True, True)
    assert run_virtual(limited(work, seconds=105)) == (224, 104, False, False)


def test_limit_expires_where_nobody_waits() -> None:
    """Without waits it is a limit like any other."""
    assert run_virtual(limited(lambda clock: asyncio.sleep(100), seconds=5)) == (5, 5, True, True)
    assert run_virtual(limited(lambda clock: asyncio.sleep(4), seconds=5)) == (4, 4, False, False)
    assert run_virtual(limited(lambda clock: asyncio.sleep(100), seconds=None)) == (100, 100, False, False)


def test_limit_does_not_expire_while_a_call_waits() -> None:
    """As long as any call waits nothing expires, though another works meanwhile."""

    async def work(clock: WorkClock) -> None:
        await asyncio.gather(wait(50), asyncio.sleep(40))
        await asyncio.sleep(3)

    assert run_virtual(limited(work, seconds=4)) == (53, 3, False, False)


def test_limit_may_be_set_while_a_call_waits() -> None:
    """Seconds of work begin to count when nobody waits any more, not when the limit was set."""

    async def work(clock: WorkClock) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(8))
            await asyncio.sleep(5)
            clock.expire_after(10)
            group.create_task(asyncio.sleep(100))

    assert run_virtual(limited(work, seconds=None)) == (18, 10, True, True)


def test_limit_may_be_set_anew() -> None:
    """The last limit counts, from when it was set."""

    async def work(clock: WorkClock) -> None:
        await asyncio.sleep(3)
        clock.expire_after(5)
        await wait(10)
        await asyncio.sleep(4)
        clock.expire_after(5)
        await asyncio.sleep(100)

    assert run_virtual(limited(work, seconds=4)) == (22, 12, True, True)


def test_limit_that_is_due_as_a_wait_begins_expires_after_it() -> None:
    """A wait that begins in the very moment holds the limit until it ends, not for ever."""

    async def work(clock: WorkClock) -> None:
        await asyncio.sleep(5)
        await wait(10)
        await asyncio.sleep(100)

    end, worked, *expired = run_virtual(limited(work, seconds=5))
    assert (end, worked) in ((5, 5), (15, 5))
    assert expired == [True, True]


@pytest.mark.parametrize("error", [RuntimeError("no"), asyncio.CancelledError()])
def test_wait_that_fails_is_over(error: BaseException) -> None:
    """After a wait that ends in an exception the clock goes on, and the limit counts again."""

    async def fail() -> None:
        with waiting():
            await asyncio.sleep(10)
            raise error

    async def work(clock: WorkClock) -> None:
        with suppress(type(error)):
            await fail()
        await asyncio.sleep(100)

    assert run_virtual(limited(work, seconds=5)) == (15, 5, True, True)


@pytest.mark.parametrize("is_throttled", [False, True])
def test_cancelled_waits_are_over(is_throttled: bool) -> None:
    """Calls that are cancelled while they wait for a turn, for the rate or to try again leave the clock going."""

    async def refuse() -> None:
        raise RateLimited("wait", retry_after_s=1000)

    async def work(clock: WorkClock) -> None:
        throttle = Throttle(ceiling=2, rate=Rate(requests=1))
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(Retry().run(lambda: throttle.run(refuse)) if is_throttled else wait(1000))
            for _ in range(4)
        ]
        for task in tasks:
            await asyncio.sleep(5)
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(100)

    assert run_virtual(limited(work, seconds=7)) == (27, 7, True, True)


def test_expiry_ends_what_is_within() -> None:
    """A limit that expires cancels the work, whose cleaning up may wait and work as long as it takes."""

    async def work(clock: WorkClock) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await wait(3)
            await asyncio.sleep(2)

    assert run_virtual(limited(work, seconds=5)) == (10, 7, True, True)


def test_calls_may_outlive_the_limit() -> None:
    """A call that goes on in the background when the limit is over waits on without harm."""
    left: list[asyncio.Task[None]] = []

    async def background() -> None:
        for _ in range(3):
            await wait(2)
            await asyncio.sleep(2)

    async def work(clock: WorkClock) -> None:
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(1)

    async def main() -> None:
        await limited(work, seconds=100)
        await left[0]

    run_virtual(main())


def test_the_same_clock_may_run_in_several_places() -> None:
    """Calls side by side under one clock, in blocks of their own, stop it together."""

    async def main() -> float:
        clock = WorkClock()

        async def part(seconds: float) -> None:
            with clock.running(), clock.running():
                await wait(seconds)
                await asyncio.sleep(10 - seconds)

        await asyncio.gather(part(1), part(4), part(2))
        return clock.seconds()

    assert run_virtual(main()) == 6


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["work", "wait", "both", "none"]), st.integers(0, 9)), max_size=12),
    st.integers(1, 30),
)
def test_no_plan_moves_the_limit(plan: list[tuple[str, int]], seconds: int) -> None:
    """Whatever is done in turn, the limit expires exactly when that much of it was work."""

    async def work(clock: WorkClock) -> None:
        for what, length in plan:
            if what == "work":
                await asyncio.sleep(length)
            elif what == "wait":
                await wait(length)
            elif what == "both":
                await asyncio.gather(asyncio.sleep(length), wait(length))
            else:
                await asyncio.sleep(0)
        await asyncio.sleep(1000)

    _, worked, *expired = run_virtual(limited(work, seconds=seconds))
    assert worked == seconds
    assert expired == [True, True]
