"""What a prompt looks like on the wire of an OpenAI-compatible server, and what its replies mean. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestra_agents.errors import InputError, ServerError
from orchestra_agents.models.contract import (
    Completion,
    FinishReason,
    Json,
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
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of server differs from the others."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of the limit of a chat completion; raw completions always say `max_tokens`."""
    has_n: bool = True
    """Whether several completions are asked for in one request; else each is a request of its own."""
    is_llamacpp: bool = False
    """A llama.cpp server: takes grammars, and has samplers of its own that are switched off."""
    is_vllm: bool = False
    """A vLLM server: counts tokens for us."""
    always_top_p: bool = True
    """Whether top_p is sent even where it is 1; Anthropic's models refuse it next to a temperature."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    path: str
    body: dict[str, Json]


def request_of(
    prompt: Prompt, sampling: Sampling, *, model: str, dialect: Dialect, index: int, count: int = 1
) -> Request:
    """Return the request for samples `index` to `index + count - 1` of `prompt`.

    The body is built from `prompt.rendered()`, so that the prompt's sidecars (`truth`, `step`, `latency_ms`) cannot
    be sent.
    """
    _check(sampling, dialect)
    is_chat = prompt.text is None
    body: dict[str, Json] = {"model": model, "temperature": sampling.temperature}
    if dialect.always_top_p or sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    body[dialect.max_tokens_field if is_chat else "max_tokens"] = sampling.max_tokens
    seed = sampling.seed_of(prompt.identity(), index)
    if seed is not None:
        body["seed"] = seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if count > 1:
        body["n"] = count
    if dialect.is_llamacpp:
        body |= {"top_k": 0, "min_p": 0.0}  # its defaults cut the tail; `Sampling` is all that shapes a draw
    body |= _constraint(sampling, is_bare=dialect.is_llamacpp and not is_chat)
    if is_chat:
        if sampling.logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return Request("/chat/completions", body | prompt.rendered())
    if sampling.logprobs:
        body["logprobs"] = sampling.logprobs
    return Request("/completions", body | {"prompt": prompt.rendered()["text"]})


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


def completions_of(reply: Json, prompt: Prompt, *, count: int) -> list[Completion]:
    """Return the first `count` completions in a server's reply, at least one; the first stands for the request.

    Raises:
        ServerError: The reply is not what the interface promises; the same request may well succeed again.
    """
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ServerError("the server's reply holds no choices")
    choices = choices[:count]
    texts = [_text(choice) for choice in choices]
    usages = _usages(reply.get("usage"), prompt, texts)
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


def _finish_reason(choice: Mapping[str, Json]) -> FinishReason:
    """Return why the completion ended; what we have no word for is `other`."""
    reason = choice.get("finish_reason")
    return _FINISH.get(reason, "other") if isinstance(reason, str) else "other"


def _text(choice: Mapping[str, Json]) -> str:
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
    is_estimated = input_tokens is None or output_tokens is None
    weights = [estimate_tokens(text) for text in texts]
    if input_tokens is None:
        input_tokens = _estimated_input(prompt)
    if output_tokens is None:
        output_tokens = sum(weights)
    usages, given, weight_so_far = [], 0, 0
    for place, weight in enumerate(weights):
        weight_so_far += weight
        share = output_tokens * weight_so_far // sum(weights) - given
        given += share
        usages.append(
            TokenUsage(input_tokens=0 if place else input_tokens, output_tokens=share, estimated=is_estimated)
        )
    return usages


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
