"""From names to models."""

from __future__ import annotations

import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

from orchestra_agents.errors import InputError, ModelUnavailable
from orchestra_agents.models import names
from orchestra_agents.models.anthropic import AnthropicModel
from orchestra_agents.models.contract import Message, Prompt, Sampling
from orchestra_agents.models.names import providers, resolve, resolve_embedder
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.simulated import SimulatedModel
from tests.agents import fake_anthropic
from tests.agents.fake_openai import fake_server

PROMPT = Prompt(messages=(Message("user", "Hi"),))


@pytest.mark.parametrize(
    ("name", "canonical", "url"),
    [
        ("openai:gpt-4.1-mini", "openai:gpt-4.1-mini", "https://api.openai.com/v1"),
        ("OpenAI/gpt-4.1-mini", "openai:gpt-4.1-mini", "https://api.openai.com/v1"),
        ("anthropic:claude-x", "anthropic:claude-x", "https://api.anthropic.com/v1"),
        ("openrouter:a/b:free", "openrouter:a/b:free", "https://openrouter.ai/api/v1"),
        ("ollama:llama3.1:8b", "ollama:llama3.1:8b", "http://localhost:11434/v1"),
        ("ollama/llama3.1:8b", "ollama:llama3.1:8b", "http://localhost:11434/v1"),
        ("vllm:Qwen/Qwen3-8B", "vllm:Qwen/Qwen3-8B", "http://localhost:8000/v1"),
        ("vllm/Qwen/Qwen3-8B", "vllm:Qwen/Qwen3-8B", "http://localhost:8000/v1"),
        ("llamacpp:any", "llamacpp:any", "http://localhost:8080/v1"),
    ],
)
def test_names_split_at_the_first_separator(name: str, canonical: str, url: str) -> None:
    """The provider ends at the first colon or slash; the rest is the model's identifier as it is."""
    keys = {f"{provider}_API_KEY": "k" for provider in ("OPENAI", "ANTHROPIC", "OPENROUTER")}
    model = resolve(name, environ=keys)
    assert isinstance(model, AnthropicModel if canonical.startswith("anthropic") else OpenAIModel)
    assert model.name == canonical
    assert url in repr(model)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "openrouter"])
def test_hosted_provider_needs_its_key(provider: str) -> None:
    """A missing key is named by its variable before anything is sent."""
    with pytest.raises(ModelUnavailable, match=f"{provider.upper()}_API_KEY"):
        resolve(f"{provider}:m", environ={})


@pytest.mark.parametrize(
    ("environ", "base_url", "url"),
    [
        ({"OPENAI_BASE_URL": "http://a:1/v1/"}, None, "'http://a:1/v1'"),
        ({"OPENAI_BASE_URL": "http://a:1"}, None, "'http://a:1/v1'"),
        ({"OPENAI_BASE_URL": "http://a:1/v1"}, "https://b/x", "'https://b/x'"),
        ({"OPENAI_BASE_URL": " ", "OPENAI_API_KEY": "k"}, None, "'https://api.openai.com/v1'"),
    ],
)
def test_what_wins_for_the_address(environ: dict[str, str], base_url: str | None, url: str) -> None:
    """An argument beats the environment, which beats the provider's own address; a bare host gets /v1."""
    assert url in repr(resolve("openai:m", environ=environ, base_url=base_url))


async def test_key_and_limit_reach_the_server() -> None:
    """The environment's key and OpenAI's name of the limit are what is sent."""
    async with fake_server() as server:
        model = resolve("openai:m", environ={"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": server.url})
        await model.sample(PROMPT, Sampling(max_tokens=3))
        assert server.requests[0].headers["authorization"] == "Bearer sk-1"
        assert server.requests[0].body["max_completion_tokens"] == 3
        await model.aclose()


async def test_anthropic_is_asked_in_its_own_interface() -> None:
    """Key and version go in the headers that Anthropic's servers demand."""
    async with fake_server(default=fake_anthropic.answering) as server:
        address = server.url.removesuffix("/v1")
        model = resolve("anthropic:m", environ={"ANTHROPIC_API_KEY": "sk-ant-1", "ANTHROPIC_BASE_URL": address})
        assert [one.text for one in await model.sample(PROMPT, Sampling(max_tokens=3))] == ["ok"]
        assert server.requests[0].path == "/v1/messages"
        assert server.requests[0].headers["x-api-key"] == "sk-ant-1"
        await model.aclose()


@pytest.mark.parametrize(("name", "said"), [("anthropic:m", "anthropic serves no embeddings"), ("mine:m", "PROVIDER")])
def test_provider_without_embeddings_is_refused(name: str, said: str) -> None:
    """Who makes no embeddings is refused, and those who do are listed."""
    with pytest.raises(InputError, match=rf"^embedding: .*{said}.* of llamacpp, ollama, openai, openrouter, vllm"):
        resolve_embedder(name, environ={"ANTHROPIC_API_KEY": "k"})


@pytest.mark.parametrize("name", ["", ":", "gpt-4.1", "unknown:m", "embedded:x", "openai:", "openai", "gguf:", "gguf"])
def test_wrong_names_are_refused(name: str) -> None:
    """What names no model is an InputError about `model`."""
    with pytest.raises(InputError, match=r"^model: "):
        resolve(name, environ={"OPENAI_API_KEY": "k"})


def test_unknown_provider_lists_the_known() -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match="anthropic, embedded, gguf, langchain, llamacpp, ollama, openai, openrouter"):
        resolve("unknown:m", environ={})


@pytest.mark.parametrize("base_url", ["ftp://h", "h:80", "http://u:p@h"])
def test_wrong_base_url_is_refused(base_url: str) -> None:
    """A base URL must be http or https, without credentials."""
    with pytest.raises(InputError, match=r"^base_url: "):
        resolve("vllm:m", environ={}, base_url=base_url)


@pytest.mark.parametrize("name", ["simulated:p=0.9", "embedded", "gguf:/x"])
def test_model_without_a_server_takes_no_address(name: str) -> None:
    """An address that would be ignored is refused."""
    with pytest.raises(InputError, match=r"^base_url: "):
        resolve(name, environ={}, base_url="http://h")


def test_concurrency_is_at_least_one() -> None:
    """A pool of no connections is refused."""
    with pytest.raises(InputError, match=r"^concurrency: "):
        resolve("vllm:m", environ={}, concurrency=0)


def test_simulated_parameters_reach_the_instrument() -> None:
    """`simulated:` hands its parameters on, and may have none."""
    model = resolve("simulated:p=0.99,seed=7", environ={})
    assert isinstance(model, SimulatedModel)
    assert (model.p, model.seed) == (0.99, 7)
    assert isinstance(resolve("simulated", environ={}), SimulatedModel)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A GGUF path that is not there is an InputError with the path."""
    with pytest.raises(InputError, match=r"nothing\.gguf"):
        resolve(f"gguf:{tmp_path}/nothing.gguf", environ={})


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`embedded` without weights says how to get them; the cache folder comes from the given environment."""

    def is_not_installed(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", is_not_installed)
    with pytest.raises(ModelUnavailable, match="orchestra models pull embedded"):
        resolve("embedded", environ={"ORCHESTRA_CACHE_DIR": str(tmp_path)})


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A third party's module with the entry points `mine`, `broken`, `absent` and `openai`."""
    module = types.ModuleType("third_party_models")
    module.make = lambda rest: SimulatedModel.parse(rest)  # type: ignore[attr-defined]
    module.no_model = lambda rest: 5  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    values = {"mine": "make", "broken": "no_model", "absent": "nothing", "openai": "make"}
    points = tuple(
        metadata.EntryPoint(name, f"third_party_models:{value}", names.ENTRY_POINTS) for name, value in values.items()
    )
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == names.ENTRY_POINTS else ())
    return module


def test_third_party_provider_is_found(plugin: types.ModuleType) -> None:
    """An entry point makes a provider of its name, and is listed."""
    model = resolve("mine:p=0.5", environ={})
    assert isinstance(model, SimulatedModel)
    assert model.p == 0.5
    assert "mine" in providers()


@pytest.mark.parametrize("name", ["broken:x", "absent:x"])
def test_broken_third_party_is_named(plugin: types.ModuleType, name: str) -> None:
    """A plugin that cannot be loaded, or returns no model, is named with its module."""
    with pytest.raises(ModelUnavailable, match="third_party_models"):
        resolve(name, environ={})


def test_third_party_cannot_replace_a_provider(plugin: types.ModuleType) -> None:
    """Our own providers win over an entry point of the same name."""
    assert isinstance(resolve("openai:m", environ={"OPENAI_API_KEY": "k"}), OpenAIModel)


def test_third_party_input_errors_pass(plugin: types.ModuleType) -> None:
    """A plugin's own InputError stays one."""
    with pytest.raises(InputError, match="simulated"):
        resolve("mine:nonsense", environ={})
