"""A model behind an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from orchestra_agents.errors import InvalidRequest, ServerError
from orchestra_agents.models import _probe
from orchestra_agents.models._fan_out import singles
from orchestra_agents.models._served import Served
from orchestra_agents.models._sse import fill
from orchestra_agents.models._wire import Assembly, Dialect, completions_of, request_of
from orchestra_agents.models.contract import Completion, ModelFacts, Prompt, Sampling
from orchestra_agents.models.inquiry import Inquiry, Tally
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import Retry, Transport

__all__ = ["Dialect", "OpenAIModel"]

MOST_AT_ONCE = 16
"""Most completions that are asked for in one request."""

_PLAIN = Dialect()
_RETRY = Retry()


class OpenAIModel(Served):
    """Samples over `/chat/completions` and, for raw text, `/completions`.

    Where the server takes `n`, the samples of one call share a request (and its one seed); a server that turns out to
    ignore `n` is sent single requests from then on. Only what `Completion` documents leaves this class: the served
    model's path, fingerprints and identifiers of the server do not.

    Args:
        model: The model's identifier at the server.
        name: The canonical `provider:model` name.
        transport: Where the server is; closed with this model.
        dialect: How the server differs from others.
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
        # llama.cpp has n, but counts the tokens of one choice only.
        self._uses_n = dialect.has_n and not dialect.is_llamacpp
        self._n_failed = False

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`.

        Raises:
            ModelError: The server did not answer, after the retries that the policy allows. Of several requests the
                first failure is raised and the others are cancelled.
        """
        if count < 1:
            return []
        done: list[Completion] = []
        last = sampling.index + count
        while self.uses_n and count - len(done) > 1:
            later = replace(sampling, index=sampling.index + len(done))
            done += await self.sample_at_once(prompt, later, count - len(done))
        return done + await singles(partial(self._one, prompt, sampling), range(sampling.index + len(done), last))

    async def sample_at_once(self, prompt: Prompt, sampling: Sampling, count: int) -> list[Completion]:
        """Return what one request for up to `count` completions of `prompt` gives: at least one.

        Fewer come where n is ignored or refused, which is not tried again, and where they are more than `MOST_AT_ONCE`.

        Raises:
            ModelError: The server did not answer, after the retries that the policy allows.
        """
        return await self._ask(prompt, sampling, sampling.index, min(count, MOST_AT_ONCE))

    async def probe(self, tally: Tally | None = None) -> ModelFacts:
        """Ask the server what it can do, in three small requests, or some more where it refuses one.

        Args:
            tally: Counts them, for whoever must know what was sent where this is cut short.
        """
        inquiry = Inquiry(self._throttle, tally or Tally())
        return await _probe.facts(self._model, self._transport, self._dialect, inquiry)

    async def stream(self, prompt: Prompt, sampling: Sampling, tell: Callable[[str], None]) -> Completion:
        """Return one completion, its text told piece by piece as it arrives.

        A request that failed before its first piece is sent again as the policy allows; one that failed later is not,
        because what was told cannot be taken back.

        Args:
            prompt: The question.
            sampling: How the completion is drawn; without log-probabilities.
            tell: Told each piece of the text.

        Raises:
            ModelError: The server did not answer, or its answer broke off.
        """

        async def read() -> list[Completion]:
            request = request_of(
                prompt, sampling, model=self._model, dialect=self._dialect, index=sampling.index, is_streamed=True
            )
            assembly, chunks = Assembly(), self._transport.stream(request.path, request.content)
            await fill(assembly, chunks, tell=tell, failed=self._transport.failure)
            return [assembly.completion(prompt)]

        return (await self._politely(read, prompt, sampling))[0]

    async def version(self) -> str | None:
        """Return the server's version, where it tells one; asks for no completion."""
        return await _probe.version_of(self._transport, self._dialect)

    def learn(self, facts: ModelFacts) -> None:
        """Ask from now on as the server takes it, as found by `probe`; `n` stays off where it has failed."""
        name = facts.max_tokens_field or self._dialect.max_tokens_field
        has_schema = self._dialect.has_schema if facts.json_schema is None else facts.json_schema
        self._dialect = replace(self._dialect, max_tokens_field=name, has_schema=has_schema)
        if facts.n is not None:
            self._uses_n = facts.n and not self._dialect.is_llamacpp
        super().learn(facts)

    @property
    def uses_n(self) -> bool:
        """Whether several samples of one prompt go in one request, as far as is known."""
        return self._uses_n and not self._n_failed

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Return the tokens of `prompt` by the server's own tokenizer, None where it offers none.

        Raises:
            ModelError: It did not answer.
        """
        return await _probe.count_tokens(self._model, self._transport, self._dialect, prompt)

    async def _ask_window(self) -> int | None:
        return await _probe.context_of(self._model, self._transport, self._dialect)

    async def _one(self, prompt: Prompt, sampling: Sampling, index: int) -> Completion:
        """Return sample `index`."""
        return (await self._ask(prompt, sampling, index))[0]

    async def _ask(self, prompt: Prompt, sampling: Sampling, index: int, count: int = 1) -> list[Completion]:
        """Return what one request, retried, gives: at least one completion."""

        async def post() -> list[Completion]:
            dialect, wanted = self._dialect, count if self.uses_n else 1
            request = request_of(prompt, sampling, model=self._model, dialect=dialect, index=index, count=wanted)
            try:
                answer = await self._transport.post(request.path, request.content)
            except InvalidRequest as error:
                error.retryable = self._has_conceded(error, dialect, sampling, wanted)
                raise
            try:
                done = completions_of(answer, prompt, count=wanted)
            except ServerError as error:
                error.calls = 1  # answered, and perhaps billed, though not as promised
                raise
            self._n_failed = self._n_failed or len(done) < wanted
            return done

        return await self._politely(post, prompt, sampling, count)

    def _has_conceded(self, error: InvalidRequest, used: Dialect, sampling: Sampling, count: int) -> bool:
        """Leave out from now on what the server refuses; whether the request may then succeed."""
        is_own = sampling.temperature == 1.0 and sampling.top_p == 1.0
        if "temperature" in str(error).lower() and used.has_temperature and not is_own:
            if self._dialect.has_temperature:  # else another request has learnt it meanwhile
                self._dialect = replace(self._dialect, has_temperature=False)
                told = {"model": self._name, "told": str(error)}
                structlog.get_logger("orchestra").warning("model.setting_refused", **told)
            return True
        self._n_failed = self._n_failed or count > 1
        return count > 1
