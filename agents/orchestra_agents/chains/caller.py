"""Several samples of one prompt, within the budget and the limit of calls in flight: how chains reach their models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from orchestra_agents.booking import Requests, takes_several, worst_cost
from orchestra_agents.errors import BudgetExceeded, InputError, ModelError, ModelUnavailable
from orchestra_agents.journal.chain_records import Spent
from orchestra_agents.ledger import Cost, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import Completion, Model, Prompt, Sampling
from orchestra_agents.payment import Payment, Tariff
from orchestra_agents.prices import FREE, Price
from orchestra_agents.working_time import waiting


class Bill:
    """What a piece of work took so far: plain sums, kept current while it is under way."""

    __slots__ = (
        "attempts",
        "calls",
        "estimated",
        "flagged",
        "input_tokens",
        "output_tokens",
        "paid",
        "samples",
        "unknown",
    )

    def __init__(self) -> None:
        self.paid: Payment | None = None
        self.calls = self.samples = self.attempts = self.unknown = self.flagged = 0
        self.input_tokens = self.output_tokens = 0
        self.estimated = False

    def add(self, completions: Sequence[Completion], price: Price | None = FREE) -> None:
        """Count completions of a model that costs so much; None is a price that nobody knows."""
        self.samples += len(completions)
        for completion in completions:
            usage = completion.usage
            self.calls += completion.calls
            self.attempts += completion.attempts
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.estimated |= usage.estimated
            if price is not FREE or usage.cached_tokens or usage.reasoning_tokens:
                self.payment().pay(usage, price)

    def payment(self) -> Payment:
        """Return the sum of what was paid, to be added to."""
        self.paid = self.paid or Payment()
        return self.paid

    def merge(self, other: Bill) -> None:
        """Count what another bill holds, too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.estimated |= other.estimated
        if other.paid:
            self.payment().add(other.paid)

    def spent(self) -> Spent:
        """Return the sums as a record's value."""
        return Spent(**{name: getattr(self, name) for name in _COUNTS}, estimated=self.estimated, paid=self.paid)


_COUNTS = tuple(name for name in Bill.__slots__ if name not in ("estimated", "paid"))


_Sample = Callable[[Prompt, Sampling, int], Awaitable[list[Completion]]]
_Send = Callable[[Model, Prompt, Sequence[Sampling], Bill], Awaitable[list[Completion]]]


class Caller:
    """Sends requests for a chain.

    Args:
        ledger: The run's account.
        limit: Bounds the calls in flight; shared by all work of a session.
        tariff: What calls cost.
    """

    def __init__(self, *, ledger: Ledger, limit: CallLimit, tariff: Tariff) -> None:
        self._ledger, self._limit, self._tariff = ledger, limit, tariff
        self._is_capped = ledger.is_capped
        self._prices: dict[int, Price | None] = {}

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
        done: list[Completion] = []
        if len(samplings) > 1 and takes_several(model):
            done = await self._booked(self._send_one, model, prompt, samplings, bill, calls=1)
        left = samplings[len(done) :]
        return done + await self._booked(self._send, model, prompt, left, bill, calls=len(left)) if left else done

    async def _booked(
        self, send: _Send, model: Model, prompt: Prompt, samplings: Sequence[Sampling], bill: Bill, *, calls: int
    ) -> list[Completion]:
        """Send within the budget."""
        if not self._is_capped:
            return await send(model, prompt, samplings, bill)
        price, samples = self._tariff.of(model), len(samplings)
        worst = worst_cost(prompt, samplings[0], price, samples=samples) if calls == 1 else None
        worst = worst or worst_cost(prompt, samplings[0], price) * samples
        reservation = await self._ledger.admit(worst)
        own = Bill()
        try:
            return await send(model, prompt, samplings, own)
        finally:
            paid = own.paid or Payment()
            tokens = own.input_tokens + own.output_tokens + paid.lost_tokens
            reservation.commit(Cost(calls=own.calls + own.unknown, tokens=tokens, usd=paid.usd + paid.lost_usd))
            bill.merge(own)

    async def _send_one(
        self, model: Model, prompt: Prompt, samplings: Sequence[Sampling], bill: Bill
    ) -> list[Completion]:
        """Send one request for all of `samplings`; the server may give fewer."""
        with waiting():
            await self._limit.acquire()
        try:
            return await self._sample(model, prompt, samplings[0], len(samplings), bill, is_one=True)
        finally:
            self._limit.release()

    async def _send(self, model: Model, prompt: Prompt, samplings: Sequence[Sampling], bill: Bill) -> list[Completion]:
        done: list[Completion] = []
        limit = self._limit
        while len(done) < len(samplings):
            wanted = len(samplings) - len(done)
            count = limit.take(wanted)
            if not count:
                with waiting():
                    await limit.acquire()
                count = 1 + limit.take(wanted - 1)
            try:
                done += await self._sample(model, prompt, samplings[len(done)], count, bill)
            finally:
                limit.release(count)
        return done

    def _price_of(self, model: Model) -> Price | None:
        """Return what a model of the chain costs, found out once: a simulated one answers faster than it is named."""
        if id(model) not in self._prices:
            self._prices[id(model)] = self._tariff.of(model)
        return self._prices[id(model)]

    async def _sample(
        self,
        model: Model,
        prompt: Prompt,
        sampling: Sampling,
        count: int,
        bill: Bill,
        *,
        is_one: bool = False,
    ) -> list[Completion]:
        """Sample, in one request or in one for each, and count what it took."""
        sample: _Sample = model.sample_at_once if is_one else model.sample  # type: ignore[attr-defined]  # optional
        price = self._price_of(model)
        if price is FREE and not self._is_capped and model.evidence == "simulated":  # nothing to book, nothing is sent
            completions = await sample(prompt, sampling, count)
            bill.add(completions)
            return completions
        worst = worst_cost(prompt, sampling, price, samples=count if is_one else 1)
        call = partial(sample, prompt, sampling, count)
        completions = await self._booked_call(call, worst, 1 if is_one else count, bill)
        bill.add(completions, price)
        if lost := sum(max(0, one.calls - 1) for one in completions):
            bill.payment().lose(lost, worst.tokens, worst.usd)
        return completions

    async def _booked_call(
        self, call: Callable[[], Awaitable[list[Completion]]], worst: Cost, requests: int, bill: Bill
    ) -> list[Completion]:
        """Make a call of so many requests until time is up, each retry within the budget."""
        heard = Requests(self._ledger, worst)
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                with heard.heard():
                    return await call()
        except BaseException as error:
            # Of those that did not fail themselves nothing is known: answered, in flight, or never sent.
            is_heard = isinstance(error, ModelError | BudgetExceeded)
            none_sent = isinstance(error, ModelUnavailable | InputError)
            tried = heard.tried(error, open_=0 if none_sent else requests - is_heard)
            bill.attempts += tried.attempts
            bill.calls += tried.calls
            bill.unknown += tried.unknown
            if lost := tried.calls + tried.unknown:
                bill.payment().lose(lost, worst.tokens, worst.usd)
            if isinstance(error, TimeoutError) and deadline.expired():
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise
        finally:
            heard.release()
