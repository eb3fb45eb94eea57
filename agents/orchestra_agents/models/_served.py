"""What the models behind a server share: a request is sent in its turn, and again as the policy allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from orchestra_agents.models.contract import Completion, Evidence, Form, ModelFacts, Prompt, Sampling, estimate_tokens
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.throttle import Throttle, spent_tokens
from orchestra_agents.models.transport import Transport

Send = Callable[[], Awaitable[list[Completion]]]
"""Sends one request and returns what it gives: at least one completion."""


async def ask_politely(
    send: Send, prompt: Prompt, sampling: Sampling, *, retry: Retry, throttle: Throttle, count: int = 1
) -> list[Completion]:
    """Return what one request gives, sent when it is its turn, and again where that may help.

    Args:
        send: Sends it.
        prompt: What it asks.
        sampling: How.
        retry: When a failed request is sent again.
        throttle: When a request may be sent.
        count: How many completions it asks for; the first one given stands for the request.
    """
    tokens = estimate_tokens(prompt.content()) + sampling.max_tokens * count
    answered = await retry.run(lambda: throttle.run(send, tokens, spent_tokens))
    first, *rest = answered.value
    first = replace(first, attempts=answered.attempts, calls=answered.calls)
    return [first, *(replace(one, calls=0) for one in rest)]


class Served:
    """A model at one endpoint; `sample` and what it takes are its subclass's.

    Args:
        model: The model's identifier at the server.
        name: The canonical `provider:model` name.
        transport: Where the server is; closed with this model.
        retry: When a failed request is sent again.
        throttle: How many requests may be in flight; None allows as many as the transport has connections.
    """

    evidence: Evidence = "real"
    form: Form = "chat"

    def __init__(self, model: str, *, name: str, transport: Transport, retry: Retry, throttle: Throttle | None) -> None:
        self._model, self._name, self._transport, self._retry = model, name, transport, retry
        self._throttle = throttle or Throttle(ceiling=transport.concurrency)
        self._window: int | None = None
        self._has_learnt = False

    @property
    def name(self) -> str:
        """The canonical `provider:model` name."""
        return self._name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {self._transport!r})"

    @property
    def base_url(self) -> str:
        """Where its server is."""
        return self._transport.base_url

    @property
    def window(self) -> int | None:
        """Context window in tokens, where the server was asked and said it."""
        return self._window

    async def learn_window(self) -> int | None:
        """Ask the server for its context window, once; None where it does not say."""
        if not self._has_learnt:
            self._window = await self._ask_window()
            self._has_learnt = True
        return self._window

    def learn(self, facts: ModelFacts) -> None:
        """Ask from now on as the server takes it, as found by `probe`."""
        if facts.context is not None:
            self._window, self._has_learnt = facts.context, True

    async def aclose(self) -> None:
        """Give back the connections; may be called twice."""
        await self._transport.aclose()

    async def _ask_window(self) -> int | None:
        raise NotImplementedError

    async def _politely(self, send: Send, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        return await ask_politely(send, prompt, sampling, retry=self._retry, throttle=self._throttle, count=count)
