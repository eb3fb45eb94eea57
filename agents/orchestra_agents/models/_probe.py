"""Finds out what an OpenAI-compatible server really does, by asking it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from orchestra_agents.errors import ContextExceeded, InvalidRequest, ModelError
from orchestra_agents.models._wire import Dialect, completions_of, request_of
from orchestra_agents.models.contract import Completion, Json, Message, ModelFacts, Prompt, Sampling, canonical_json
from orchestra_agents.models.transport import Retry, Transport

_PATIENCE = Retry(attempts=2, total_s=10.0)
_PROMPT = Prompt(messages=(Message("user", "Write ten random words."),), step="probe")
_SAMPLING = Sampling(temperature=1.0, max_tokens=16)
_MEMBERS = ("left", "right")
_SCHEMA = canonical_json(
    {
        "type": "object",
        "properties": {"side": {"type": "string", "enum": list(_MEMBERS)}},
        "required": ["side"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A served model to ask."""

    model: str
    transport: Transport
    dialect: Dialect

    async def ask(self, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return what one request for `count` completions gives."""
        request = request_of(_PROMPT, sampling, model=self.model, dialect=self.dialect, index=0, count=count)
        reply = await _PATIENCE.run(lambda: self.transport.post(request.path, request.content))
        return completions_of(reply.value, _PROMPT, count=count)

    async def has_n(self) -> bool:
        """Whether two completions come back where two are asked for."""
        return len(await self.ask(_SAMPLING, count=2)) == 2

    async def repeats(self) -> bool:
        """Whether an equal seed repeats an answer at temperature 1."""
        first, second = [await self.ask(_SAMPLING) for _ in range(2)]
        return first[0].text == second[0].text

    async def has_logprobs(self) -> bool:
        """Whether log-probabilities come back."""
        return bool((await self.ask(replace(_SAMPLING, logprobs=2)))[0].logprobs)

    async def obeys_schema(self) -> bool:
        """Whether a JSON schema constrains the completion."""
        completions = await self.ask(replace(_SAMPLING, max_tokens=64, schema=_SCHEMA))
        try:
            value = json.loads(completions[0].text)
        except ValueError:
            return False
        return isinstance(value, dict) and value.get("side") in _MEMBERS

    async def context(self) -> int | None:
        """Return the context window of one request in tokens, where the server says it."""
        if self.dialect.is_llamacpp:
            props = await self.transport.get_json("/props", from_root=True)
            return _context_of(props.get("default_generation_settings") if isinstance(props, dict) else None)
        models = await self.transport.get_json("/models")
        rows = models.get("data") if isinstance(models, dict) else None
        mine = [row for row in rows or () if isinstance(row, dict) and row.get("id") == self.model]
        return _context_of(mine[0]) if mine else None


async def facts(model: str, transport: Transport, dialect: Dialect) -> ModelFacts:
    """Return what the endpoint does; what it refuses is False, what could not be found out is None."""
    endpoint = _Endpoint(model, transport, dialect)
    try:
        await endpoint.ask(_SAMPLING)
    except ModelError as error:
        return ModelFacts(reachable=False, problem=str(error))
    async with asyncio.TaskGroup() as group:
        n = group.create_task(_answer(endpoint.has_n))
        seed = group.create_task(_answer(endpoint.repeats))
        logprobs = group.create_task(_answer(endpoint.has_logprobs))
        json_schema = group.create_task(_answer(endpoint.obeys_schema))
        context = group.create_task(_context(endpoint))
    return ModelFacts(
        reachable=True,
        n=n.result(),
        seed=seed.result(),
        logprobs=logprobs.result(),
        json_schema=json_schema.result(),
        context=context.result(),
    )


async def context_of(model: str, transport: Transport, dialect: Dialect) -> int | None:
    """Return the context window in tokens, where the server says it; asks for no completion."""
    return await _context(_Endpoint(model, transport, dialect))


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


async def _answer(question: Callable[[], Awaitable[bool]]) -> bool | None:
    try:
        return await question()
    except (InvalidRequest, ContextExceeded):
        return False
    except ModelError:
        return None


async def _context(endpoint: _Endpoint) -> int | None:
    try:
        return await endpoint.context()
    except ModelError:
        return None


def _context_of(value: Json) -> int | None:
    """Return the first context size that `value` names: vLLM, OpenRouter, llama.cpp."""
    told = value if isinstance(value, dict) else {}
    sizes = [told.get(name) for name in ("max_model_len", "context_length", "n_ctx")]
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)
