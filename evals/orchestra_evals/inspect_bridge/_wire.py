"""What a prompt, a sampling and a reply are to a model of Inspect. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Logprobs,
    ModelOutput,
    ModelUsage,
    ResponseSchema,
    StopReason,
)
from inspect_ai.util import JSONSchema

from orchestra_agents.errors import InputError
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

_FINISH: Mapping[StopReason, FinishReason] = MappingProxyType(
    {
        "stop": "stop",
        "max_tokens": "length",
        "model_length": "length",
        "content_filter": "content_filter",
        "tool_calls": "other",
        "unknown": "other",
    }
)
_ROLES: Mapping[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = MappingProxyType(
    {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
)
_BEYOND = frozenset(
    ("$ref", "allOf", "const", "dependentRequired", "if", "not", "oneOf", "patternProperties", "prefixItems")
)
"""Keywords that Inspect's schema has no field for, and without which a schema says something else."""


def messages_of(prompt: Prompt) -> list[ChatMessage]:
    """Return the messages of `prompt`; raw text is one message of the user's."""
    rendered = prompt.rendered()  # and nothing but that: the prompt's sidecars cannot be sent
    if "text" in rendered:
        return [ChatMessageUser(content=rendered["text"])]
    return [_ROLES[one["role"]](content=one["content"]) for one in rendered["messages"]]


def config_of(sampling: Sampling, *, seed: int | None) -> GenerateConfig:
    """Return the settings of one request; what is None stays as Inspect was told.

    A top_p of 1 is not sent: it says nothing, and some providers refuse it beside a temperature.

    Raises:
        InputError: The sampling has a grammar, which no model of Inspect takes.
    """
    if sampling.grammar is not None:
        raise InputError("grammar", "is for llama.cpp servers; models of Inspect take none")
    return GenerateConfig(
        temperature=sampling.temperature,
        top_p=sampling.top_p if sampling.top_p < 1 else None,
        max_tokens=sampling.max_tokens,
        stop_seqs=list(sampling.stop) or None,
        seed=seed,
        response_schema=None if sampling.schema is None else response_schema(json.loads(sampling.schema)),
        logprobs=True if sampling.logprobs else None,
        top_logprobs=sampling.logprobs or None,
    )


def response_schema(schema: Json) -> ResponseSchema | None:
    """Return a JSON schema as Inspect sends it, None where it cannot say what the schema says.

    Bounds on the length of lists are left out: the reply is checked against all of the schema anyway.
    """
    if _is_beyond(schema):
        return None
    return ResponseSchema(name="reply", json_schema=JSONSchema.model_validate(schema))


def _is_beyond(schema: Json) -> bool:
    if isinstance(schema, list):
        return any(map(_is_beyond, schema))
    if not isinstance(schema, dict):
        return False
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("anyOf")]
    return bool(_BEYOND & schema.keys()) or any(map(_is_beyond, [*inner, schema.get("additionalProperties")]))


def completion_of(output: ModelOutput, prompt: Prompt) -> Completion:
    """Return what a reply says; the text of one that was filtered is no answer, and is left out."""
    choice = output.choices[0] if output.choices else None
    finish = _FINISH[choice.stop_reason] if choice is not None else "other"
    text = choice.message.text if choice is not None and finish != "content_filter" else ""
    return Completion(
        text=text,
        finish_reason=finish,
        usage=usage_of(output.usage, prompt, text),
        logprobs=_logprobs(choice.logprobs) if choice is not None else None,
    )


def usage_of(told: ModelUsage | None, prompt: Prompt, text: str) -> TokenUsage:
    """Return the tokens of a reply; Inspect counts what a cache read or took apart from the rest of the input."""
    if told is None:
        guess = estimate_tokens(prompt.content())
        return TokenUsage(input_tokens=guess, output_tokens=estimate_tokens(text), estimated=True)
    cached, written = told.input_tokens_cache_read or 0, told.input_tokens_cache_write or 0
    return TokenUsage(
        input_tokens=told.input_tokens + cached + written,
        output_tokens=told.output_tokens,
        cached_tokens=cached,
        written_tokens=written,
        reasoning_tokens=told.reasoning_tokens or 0,
    )


def _logprobs(told: Logprobs | None) -> tuple[TokenLogprob, ...] | None:
    if told is None:
        return None
    return tuple(
        TokenLogprob(one.token, one.logprob, tuple((other.token, other.logprob) for other in one.top_logprobs or ()))
        for one in told.content
    )
