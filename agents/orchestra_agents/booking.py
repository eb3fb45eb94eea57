"""What a request may take at worst, and what its retries take: reserved before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestra_agents.errors import ModelError, OrchestraError
from orchestra_agents.ledger import Cost, Ledger, Reservation
from orchestra_agents.models.contract import Model, Prompt, Sampling, canonical_json
from orchestra_agents.models.retry import before_retry
from orchestra_agents.prices import FREE, Price


class Retries:
    """Reserves a further call before each retry of one that may have been served: retrying passes no cap.

    Args:
        ledger: The account.
        worst: What each of the requests may take.
    """

    def __init__(self, ledger: Ledger, worst: Cost) -> None:
        self._ledger, self._worst = ledger, worst
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
            self._extra.append(self._ledger.reserve(self._worst))


def takes_several(model: Model) -> bool:
    """Whether a model gives several samples of one prompt in one request, by its `sample_at_once`."""
    return bool(getattr(model, "uses_n", False))


def worst_cost(prompt: Prompt, sampling: Sampling, price: Price | None = FREE) -> Cost:
    """Return what a call takes at most: no tokenizer makes more than one token of a byte, templates add a few."""
    rendered = len(canonical_json(prompt.rendered()).encode("utf-8", "replace"))
    usd = 0.0 if price is None or price is FREE else price.worst(rendered, sampling.max_tokens)
    return Cost(calls=1, tokens=rendered + sampling.max_tokens, usd=usd)
