"""Finds out what an OpenAI-compatible server really does, by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from orchestra_agents.errors import ContextExceeded, InvalidRequest, ModelError
from orchestra_agents.models._schema_question import BOUND, obeys
from orchestra_agents.models._wire import Dialect, completions_of, request_of
from orchestra_agents.models.contract import (
    Completion,
    Json,
    LimitField,
    Message,
    ModelFacts,
    Prompt,
    Sampling,
)
from orchestra_agents.models.inquiry import SHORT, Inquiry
from orchestra_agents.models.transport import Transport

_PROMPT = Prompt(messages=(Message("user", "Write ten random words."),), step="probe")
_SAMPLING = Sampling(temperature=1.0, max_tokens=SHORT // 2)
_FIELDS: tuple[LimitField, ...] = get_args(LimitField)


@dataclass(slots=True)
class _Endpoint:
    """A served model to ask."""

    model: str
    transport: Transport
    dialect: Dialect
    inquiry: Inquiry

    async def ask(self, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return what one request for `count` completions gives."""
        request = request_of(_PROMPT, sampling, model=self.model, dialect=self.dialect, index=0, count=count)
        return await self.inquiry.ask(
            _PROMPT,
            sampling,
            send=lambda: self.transport.post(request.path, request.content),
            read=lambda answer: completions_of(answer, _PROMPT, count=count),
            count=count,
        )

    async def open(self) -> list[Completion]:
        """Return the first answer, to as much as the server takes: `n`, and either name of the limit of tokens."""
        own = self.dialect.max_tokens_field
        refused: ModelError | None = None
        for name in (own, *(one for one in _FIELDS if one != own)):
            self.dialect = replace(self.dialect, max_tokens_field=name)
            for count in (2, 1):
                try:
                    return await self.ask(_SAMPLING, count)
                except (InvalidRequest, ContextExceeded) as error:
                    refused = refused or error
        assert refused is not None
        raise refused

    async def repeats(self, first: Sequence[Completion]) -> tuple[bool | None, bool | None]:
        """Return whether an equal seed repeats an answer at temperature 1, and whether log-probabilities come back."""
        try:
            again = await self.ask(replace(_SAMPLING, logprobs=2), len(first))
            return _is_repeated(first, again), bool(again[0].logprobs)
        except (InvalidRequest, ContextExceeded):
            pass
        except ModelError:
            return None, None
        try:
            return _is_repeated(first, await self.ask(_SAMPLING, len(first))), False
        except ModelError:
            return None, False

    async def obeys_schema(self) -> bool | None:
        """Return whether a JSON schema constrains the completion."""
        try:
            return obeys((await self.ask(BOUND))[0])
        except (InvalidRequest, ContextExceeded):
            return False
        except ModelError:
            return None


def _is_repeated(first: Sequence[Completion], again: Sequence[Completion]) -> bool | None:
    """Return whether two answers are the same; None where there are no words to compare: the model still thought."""
    return first[0].text == again[0].text if first[0].text else None


async def facts(model: str, transport: Transport, dialect: Dialect, inquiry: Inquiry) -> ModelFacts:
    """Return what the endpoint does; what it refuses is False, what could not be found out is None."""
    endpoint = _Endpoint(model, transport, replace(dialect, has_schema=True), inquiry)
    try:
        first = await endpoint.open()
    except ModelError as error:
        return ModelFacts(reachable=False, problem=str(error), cost=inquiry.tally.cost)
    seed, logprobs = await endpoint.repeats(first)
    return ModelFacts(
        reachable=True,
        n=len(first) == 2,
        seed=seed,
        logprobs=logprobs,
        json_schema=await endpoint.obeys_schema(),
        context=await context_of(model, transport, dialect),
        usage=not first[0].usage.estimated,
        max_tokens_field=endpoint.dialect.max_tokens_field,
        version=await version_of(transport, dialect),
        cost=inquiry.tally.cost,
    )


async def context_of(model: str, transport: Transport, dialect: Dialect) -> int | None:
    """Return the context window of one request in tokens, where the server says it; asks for no completion."""
    try:
        if dialect.is_llamacpp:
            props = await transport.get_json("/props", from_root=True)
            return _context_of(props.get("default_generation_settings") if isinstance(props, dict) else None)
        models = await transport.get_json("/models")
    except ModelError:
        return None
    rows = models.get("data") if isinstance(models, dict) else None
    mine = [row for row in rows or () if isinstance(row, dict) and row.get("id") == model]
    return _context_of(mine[0]) if mine else None


async def version_of(transport: Transport, dialect: Dialect) -> str | None:
    """Return the version of the server, where this kind of server tells it."""
    if dialect.version_path is None:
        return None
    try:
        told = await transport.get_json(dialect.version_path, from_root=True)
    except ModelError:
        return None
    version = (told.get("version") or told.get("build_info")) if isinstance(told, dict) else None
    return version[:100] if isinstance(version, str) else None


async def count_tokens(model: str, transport: Transport, dialect: Dialect, prompt: Prompt) -> int | None:
    """Return the tokens of `prompt`, chat template included, where the server has a way to tell.

    Raises:
        ModelError: It has, and did not answer.
    """
    rendered = prompt.rendered()
    if dialect.is_vllm:
        asked = {"model": model, **({"prompt": rendered["text"]} if prompt.text is not None else rendered)}
        return _count_of(await transport.post_json("/tokenize", asked, from_root=True))
    if not dialect.is_llamacpp:
        return None
    text = prompt.text
    if text is None:
        applied = await transport.post_json("/apply-template", rendered, from_root=True)
        text = applied.get("prompt") if isinstance(applied, dict) else None
    if not isinstance(text, str):
        return None
    asked = {"content": text, "add_special": True, "parse_special": True}
    return _count_of(await transport.post_json("/tokenize", asked, from_root=True))


def _count_of(reply: Json) -> int | None:
    """Return the number of tokens that `reply` counts or lists."""
    told = reply if isinstance(reply, dict) else {}
    count, tokens = told.get("count"), told.get("tokens")
    if isinstance(count, int) and not isinstance(count, bool):
        return count
    return len(tokens) if isinstance(tokens, list) else None


def _context_of(value: Json) -> int | None:
    """Return the first context size that `value` names: vLLM, OpenRouter, llama.cpp."""
    told = value if isinstance(value, dict) else {}
    sizes = [told.get(name) for name in ("max_model_len", "context_length", "n_ctx")]
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)
