"""Chat models of LangChain that answer as a test tells them to."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

LETTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request was told."""

    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]
    """Values of the chat model's own fields."""
    keywords: dict[str, Any]


Reply = AIMessage | str | Awaitable[AIMessage]
"""A message as it is, or a text that the limit and the stop texts cut."""


@dataclass(slots=True)
class Script:
    """What a fake answers, and what it was asked; shared by all copies of it."""

    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)


class Bare(BaseChatModel):
    """A chat model with no field for any setting; of keyword arguments it takes those of `takes`."""

    script: Any
    takes: frozenset[str] = frozenset()

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("asked synchronously")

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        own = set(type(self).model_fields) - set(Bare.model_fields)
        asked = Asked(messages, stop, {name: getattr(self, name) for name in own}, kwargs)
        self.script.asked.append(asked)
        for name in kwargs:
            if name not in self.takes:
                raise TypeError(f"AsyncMessages.create() got an unexpected keyword argument '{name}'")
        reply = self.script.answer(asked)
        if inspect.isawaitable(reply):
            reply = await reply
        message = self._cut(reply, stop) if isinstance(reply, str) else reply
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _cut(self, text: str, stop: list[str] | None) -> AIMessage:
        """Return `text` as far as the stop texts and the limit of tokens let it go."""
        text = text[: min([text.find(one) for one in stop or () if one in text], default=len(text))]
        limit = LETTERS_A_TOKEN * (getattr(self, "max_tokens", None) or getattr(self, "num_predict", None) or len(text))
        reason = "length" if len(text) > limit else "stop"
        written = -(-len(text[:limit]) // LETTERS_A_TOKEN)
        return reply(text[:limit], finish_reason=reason, input_tokens=9, output_tokens=written)


class FakeChat(Bare):
    """An obedient chat model whose settings have the names that most integrations give them."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


class Renamed(Bare):
    """An obedient chat model with names of its own, as Ollama's and Mistral's integrations have."""

    temperature: float = 0.8
    num_predict: int | None = None
    random_seed: int | None = 5


def reply(text: Any, *, input_tokens: int | None = None, output_tokens: int = 1, **metadata: Any) -> AIMessage:
    """Return a message with this content and response metadata, with usage where `input_tokens` is given."""
    if input_tokens is None:
        return AIMessage(text, response_metadata=metadata)
    total = input_tokens + output_tokens
    usage = UsageMetadata(input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=total)
    return AIMessage(text, response_metadata=metadata, usage_metadata=usage)


def answering(asked: Asked) -> str:
    """Answer the one question of the conformance suite as its schema wants it: LangChain is told of no schema."""
    return '{"answer": "a"}'
