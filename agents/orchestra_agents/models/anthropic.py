"""A model behind Anthropic's Messages interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import structlog

from orchestra_agents.errors import InvalidRequest, ServerError
from orchestra_agents.models import _anthropic_probe
from orchestra_agents.models._anthropic_wire import (
    Assembly,
    Dialect,
    body_of,
    check_sampling,
    completion_of,
    is_worth_caching,
    without_refused,
)
from orchestra_agents.models._fan_out import singles
from orchestra_agents.models._served import Served
from orchestra_agents.models._sse import fill
from orchestra_agents.models.contract import Completion, ModelFacts, Prompt, Sampling
from orchestra_agents.models.inquiry import Inquiry, Tally
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import Retry, Transport

__all__ = ["VERSION", "AnthropicModel", "Dialect", "transport_to"]

VERSION = "2023-06-01"
"""Version of the interface, as the header `anthropic-version` names it."""

_PLAIN = Dialect()
_RETRY = Retry()


def transport_to(base_url: str, *, api_key: str | None, concurrency: int = 8) -> Transport:
    """Return the way to a server of this interface: its key and version go in headers of their own."""
    headers = {"anthropic-version": VERSION}
    return Transport(base_url, api_key=api_key, concurrency=concurrency, key_header="x-api-key", headers=headers)


class AnthropicModel(Served):
    """Samples over `/messages`, one request for each sample.

    Several samples of one long prompt share it through the server's prompt cache. A cache entry can be read once the
    request that writes it is being answered, so the first sample goes alone and the others, together, after its reply.
    In prices of the prompt's tokens, k samples then cost 1.25 + 0.1 (k - 1) instead of k: less from two samples on, for
    one more wait. What the model takes for too short to be cached costs k as ever.

    A setting that the server says this model does not take (a temperature other than 1, a JSON schema) is left out from
    then on; that is logged once, and the refused request counts as an attempt. A model that thinks before it answers
    takes its thoughts out of `max_tokens`; they are counted and not shown.

    Args:
        model: The model's identifier at the server.
        name: The canonical `provider:model` name.
        transport: Where the server is; closed with this model.
        dialect: What this model takes.
        retry: When a failed request is sent again.
        throttle: How many requests may be in flight; None allows as many as the transport has connections.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str,
        transport: Transport,
        dialect: Dialect = _PLAIN,
        retry: Retry = _RETRY,
        throttle: Throttle | None = None,
    ) -> None:
        super().__init__(model, name=name, transport=transport, retry=retry, throttle=throttle)
        self._dialect = dialect

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`; the interface has no seeds, so chance alone tells them apart.

        Raises:
            InputError: Something is asked for that the interface does not have.
            ModelError: The server did not answer, after the retries that the policy allows. Of several requests the
                first failure is raised and the others are cancelled.
        """
        if count < 1:
            return []
        is_marked = count > 1 and is_worth_caching(prompt)

        async def ask(_: int) -> Completion:
            return await self._ask(prompt, sampling, is_marked=is_marked)

        if not is_marked:
            return await singles(ask, range(count))
        return [await ask(0), *await singles(ask, range(1, count))]

    async def stream(self, prompt: Prompt, sampling: Sampling, tell: Callable[[str], None]) -> Completion:
        """Return one completion, its text told piece by piece as it arrives; what the model thinks is not told.

        A request that failed before its first piece is sent again as the policy allows; one that failed later is not,
        because what was told cannot be taken back.

        Args:
            prompt: The question.
            sampling: How the completion is drawn.
            tell: Told each piece of the text.

        Raises:
            InputError: Something is asked for that the interface does not have.
            ModelError: The server did not answer, or its answer broke off.
        """

        async def read() -> list[Completion]:
            dialect, assembly = self._dialect, Assembly()
            body = body_of(prompt, sampling, model=self._model, dialect=dialect, is_streamed=True)
            chunks = self._transport.stream("/messages", json.dumps(body, allow_nan=False).encode("ascii"))
            try:
                await fill(assembly, chunks, tell=tell, failed=self._transport.failure)
            except InvalidRequest as error:
                error.retryable = not assembly.has_begun and self._has_conceded(dialect, str(error))
                raise
            return [assembly.completion(prompt)]

        return (await self._politely(read, prompt, sampling))[0]

    async def probe(self, tally: Tally | None = None) -> ModelFacts:
        """Ask the server what it can do, in two small requests.

        Args:
            tally: Counts them, for whoever must know what was sent where this is cut short.
        """
        inquiry = Inquiry(self._throttle, tally or Tally())
        return await _anthropic_probe.facts(self._model, self._transport, self._dialect, inquiry)

    def check_sampling(self, sampling: Sampling) -> None:
        """Refuse what the interface does not take.

        Raises:
            InputError: It is that.
        """
        check_sampling(sampling)

    async def version(self) -> str | None:
        """Return None: the interface tells no version of what is behind it."""
        return None

    def learn(self, facts: ModelFacts) -> None:
        """Ask from now on as the server takes it, as found by `probe`."""
        if facts.json_schema is False:
            self._dialect = replace(self._dialect, has_schema=False)
        super().learn(facts)

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Return the tokens of `prompt` by the server's own count, None where its answer holds none.

        Raises:
            ModelError: It did not answer.
        """
        return await _anthropic_probe.count_tokens(self._model, self._transport, prompt)

    async def _ask_window(self) -> int | None:
        return await _anthropic_probe.context_of(self._model, self._transport)

    async def _ask(self, prompt: Prompt, sampling: Sampling, *, is_marked: bool) -> Completion:
        """Return what one request, retried, gives."""

        async def post() -> list[Completion]:
            dialect = self._dialect
            body = body_of(prompt, sampling, model=self._model, dialect=dialect, is_marked=is_marked)
            try:
                reply = await self._transport.post_json("/messages", body)
            except InvalidRequest as error:
                error.retryable = self._has_conceded(dialect, str(error))
                raise
            try:
                return [completion_of(reply, prompt)]
            except ServerError as error:
                error.calls = 1  # answered, and perhaps billed, though not as promised
                raise

        return (await self._politely(post, prompt, sampling))[0]

    def _has_conceded(self, used: Dialect, told: str) -> bool:
        """Leave out from now on what the server refuses; whether a request sent with `used` may then succeed."""
        if without_refused(used, told) == used:
            return False
        conceded = without_refused(self._dialect, told)
        if conceded != self._dialect:  # else another request has learnt it meanwhile
            self._dialect = conceded
            structlog.get_logger("orchestra").warning("model.setting_refused", model=self._name, told=told)
        return True
