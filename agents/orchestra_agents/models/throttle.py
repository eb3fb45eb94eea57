"""How many requests to one model may be in flight, and how fast they may follow one another."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestra_agents.errors import InputError, ModelError
from orchestra_agents.models._observer import observer
from orchestra_agents.models.contract import Completion
from orchestra_agents.working_time import waiting

T = TypeVar("T")

LONGEST_HOLD_S = 1800.0
"""Longest time for which a server can keep everybody from asking it; whoever is then refused gives up by himself."""
START = 8
"""Requests in flight to begin with, where the ceiling allows."""
BACK_OFF = 0.9
"""What is left of the width after a refusal."""
_BURST_S = 1.0
"""Seconds whose share of a rate may be used at once."""
_MINUTE_S = 61.0
"""Seconds in which a minute's amount is let through: on their way some requests take longer than others."""
_GAIN = 1.05
"""How much more a quarter more requests in flight must bring, else no more are tried: the server only queues them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a provider allows in any minute; None is no limit of ours.

    Raises:
        InputError: One is not a number above 0.
    """

    requests: float | None = None
    """Requests a minute."""
    tokens: float | None = None
    """Tokens a minute, input and output together."""

    def __post_init__(self) -> None:
        for name in ("requests", "tokens"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and 0 < value < math.inf):
                raise InputError(f"rate.{name}", f"must be a number above 0, got {value!r}")


_NO_RATE = Rate()


_LARGEST_STEP = 0.1
"""Most that an answer widens by after the start: a width below ten grows more slowly than by one a round trip."""
_FADES = 0.98
"""What is left, a round later, of the answers a second of an earlier width."""


class Throttle:
    """Shares one model's endpoint among all who ask it, first come, first served.

    The width, how many requests may be in flight, starts small and doubles every round trip until the server first
    refuses one as too many or more requests bring no more answers. From then on it grows by one a round trip (by a
    tenth, where it is below ten), and falls by a tenth, once a round trip, when the server is busy. A server that says
    for how long nobody should ask is not asked by anybody. Time spent here is no working time. Used in one event loop
    at a time.

    Args:
        ceiling: Largest width, at least 1.
        floor: Smallest width, at least 1.
        rate: What may be asked in a minute.
    """

    def __init__(self, *, ceiling: int, floor: int = 1, rate: Rate = _NO_RATE) -> None:
        if not 1 <= floor <= ceiling:
            raise InputError("concurrency", f"must be at least {floor}, got {ceiling}")
        self.width = float(min(ceiling, max(floor, START)))
        self._floor, self._ceiling = floor, ceiling
        self._requests = None if rate.requests is None else _Meter(rate.requests)
        self._tokens = None if rate.tokens is None else _Meter(rate.tokens)
        self._in_flight = 0
        self._epoch = 0
        self._is_starting = True
        self._held_until = -math.inf
        self._waiting: deque[_Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._now = -math.inf
        self._yield = _Yield()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    async def run(
        self, call: Callable[[], Awaitable[T]], tokens: int = 0, spent: Callable[[T], int] | None = None
    ) -> T:
        """Return what `call`, one request, gives, made when it is its turn.

        Args:
            call: Sends the request.
            tokens: What it may take, input and output together.
            spent: What it took, told by its result; None takes `tokens` for it.
        """
        heard = observer.get()
        if heard is not None:
            heard.queued()
        turn = await self._enter(tokens)
        epoch = turn.come.result()
        if heard is not None:
            heard.sent()
        try:
            result = await call()
            is_full = self._in_flight >= int(self.width)
            if spent is not None and self._tokens is not None:
                self._tokens.correct(turn.tokens, spent(result))
        except ModelError as error:
            if error.is_busy:
                self._narrow(epoch)
            if error.holds_s:
                self._hold(error.holds_s)
            raise
        finally:
            self._leave()
        if is_full:
            self._widen()
        return result

    async def _enter(self, tokens: int) -> _Turn:
        """Wait for a place among those in flight, and until the server and the rates allow it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        turn = _Turn(loop.create_future(), _Passed(tokens))
        self._waiting.append(turn)
        self._admit()
        if not turn.come.done():
            with waiting():
                await self._come(turn)
        return turn

    async def _come(self, turn: _Turn) -> None:
        try:
            await turn.come
        except asyncio.CancelledError:
            if not turn.come.cancelled():  # it had come already, and nothing was sent
                if self._tokens is not None:
                    self._tokens.correct(turn.tokens, 0)
                self._leave()
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        """Let go who may; who waits for the time alone is called by the clock."""
        assert self._loop is not None
        while self._waiting and self._in_flight < int(self.width):
            turn = self._waiting[0]
            if not turn.come.done():
                now = self._now = self._loop.time()
                due = self._due(turn)
                if now < due:
                    self._call_at(due)
                    return
                self._in_flight += 1
                self._take(turn, now)
                turn.come.set_result(self._epoch)
            self._waiting.popleft()

    def _call_at(self, due: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._admit)

    def _due(self, turn: _Turn) -> float:
        """Return the time from which a request may be sent."""
        due = self._held_until
        if self._requests is not None:
            due = max(due, self._requests.due(1))
        if self._tokens is not None:
            due = max(due, self._tokens.due(turn.tokens.amount))
        return due

    def _take(self, turn: _Turn, now: float) -> None:
        if self._requests is not None:
            self._requests.take(_Passed(1), now)
        if self._tokens is not None:
            self._tokens.take(turn.tokens, now)

    def _widen(self) -> None:
        """Let more be in flight after an answer, if more in flight bring more answers."""
        assert self._loop is not None
        if not self._yield.count(self.width, self._loop.time()):
            self._is_starting = False
            return
        step = 1.0 if self._is_starting else min(1.0 / self.width, _LARGEST_STEP)
        self.width = min(self._ceiling, self.width + step)
        self._admit()

    def _narrow(self, epoch: int) -> None:
        """Let fewer be in flight after a refusal, once for all that were sent at the same width."""
        if epoch != self._epoch:
            return
        self._epoch += 1
        self.width = max(self._floor, self.width * (0.5 if self._is_starting else BACK_OFF))
        self._is_starting = False
        self._yield = _Yield()

    def _hold(self, seconds: float) -> None:
        assert self._loop is not None
        self._held_until = max(self._held_until, self._loop.time() + min(seconds, LONGEST_HOLD_S))

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the waiters of another loop, and its times where the clock is another one, too."""
        self._loop, self._in_flight, self._timer = loop, 0, None
        self._waiting.clear()
        self._yield = _Yield()
        if loop.time() < self._now:
            self._held_until = -math.inf
            for meter in (self._requests, self._tokens):
                if meter is not None:
                    meter.forget()


def spent_tokens(completions: Sequence[Completion]) -> int:
    """Return the tokens that completions took, input and output together."""
    return sum(one.usage.input_tokens + one.usage.output_tokens for one in completions)


@dataclass(slots=True)
class _Passed:
    """What a request takes of a rate."""

    amount: float
    at: float = math.inf
    """When it was sent."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A request's turn."""

    come: asyncio.Future[int]
    """Tells, once it has come, how often the width had fallen by then."""
    tokens: _Passed


class _Meter:
    """Lets amounts through at a rate: in any minute at most what the rate says, a second's share of it at once.

    An amount larger than a minute's goes alone.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._seconds_each = _MINUTE_S / most
        self._passed: deque[_Passed] = deque()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._next = -math.inf
        self._sum = 0.0
        self._passed.clear()

    def due(self, amount: float) -> float:
        """Return the time from which `amount` may pass."""
        due, excess = self._next, self._sum + amount - self._most
        for passed in self._passed:
            if excess <= 0:
                break
            excess -= passed.amount
            due = max(due, passed.at + _MINUTE_S)
        return due

    def take(self, passed: _Passed, now: float) -> None:
        """Let an amount pass."""
        while self._passed and self._passed[0].at + _MINUTE_S <= now:
            self._sum -= self._passed.popleft().amount
        passed.at = now
        self._passed.append(passed)
        self._sum += passed.amount
        self._next = max(self._next, now - _BURST_S) + passed.amount * self._seconds_each

    def correct(self, passed: _Passed, amount: float) -> None:
        """Take more for what has passed, or give back what was not used."""
        more = amount - passed.amount
        passed.amount = amount
        self._next += more * self._seconds_each
        if self._passed and self._passed[0].at <= passed.at:
            self._sum += more


class _Yield:
    """Answers a second at each width, to tell whether more requests in flight bring more of them (Little's law).

    A round is as many answers as the width at its beginning. Its rate is compared with that of the last round at most
    four fifths as wide; what is remembered fades, so that growing is tried again after a while.
    """

    def __init__(self) -> None:
        self._rounds: list[tuple[float, float]] = []
        self._count = -1
        """Answers of this round; the first round is the end of another width and tells nothing."""
        self._width = 0.0
        self._since = 0.0
        self._pays = True

    def count(self, width: float, now: float) -> bool:
        """Count an answer, and return whether growing has paid so far."""
        if not self._width:
            self._width, self._since = width, now
        self._count += 1
        if self._count >= self._width and now > self._since:
            rate = self._count / (now - self._since)
            kept = [(wide, one * _FADES) for wide, one in self._rounds if wide < self._width]
            narrower = [one for wide, one in kept if wide * 1.25 <= self._width]
            self._pays = not narrower or rate >= _GAIN * narrower[-1]
            self._rounds = [*kept, (self._width, rate)]
            self._count, self._width, self._since = 0, width, now
        return self._pays
