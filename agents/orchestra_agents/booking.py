"""What a request may take at worst, and what its retries take: reserved before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from orchestra_agents.errors import ModelError
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.models._observer import observer
from orchestra_agents.models.contract import Model, Prompt, Sampling, canonical_json
from orchestra_agents.prices import FREE, Price


class Requests:
    """Hears of the requests that a call is made of, and reserves a further one before each retry of one that may have
    been served: retrying passes no cap.

    Args:
        ledger: The account.
        worst: What each of the requests may take.
    """

    def __init__(self, ledger: Ledger, worst: Cost) -> None:
        self._ledger, self._worst = ledger, worst
        self._extra: list[Reservation] = []
        self._sent: int | None = None
        """Requests that were sent; None of a model that does not tell."""
        self._failed = Tried(0, 0, 0)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear of the requests that are sent within."""
        token = observer.set(self)
        try:
            yield
        finally:
            observer.reset(token)

    def tried(self, error: BaseException, *, open_: int = 0) -> Tried:
        """Return what the requests of a call that ended with `error` came to.

        Args:
            error: Why it ended.
            open_: Requests of it that may have been served though nothing was heard of them, where the model does not
                tell when it sends one.
        """
        failed = self._failed
        if not failed.attempts and isinstance(error, ModelError):  # of a model that does not tell
            failed = Tried(error.attempts, error.calls, error.unknown)
        still = open_ if self._sent is None else max(0, self._sent - failed.attempts)
        return Tried(failed.attempts + still, failed.calls, failed.unknown + still)

    def release(self) -> None:
        """Give the reservations back: what was taken is booked with the call itself."""
        for reservation in self._extra:
            reservation.release()

    def queued(self) -> None:
        """Know that the model tells what it sends."""
        self._sent = self._sent or 0

    def sent(self) -> None:
        """Count a request."""
        self._sent = (self._sent or 0) + 1

    def failed(self, error: ModelError) -> None:
        """Count a request that failed."""
        told = self._failed
        self._failed = Tried(told.attempts + error.attempts, told.calls + error.calls, told.unknown + error.unknown)

    def retrying(self, error: ModelError) -> None:
        """Reserve what another request may take; nobody waits here who holds a reservation and a slot already.

        Raises:
            BudgetExceeded: It could pass a cap.
        """
        if error.calls or error.unknown:
            self._extra.append(self._ledger.reserve(self._worst))


class Tried(NamedTuple):
    """Requests of a call that failed."""

    attempts: int
    calls: int
    """Those that were answered 2xx."""
    unknown: int
    """Those that may have been served although no answer arrived."""


_TEMPLATE = 64
"""Tokens that a chat template puts around all of a prompt, at most about."""


def takes_several(model: Model) -> bool:
    """Whether a model gives several samples of one prompt in one request, by its `sample_at_once`."""
    return bool(getattr(model, "uses_n", False))


def worst_cost(prompt: Prompt, sampling: Sampling, price: Price | None = FREE, *, samples: int = 1) -> Cost:
    """Return what one request takes at most: no tokenizer makes more than one token of a byte, templates add a few.

    Args:
        prompt: What is asked.
        sampling: How; each sample has up to its `max_tokens`.
        price: What tokens cost; None is not known.
        samples: How many it asks for.
    """
    said = [canonical_json(prompt.rendered()), sampling.schema or "", sampling.grammar or ""]
    read = sum(len(one.encode("utf-8", "replace")) for one in said) + _TEMPLATE
    written = sampling.max_tokens * samples
    usd = 0.0 if price is None or price is FREE else price.worst(read, written)
    return Cost(calls=1, tokens=read + written, usd=usd)
