"""When a failed request is sent again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from orchestra_agents.errors import ModelError
from orchestra_agents.models._observer import observer
from orchestra_agents.working_time import waiting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempted(Generic[T]):
    """What a call gave, and how many requests it took."""

    value: T
    attempts: int
    calls: int = 1
    """Requests among them that were answered 2xx or whose outcome is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Exponential waits with jitter, never shorter than what the server asks for."""

    attempts: int = 8
    """Most requests of one call, at least 1; 1 never retries."""
    total_s: float = 1800.0
    """Longest time from the first failure to the start of the last request, by the running loop's clock."""
    first_wait_s: float = 0.5
    """The first wait; each further one is twice as long. Up to as much again is added at random, so clients spread."""
    max_wait_s: float = 30.0
    """Longest wait of our own choice; a server may ask for more."""

    async def run(self, call: Callable[[], Awaitable[T]]) -> Attempted[T]:
        """Return what `call` gives, asking again after errors that are `retryable`.

        Raises:
            ModelError: The last failure, with `attempts`, `calls` and `unknown` summed over all requests sent. A wait
                that would pass `total_s` is not begun.
        """
        try:
            return Attempted(await call(), 1)
        except ModelError as error:
            if not error.retryable or self.attempts <= 1:
                _tell(error)
                raise
            first = error
        return await self._again(call, first)

    async def _again(self, call: Callable[[], Awaitable[T]], first: ModelError) -> Attempted[T]:
        """Retry `call`, whose first attempt failed with `first`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        failures: list[ModelError] = []

        async def attempt() -> T:
            try:
                if not failures:
                    raise first  # tenacity is only entered from the first failure on
                return await call()
            except ModelError as error:
                failures.append(error)
                raise

        def is_over(state: RetryCallState) -> bool:
            waited_s = loop.time() - started + state.upcoming_sleep
            return state.attempt_number >= self.attempts or waited_s > self.total_s

        retrying = AsyncRetrying(
            sleep=_sleep,
            stop=is_over,
            wait=self._wait_s,
            before_sleep=_tell_retry,
            retry=retry_if_exception(lambda error: isinstance(error, ModelError) and error.retryable),
            reraise=True,
        )
        try:
            value: T = await retrying(attempt)
        except ModelError as error:
            _tell(error)
            error.attempts = len(failures)
            error.calls, error.unknown = sum(f.calls for f in failures), sum(f.unknown for f in failures)
            raise
        return Attempted(value, len(failures) + 1, 1 + sum(f.calls + f.unknown for f in failures))

    def _wait_s(self, state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        error = state.outcome.exception() if state.outcome else None
        floor_s = (error.retry_after_s or 0.0) if isinstance(error, ModelError) else 0.0
        own_s = min(self.max_wait_s, self.first_wait_s * 2.0 ** min(state.attempt_number - 1, 32))
        return max(own_s, floor_s) + random.uniform(0, min(self.first_wait_s, own_s))


def _tell(error: ModelError) -> None:
    heard = observer.get()
    if heard is not None:
        heard.failed(error)


def _tell_retry(state: RetryCallState) -> None:
    heard = observer.get()
    error = state.outcome.exception() if state.outcome is not None else None
    if heard is not None and isinstance(error, ModelError):
        heard.failed(error)
        heard.retrying(error)


async def _sleep(seconds: float) -> None:
    with waiting():
        await asyncio.sleep(seconds)
