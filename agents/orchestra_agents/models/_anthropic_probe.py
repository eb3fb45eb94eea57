"""Finds out what a server of Anthropic's Messages interface really does, by asking it."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from orchestra_agents.errors import ContextExceeded, InvalidRequest, ModelError
from orchestra_agents.models._anthropic_wire import Dialect, body_of, completion_of, words_of
from orchestra_agents.models._schema_question import BOUND, obeys
from orchestra_agents.models.contract import Completion, Json, Message, ModelFacts, Prompt, Sampling
from orchestra_agents.models.inquiry import SHORT, Inquiry
from orchestra_agents.models.transport import Transport

_PROMPT = Prompt(messages=(Message("user", "Left or right? Say one of them."),), step="probe")
_TINY = Sampling(temperature=1.0, max_tokens=SHORT)


async def facts(model: str, transport: Transport, dialect: Dialect, inquiry: Inquiry) -> ModelFacts:
    """Return what the endpoint does; what it refuses is False, what could not be found out is None.

    Several completions of one request, seeds and log-probabilities do not exist in this interface.
    """

    async def ask(sampling: Sampling) -> Completion:
        body = body_of(_PROMPT, sampling, model=model, dialect=dialect)
        [completion] = await inquiry.ask(
            _PROMPT,
            sampling,
            send=lambda: transport.post_json("/messages", body),
            read=lambda reply: [completion_of(reply, _PROMPT)],
        )
        return completion

    async def obeys_schema() -> bool | None:
        if not dialect.has_schema:
            return False
        try:
            return obeys(await ask(BOUND))
        except (InvalidRequest, ContextExceeded):
            return False
        except ModelError:
            return None

    try:
        hello = await ask(_TINY)
    except ModelError as error:
        return ModelFacts(reachable=False, problem=str(error), cost=inquiry.tally.cost)
    async with asyncio.TaskGroup() as group:
        json_schema = group.create_task(obeys_schema())
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
        cost=inquiry.tally.cost,
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
