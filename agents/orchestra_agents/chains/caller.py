"""Several samples of one prompt, within the budget and the limit of calls in flight: how chains reach their models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestra_agents.booking import Retries, worst_cost
from orchestra_agents.errors import BudgetExceeded, ModelError, ModelUnavailable
from orchestra_agents.journal.chain_records import Spent
from orchestra_agents.ledger import Cost, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import Completion, Model, Prompt, Sampling


class Bill:
    """What a piece of work took so far: plain sums, kept current while it is under way."""

    __slots__ = ("attempts", "calls", "estimated", "flagged", "input_tokens", "output_tokens", "samples", "unknown")

    def __init__(self) -> None:
        self.calls = self.samples = self.attempts = self.unknown = self.flagged = 0
        self.input_tokens = self.output_tokens = 0
        self.estimated = False

    def add(self, completions: Sequence[Completion]) -> None:
        """Count completions."""
        self.samples += len(completions)
        for completion in completions:
            usage = completion.usage
            self.calls += completion.calls
            self.attempts += completion.attempts
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.estimated |= usage.estimated

    def merge(self, other: Bill) -> None:
        """Count what another bill holds, too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.estimated = bool(self.estimated)

    def spent(self) -> Spent:
        """Return the sums as a record's value."""
        return Spent(**{name: getattr(self, name) for name in self.__slots__})


class Caller:
    """Sends requests for a chain.

    Args:
        ledger: The run's account.
        limit: Bounds the calls in flight; shared by all work of a session.
    """

    def __init__(self, *, ledger: Ledger, limit: CallLimit) -> None:
        self._ledger, self._limit = ledger, limit
        self._is_capped = ledger.is_capped

    async def request(
        self, model: Model, prompt: Prompt, samplings: Sequence[Sampling], bill: Bill
    ) -> list[Completion]:
        """Return one completion for each of `samplings`, which differ in their index alone and count up.

        As many calls are made at once as there are free slots, at least one: so chains that share a limit take turns,
        and none holds some slots while it waits for others.

        Raises:
            ModelError: The model did not answer; `bill` holds what was spent.
            BudgetExceeded: The calls could pass a cap; nothing was asked.
        """
        if not self._is_capped:
            return await self._send(model, prompt, samplings, bill)
        reservation = await self._ledger.admit(worst_cost(prompt, samplings[0]) * len(samplings))
        own = Bill()
        try:
            return await self._send(model, prompt, samplings, own)
        finally:
            reservation.commit(Cost(calls=own.calls + own.unknown, tokens=own.input_tokens + own.output_tokens))
            bill.merge(own)

    async def _send(self, model: Model, prompt: Prompt, samplings: Sequence[Sampling], bill: Bill) -> list[Completion]:
        done: list[Completion] = []
        limit = self._limit
        while len(done) < len(samplings):
            wanted = len(samplings) - len(done)
            slots = limit.take(wanted)
            if not slots:
                await limit.acquire()
                slots = 1 + limit.take(wanted - 1)
            try:
                done += await self._sample(model, prompt, samplings[len(done)], slots, bill)
            finally:
                limit.release(slots)
        return done

    async def _sample(
        self, model: Model, prompt: Prompt, sampling: Sampling, count: int, bill: Bill
    ) -> list[Completion]:
        if not self._is_capped:
            try:
                completions = await model.sample(prompt, sampling, count)
            except BaseException as error:
                _bill_failure(error, count, bill)
                raise
        else:
            completions = await self._sample_booked(model, prompt, sampling, count, bill)
        bill.add(completions)
        return completions

    async def _sample_booked(
        self, model: Model, prompt: Prompt, sampling: Sampling, count: int, bill: Bill
    ) -> list[Completion]:
        """Sample until time is up, each retry within the budget."""
        retries = Retries(self._ledger)
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                with retries.counted():
                    return await model.sample(prompt, sampling, count)
        except TimeoutError as error:
            bill.unknown += count
            if deadline.expired():
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise
        except BudgetExceeded as error:
            attempts, calls, unknown = retries.tried(error)
            bill.attempts, bill.calls, bill.unknown = (
                bill.attempts + attempts,
                bill.calls + calls,
                bill.unknown + unknown + count - 1,
            )
            raise
        except BaseException as error:
            _bill_failure(error, count, bill)
            raise
        finally:
            retries.release()


def _bill_failure(error: BaseException, count: int, bill: Bill) -> None:
    """Count what a request that failed took: its own attempts are told, its siblings' outcome is unknown."""
    if isinstance(error, ModelError):
        bill.attempts += error.attempts
        bill.calls += error.calls
        bill.unknown += error.unknown + count - 1
    elif not isinstance(error, ModelUnavailable):
        bill.unknown += count  # cancelled: the server may finish them all the same
