"""Any chat model of LangChain as a model."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from orchestra_agents.errors import InputError, ModelError, ModelUnavailable, OrchestraError
from orchestra_agents.models._fan_out import singles
from orchestra_agents.models._langchain_errors import error_of, said
from orchestra_agents.models._langchain_wire import Settings, completion_of, messages_of, settings_of
from orchestra_agents.models._schema_words import with_schema
from orchestra_agents.models._served import ask_politely
from orchestra_agents.models.contract import (
    Completion,
    Evidence,
    Form,
    Message,
    ModelFacts,
    Prompt,
    Sampling,
)
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.throttle import START, Throttle

_RETRY = Retry()
_PATIENCE = Retry(attempts=2, total_s=10.0)
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_NO_RETRIES = {"google_genai": 1}  # its library takes 0 for "as usual", and counts the first request
_OLLAMA = "http://localhost:11434"
_HELLO = Prompt(messages=(Message("user", "Write ten random words."),), step="probe")


class LangChainModel:
    """Samples a LangChain chat model, each completion by one `ainvoke` of a copy of it.

    The temperature, top_p, limit of tokens and seed of a `Sampling` become values of the chat model's own fields; what
    it has no field for is a keyword argument of the request, until it refuses that by a TypeError: then it is left out
    from there on. A chat model may take either and ignore it, which cannot be seen from here. Whatever it was told, a
    reply is cut at the first stop text, and one longer than `max_tokens` counts as cut off (`length`). Where a model's
    profile says that it takes no temperature, neither that nor top_p is sent. All else that the chat model was given
    (its own stop texts, penalties, callbacks, rate limiter) stays, but LangChain's cache is passed by.

    Raw text is asked as one message of the user's. A JSON schema is told in words: the reply is parsed, and flagged
    where it does not fit. Log-probabilities are not reported, and a grammar is refused.

    Retries have one owner: give the chat model none of its own (`max_retries=0`, for Google 1), or each of ours is
    several requests, which no budget sees. Where it is a synchronous one, a request that is cancelled runs to its end
    in a thread.

    Args:
        chat_model: The chat model; it is never changed, and stays yours to close.
        name: The canonical name that journals know it by: another one for every other model.
        retry: When a failed request is sent again.
        evidence: What results based on it are called; `simulated` for a chat model that only imitates one.
        throttle: How many requests may be in flight; None allows as many as a session does by default.

    Raises:
        InputError: It is no chat model of LangChain.

    Examples:
        Wherever a model is named, it can be given: `orchestra.run(task, model=model)`.

        >>> import asyncio
        >>> from langchain_core.language_models import FakeListChatModel
        >>> model = LangChainModel(FakeListChatModel(responses=["4"]), name="langchain:mine", evidence="simulated")
        >>> asyncio.run(model.sample(Prompt(text="2 + 2 ="), Sampling()))[0].text
        '4'
    """

    form: Form = "chat"

    def __init__(
        self,
        chat_model: BaseChatModel,
        *,
        name: str,
        retry: Retry = _RETRY,
        evidence: Evidence = "real",
        throttle: Throttle | None = None,
    ) -> None:
        if not isinstance(chat_model, BaseChatModel):
            problem = f"must be a chat model of LangChain (BaseChatModel), got {type(chat_model).__name__}"
            raise InputError("chat_model", f"{problem}; give the model itself, without what is bound to it")
        self._chat_model = chat_model
        self._name = name
        self._retry = retry
        self._throttle = throttle or Throttle(ceiling=START)
        self._refused: set[str] = set()
        self.evidence: Evidence = evidence

    @property
    def name(self) -> str:
        """The canonical name."""
        return self._name

    @property
    def window(self) -> int | None:
        """Context window in tokens, where LangChain's profile of the model says it."""
        size = (self._chat_model.profile or {}).get("max_input_tokens")
        return size if isinstance(size, int) and size > 0 else None

    @property
    def base_url(self) -> str | None:
        """Where its server is, where the chat model says it."""
        told = [getattr(self._chat_model, name, None) for name in ("base_url", "openai_api_base")]
        return next((one for one in told if isinstance(one, str) and one), None)

    def __repr__(self) -> str:
        return f"LangChainModel({self._name!r})"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`, each asked for by itself.

        Raises:
            InputError: The sampling has a grammar.
            ModelError: The chat model did not answer, after the retries that the policy allows. Of several requests the
                first failure is raised and the others are cancelled.
        """
        if count < 1:
            return []

        async def ask(index: int) -> Completion:
            return await self._ask(prompt, sampling, index, self._retry)

        return await singles(ask, range(sampling.index, sampling.index + count))

    async def probe(self) -> ModelFacts:
        """Find out by one tiny request whether it answers; what more it can do is not tried out."""
        try:
            await self._ask(_HELLO, Sampling(max_tokens=16), 0, _PATIENCE)
        except ModelError as error:
            return ModelFacts(reachable=False, problem=str(error))
        return ModelFacts(reachable=True, n=False, context=self.window)

    async def aclose(self) -> None:
        """Do nothing: the chat model's connections are its own."""

    async def _ask(self, prompt: Prompt, sampling: Sampling, index: int, retry: Retry) -> Completion:
        """Return what one request, retried, gives."""
        messages, seed = messages_of(with_schema(prompt, sampling.schema)), sampling.seed_of(prompt.identity(), index)

        async def request() -> list[Completion]:
            while True:
                settings = settings_of(self._chat_model, sampling, seed=seed, refused=self._refused)
                try:
                    message = await self._invoke(messages, sampling.stop, settings)
                    return [completion_of(message, prompt, sampling, is_limited=settings.is_limited)]
                except OrchestraError:
                    raise
                except Exception as error:  # the boundary to code that is not ours
                    refused = _refused_keyword(error, settings.keywords)
                    if refused is None:
                        raise error_of(error) from error
                    self._refused.add(refused)

        return (await ask_politely(request, prompt, sampling, retry=retry, throttle=self._throttle))[0]

    async def _invoke(self, messages: list[BaseMessage], stop: Collection[str], settings: Settings) -> BaseMessage:
        """Return the reply to one request."""
        told = self._chat_model.model_copy(update=settings.fields)
        message = await told.ainvoke(messages, stop=list(stop) or None, **settings.keywords)
        # The next copy is one of this, so that what integrations make on first use, as HTTP clients, is made once.
        self._chat_model = told
        return message


def langchain_model(provider: str, model: str, *, throttle: Throttle) -> LangChainModel:
    """Return the chat model that LangChain's `init_chat_model` makes of these, without retries of its own.

    Raises:
        ModelUnavailable: The provider's package or a key is missing, or LangChain knows no such provider.
    """
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 - the extra is optional

    name = f"langchain:{provider}:{model}"
    provider = provider.replace("-", "_")
    settings: dict[str, Any] = {"max_retries": _NO_RETRIES.get(provider, 0)}
    if provider == "ollama":  # which would look there itself, but not say so
        settings["base_url"] = os.environ.get("OLLAMA_HOST") or _OLLAMA
    try:
        chat_model = init_chat_model(model, model_provider=provider, **settings)
    except Exception as error:  # the boundary to code that is not ours
        raise ModelUnavailable(f"{name} cannot be used: {said(error)}") from error
    return LangChainModel(chat_model, name=name, throttle=throttle)


def _refused_keyword(error: Exception, keywords: Collection[str]) -> str | None:
    """Return which of `keywords` a TypeError is about, None where it is about none of them."""
    found = _UNEXPECTED.search(str(error)) if isinstance(error, TypeError) else None
    return found[1] if found is not None and found[1] in keywords else None
