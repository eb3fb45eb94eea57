"""What a prompt, a sampling and a reply are to a chat model of LangChain. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import (
    Completion,
    FinishReason,
    Json,
    Prompt,
    Sampling,
    TokenUsage,
    estimate_tokens,
)

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "max_new_tokens"),
        "seed": ("seed", "random_seed"),
    }
)
"""What chat models call the field of each setting; where there is none, the keyword argument has our own name."""

_FINISH: Mapping[str, FinishReason] = MappingProxyType(
    {
        **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos_token", "complete", "completed"), "stop"),
        **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
        **dict.fromkeys(("content_filter", "content_filtered", "guardrail_intervened", "refusal"), "content_filter"),
        **dict.fromkeys(("safety", "recitation", "blocklist", "prohibited_content", "spii"), "content_filter"),
    }
)
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_ROLES: Mapping[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one request is told, by where it is put."""

    fields: Mapping[str, Json]
    """Values of the chat model's own fields; None leaves a setting to the provider."""
    keywords: Mapping[str, Json]
    """Keyword arguments of the request, for what the chat model has no field for."""
    is_limited: bool
    """Whether the limit of tokens is among them."""


def messages_of(prompt: Prompt) -> list[BaseMessage]:
    """Return the messages of `prompt`; raw text is one message of the user's."""
    rendered = prompt.rendered()  # and nothing but that: the prompt's sidecars cannot be sent
    if "text" in rendered:
        return [HumanMessage(rendered["text"])]
    return [_ROLES[message["role"]](message["content"]) for message in rendered["messages"]]


def settings_of(
    chat_model: BaseChatModel, sampling: Sampling, *, seed: int | None, refused: Collection[str]
) -> Settings:
    """Return what a request with `sampling` tells `chat_model`, without the keyword arguments it has `refused`.

    Raises:
        InputError: The sampling asks for what would silently not be obeyed.
    """
    if sampling.grammar is not None:
        raise InputError("grammar", "is understood by llama.cpp servers only, not by a chat model of LangChain")
    known = type(chat_model).model_fields
    # A cached reply would be the same vote again; what is recorded is kept by the journal.
    fields: dict[str, Json] = {"cache": False}
    keywords: dict[str, Json] = {}
    for name, value in _wanted(chat_model, sampling, seed).items():
        field = next((own for own in _FIELDS[name] if own in known), None)
        if field is not None:
            fields[field] = value
        elif value is not None and name not in refused:
            keywords[name] = value
    is_limited = "max_tokens" in keywords or any(own in fields for own in _FIELDS["max_tokens"])
    return Settings(fields=fields, keywords=keywords, is_limited=is_limited)


def completion_of(message: BaseMessage, prompt: Prompt, sampling: Sampling, *, is_limited: bool) -> Completion:
    """Return what `message` says, ended by the stop texts and the limit of tokens even where the chat model was not.

    Args:
        message: The reply.
        prompt: What was asked.
        sampling: How it was asked.
        is_limited: Whether the chat model was told the limit of tokens.
    """
    # Lone surrogates, which JSON can smuggle in, would break every later encoding.
    text = _words(message).encode("utf-8", "replace").decode("utf-8")
    usage = _usage(message, prompt, text)
    told = not usage.estimated
    is_over = usage.output_tokens > sampling.max_tokens if is_limited else usage.output_tokens >= sampling.max_tokens
    finish: FinishReason = "length" if is_over and (told or not is_limited) else _finish_reason(message)
    places = [place for stop in sampling.stop if stop and (place := text.find(stop)) >= 0]
    if places:
        text, finish = text[: min(places)], "stop"
    return Completion(text=text, finish_reason=finish, usage=usage)


def _wanted(chat_model: BaseChatModel, sampling: Sampling, seed: int | None) -> dict[str, Json]:
    """Return the value of every setting, None where the provider must not be told."""
    takes_temperature = (chat_model.profile or {}).get("temperature") is not False
    # Anthropic's models refuse it next to a temperature, and 1 is what they do without it.
    takes_top_p = takes_temperature and not (sampling.top_p == 1.0 and _is_anthropic(chat_model))
    return {
        "temperature": sampling.temperature if takes_temperature else None,
        "top_p": sampling.top_p if takes_top_p else None,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
    }


def _is_anthropic(chat_model: BaseChatModel) -> bool:
    """Tell whether a model of Anthropic's answers, whoever serves it."""
    known = chat_model._get_ls_params()  # what integrations tell about themselves, with no public name
    served = f"{known.get('ls_provider')} {known.get('ls_model_name')}".lower()
    return "anthropic" in served or "claude" in served


def _words(message: BaseMessage) -> str:
    """Return the text of a message, its text blocks where it is a list of them, a refusal's words where it refused."""
    text = str(message.text)
    refusal = message.additional_kwargs.get("refusal")
    return refusal if not text and isinstance(refusal, str) else text


def _finish_reason(message: BaseMessage) -> FinishReason:
    """Return why the completion ended; what we have no word for, or was not said, is `other`."""
    told = message.response_metadata
    incomplete = told.get("incomplete_details")  # OpenAI's responses interface says `incomplete` and there why
    reason = incomplete.get("reason") if isinstance(incomplete, dict) else told.get("status")
    reason = next((told[name] for name in _REASONS if isinstance(told.get(name), str)), reason)
    return _FINISH.get(reason.lower(), "other") if isinstance(reason, str) else "other"


def _usage(message: BaseMessage, prompt: Prompt, text: str) -> TokenUsage:
    """Return the usage that the message tells, estimated where it does not."""
    told: Mapping[str, Json] = getattr(message, "usage_metadata", None) or {}
    read, written = _tokens(told.get("input_tokens")), _tokens(told.get("output_tokens"))
    inputs = told.get("input_token_details") or {}
    # Anthropic's integration tells what it wrote by how long it is kept, and then nothing under the first name.
    kept = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    return TokenUsage(
        input_tokens=estimate_tokens(prompt.content()) if read is None else read,
        output_tokens=estimate_tokens(text) if written is None else written,
        cached_tokens=_tokens(inputs.get("cache_read")) or 0,
        written_tokens=sum(_tokens(inputs.get(name)) or 0 for name in kept),
        reasoning_tokens=_tokens((told.get("output_token_details") or {}).get("reasoning")) or 0,
        estimated=read is None or written is None,
    )


def _tokens(value: Json) -> int | None:
    """Return a count of tokens, or None where none was given."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
