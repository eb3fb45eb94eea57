"""The throttle finds how much a server takes, keeps to rates, and never loses a place; in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.testing import VirtualTimeLoop, run_virtual
from orchestra_agents.errors import InputError, InvalidRequest, ModelError, RateLimited, ServerError
from orchestra_agents.models.throttle import BACK_OFF, START, Rate, Throttle


def busy(holds_s: float | None = None) -> ModelError:
    """Return the error of a server that has too much to do."""
    error = RateLimited("busy")
    error.is_busy, error.holds_s = True, holds_s
    return error


@dataclass
class HiddenServer:
    """Answers so many at a time and refuses the rest, or lets them queue; its clock is the loop's."""

    limit: Callable[[float], float] = lambda now: float("inf")
    """Requests in flight from which it refuses, by time."""
    latency_s: float = 0.1
    jitter: float = 0.0
    """Part of the latency by which it varies."""
    refuses_after_s: float = 0.0
    workers: int | None = None
    """How many it serves at once, where it lets the others queue."""
    seed: int = 1
    sent: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.places = asyncio.Semaphore(self.workers or 1_000_000)

    async def answer(self) -> str:
        """Answer, or refuse, a request."""
        loop = asyncio.get_running_loop()
        self.sent.append(loop.time())
        if self.in_flight >= self.limit(loop.time()):
            if self.refuses_after_s:
                await asyncio.sleep(self.refuses_after_s)
            self.refused.append(loop.time())
            raise busy()
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            async with self.places:
                await asyncio.sleep(self.latency_s * (1 + self.jitter * self.random.uniform(-1, 1)))
        finally:
            self.in_flight -= 1
        return "answer"


@dataclass
class Seen:
    """What happened to a server's throttle."""

    widths: list[tuple[float, float]] = field(default_factory=list)
    """Time and width, ten times a second."""

    def between(self, begin: float, end: float) -> list[float]:
        """Return the widths of some seconds."""
        return [width for time, width in self.widths if begin <= time < end]


def load(server: Callable[[], HiddenServer], throttle: Throttle, *, seconds: float, askers: int = 300) -> Any:
    """Ask a server for so long by so many at once, who try again when refused; return it and what was seen."""

    async def main() -> tuple[HiddenServer, Seen]:
        loop, seen, asked = asyncio.get_running_loop(), Seen(), server()

        async def ask() -> None:
            while loop.time() < seconds:
                try:
                    await throttle.run(asked.answer)
                except RateLimited:
                    await asyncio.sleep(asked.random.uniform(0.5, 1))

        async def watch() -> None:
            while loop.time() < seconds:
                seen.widths.append((loop.time(), throttle.width))
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            for _ in range(askers):
                group.create_task(ask())
        assert throttle.in_flight == 0
        return asked, seen

    return run_virtual(main())


@pytest.mark.parametrize(
    ("ceiling", "jitter", "refuses_after_s", "seed"),
    [
        (64, 0.0, 0.0, 1),
        (256, 0.0, 0.002, 1),
        (64, 0.3, 0.002, 2),
        (256, 0.3, 0.0, 3),
        (256, 0.3, 0.002, 4),
        (64, 0.9, 0.0, 5),
        (256, 0.9, 0.002, 6),
    ],
)
def test_hidden_limit_is_found(ceiling: int, jitter: float, refuses_after_s: float, seed: int) -> None:
    """Against a limit that no server tells, the width settles on it and hardly any request is refused."""

    def server() -> HiddenServer:
        return HiddenServer(lambda now: 37, jitter=jitter, refuses_after_s=refuses_after_s, seed=seed)

    asked, seen = load(server, Throttle(ceiling=ceiling), seconds=90)
    late = seen.between(30, 90)
    assert sum(33 <= width <= 41 for width in late) >= 0.95 * len(late)
    assert min(seen.between(0, 30)) >= START  # many refusals in one moment are one sign, not many
    assert sum(time > 30 for time in asked.refused) < 0.02 * sum(time > 30 for time in asked.sent)
    # 37 in flight for a tenth of a second each would be 370 answers a second.
    assert len(asked.sent) - len(asked.refused) > 0.9 * 370 * 90


def test_limit_that_moves_is_followed() -> None:
    """When a server takes less, or more, than before, the width goes along."""

    def limit(now: float) -> float:
        return 37 if now < 20 else 12 if now < 40 else 60

    asked, seen = load(lambda: HiddenServer(limit, jitter=0.2), Throttle(ceiling=256), seconds=60)
    for begin, end, least, most in ((10, 20, 33, 41), (25, 40, 10, 14), (52, 60, 53, 64)):
        assert all(least <= width <= most for width in seen.between(begin, end))
    assert len(asked.refused) < 0.03 * len(asked.sent)


def test_slow_start_doubles() -> None:
    """Until the first refusal, every round trip doubles what is in flight, up to the ceiling and never above."""
    _, seen = load(lambda: HiddenServer(latency_s=1.0), Throttle(ceiling=200), seconds=10)
    assert [width for time, width in seen.widths[5::10]] == [8, 16, 32, 64, 128, 200, 200, 200, 200, 200]


def test_fewer_askers_than_the_width_do_not_widen_it() -> None:
    """Answers while there was room tell nothing about more."""
    _, seen = load(HiddenServer, Throttle(ceiling=200), seconds=10, askers=5)
    assert {width for _, width in seen.widths} == {START}
    asked, _ = load(HiddenServer, Throttle(ceiling=200), seconds=10, askers=20)
    assert asked.most == 20


def test_ceiling_and_floor_are_kept() -> None:
    """No more are in flight than the ceiling, and no fewer may be than the floor."""
    asked, seen = load(HiddenServer, Throttle(ceiling=5), seconds=5)
    assert asked.most == 5
    _, seen = load(lambda: HiddenServer(lambda now: 0, refuses_after_s=0.1), Throttle(ceiling=50, floor=3), seconds=30)
    assert seen.widths[-1][1] == 3
    assert Throttle(ceiling=100, floor=20).width == 20
    with pytest.raises(InputError, match="concurrency"):
        Throttle(ceiling=0)


@pytest.mark.parametrize("after_s", [0.0, 0.01])
def test_width_falls_once_a_round_trip(after_s: float) -> None:
    """However many of those in flight are refused, the width falls once; the next ones may lower it again."""
    throttle = Throttle(ceiling=100)

    async def refuse() -> None:
        await asyncio.sleep(after_s)
        raise busy()

    async def round_trip() -> None:
        await asyncio.gather(*(throttle.run(refuse) for _ in range(int(throttle.width))), return_exceptions=True)

    async def main() -> list[float]:
        widths = []
        for _ in range(4):
            await round_trip()
            widths.append(throttle.width)
        return widths

    first = START / 2  # in the slow start it was half as wide a round trip ago
    assert run_virtual(main()) == pytest.approx([max(1, first * BACK_OFF**falls) for falls in range(4)])


@pytest.mark.parametrize("error", [InvalidRequest("no"), ServerError("no"), RuntimeError("no")])
def test_only_a_busy_server_narrows(error: Exception) -> None:
    """Other failures say nothing about how much a server takes; they pass through and free their place."""
    throttle = Throttle(ceiling=100)

    async def fail() -> None:
        raise error

    async def main() -> None:
        for _ in range(2 * START):
            with pytest.raises(type(error)):
                await throttle.run(fail)

    run_virtual(main())
    assert (throttle.width, throttle.in_flight) == (START, 0)


@pytest.mark.parametrize("workers", [4, 16])
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_server_that_only_queues_stops_the_growth(workers: int, jitter: float) -> None:
    """Where more in flight bring no more answers, the width does not run to the ceiling, and nothing is lost by it."""
    asked, seen = load(
        lambda: HiddenServer(workers=workers, latency_s=0.4, jitter=jitter), Throttle(ceiling=300), seconds=30
    )
    assert all(width < 150 for width in seen.between(0, 30))
    assert len(asked.sent) > 0.9 * 30 * workers / 0.4


@pytest.mark.parametrize("rate", [Rate(), Rate(requests=600), Rate(tokens=6000)])
@pytest.mark.parametrize("kind", [RateLimited, ServerError])
def test_nobody_asks_while_a_server_wants_none(rate: Rate, kind: type[ModelError]) -> None:
    """When one request is told for how long to wait, none is sent by anybody until then, though others be told less."""
    throttle = Throttle(ceiling=50, rate=rate)
    sent: list[float] = []
    told: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def answer() -> None:
            sent.append(loop.time())
            await asyncio.sleep(0.5)
            if 5 < loop.time() < 6:
                told.append(loop.time())
                error = kind("wait")
                error.is_busy, error.holds_s = kind is RateLimited, 30.0 if len(told) == 1 else 10.0
                raise error

        async def ask() -> None:
            while loop.time() < 60:
                try:
                    await throttle.run(answer, tokens=10)
                except ModelError:
                    await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask())

    run_virtual(main())
    assert len(told) > 2
    assert not [time for time in sent if told[0] < time < told[0] + 30]
    assert [time for time in sent if told[0] + 30 <= time < told[0] + 30.2]
    if rate.requests is not None:
        assert most_in_a_minute([(time, 1.0) for time in sent]) <= rate.requests


def spend(
    rate: Rate,
    amounts: Callable[[random.Random], int],
    *,
    seconds: float = 600,
    latency_s: float = 1.0,
    took: float | None = None,
) -> list[tuple[float, float]]:
    """Ask as fast as a rate allows; return when each request was sent and what it took, `took` of what it asked for."""

    async def main() -> list[tuple[float, float]]:
        throttle, rng = Throttle(ceiling=64, rate=rate), random.Random(1)
        loop = asyncio.get_running_loop()
        sent: list[tuple[float, float]] = []

        async def answer(spent: int) -> int:
            sent.append((loop.time(), spent))
            await asyncio.sleep(latency_s)
            return spent

        async def ask() -> None:
            while loop.time() < seconds:
                amount = amounts(rng)
                spent = amount if took is None else int(took * amount)
                await throttle.run(partial(answer, spent), amount, None if took is None else lambda result: result)

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(ask())
        return sent

    return [(time, amount) for time, amount in run_virtual(main()) if time < seconds]


def most_in_a_minute(sent: Sequence[tuple[float, float]]) -> float:
    """Return the largest sum of the amounts sent within any 60 seconds."""
    most = within = 0.0
    first = 0
    for time, amount in sent:
        within += amount
        while sent[first][0] <= time - 60:
            within -= sent[first][1]
            first += 1
        most = max(most, within)
    return most


@pytest.mark.parametrize("requests", [1, 7, 60, 500])
def test_rate_of_requests_is_kept_and_used(requests: int) -> None:
    """In no 60 seconds are more sent than allowed, and hardly fewer; at no moment more than a second's share."""
    sent = [(time, 1.0) for time, _ in spend(Rate(requests=requests), lambda rng: 0)]
    assert most_in_a_minute(sent) <= requests
    assert len(sent) >= 0.95 * requests * 10
    moments = [time for time, _ in sent]
    assert max(moments.count(time) for time in moments) <= 1 + requests / 60


@pytest.mark.parametrize(
    ("amounts", "used"),
    [
        (lambda rng: 10, 0.95),
        (lambda rng: rng.randint(1, 40), 0.95),
        (lambda rng: 900, 0.9),
        (lambda rng: rng.randint(1, 1000), 0.6),
    ],
    ids=["equal", "small", "large", "any"],
)
def test_rate_of_tokens_is_kept_and_used(amounts: Callable[[random.Random], int], used: float) -> None:
    """In no 60 seconds are more tokens asked for than allowed, however large a single request is."""
    sent = spend(Rate(tokens=1000), amounts)
    assert most_in_a_minute(sent) <= 1000
    assert sum(amount for _, amount in sent) >= used * 1000 * 10


def test_request_larger_than_the_rate_goes_alone() -> None:
    """What no minute allows is sent all the same, with enough time around it to keep the rate on the whole."""
    sent = spend(Rate(tokens=1000), lambda rng: 2000)
    assert [round(after - before) for (before, _), (after, _) in pairwise(sent)] == [121, *[122] * (len(sent) - 2)]


@pytest.mark.parametrize("latency_s", [0.1, 5.0])
def test_tokens_that_were_not_taken_are_given_back(latency_s: float) -> None:
    """What a request took less than it might have is there for others, and no more than that."""
    sent = spend(Rate(tokens=10_000), lambda rng: 200, took=0.5, latency_s=latency_s)
    assert most_in_a_minute(sent) <= 10_000
    assert sum(amount for _, amount in sent) >= 0.85 * 10_000 * 10


def test_tokens_beyond_what_was_announced_are_counted() -> None:
    """A request that took more than it should have leaves less for those after it."""
    sent = spend(Rate(tokens=10_000), lambda rng: 100, took=2.0, latency_s=0.0)
    assert most_in_a_minute(sent) <= 10_000 + 200
    assert sum(amount for _, amount in sent) >= 0.9 * 10_000 * 10


def test_both_rates_hold_at_once() -> None:
    """Of two rates, the one that allows less decides."""
    sent = spend(Rate(requests=60, tokens=1000), lambda rng: 100)
    assert most_in_a_minute(sent) <= 1000
    sent = [(time, 1.0) for time, _ in spend(Rate(requests=60, tokens=1000), lambda rng: 1)]
    assert most_in_a_minute(sent) <= 60


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.5, 7.0, 61.0]), st.integers(0, 120)), min_size=1, max_size=40),
    st.sampled_from([1.0, 10.0, 33.3, 100.0]),
    st.floats(0, 3600),
)
def test_no_arrivals_break_a_rate(arrivals: list[tuple[float, int]], tokens: float, start: float) -> None:
    """Whenever requests come and however large they are, a minute's sum stays within the rate or is one request."""

    async def main() -> list[tuple[float, int]]:
        throttle, sent, loop = Throttle(ceiling=50, rate=Rate(tokens=tokens)), [], asyncio.get_running_loop()

        async def answer(amount: int) -> None:
            sent.append((loop.time(), amount))

        async with asyncio.TaskGroup() as group:
            await asyncio.sleep(start)
            for pause_s, amount in arrivals:
                await asyncio.sleep(pause_s)
                group.create_task(throttle.run(partial(answer, amount), amount))
        return sent

    sent = run_virtual(main())
    assert [amount for _, amount in sent] == [amount for _, amount in arrivals]
    for time, amount in sent:
        within = [one for other, one in sent if other <= time < other + 60 and one]
        assert sum(within) <= tokens or len(within) == 1 or amount == 0


@pytest.mark.parametrize("rate", [Rate(), Rate(requests=600), Rate(tokens=300)])
def test_first_come_first_served(rate: Rate) -> None:
    """Requests are sent in the order in which they came, whether places or rates are short."""
    order: list[int] = []

    async def main() -> None:
        throttle, rng = Throttle(ceiling=4, rate=rate), random.Random(1)

        async def answer(name: int) -> None:
            order.append(name)
            await asyncio.sleep(rng.random())

        async def ask(name: int) -> None:
            await throttle.run(lambda: answer(name), tokens=rng.randint(0, 5))

        async with asyncio.TaskGroup() as group:
            for name in range(100):
                group.create_task(ask(name))
                await asyncio.sleep(rng.choice([0, 0, 0.1]))

    run_virtual(main())
    assert order == list(range(100))


async def everyone_fits(throttle: Throttle, count: int) -> None:
    """Have `count` requests in flight at once, which is only possible where no place was lost."""
    together = asyncio.Barrier(count)
    async with asyncio.timeout(1000):
        await asyncio.gather(*(throttle.run(together.wait) for _ in range(count)))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.1, 0.5]),  # before it asks
            st.sampled_from([None, 0.0, 0.1, 0.5, 0.6, 5.0]),  # before it is cancelled
            st.sampled_from([0.0, 0.1, 0.5, 1.0]),  # before it is answered
            st.sampled_from(["answer", "answer", "busy", "hold", "fail"]),
        ),
        max_size=20,
    ),
    st.integers(1, 3),
    st.sampled_from([Rate(), Rate(requests=100), Rate(tokens=100)]),
)
def test_cancelling_at_any_time_leaks_no_place(
    plan: list[tuple[float, float | None, float, str]], ceiling: int, rate: Rate
) -> None:
    """Whatever happens to requests wherever they wait, every place is free in the end, and nobody waits for ever."""

    async def answer(latency_s: float, outcome: str) -> None:
        await asyncio.sleep(latency_s)
        if outcome != "answer":
            raise busy() if outcome == "busy" else busy(2.0) if outcome == "hold" else ServerError("no")

    async def main() -> None:
        throttle = Throttle(ceiling=ceiling, rate=rate)
        loop, requests = asyncio.get_running_loop(), []
        for pause_s, cancel_s, latency_s, outcome in plan:
            await asyncio.sleep(pause_s)
            request = asyncio.create_task(throttle.run(partial(answer, latency_s, outcome), tokens=3))
            requests.append(request)
            if cancel_s is not None:
                loop.call_later(cancel_s, request.cancel)
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(one, ModelError | asyncio.CancelledError | None) for one in outcomes)
        assert throttle.in_flight == 0
        await everyone_fits(throttle, int(throttle.width))
        assert throttle.in_flight == 0
        assert not throttle._waiting

    run_virtual(main())


def test_cancelled_just_as_its_turn_came() -> None:
    """A place handed to a request that is being cancelled goes on to the next one, and takes no tokens along."""

    async def main() -> float:
        throttle = Throttle(ceiling=1, rate=Rate(tokens=61))
        loop, release = asyncio.get_running_loop(), asyncio.Event()

        async def ask_and_cancel() -> None:
            await throttle.run(release.wait, tokens=1)
            second.cancel()

        first = asyncio.create_task(ask_and_cancel())
        second = asyncio.create_task(throttle.run(release.wait, tokens=60))
        third = asyncio.create_task(throttle.run(release.wait, tokens=1))
        await asyncio.sleep(10)
        release.set()
        await asyncio.wait([first, second, third])
        assert second.cancelled()
        assert throttle.in_flight == 0
        return loop.time()

    assert run_virtual(main()) == 10


def test_one_loop_after_another() -> None:
    """A loop that ended amid requests leaves nothing behind but what was learnt about the width."""
    throttle = Throttle(ceiling=100, rate=Rate(requests=1000))

    async def die() -> None:
        for _ in range(30):
            asyncio.create_task(throttle.run(lambda: asyncio.sleep(1000)))  # noqa: RUF006
        await asyncio.sleep(100)
        assert throttle.in_flight == START

    async def work() -> float:
        await asyncio.sleep(1)
        await everyone_fits(throttle, START)
        assert throttle.in_flight == 0
        return asyncio.get_running_loop().time()

    run_virtual(die())
    assert run_virtual(work()) == 1
    assert run_virtual(work()) == 1


def test_rates_and_waits_outlast_a_loop_on_the_same_clock() -> None:
    """Where the next loop's clock goes on, as that of asyncio does, a minute is a minute across both."""
    throttle = Throttle(ceiling=10, rate=Rate(requests=10))
    sent: list[float] = []

    async def work(error: ModelError | None = None) -> float:
        loop = asyncio.get_running_loop()

        async def answer() -> None:
            sent.append(loop.time())
            if error is not None:
                raise error

        for _ in range(5):
            await asyncio.gather(throttle.run(answer), return_exceptions=True)
        return loop.time()

    def run_from(start: float, error: ModelError | None = None) -> float:
        def loop() -> VirtualTimeLoop:
            new = VirtualTimeLoop()
            new.advance(start)
            return new

        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(work(error))

    now = run_from(100.0)
    for _ in range(5):
        now = run_from(now)
    assert most_in_a_minute([(time, 1.0) for time in sent]) <= 10
    now = run_from(now, busy(500.0))
    assert run_from(now) >= now + 500
    assert run_from(0.0) < 100


def test_results_pass_through() -> None:
    """What a call gives comes back as it is."""
    throttle = Throttle(ceiling=1)
    assert run_virtual(throttle.run(lambda: asyncio.sleep(1, "answer"))) == "answer"


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), True, "60"])
@pytest.mark.parametrize("name", ["requests", "tokens"])
def test_rate_is_a_number_above_zero(name: str, wrong: Any) -> None:
    """A rate that is none is refused by its name."""
    with pytest.raises(InputError, match=f"rate.{name}"):
        Rate(**{name: wrong})
