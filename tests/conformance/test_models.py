"""What every model promises, whoever it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import get_args

import pytest

from orchestra_agents.errors import ModelError
from orchestra_agents.models._llama_server import ServerSettings, shared_server
from orchestra_agents.models.anthropic import AnthropicModel, transport_to
from orchestra_agents.models.contract import (
    Evidence,
    FinishReason,
    Message,
    Model,
    Prompt,
    Sampling,
    Truth,
    canonical_json,
)
from orchestra_agents.models.embedded import EmbeddedModel
from orchestra_agents.models.langchain import LangChainModel
from orchestra_agents.models.openai import Dialect, OpenAIModel
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.models.transport import Retry, Transport
from tests.agents import fake_anthropic, fake_langchain
from tests.agents.embedded_weights import weights_or_skip
from tests.agents.fake_openai import FakeServer, chat, failing, fake_server

SECRET = "only-a-simulated-model-may-know-this"
SIDECARS = (SECRET, "secret-step-name", "0.125", "truth", "latency")
CHAT = Prompt(
    messages=(Message("user", "Left or right?"),),
    step="secret-step-name",
    truth=Truth(answer="b", wrong=(SECRET,)),
    latency_ms=0.125,
)
RAW = replace(CHAT, messages=(), text="Left or right? Answer:")
SCHEMA = canonical_json(
    {
        "type": "object",
        "properties": {"answer": {"enum": ["a", "b"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
)
KINDS = [
    "anthropic",
    "openai",
    "openai-without-n",
    "llamacpp",
    pytest.param("embedded", marks=pytest.mark.embedded),
    pytest.param("llamacpp-server", marks=pytest.mark.embedded),
    "langchain",
    "simulated",
]


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Model]:
    """A model of one kind; behind those with a fake server, no request may have held a sidecar."""
    if kind == "simulated":
        yield SimulatedModel(seed=3)
    elif kind == "embedded":
        model = EmbeddedModel(weights_or_skip(), name="embedded")
        yield model
        await model.aclose()
    elif kind == "llamacpp-server":  # a real one, as users start it, reached over HTTP
        one = shared_server(ServerSettings(model=str(weights_or_skip()), slots=4, context_per_slot=512, threads=1))
        transport = Transport(f"{await one.address()}/v1", api_key=one.key)
        real = OpenAIModel("real", name="llamacpp:real", transport=transport, dialect=Dialect(is_llamacpp=True))
        yield real
        await real.aclose()
    elif kind == "langchain":
        script = fake_langchain.Script(fake_langchain.answering)
        yield LangChainModel(fake_langchain.FakeChat(script=script), name="langchain:fake", evidence="simulated")
        assert script.asked
        assert not any(secret in repr(one) for one in script.asked for secret in SIDECARS)
    elif kind == "anthropic":
        async with fake_server(default=fake_anthropic.answering) as server:
            hosted = AnthropicModel("fake", name="anthropic:fake", transport=transport_to(server.url, api_key="k"))
            yield hosted
            await hosted.aclose()
            check_sidecars(server)
    else:
        dialect = Dialect(is_llamacpp=True) if kind == "llamacpp" else Dialect()
        async with fake_server() as server:
            if kind == "openai-without-n":
                usual = server.default
                server.default = lambda request: chat("x") if "n" in request.body else usual(request)
            served = OpenAIModel("fake", name="vllm:fake", transport=Transport(server.url), dialect=dialect)
            yield served
            await served.aclose()
            check_sidecars(server)


def check_sidecars(server: FakeServer) -> None:
    """Requests came, and none of them held a sidecar of a prompt."""
    assert server.requests
    for request in server.requests:
        sent = request.raw.decode() + repr(request.headers) + request.path
        assert not any(secret in sent for secret in SIDECARS)


@pytest.fixture(params=KINDS)
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Model]:
    """Each kind of model in turn."""
    async with opened(request.param) as model:
        yield model


@pytest.mark.parametrize("prompt", [CHAT, RAW], ids=["chat", "raw"])
@pytest.mark.parametrize("count", [1, 3])
async def test_returns_the_count_asked_for(model: Model, prompt: Prompt, count: int) -> None:
    """Exactly `count` completions come back, each a text with a known end and counted tokens."""
    completions = await model.sample(prompt, Sampling(max_tokens=4), count)
    assert len(completions) == count
    assert sum(completion.attempts for completion in completions) >= 1
    for completion in completions:
        assert isinstance(completion.text, str)
        assert completion.finish_reason in get_args(FinishReason)
        for tokens in (completion.usage.input_tokens, completion.usage.output_tokens):
            assert isinstance(tokens, int)
            assert tokens >= 0


@pytest.mark.parametrize("prompt", [CHAT, RAW], ids=["chat", "raw"])
async def test_schema_gives_a_member(model: Model, prompt: Prompt) -> None:
    """A schema-constrained completion parses to a member of the enum."""
    completion = (await model.sample(prompt, Sampling(max_tokens=32, schema=SCHEMA)))[0]
    assert json.loads(completion.text) in ({"answer": "a"}, {"answer": "b"})
    assert completion.finish_reason == "stop"


async def test_limit_of_one_token_ends_a_completion(model: Model) -> None:
    """A completion that the limit cut says so, unless it was over by itself."""
    completion = (await model.sample(CHAT, Sampling(max_tokens=1)))[0]
    assert completion.finish_reason in ("length", "stop")


async def test_names_itself_and_its_evidence(model: Model) -> None:
    """A model has a canonical name and says what results based on it are called."""
    assert model.name.partition(":")[0] in ("anthropic", "vllm", "embedded", "langchain", "llamacpp", "simulated")
    assert model.evidence in get_args(Evidence)
    await model.sample(CHAT, Sampling(max_tokens=1))


async def test_probe_reaches_it(model: Model) -> None:
    """A probe of a model that answers says that it is reachable, without a problem."""
    facts = await model.probe()
    assert facts.reachable
    assert facts.problem is None


@pytest.mark.parametrize("kind", KINDS)
async def test_close_may_be_repeated(kind: str) -> None:
    """A model may be closed twice: aclose is idempotent, before and after use."""
    async with opened(kind) as model:
        await model.sample(CHAT, Sampling(max_tokens=1))
        await model.aclose()
        await model.aclose()


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_failures_are_model_errors(status: int) -> None:
    """Whatever a server does wrong is a ModelError to the caller."""
    async with fake_server(default=lambda request: failing(status)) as server:
        model = OpenAIModel(
            "fake", name="vllm:fake", transport=Transport(server.url), retry=Retry(attempts=2, first_wait_s=0.001)
        )
        with pytest.raises(ModelError):
            await model.sample(CHAT, Sampling(), 2)
        await model.aclose()
