"""What a request may take at worst, and what its retries take: reserved before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestra_agents.errors import ModelError, OrchestraError
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.models.contract import Prompt, Sampling, canonical_json
from orchestra_agents.models.retry import before_retry


class Retries:
    """Reserves a further call before each retry of one that may have been served: retrying passes no cap."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._extra: list[Reservation] = []
        self._failures: list[ModelError] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Hear of every retry of the model that is asked within."""
        token = before_retry.set(self._again)
        try:
            yield
        finally:
            before_retry.reset(token)

    def tried(self, error: OrchestraError) -> tuple[int, int, int]:
        """Return attempts, calls answered and calls of unknown outcome until `error`."""
        if isinstance(error, ModelError):
            return error.attempts, error.calls, error.unknown
        calls, unknown = (sum(getattr(one, name) for one in self._failures) for name in ("calls", "unknown"))
        return len(self._failures), calls, unknown

    def release(self) -> None:
        """Give the reservations back: what was taken is booked with the call itself."""
        for reservation in self._extra:
            reservation.release()

    def _again(self, error: ModelError) -> None:
        self._failures.append(error)
        if error.calls or error.unknown:
            self._extra.append(self._ledger.reserve(Cost(calls=1)))


def worst_cost(prompt: Prompt, sampling: Sampling) -> Cost:
    """Return what a call takes at most: no tokenizer makes more than one token of a byte, templates add a few."""
    rendered = len(canonical_json(prompt.rendered()).encode("utf-8", "replace"))
    return Cost(calls=1, tokens=rendered + sampling.max_tokens)
