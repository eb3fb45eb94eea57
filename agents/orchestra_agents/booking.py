"""What a request may take at worst, and what its retries take: reserved before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from orchestra_agents.errors import ModelError
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.models.contract import Model, Prompt, Sampling, canonical_json
from orchestra_agents.models.retry import on_failure
from orchestra_agents.prices import FREE, Price


class Retries:
    """Hears of every request of a call that failed, and reserves a further one before each retry of one that may have
    been served: retrying passes no cap.

    Args:
        ledger: The account.
        worst: What each of the requests may take.
    """

    def __init__(self, ledger: Ledger, worst: Cost) -> None:
        self._ledger, self._worst = ledger, worst
        self._extra: list[Reservation] = []
        self._attempts = self._calls = self._unknown = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Hear of the requests that are sent within."""
        token = on_failure.set(self._failed)
        try:
            yield
        finally:
            on_failure.reset(token)

    def tried(self, error: BaseException, *, open_: int = 0) -> Tried:
        """Return what the requests of a call that ended with `error` came to.

        Args:
            error: Why it ended.
            open_: Requests of it that may have been served though nothing was heard of them.
        """
        if not self._attempts and isinstance(error, ModelError):  # of a model that does not tell
            return Tried(error.attempts, error.calls, error.unknown + open_)
        return Tried(self._attempts + open_, self._calls, self._unknown + open_)

    def release(self) -> None:
        """Give the reservations back: what was taken is booked with the call itself."""
        for reservation in self._extra:
            reservation.release()

    def _failed(self, error: ModelError, is_retried: bool) -> None:
        self._attempts += error.attempts
        self._calls += error.calls
        self._unknown += error.unknown
        if is_retried and (error.calls or error.unknown):
            self._extra.append(self._ledger.reserve(self._worst))


class Tried(NamedTuple):
    """Requests of a call that failed."""

    attempts: int
    calls: int
    """Those that were answered 2xx."""
    unknown: int
    """Those that may have been served although no answer arrived."""


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
    read = len(canonical_json(prompt.rendered()).encode("utf-8", "replace"))
    written = sampling.max_tokens * samples
    usd = 0.0 if price is None or price is FREE else price.worst(read, written)
    return Cost(calls=1, tokens=read + written, usd=usd)
