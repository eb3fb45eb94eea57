"""What a prompt looks like on the wire of an OpenAI-compatible server, and what its replies mean. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from orchestra_agents.errors import InputError, ServerError
from orchestra_agents.models._decoding import decoded
from orchestra_agents.models._schema_words import with_schema
from orchestra_agents.models.contract import (
    Completion,
    FinishReason,
    Json,
    LimitField,
    Message,
    Prompt,
    Sampling,
    TokenLogprob,
    TokenUsage,
    estimate_tokens,
)

LOWEST_LOGPROB = -9999.0
"""Stands for a probability of zero, as in OpenAI's interface: JSON has no infinity."""

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of server differs from the others."""

    max_tokens_field: LimitField = "max_tokens"
    """Name of the limit of a chat completion; raw completions always say `max_tokens`."""
    has_n: bool = True
    """Whether several completions are asked for in one request; else each is a request of its own."""
    is_llamacpp: bool = False
    """A llama.cpp server: takes grammars, and has samplers of its own that are switched off."""
    is_vllm: bool = False
    """A vLLM server: counts tokens for us."""
    version_path: str | None = None
    """Where the server tells its version, below the address without its `/v1`."""
    has_schema: bool = True
    """Whether a JSON schema is sent; else it is told in words, and the reply is checked against it."""
    has_temperature: bool = True
    """Whether temperature and top_p are sent; some models take no others than their own."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    path: str
    content: bytes
    """JSON, in ASCII: a lone surrogate in a prompt is then the server's to refuse, not a crash of ours."""


def request_of(
    prompt: Prompt,
    sampling: Sampling,
    *,
    model: str,
    dialect: Dialect,
    index: int,
    count: int = 1,
    is_streamed: bool = False,
) -> Request:
    """Return the request for samples `index` to `index + count - 1` of `prompt`.

    The body is built from what `prompt.rendered()` shows, so that the prompt's sidecars (`truth`, `step`, `latency_ms`)
    cannot be sent. All of it that the votes of a step share is serialised once.
    """
    shared = _shared(prompt.messages, prompt.text, _settings(sampling), model, dialect)
    own = b""
    seed = sampling.seed_of(prompt.identity(), index)
    if seed is not None:
        own += b',"seed":%d' % seed
    if count > 1:
        own += b',"n":%d' % count
    if is_streamed:
        own += b',"stream":true,"stream_options":{"include_usage":true}'
    return Request("/completions" if prompt.messages == () else "/chat/completions", shared + own + b"}")


@lru_cache(maxsize=256)
def _settings(sampling: Sampling) -> Sampling:
    """Return a sampling without what is one sample's own."""
    return replace(sampling, index=0, seed=None)


@lru_cache(maxsize=64)
def _shared(messages: tuple[Message, ...], text: str | None, sampling: Sampling, model: str, dialect: Dialect) -> bytes:
    """Return the body of a request as JSON, its end and what is one sample's own left open."""
    _check(sampling, dialect)
    is_chat = text is None
    body: dict[str, Json] = {"model": model}
    if dialect.has_temperature:
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
    body[dialect.max_tokens_field if is_chat else "max_tokens"] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if dialect.is_llamacpp:
        body |= {"top_k": 0, "min_p": 0.0}  # its defaults cut the tail; `Sampling` is all that shapes a draw
    if dialect.has_schema:
        body |= _constraint(sampling, is_bare=dialect.is_llamacpp and not is_chat)
    if is_chat:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs} if sampling.logprobs else {}
        told = None if dialect.has_schema else sampling.schema
        body |= with_schema(Prompt(messages=messages), told).rendered()
    else:
        body |= {"logprobs": sampling.logprobs} if sampling.logprobs else {}
        body |= {"prompt": text}
    return json.dumps(body, allow_nan=False).encode("ascii")[:-1]


def _check(sampling: Sampling, dialect: Dialect) -> None:
    """Refuse what would silently not be obeyed."""
    if sampling.grammar is not None and not dialect.is_llamacpp:
        raise InputError("grammar", "is understood by llama.cpp servers only; give a JSON schema instead")
    if sampling.grammar is not None and sampling.schema is not None:
        raise InputError("grammar", "cannot be combined with a JSON schema; give one of them")


def _constraint(sampling: Sampling, *, is_bare: bool) -> dict[str, Json]:
    """Return the fields that constrain a completion; `is_bare`: llama.cpp's raw completions take the schema alone."""
    if sampling.grammar is not None:
        return {"grammar": sampling.grammar}
    if sampling.schema is None:
        return {}
    schema = json.loads(sampling.schema)
    if is_bare:
        return {"json_schema": schema}
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def completions_of(body: bytes, prompt: Prompt, *, count: int) -> list[Completion]:
    """Return the first `count` completions in a server's reply, at least one; the first stands for the request.

    They come in the order of their `index`. Of choices that claim the same one only the first counts, so that no copy
    passes for a vote.

    Raises:
        ServerError: The reply is not what the interface promises; the same request may well succeed again.
    """
    reply = _reply_of(body)
    choices = _in_order(reply.get("choices", []))[:count]
    if not choices:
        raise ServerError("the server's reply holds no choices")
    return _completions(choices, reply.get("usage"), prompt)


def _completions(choices: Sequence[_Choice], usage: Json, prompt: Prompt) -> list[Completion]:
    texts = [_text(choice) for choice in choices]
    usages = _usages(usage, prompt, texts)
    return [
        Completion(
            text=text,
            finish_reason=_finish_reason(choice),
            usage=usage,
            logprobs=_logprobs(choice.get("logprobs")),
            attempts=0 if place else 1,
        )
        for place, (choice, text, usage) in enumerate(zip(choices, texts, usages, strict=True))
    ]


class Assembly:
    """A streamed reply, put together as its events arrive: the choice of index 0, should there be others."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._finish_reason: Json = None
        self._usage: Json = None

    @property
    def has_begun(self) -> bool:
        """Whether any of its text is there."""
        return bool(self._text)

    @property
    def is_whole(self) -> bool:
        """Whether the server has said why it ended."""
        return self._finish_reason is not None

    def add(self, event: Json) -> str:
        """Take an event, and return the piece of text that it brings.

        Raises:
            ServerError: It brings something that is no text.
        """
        told = event if isinstance(event, dict) else {}
        if isinstance(told.get("usage"), dict):
            self._usage = told["usage"]
        choice = _first(told.get("choices"))
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta")
        piece = _text({"message": delta} if isinstance(delta, dict) else {"text": choice.get("text")})
        if piece:
            self._text.append(piece)
        return piece

    def completion(self, prompt: Prompt) -> Completion:
        """Return the whole."""
        choice: _Choice = {"text": "".join(self._text), "finish_reason": self._finish_reason}
        return _completions([choice], self._usage, prompt)[0]


def _first(choices: Json) -> dict[str, Json]:
    """Return the choice of index 0, which one that has no index is taken for; {} where there is none."""
    rows = choices if isinstance(choices, list) else []
    return next((row for row in rows if isinstance(row, dict) and row.get("index") in (0, None)), {})


class _Choice(TypedDict, total=False):
    """What is used of a choice; all of it is checked where it is read."""

    index: Any
    message: Any
    text: Any
    finish_reason: Any
    logprobs: Any


class _Reply(TypedDict, total=False):
    """What is used of a reply; other fields are passed over without being made into values."""

    choices: list[_Choice]
    usage: Any


_REPLY = TypeAdapter(_Reply)


def _reply_of(body: bytes) -> _Reply:
    """Return what a reply holds."""
    if b"NaN" not in body and b"Infinity" not in body:  # words that pydantic would read as numbers
        with suppress(ValidationError):
            return _REPLY.validate_json(body)
    value = decoded(body)
    with suppress(ValidationError):
        return _REPLY.validate_python(value)
    raise ServerError("the server's reply holds no choices")  # by itself: that error would quote the reply


def _in_order(choices: list[_Choice]) -> list[_Choice]:
    """Return choices by their index, one for each."""
    if len(choices) == 1:
        return choices
    placed: dict[int, _Choice] = {}
    for place, choice in enumerate(choices):
        index = choice.get("index")
        placed.setdefault(index if type(index) is int else place, choice)
    return [placed[index] for index in sorted(placed)]


def _finish_reason(choice: _Choice) -> FinishReason:
    """Return why the completion ended; what we have no word for is `other`."""
    reason = choice.get("finish_reason")
    return _FINISH.get(reason, "other") if isinstance(reason, str) else "other"


def _text(choice: _Choice) -> str:
    """Return a choice's text: "" where it has none, a refusal's words where the model refused."""
    message = choice.get("message")
    if isinstance(message, dict):
        content = message.get("content")
        if content is None or content == "":
            content = message.get("refusal")
    else:
        content = choice.get("text")
    if isinstance(content, list):  # content parts, as some gateways send
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise ServerError("the server's reply holds a completion that is not text")
    # Lone surrogates, which JSON can smuggle in, would break every later encoding.
    return content.encode("utf-8", "replace").decode("utf-8")


def _usages(usage: Json, prompt: Prompt, texts: Sequence[str]) -> list[TokenUsage]:
    """Return the usage of each completion: the first carries the input, the output is shared out by length of text."""
    told = usage if isinstance(usage, dict) else {}
    input_tokens, output_tokens = _tokens(told.get("prompt_tokens")), _tokens(told.get("completion_tokens"))
    cached = _detail(told.get("prompt_tokens_details"), "cached_tokens", input_tokens)
    reasoning = _detail(told.get("completion_tokens_details"), "reasoning_tokens", output_tokens)
    is_estimated = input_tokens is None or output_tokens is None
    weights = [estimate_tokens(text) for text in texts]
    if input_tokens is None:
        input_tokens = _estimated_input(prompt)
    if output_tokens is None:
        output_tokens = sum(weights)
    shares = _shares(output_tokens, weights)
    return [
        TokenUsage(
            input_tokens=0 if place else input_tokens,
            output_tokens=output,
            cached_tokens=0 if place else cached,
            reasoning_tokens=hidden,
            shared_tokens=input_tokens if place else 0,
            estimated=is_estimated,
        )
        for place, (output, hidden) in enumerate(zip(shares, _shares(reasoning, weights), strict=True))
    ]


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return `total` shared out by weight, without a remainder."""
    if len(weights) == 1:
        return [total]
    bounds = [total * below // sum(weights) for below in accumulate(weights, initial=0)]
    return [high - low for low, high in pairwise(bounds)]


def _detail(told: Json, name: str, most: int | None) -> int:
    """Return a part of a count of tokens, at most all of it; 0 where the server does not say."""
    part = _tokens(told.get(name)) if isinstance(told, dict) else None
    return min(part or 0, most or 0)


def _tokens(value: Json) -> int | None:
    """Return a count of tokens, or None where the server did not give one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _estimated_input(prompt: Prompt) -> int:
    """Return a rough count of the prompt's tokens."""
    if prompt.text is not None:
        return estimate_tokens(prompt.text)
    return sum(estimate_tokens(message.content) for message in prompt.messages)


def _logprobs(value: Json) -> tuple[TokenLogprob, ...] | None:
    """Return the log-probabilities of a choice: chat's `content` list, or the columns of a raw completion."""
    if not isinstance(value, dict):
        return None
    rows = value.get("content")
    if not isinstance(rows, list):
        rows = _rows_of_columns(value)
    return tuple(
        TokenLogprob(str(row.get("token", "")), _logprob(row.get("logprob")), _alternatives(row.get("top_logprobs")))
        for row in rows
        if isinstance(row, dict)
    )


def _rows_of_columns(value: Mapping[str, Json]) -> list[Json]:
    """Return the rows of `tokens`, `token_logprobs` and `top_logprobs`, where raw completions give columns."""
    tokens, logprobs, tops = (value.get(name) or [] for name in ("tokens", "token_logprobs", "top_logprobs"))
    rows: list[Json] = []
    for place, token in enumerate(tokens):
        top = tops[place] if place < len(tops) else None
        pairs = top.items() if isinstance(top, dict) else ()
        rows.append(
            {
                "token": token,
                "logprob": logprobs[place] if place < len(logprobs) else None,
                "top_logprobs": [{"token": text, "logprob": logprob} for text, logprob in pairs],
            }
        )
    return rows


def _alternatives(value: Json) -> tuple[tuple[str, float], ...]:
    """Return the alternatives at one place, likeliest first."""
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    pairs = [(str(row.get("token", "")), _logprob(row.get("logprob"))) for row in rows]
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def _logprob(value: Json) -> float:
    """Return a finite log-probability, at most 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(0.0, max(LOWEST_LOGPROB, float(value))) if is_number else LOWEST_LOGPROB
