"""Finds out what a server of Anthropic's Messages interface really does, by asking it."""

from __future__ import annotations

import asyncio
import json
from functools import reduce
from urllib.parse import quote

from orchestra_agents.errors import ContextExceeded, InvalidRequest, ModelError
from orchestra_agents.models._anthropic_wire import Dialect, body_of, completion_of, words_of
from orchestra_agents.models.contract import (
    Completion,
    Json,
    Message,
    ModelFacts,
    ProbeCost,
    Prompt,
    Sampling,
    canonical_json,
)
from orchestra_agents.models.transport import Retry, Transport

_PATIENCE = Retry(attempts=2, total_s=10.0)
_PROMPT = Prompt(messages=(Message("user", "Left or right? Say one of them."),), step="probe")
_TINY = Sampling(temperature=1.0, max_tokens=16)
_MEMBERS = ("left", "right")
_BOUND = Sampling(
    temperature=1.0,
    max_tokens=1024,  # what a model thinks before it answers counts too
    schema=canonical_json(
        {
            "type": "object",
            "properties": {"side": {"type": "string", "enum": list(_MEMBERS)}},
            "required": ["side"],
            "additionalProperties": False,
        }
    ),
)


async def facts(model: str, transport: Transport, dialect: Dialect) -> ModelFacts:
    """Return what the endpoint does; what it refuses is False, what could not be found out is None.

    Several completions of one request, seeds and log-probabilities do not exist in this interface.
    """
    try:
        hello = await _ask(_TINY, model, transport, dialect)
    except ModelError as error:
        return ModelFacts(reachable=False, problem=str(error))
    async with asyncio.TaskGroup() as group:
        asked: list[Completion] = []
        json_schema = group.create_task(_obeys_schema(model, transport, dialect, asked))
        context = group.create_task(context_of(model, transport))
    return ModelFacts(
        reachable=True,
        n=False,
        seed=False,
        logprobs=False,
        json_schema=json_schema.result(),
        context=context.result(),
        usage=not hello.usage.estimated,
        max_tokens_field="max_tokens",
        cost=reduce(lambda cost, one: cost.plus([one], attempts=1, calls=1), [hello, *asked], ProbeCost()),
    )


async def context_of(model: str, transport: Transport) -> int | None:
    """Return the context window in tokens, where the server says it; asks for no completion."""
    try:
        told = await transport.get_json(f"/models/{quote(model, safe='')}")
    except ModelError:
        return None
    size = told.get("max_input_tokens") if isinstance(told, dict) else None
    return size if isinstance(size, int) and size > 0 else None


async def count_tokens(model: str, transport: Transport, prompt: Prompt) -> int | None:
    """Return the tokens of `prompt`, None where the server's answer holds no count.

    Raises:
        ModelError: It did not answer.
    """
    told = await transport.post_json("/messages/count_tokens", {"model": model, **words_of(prompt)})
    count: Json = told.get("input_tokens") if isinstance(told, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


async def _ask(sampling: Sampling, model: str, transport: Transport, dialect: Dialect) -> Completion:
    body = body_of(_PROMPT, sampling, model=model, dialect=dialect)
    reply = await _PATIENCE.run(lambda: transport.post_json("/messages", body))
    return completion_of(reply.value, _PROMPT)


async def _obeys_schema(model: str, transport: Transport, dialect: Dialect, asked: list[Completion]) -> bool | None:
    """Whether a JSON schema constrains the completion; None where the model thought too long to say."""
    if not dialect.has_schema:
        return False
    try:
        completion = await _ask(_BOUND, model, transport, dialect)
        asked.append(completion)
        if completion.finish_reason == "length":
            return None
        value = json.loads(completion.text)
    except (InvalidRequest, ContextExceeded, ValueError):
        return False
    except ModelError:
        return None
    return isinstance(value, dict) and value.get("side") in _MEMBERS
