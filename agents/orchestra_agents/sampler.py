"""One sample, paid for and recorded once: the only way from a question to a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestra_agents.booking import Retries, worst_cost
from orchestra_agents.errors import BudgetExceeded, ModelError, ModelUnavailable
from orchestra_agents.flags import Check
from orchestra_agents.journal.records import Asked, CallFailed, Embedded, Sampled
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import RunJournal, text_key
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import (
    Completion,
    Model,
    Prompt,
    Sampling,
    digest,
)
from orchestra_agents.models.embeddings import Embedder, Embeddings

T = TypeVar("T", Completion, Embeddings)
W = TypeVar("W")
_AS_TEXTS = "embedding"  # the policy of a request for vectors, which has none


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
    """

    def __init__(
        self, models: Sequence[Model], *, journal: RunJournal, state: RunState, ledger: Ledger, limit: CallLimit
    ) -> None:
        self._models = tuple(models)
        self.state = state
        self._journal, self._ledger, self._limit = journal, ledger, limit
        self._tell: list[Callable[[], None]] = []

    def panel(self, models: Sequence[Model]) -> Sampler:
        """Return a sampler of other models on the same journal, ledger and limit, with the same first call."""
        other = Sampler(models, journal=self._journal, state=self.state, ledger=self._ledger, limit=self._limit)
        other._tell = self._tell
        return other

    def on_first_call(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once, when the next call of this sampler, or of one made of it, or work in time begins."""
        self._tell = [tell]

    def member(self, place: int) -> Model:
        """Return the panel's member at `place`, counted round and round."""
        return self._models[place % len(self._models)]

    async def draw(self, node: str, prompt: Prompt, sampling: Sampling, *, offset: int = 0, red_flag: Check) -> Sample:
        """Return sample `sampling.index` of `prompt` asked for `node`; a recorded one is not asked again.

        Raises:
            BudgetExceeded: The call could pass a cap; nothing was asked.
            ModelError: The model did not answer.
        """
        model = self.member(offset + sampling.index)
        identity = Asked(
            node=node,
            input=digest(prompt.rendered()),
            model=model.name,
            policy=sampling.policy(),
            index=sampling.index,
        )
        recorded = self.state.reply(identity.sample())
        if recorded is not None:
            return Sample(self._journal.journal.blob(recorded.text), recorded.flag, recorded.opaque)
        reservation = await self._turn(worst_cost(prompt, sampling))
        try:
            if self._tell:
                self._tell.pop()()

            async def call() -> Completion:
                [completion] = await model.sample(prompt, sampling, 1)
                return completion

            completion, seconds = await self._ask(call, identity, reservation)
        finally:
            self._limit.release()
            reservation.release()
        return self._keep(identity, completion, red_flag(completion), seconds)

    async def embed(self, node: str, texts: Sequence[str], embedder: Embedder) -> list[list[float]]:
        """Return a vector for each of `texts`, asked for `node`; recorded ones are not asked again.

        Raises:
            BudgetExceeded: The call could pass a cap; nothing was asked.
            ModelError: The server did not answer.
        """
        identity = Asked(node=node, input=digest(list(texts)), model=embedder.name, policy=_AS_TEXTS, index=0)
        recorded = self.state.embedding(identity.sample())
        if recorded is not None:
            return list(json.loads(self._journal.journal.blob(recorded.text)))
        reservation = await self._turn(Cost(calls=1, tokens=sum(len(text.encode()) for text in texts)))
        try:
            made, seconds = await self._ask(lambda: embedder.embed(texts), identity, reservation)
        finally:
            self._limit.release()
            reservation.release()
        vectors = json.dumps(made.vectors, separators=(",", ":"))
        self._journal.append(
            Embedded(
                **identity.model_dump(),
                text=text_key(vectors),
                input_tokens=made.usage.input_tokens,
                estimated=made.usage.estimated,
                attempts=made.attempts,
                calls=made.calls,
                seconds=round(seconds, 6),
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
        self, call: Callable[[], Awaitable[T]], identity: Asked, reservation: Reservation
    ) -> tuple[T, float]:
        """Make the call, recorded before and booked after, and return what it gives and its seconds."""
        loop = asyncio.get_running_loop()
        self._journal.append(identity)
        started = loop.time()
        retries = Retries(self._ledger)
        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as deadline:
                with retries.counted():
                    made = await call()
        except (ModelError, ModelUnavailable, BudgetExceeded) as error:
            attempts, calls, unknown = retries.tried(error)
            counts = {"attempts": attempts, "calls": calls, "unknown": unknown}
            self._journal.append(CallFailed.model_validate(identity.model_dump() | {"code": error.code} | counts))
            reservation.commit(Cost(calls=calls + unknown, tokens=reservation.worst.tokens if unknown else 0))
            raise
        except (asyncio.CancelledError, TimeoutError) as error:
            reservation.commit(Cost(calls=1, tokens=reservation.worst.tokens))  # the server may finish it all the same
            if isinstance(error, TimeoutError) and deadline.expired():  # else somebody outside cancels: pass it on
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise
        finally:
            retries.release()
        tokens = made.usage.input_tokens + made.usage.output_tokens
        reservation.commit(Cost(calls=made.calls, tokens=tokens))
        return made, loop.time() - started

    def _keep(self, identity: Asked, completion: Completion, flag: str | None, seconds: float) -> Sample:
        text = completion.text.encode("utf-8", "replace").decode()
        self._journal.append(
            Sampled(
                **identity.model_dump(),
                text=text_key(text),
                finish_reason=completion.finish_reason,
                flag=flag,
                opaque=completion.opaque,
                input_tokens=completion.usage.input_tokens,
                output_tokens=completion.usage.output_tokens,
                estimated=completion.usage.estimated,
                cost_usd=0.0,
                attempts=completion.attempts,
                calls=completion.calls,
                seconds=round(seconds, 6),
            ),
            text=text,
        )
        return Sample(text, flag, completion.opaque)
