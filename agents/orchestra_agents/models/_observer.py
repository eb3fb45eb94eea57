"""Whom a call's requests are told to: whoever pays for them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from orchestra_agents.errors import ModelError


class RequestObserver(Protocol):
    """Hears of the requests that a call is made of."""

    def queued(self) -> None:
        """A request waits for its turn; from now on each one that is sent is told."""

    def sent(self) -> None:
        """A request is being sent."""

    def failed(self, error: ModelError) -> None:
        """A request that was sent failed."""

    def retrying(self, error: ModelError) -> None:
        """A request that failed will be sent again; what this raises ends the call."""


observer: ContextVar[RequestObserver | None] = ContextVar("request_observer", default=None)
"""Hears of the requests that are sent in this context."""
