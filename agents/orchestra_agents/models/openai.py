"""A model behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from orchestra_agents.errors import ModelError, ServerError
from orchestra_agents.models import _probe
from orchestra_agents.models._wire import Dialect, completions_of, request_of
from orchestra_agents.models.contract import Completion, Evidence, Form, ModelFacts, Prompt, Sampling
from orchestra_agents.models.transport import Retry, Transport

__all__ = ["Dialect", "OpenAIModel"]

_PLAIN = Dialect()
_RETRY = Retry()


class OpenAIModel:
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
    """

    evidence: Evidence = "real"
    form: Form = "chat"

    def __init__(
        self,
        model: str,
        *,
        name: str,
        transport: Transport,
        dialect: Dialect = _PLAIN,
        retry: Retry = _RETRY,
    ) -> None:
        self._model = model
        self._name = name
        self._transport = transport
        self._dialect = dialect
        self._retry = retry
        # llama.cpp has n, but counts the tokens of one choice only.
        self._uses_n = dialect.has_n and not dialect.is_llamacpp
        self._window: int | None = None
        self._has_learnt = False

    @property
    def name(self) -> str:
        """The canonical `provider:model` name."""
        return self._name

    def __repr__(self) -> str:
        return f"OpenAIModel({self._name!r}, {self._transport!r})"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`.

        Raises:
            ModelError: The server did not answer, after the retries that the policy allows. Of several requests the
                first failure is raised and the others are cancelled.
        """
        if count < 1:
            return []
        done: list[Completion] = []
        if count > 1 and self._uses_n:
            done = await self._ask(prompt, sampling, sampling.index, count)
            self._uses_n = len(done) == count
        return done + await self._singles(prompt, sampling, range(sampling.index + len(done), sampling.index + count))

    async def probe(self) -> ModelFacts:
        """Ask the server what it can do, in seven requests of a few tokens."""
        return await _probe.facts(self._model, self._transport, self._dialect)

    @property
    def window(self) -> int | None:
        """Context window in tokens, where the server was asked and said it."""
        return self._window

    async def learn_window(self) -> int | None:
        """Ask the server for its context window, once; None where it does not say."""
        if not self._has_learnt:
            self._window = await _probe.context_of(self._model, self._transport, self._dialect)
            self._has_learnt = True
        return self._window

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Return the tokens of `prompt` by the server's own tokenizer, None where it offers none.

        Raises:
            ModelError: It did not answer.
        """
        return await _probe.count_tokens(self._model, self._transport, self._dialect, prompt)

    async def aclose(self) -> None:
        """Give back the connections; may be called twice."""
        await self._transport.aclose()

    async def _singles(self, prompt: Prompt, sampling: Sampling, indices: range) -> list[Completion]:
        """Return one completion for each index, asked for at the same time."""
        if len(indices) == 1:
            return await self._ask(prompt, sampling, indices[0])
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(prompt, sampling, index)) for index in indices]
        except BaseExceptionGroup as failures:
            error = _first_error(failures)
            raise error from error.__cause__
        return [task.result()[0] for task in tasks]

    async def _ask(self, prompt: Prompt, sampling: Sampling, index: int, count: int = 1) -> list[Completion]:
        """Return what one request, retried, gives: at least one completion."""
        request = request_of(prompt, sampling, model=self._model, dialect=self._dialect, index=index, count=count)

        async def post() -> list[Completion]:
            answer = await self._transport.post_json(request.path, request.body)
            try:
                return completions_of(answer, prompt, count=count)
            except ServerError as error:
                error.calls = 1  # answered, and perhaps billed, though not as promised
                raise

        answered = await self._retry.run(post)
        first, *rest = answered.value
        first = replace(first, attempts=answered.attempts, calls=answered.calls)
        return [first, *(replace(one, calls=0) for one in rest)]


def _first_error(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return a failure of the group that callers expect, else its first."""
    expected = failures.subgroup(ModelError)
    error: BaseException = expected or failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
