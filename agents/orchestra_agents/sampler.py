"""One sample, paid for and recorded once: the only way from a question to a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TypeVar

from orchestra_agents.booking import Requests, Tried, takes_several, worst_cost
from orchestra_agents.errors import BudgetExceeded, InputError, ModelError, ModelUnavailable
from orchestra_agents.flags import Check
from orchestra_agents.journal.records import Asked, CallFailed, Embedded, Record, Sampled, SampleRecord
from orchestra_agents.journal.replay import ENDPOINTS, RunState
from orchestra_agents.journal.sqlite import RunJournal, text_key
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import (
    Completion,
    Model,
    Prompt,
    Sampling,
    TokenUsage,
    digest,
)
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import FREE, Price
from orchestra_agents.probing import Probing
from orchestra_agents.shared_work import SharedWork
from orchestra_agents.working_time import WorkClock, calling, waiting

T = TypeVar("T")
W = TypeVar("W")
_AS_TEXTS = "embedding"  # the policy of a request for vectors, which has none


@dataclass(frozen=True, slots=True)
class _Call:
    """A call for one sample or several, and what is set aside for it."""

    samples: Sequence[SampleRecord]
    price: Price | None
    """None where nobody knows it."""
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a call took."""

    price: Price | None
    seconds: float
    """From sending to the reply, without waits."""
    lost: Cost
    """What requests took, at most, that may have been served in vain."""

    def cost(self, usage: TokenUsage) -> float | None:
        """Return what tokens cost in US dollars, None where nobody knows."""
        return None if self.price is None else self.price.cost(usage)


@dataclass(frozen=True, slots=True)
class Sample:
    """A reply that stands in the journal."""

    text: str
    flag: str | None
    """Why it was discarded, or None where it counts."""
    opaque: str | None = None


class Sampler:
    """Draws samples for one run: recorded ones from the journal, new ones from a model within the budget.

    Args:
        models: Panel; sample i of a question with offset o goes to member (o + i) modulo its size.
        journal: The run's writing end.
        state: The run's state, kept current by listening to the journal.
        ledger: The run's account.
        limit: Bounds the calls in flight; shared by all nested work.
        tariff: What calls cost.
        probing: What finds out about a model's server before its first call; None asks as the provider is known.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        journal: RunJournal,
        state: RunState,
        ledger: Ledger,
        limit: CallLimit,
        tariff: Tariff,
        probing: Probing | None = None,
    ) -> None:
        self._models = tuple(models)
        self.state = state
        self._journal, self._ledger, self._limit, self._tariff = journal, ledger, limit, tariff
        self._probing = probing
        self._ready: set[int] = set()
        self._finding_out = SharedWork()
        self._expected = 0.0
        self._tell: list[Callable[[], None]] = []

    def panel(self, models: Sequence[Model]) -> Sampler:
        """Return a sampler of other models on the same journal, ledger and limit, with the same first call."""
        other = copy(self)
        other._models = tuple(models)
        return other

    def expect(self, calls: float) -> None:
        """Take it that the run will make so many calls: whether it is worth asking servers what they do."""
        self._expected = calls

    def on_first_call(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once, when the next call of this sampler, or of one made of it, or work in time begins."""
        self._tell = [tell]

    def member(self, place: int) -> Model:
        """Return the panel's member at `place`, counted round and round."""
        return self._models[place % len(self._models)]

    async def draw(
        self, node: str, prompt: Prompt, sampling: Sampling, *, count: int = 1, offset: int = 0, red_flag: Check
    ) -> list[Sample]:
        """Return `count` samples of `prompt` from `sampling.index` on, asked for `node` of the member whose turn it is.

        Recorded ones are not asked again. Several go to the member in one request where it takes several, else one
        after the other.

        Raises:
            BudgetExceeded: The call could pass a cap; nothing was asked.
            ModelError: The model did not answer.
        """
        model = self.member(offset + sampling.index)
        asked = digest(prompt.rendered())
        samples: dict[int, Sample] = {}
        missing: list[SampleRecord] = []
        for index in range(sampling.index, sampling.index + count):
            one = SampleRecord(node=node, input=asked, model=model.name, policy=sampling.policy(), index=index)
            recorded = self.state.reply(one.sample())
            if recorded is None:
                missing.append(one)
            else:
                samples[index] = Sample(self._journal.journal.blob(recorded.text), recorded.flag, recorded.opaque)
        while missing:
            several = _first_row(missing) if takes_several(model) else missing[:1]
            settings = replace(sampling, index=several[0].index)
            completions, taken = await self._sampled(model, prompt, settings, several)
            for one, sample in zip(several, self._keep(several, completions, red_flag, taken), strict=False):
                samples[one.index] = sample
            missing = missing[len(completions) :]
        return [samples[index] for index in sorted(samples)]

    async def _sampled(
        self, model: Model, prompt: Prompt, sampling: Sampling, samples: Sequence[SampleRecord]
    ) -> tuple[list[Completion], _Taken]:
        """Return completions for `samples`, the first of them at least, and what they took together."""
        if self._probing is not None and id(model) not in self._ready:
            await self._find_out(model, self._probing)
        price = self._tariff.of(model)
        worst = worst_cost(prompt, sampling, price, samples=len(samples))
        sample = model.sample if len(samples) == 1 else model.sample_at_once  # type: ignore[attr-defined]  # optional
        with calling():
            return await self._ask(
                _Call(samples, price, await self._turn(worst)),
                lambda: sample(prompt, sampling, len(samples)),
                lambda made: [(one.calls, one.usage) for one in made],
            )

    async def _find_out(self, model: Model, probing: Probing) -> None:
        """Have a model know its server before its first call: work of the run, for which a subtask only waits."""

        async def find_out() -> None:
            await probing.ready(
                model,
                known=lambda: self.state.manifest.get(ENDPOINTS, {}),
                append=self._journal.append,
                ledger=self._ledger,
                tariff=self._tariff,
                calls=self._expected,
            )

        with calling(), waiting():
            await self._finding_out.wait(id(model), find_out)
        self._ready.add(id(model))

    async def embed(self, node: str, texts: Sequence[str], embedder: Embedder) -> list[list[float]]:
        """Return a vector for each of `texts`, asked for `node`; recorded ones are not asked again.

        Raises:
            BudgetExceeded: The call could pass a cap; nothing was asked.
            ModelError: The server did not answer.
        """
        one = SampleRecord(node=node, input=digest(list(texts)), model=embedder.name, policy=_AS_TEXTS, index=0)
        recorded = self.state.embedding(one.sample())
        if recorded is not None:
            return list(json.loads(self._journal.journal.blob(recorded.text)))
        price, most = self._tariff.of(embedder), sum(len(text.encode()) for text in texts)
        worst = Cost(calls=1, tokens=most, usd=price.worst(most, 0) if price is not None else 0.0)
        with calling():
            call = _Call([one], price, await self._turn(worst))
            made, taken = await self._ask(call, lambda: embedder.embed(texts), lambda made: [(made.calls, made.usage)])
        vectors = json.dumps(made.vectors, separators=(",", ":"))
        self._journal.append(
            Embedded(
                **dict(one),
                text=text_key(vectors),
                input_tokens=made.usage.input_tokens,
                estimated=made.usage.estimated,
                cost_usd=taken.cost(made.usage),
                attempts=made.attempts,
                calls=made.calls,
                lost_tokens=taken.lost.tokens,
                lost_usd=taken.lost.usd,
                seconds=round(taken.seconds, 6),
            ),
            text=vectors,
        )
        return [list(vector) for vector in made.vectors]

    async def in_time(self, work: Awaitable[W]) -> W:
        """Return what `work`, which is no call, gives before the run's time is up.

        Raises:
            BudgetExceeded: Time is up.
        """
        self._ledger.start()
        if self._tell:
            self._tell.pop()()
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                return await work
        except TimeoutError as error:
            if deadline.expired():
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise

    def check_room(self, worst: Cost) -> None:
        """Refuse work that would take `worst` and could pass a cap.

        Raises:
            BudgetExceeded: It could.
        """
        self._ledger.reserve(worst).release()

    async def _turn(self, worst: Cost) -> Reservation:
        """Wait for room in the budget, then for a slot; time that is up meanwhile ends the wait."""
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                with waiting():
                    reservation = await self._ledger.admit(worst)
                    try:
                        await self._limit.acquire()
                    except asyncio.CancelledError:
                        reservation.release()
                        raise
        except TimeoutError as error:
            if deadline.expired():
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise
        return reservation

    async def _ask(
        self, call: _Call, make: Callable[[], Awaitable[T]], parts: Callable[[T], list[tuple[int, TokenUsage]]]
    ) -> tuple[T, _Taken]:
        """Make the call, recorded before and booked after, and return what it gives and what it took.

        Args:
            call: What is asked, and what is set aside for it.
            make: Makes it.
            parts: For each completion of what it gives, the requests it took and its usage.
        """
        try:
            if self._tell:
                self._tell.pop()()
            return await self._asked(call, make, parts)
        finally:
            self._limit.release()
            call.reservation.release()

    async def _asked(
        self, call: _Call, make: Callable[[], Awaitable[T]], parts: Callable[[T], list[tuple[int, TokenUsage]]]
    ) -> tuple[T, _Taken]:
        worst, clock = call.reservation.worst, WorkClock()
        first, samples = dict(call.samples[0]), len(call.samples)
        self._journal.append(Asked(**first, samples=samples, worst_tokens=worst.tokens, worst_usd=worst.usd))
        requests = Requests(self._ledger, worst)
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                with requests.heard(), clock.running():
                    made = await make()
        except (ModelError, ModelUnavailable, BudgetExceeded, InputError) as error:
            call.reservation.commit(self._fail(call, error.code, requests.tried(error)))
            raise
        except (asyncio.CancelledError, TimeoutError) as error:
            tried = requests.tried(error, open_=1)  # the server may finish it all the same
            if tried != Tried(1, 0, 1):  # else the record of its beginning says it all
                self._fail(call, "cancelled", tried)
            call.reservation.commit(worst * (tried.calls + tried.unknown))
            if isinstance(error, TimeoutError) and deadline.expired():  # else somebody outside cancels: pass it on
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise
        finally:
            requests.release()
        took = parts(made)
        lost = replace(worst, calls=0) * sum(max(0, calls - 1) for calls, _ in took)
        price = call.price or FREE
        cost = Cost(
            calls=sum(calls for calls, _ in took),
            tokens=sum(usage.input_tokens + usage.output_tokens for _, usage in took),
            usd=sum(price.cost(usage) for _, usage in took),
        )
        call.reservation.commit(cost + lost)
        return made, _Taken(call.price, clock.seconds(), lost)

    def _fail(self, call: _Call, code: str, tried: Tried) -> Cost:
        """Record that a call failed after so many requests, and return what it took at most."""
        lost = call.reservation.worst * (tried.calls + tried.unknown)
        first = dict(call.samples[0])
        counts = tried._asdict() | {"lost_tokens": lost.tokens, "lost_usd": lost.usd}
        self._journal.append(CallFailed.model_validate({**first, "code": code, **counts}))
        return lost

    def _keep(
        self, several: Sequence[SampleRecord], completions: Sequence[Completion], red_flag: Check, taken: _Taken
    ) -> list[Sample]:
        """Record what a call gave, all of it or nothing; where n is ignored, it is fewer than were asked for."""
        kept: list[Sample] = []
        records: list[tuple[Record, str | None]] = []
        for one, completion in zip(several, completions, strict=False):
            flag, text = red_flag(completion), completion.text.encode("utf-8", "replace").decode()
            records.append((_sampled(one, completion, flag, text, taken), text))
            kept.append(Sample(text, flag, completion.opaque))
            taken = replace(taken, lost=Cost())
        self._journal.append_all(records)
        return kept


def _sampled(one: SampleRecord, completion: Completion, flag: str | None, text: str, taken: _Taken) -> Sampled:
    usage = completion.usage
    return Sampled(
        **dict(one),
        text=text_key(text),
        finish_reason=completion.finish_reason,
        flag=flag,
        opaque=completion.opaque,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        cost_usd=taken.cost(usage),
        attempts=completion.attempts,
        calls=completion.calls,
        lost_tokens=taken.lost.tokens,
        lost_usd=taken.lost.usd,
        seconds=round(taken.seconds, 6),
    )


def _first_row(samples: Sequence[SampleRecord]) -> list[SampleRecord]:
    """Return the first of `samples` and those after it whose indices count up."""
    return [one for place, one in enumerate(samples) if one.index == samples[0].index + place]
