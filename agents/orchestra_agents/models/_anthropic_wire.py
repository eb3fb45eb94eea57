"""What a prompt looks like on the wire of Anthropic's Messages interface, and what its replies mean. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra_agents.errors import InputError, ServerError
from orchestra_agents.models._anthropic_schema import sendable
from orchestra_agents.models._schema_words import with_schema
from orchestra_agents.models.contract import (
    Completion,
    FinishReason,
    Json,
    Prompt,
    Sampling,
    TokenUsage,
    estimate_tokens,
)

LEAST_CACHED = 1024
"""Tokens, by our estimate, from which on a prompt is marked for the cache. Models differ in what they cache at least
(512 to 4,096 tokens); they ignore the mark on less, at no price."""

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}

_SCHEMA_SIGNS = ("output_config", "output format", "structured output", "compiled grammar", "schema is too complex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one model differs from the others."""

    has_schema: bool = True
    """Whether a JSON schema is sent; else the reply is only read and judged by whoever asked for it."""
    has_temperature: bool = True
    """Whether a temperature other than 1 is sent; models released after Claude Opus 4.6 refuse it."""


def body_of(
    prompt: Prompt,
    sampling: Sampling,
    *,
    model: str,
    dialect: Dialect,
    is_marked: bool = False,
    is_streamed: bool = False,
) -> dict[str, Json]:
    """Return the body of the request for one sample of `prompt`.

    A temperature of 1 and a top_p of 1 are what the interface does by itself, and are left out: some models refuse
    the one, the other, or both together. It has no seed, no log-probabilities and no `n`.

    Raises:
        InputError: Something is asked for that would silently not be obeyed.
    """
    check_sampling(sampling)
    schema = sendable(json.loads(sampling.schema)) if sampling.schema is not None and dialect.has_schema else None
    prompt = with_schema(prompt, sampling.schema if schema is None else None)
    body = {"model": model, "max_tokens": sampling.max_tokens, **words_of(prompt, is_marked=is_marked)}
    if dialect.has_temperature and sampling.temperature != 1.0:
        body["temperature"] = sampling.temperature
    if sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)
    if schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if is_streamed:
        body["stream"] = True
    return body


def words_of(prompt: Prompt, *, is_marked: bool = False) -> dict[str, Json]:
    """Return the fields that hold the prompt's words.

    System messages have a field of their own, where they stand one after the other, wherever in the prompt they stood.
    The interface takes no raw text to continue: it becomes the one message of a user. Neighbouring messages of one role
    are one turn to the server.

    Args:
        prompt: What is asked.
        is_marked: Whether the cache is to keep all of it.
    """
    rendered = prompt.rendered()
    messages = rendered["messages"] if prompt.text is None else [{"role": "user", "content": rendered["text"]}]
    system = [message["content"] for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    if is_marked and turns:
        block = {"type": "text", "text": turns[-1]["content"], "cache_control": {"type": "ephemeral"}}
        turns[-1] = {"role": turns[-1]["role"], "content": [block]}
    return {"messages": turns} | ({"system": "\n\n".join(system)} if system else {})


def is_worth_caching(prompt: Prompt) -> bool:
    """Whether a prompt is long enough for a model's prompt cache, by our estimate."""
    return estimate_tokens(prompt.content()) >= LEAST_CACHED


def without_refused(dialect: Dialect, told: str) -> Dialect:
    """Return `dialect` without what a server refuses in the words `told`; the same where they are about nothing in it.

    >>> without_refused(Dialect(), "`temperature` is deprecated for this model.")
    Dialect(has_schema=True, has_temperature=False)
    """
    told = told.lower()
    is_of_temperature = "temperature" in told and "top_p" not in told
    if is_of_temperature and ("deprecated" in told or "support" in told):
        return replace(dialect, has_temperature=False)
    if any(sign in told for sign in _SCHEMA_SIGNS):
        return replace(dialect, has_schema=False)
    return dialect


def completion_of(reply: Json, prompt: Prompt) -> Completion:
    """Return the completion in a server's reply.

    Raises:
        ServerError: The reply is not what the interface promises; the same request may well succeed again.
    """
    blocks = reply.get("content") if isinstance(reply, dict) else None
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ServerError("the server's reply holds no content")
    text = _text(blocks)
    reason = reply.get("stop_reason")
    return Completion(
        text=text,
        finish_reason=_FINISH.get(reason, "other") if isinstance(reason, str) else "other",
        usage=_usage(reply.get("usage"), prompt, text),
    )


class Assembly:
    """A streamed reply, put together as its events arrive."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._stop_reason: Json = None
        self._usage: dict[str, Json] = {}

    @property
    def has_begun(self) -> bool:
        """Whether any of its text is there."""
        return bool(self._text)

    @property
    def is_whole(self) -> bool:
        """Whether the server has said why it ended."""
        return self._stop_reason is not None

    def add(self, event: Json) -> str:
        """Take an event, and return the piece of text that it brings; what the model thinks is none.

        Raises:
            ServerError: It brings something that is no text.
        """
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            usage = _object(_object(event.get("message")).get("usage"))
            self._count(usage | {"output_tokens": None})  # what it counts of the output is only the beginning
        elif kind == "message_delta":
            self._stop_reason = _object(event.get("delta")).get("stop_reason") or self._stop_reason
            self._count(event.get("usage"))
        piece = _text([_block(event)]) if kind in ("content_block_start", "content_block_delta") else ""
        if piece:
            self._text.append(piece)
        return piece

    def completion(self, prompt: Prompt) -> Completion:
        """Return the whole."""
        block = {"type": "text", "text": "".join(self._text)}
        return completion_of({"content": [block], "stop_reason": self._stop_reason, "usage": self._usage}, prompt)

    def _count(self, usage: Json) -> None:
        """Take what an event says of the tokens, each of its figures the sum so far."""
        self._usage |= {name: count for name, count in _object(usage).items() if count is not None}


def _block(event: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what an event adds to a block of content, as a block."""
    delta = _object(event.get("delta"))
    return delta | {"type": "text"} if delta.get("type") == "text_delta" else _object(event.get("content_block"))


def _object(value: Json) -> dict[str, Json]:
    """Return a JSON object, {} where it is none."""
    return value if isinstance(value, dict) else {}


def check_sampling(sampling: Sampling) -> None:
    """Refuse what would silently not be obeyed, or what no model takes."""
    if sampling.grammar is not None:
        raise InputError("grammar", "is understood by llama.cpp servers only; give a JSON schema instead")
    if sampling.temperature > 1:
        raise InputError("temperature", f"must be at most 1 for Anthropic's models, got {sampling.temperature:g}")
    if not all(stop.strip() for stop in sampling.stop):
        raise InputError("stop", "must hold more than white space for Anthropic's models")


def _text(blocks: Sequence[Mapping[str, Json]]) -> str:
    """Return the words of the reply, without what the model thought."""
    said = [block.get("text") for block in blocks if block.get("type") == "text"]
    texts = [text for text in said if isinstance(text, str)]
    if len(texts) < len(said):
        raise ServerError("the server's reply holds a completion that is not text")
    # Lone surrogates, which JSON can smuggle in, would break every later encoding.
    return "".join(texts).encode("utf-8", "replace").decode("utf-8")


def _usage(usage: Json, prompt: Prompt, text: str) -> TokenUsage:
    """Return the tokens used; the server's `input_tokens` are without those of the cache, ours are with them."""
    told = usage if isinstance(usage, dict) else {}
    fresh, output_tokens = _tokens(told.get("input_tokens")), _tokens(told.get("output_tokens"))
    cached, written = (_tokens(told.get(f"cache_{kind}_input_tokens") or 0) for kind in ("read", "creation"))
    if fresh is None or output_tokens is None or cached is None or written is None:
        read = estimate_tokens(prompt.content()) if fresh is None else fresh + (cached or 0) + (written or 0)
        wrote = estimate_tokens(text) if output_tokens is None else output_tokens
        return TokenUsage(input_tokens=read, output_tokens=wrote, estimated=True)
    details = told.get("output_tokens_details")
    thought = _tokens(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return TokenUsage(
        input_tokens=fresh + cached + written,
        output_tokens=output_tokens,
        cached_tokens=cached,
        written_tokens=written,
        reasoning_tokens=min(thought or 0, output_tokens),
    )


def _tokens(value: Json) -> int | None:
    """Return a count of tokens, or None where the server did not give one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
