"""Context windows and counts of tokens: the model's own word where it has one, else an estimate."""

from __future__ import annotations

import os
from typing import Any

import pytest

from orchestra.testing import Scripted
from orchestra_agents.errors import ContextExceeded
from orchestra_agents.models.contract import Message, Prompt, Sampling
from orchestra_agents.models.names import resolve
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.models.window import LEAST_SERVED, count_tokens, most_tokens, smallest_window
from tests.agents.embedded_weights import weights_or_skip
from tests.agents.fake_openai import Reply, Request, failing, fake_server

CHAT = Prompt(messages=(Message("system", "Answer."), Message("user", "What is 2 + 2?")))
RAW = Prompt(text="2 + 2 =")


def llamacpp(request: Request) -> Reply:
    """Answer as llama.cpp's server does: a token for each word."""
    match request.path:
        case "/props":
            return Reply(body={"default_generation_settings": {"n_ctx": 1234}})
        case "/apply-template":
            return Reply(body={"prompt": "<s> " + " ".join(m["content"] for m in request.body["messages"])})
        case "/tokenize":
            return Reply(body={"tokens": list(range(len(request.body["content"].split())))})
        case _:
            return failing(404)


def vllm(request: Request) -> Reply:
    """Answer as vLLM does."""
    if request.path == "/tokenize":
        return Reply(body={"count": 7 if "messages" in request.body else 5, "max_model_len": 9000})
    return Reply(body={"data": [{"id": "m", "max_model_len": 9000}]})


@pytest.mark.parametrize(
    ("provider", "serve", "window", "chat", "raw"), [("llamacpp", llamacpp, 1234, 7, 4), ("vllm", vllm, 9000, 7, 5)]
)
async def test_a_server_s_own_tokenizer_counts(provider: str, serve: Any, window: int, chat: int, raw: int) -> None:
    """Chat prompts are counted with their template; the window is asked for only when a prompt could pass 4,096."""
    async with fake_server(default=serve) as server:
        model = resolve(f"{provider}:m", environ={}, base_url=server.url)
        assert await smallest_window([model], LEAST_SERVED) is None
        assert server.requests == []
        assert await smallest_window([model, SimulatedModel()], LEAST_SERVED + 1) == window
        assert await smallest_window([model], 10) == window
        asked = len(server.requests)
        assert (await count_tokens(model, CHAT), await count_tokens(model, RAW)) == (chat, raw)
        await model.aclose()
    assert asked == 1


async def test_a_server_that_says_nothing_is_asked_once_and_estimated() -> None:
    """Without a word about the window there is no limit of ours, and a count is an estimate."""
    async with fake_server(default=lambda request: failing(404)) as server:
        model = resolve("ollama:m", environ={}, base_url=server.url)
        assert [await smallest_window([model], 99_999) for _ in range(3)] == [None] * 3
        assert len(server.requests) == 1
        assert await count_tokens(model, RAW) == 3 + 8
        await model.aclose()


async def test_a_broken_tokenizer_is_no_failure() -> None:
    """Whoever samples the model next says what is wrong with it."""
    async with fake_server(default=lambda request: failing(500)) as server:
        model = resolve("llamacpp:m", environ={}, base_url=server.url)
        assert await count_tokens(model, RAW) == 3 + 8
        await model.aclose()


async def test_the_most_tokens_are_never_fewer_than_any_count() -> None:
    """One for every byte: what fits by that count fits by all."""
    for prompt in (CHAT, RAW, Prompt(text="日本語" * 9)):
        assert await count_tokens(Scripted([""]), prompt) <= most_tokens(prompt) + 3


async def test_a_simulated_window_holds() -> None:
    """Prompt and reply together, as a server would refuse them."""
    model = SimulatedModel.parse("window=40")
    assert model.name == "simulated:window=40"
    prompt = Prompt(text="x" * 100)
    assert await count_tokens(model, prompt) == 25
    assert await model.sample(prompt, Sampling(max_tokens=15))
    with pytest.raises(ContextExceeded, match="25 tokens and 16 for the reply do not fit a window of 40"):
        await model.sample(prompt, Sampling(max_tokens=16))


@pytest.mark.embedded
@pytest.mark.parametrize("text", ["hello world " * 20, "1234567890 " * 20, '{"a": [1, 2, 3]}', "Grüße aus 東京"])
async def test_the_embedded_model_counts_what_it_is_charged(text: str) -> None:
    """Its tokenizer's count is the usage that its server reports, chat template included."""
    weights_or_skip()
    model = resolve("embedded", environ=os.environ)
    for prompt in (Prompt(messages=(Message("system", "Answer."), Message("user", text))), Prompt(text=text)):
        [completion] = await model.sample(prompt, Sampling(max_tokens=1))
        assert await count_tokens(model, prompt) == completion.usage.input_tokens
    assert await smallest_window([model], 1) == 2048
    await model.aclose()
