"""Texts as vectors, from any server with an OpenAI-compatible `/embeddings`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestra_agents.errors import ServerError
from orchestra_agents.models.contract import Json, TokenUsage, estimate_tokens
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import Retry, Transport

_RETRY = Retry()
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """What one request gave."""

    vectors: tuple[tuple[float, ...], ...]
    """One vector for each text, all of one length, rounded to six digits."""
    usage: TokenUsage
    attempts: int = 1
    """Requests it took, retries included."""
    calls: int = 1
    """Requests among them that were answered 2xx or whose outcome is unknown."""


class Embedder(Protocol):
    """Anything that turns texts into vectors whose cosine says how alike they are."""

    @property
    def name(self) -> str:
        """The canonical `provider:model` name."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each of `texts`.

        Raises:
            ModelError: The server did not answer.
        """

    async def aclose(self) -> None:
        """Give back connections."""


class OpenAIEmbedder:
    """Asks `/embeddings`; one request for all texts of a call.

    Args:
        model: The model's identifier at the server.
        name: The canonical `provider:model` name.
        transport: Where the server is; closed with this embedder.
        retry: When a failed request is sent again.
        throttle: How many requests may be in flight; None allows as many as the transport has connections.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str,
        transport: Transport,
        retry: Retry = _RETRY,
        throttle: Throttle | None = None,
    ) -> None:
        self._model, self._name, self._transport, self._retry = model, name, transport, retry
        self._throttle = throttle or Throttle(ceiling=transport.concurrency)

    @property
    def name(self) -> str:
        """The canonical `provider:model` name."""
        return self._name

    @property
    def base_url(self) -> str:
        """Where its server is."""
        return self._transport.base_url

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each of `texts`.

        Raises:
            ModelError: The server did not answer, after the retries that the policy allows.
        """
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}

        async def post() -> Embeddings:
            try:
                return _embeddings_of(await self._transport.post_json("/embeddings", body), texts)
            except _Odd as error:
                error.calls = 1  # answered, and perhaps billed, though not as promised
                raise

        tokens = sum(map(estimate_tokens, texts))
        answered = await self._retry.run(lambda: self._throttle.run(post, tokens))
        found = answered.value
        return Embeddings(vectors=found.vectors, usage=found.usage, attempts=answered.attempts, calls=answered.calls)

    async def aclose(self) -> None:
        """Give back the connections; may be called twice."""
        await self._transport.aclose()


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of one length, in [-1, 1]; 0 where one of them is zero."""
    sizes = math.hypot(*first) * math.hypot(*second)
    return max(-1.0, min(1.0, math.fsum(map(float.__mul__, first, second)) / sizes)) if sizes else 0.0


class _Odd(ServerError):
    """An answer that is not what the interface promises."""


def _embeddings_of(reply: Json, texts: Sequence[str]) -> Embeddings:
    rows = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or len(rows) != len(texts) or not all(isinstance(row, dict) for row in rows):
        raise _Odd(f"the server's reply does not hold {len(texts)} embeddings")
    by_place = sorted(enumerate(rows), key=lambda pair: _place(pair[1].get("index"), pair[0]))
    vectors = tuple(_vector(row.get("embedding")) for _, row in by_place)
    if len({len(vector) for vector in vectors}) > 1:
        raise _Odd("the server's reply holds embeddings of different lengths")
    usage = reply.get("usage")
    told = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
        return Embeddings(vectors=vectors, usage=TokenUsage(input_tokens=told))
    guess = sum(map(estimate_tokens, texts))
    return Embeddings(vectors=vectors, usage=TokenUsage(input_tokens=guess, estimated=True))


def _place(told: Json, place: int) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) else place


def _vector(value: Json) -> tuple[float, ...]:
    is_vector = isinstance(value, list) and value and all(type(one) in (int, float) for one in value)
    if not is_vector or not all(map(math.isfinite, value)):
        raise _Odd("the server's reply holds an embedding that is no list of numbers")
    return tuple(round(float(one), _DIGITS) for one in value)
