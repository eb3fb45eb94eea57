"""From a model's name to the model."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from orchestra_agents.errors import InputError, ModelUnavailable, OrchestraError
from orchestra_agents.models import weights
from orchestra_agents.models.anthropic import AnthropicModel, transport_to
from orchestra_agents.models.contract import Model
from orchestra_agents.models.embedded import EmbeddedModel
from orchestra_agents.models.embeddings import OpenAIEmbedder
from orchestra_agents.models.openai import Dialect, OpenAIModel
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.models.throttle import Rate, Throttle
from orchestra_agents.models.transport import Transport

ENTRY_POINTS = "orchestra.models"
"""Entry-point group of third-party providers: the provider's name, and a callable from the rest to a Model."""

_EMBEDDED_SLOTS, _EMBEDDED_CELLS = 4, 16_384
_PLAIN = Dialect()
_NO_RATE = Rate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A service that has a name of its own, OpenAI-compatible unless it says otherwise."""

    base_url: str
    """Where it is unless the user says otherwise."""
    needs_key: bool = False
    """Whether it refuses requests without a key at its own address."""
    dialect: Dialect = _PLAIN
    is_anthropic: bool = False
    """Whether it speaks Anthropic's Messages interface, which has no embeddings."""


_OPENAI = Dialect(max_tokens_field="max_completion_tokens")
_LLAMACPP = Dialect(is_llamacpp=True, has_n=False, version_path="/props")

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "anthropic": Provider(base_url="https://api.anthropic.com/v1", needs_key=True, is_anthropic=True),
        "llamacpp": Provider(base_url="http://localhost:8080/v1", dialect=_LLAMACPP),
        "ollama": Provider(
            base_url="http://localhost:11434/v1", dialect=Dialect(has_n=False, version_path="/api/version")
        ),
        "openai": Provider(base_url="https://api.openai.com/v1", needs_key=True, dialect=_OPENAI),
        "openrouter": Provider(base_url="https://openrouter.ai/api/v1", needs_key=True, dialect=_OPENAI),
        "vllm": Provider(base_url="http://localhost:8000/v1", dialect=Dialect(is_vllm=True, version_path="/version")),
    }
)
"""All services reached over HTTP, by name."""

_WITHOUT_SERVER: Mapping[str, str] = MappingProxyType(
    {
        "embedded": "embedded",
        "gguf": "gguf:/path/model.gguf",
        "langchain": "langchain:openai:gpt-4.1-mini",
        "simulated": "simulated:p=0.9",
    }
)
"""Providers that take no address from us, with an example of each."""


def providers() -> tuple[str, ...]:
    """Return the names of all providers, third parties' included."""
    return tuple(sorted({*PROVIDERS, *_WITHOUT_SERVER, *(point.name for point in _plugins())}))


def resolve(
    name: str,
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    concurrency: int = 8,
    slots: int | None = None,
    rate: Rate = _NO_RATE,
) -> Model:
    """Return the model that `provider:model` or `provider/model` names, split at the first separator.

    Nothing is asked of a server yet. What wins for the address: `base_url`, then `<PROVIDER>_BASE_URL`, then the
    provider's own; an address without a path gets `/v1`. The key is `<PROVIDER>_API_KEY`, needed only at a hosted
    provider's own address.

    Args:
        name: For example `openai:gpt-4.1-mini`, `vllm/Qwen/Qwen3-8B`, `embedded` or `simulated:p=0.9,seed=7`.
        environ: Environment variables; also `ORCHESTRA_CACHE_DIR`, where embedded weights are looked for, and
            `ORCHESTRA_THREADS`, the processor threads of a model computed here.
        base_url: Address of the provider's server.
        concurrency: Most requests at a time.
        slots: Prompts that a model computed here keeps at hand, 1 to 64; by default as many as requests, at most 4.
        rate: Requests and tokens that a served model may be asked for in a minute.

    Raises:
        InputError: The name or the address is wrong.
        ModelUnavailable: A key, an extra or the weights are missing, or a plugin is broken.
    """
    if concurrency < 1:
        raise InputError("concurrency", f"must be at least 1, got {concurrency}")
    provider, rest = _split(name)
    if provider in PROVIDERS:
        throttle = Throttle(ceiling=concurrency, rate=rate)
        return _served(provider, rest, _transport(provider, rest, environ, base_url, concurrency), throttle)
    if base_url is not None and provider in providers():
        raise InputError("base_url", f"is for {', '.join(PROVIDERS)} models; {provider!r} takes none")
    if provider in _WITHOUT_SERVER:
        throttle = Throttle(ceiling=concurrency, rate=rate)
        return _local(provider, rest, environ, slots or min(concurrency, _EMBEDDED_SLOTS), throttle)
    return _third_party(provider, rest, name)


def resolve_embedder(
    name: str,
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    concurrency: int = 8,
    rate: Rate = _NO_RATE,
) -> OpenAIEmbedder:
    """Return what `provider:model` names as a maker of embeddings; addresses and keys are found as by `resolve`.

    Raises:
        InputError: The name or the address is wrong, or the provider serves no embeddings.
        ModelUnavailable: A key is missing.
    """
    provider, rest = _split(name)
    able = ", ".join(one for one, settings in PROVIDERS.items() if not settings.is_anthropic)
    if provider not in PROVIDERS:
        raise InputError("embedding", f"must be PROVIDER:MODEL with one of {able}, got {name!r}")
    if PROVIDERS[provider].is_anthropic:
        raise InputError("embedding", f"{provider} serves no embeddings; name a model of one of {able}")
    transport = _transport(provider, rest, environ, base_url, concurrency)
    throttle = Throttle(ceiling=concurrency, rate=rate)
    return OpenAIEmbedder(rest, name=f"{provider}:{rest}", transport=transport, throttle=throttle)


def address_of(name: str, *, environ: Mapping[str, str], base_url: str | None = None) -> str | None:
    """Return where `resolve` would find the server of a model, None where it takes no address from us.

    Args:
        name: As for `resolve`.
        environ: Environment variables.
        base_url: Address of the provider's server.
    """
    provider, _ = _split(name)
    if provider not in PROVIDERS:
        return None
    return _own_address(provider, environ, base_url) or PROVIDERS[provider].base_url


def canonical(name: str) -> str:
    """Return a name as `PROVIDER:MODEL`, `PROVIDER` alone where no more is said.

    >>> canonical("OpenAI/gpt-4.1-mini")
    'openai:gpt-4.1-mini'
    """
    return ":".join(filter(None, _split(name)))


def _own_address(provider: str, environ: Mapping[str, str], base_url: str | None) -> str:
    """Return the address that the user gives, "" where he gives none."""
    return base_url or environ.get(f"{provider.upper()}_BASE_URL", "").strip()


def _split(name: str) -> tuple[str, str]:
    """Return the provider and what follows it."""
    provider, _, rest = re.sub("[:/]", "\0", name.strip(), count=1).partition("\0")
    return provider.lower(), rest


def _served(provider: str, rest: str, transport: Transport, throttle: Throttle) -> OpenAIModel | AnthropicModel:
    """Return a model behind a service's HTTP interface."""
    name, settings = f"{provider}:{rest}", PROVIDERS[provider]
    if settings.is_anthropic:
        return AnthropicModel(rest, name=name, transport=transport, throttle=throttle)
    return OpenAIModel(rest, name=name, transport=transport, dialect=settings.dialect, throttle=throttle)


def _transport(
    provider: str, rest: str, environ: Mapping[str, str], base_url: str | None, concurrency: int
) -> Transport:
    """Return the way to a service."""
    if not rest:
        raise InputError("model", f"{provider!r} needs a model, as in {provider}:MODEL")
    settings = PROVIDERS[provider]
    variable = f"{provider.upper()}_API_KEY"
    own_url = _own_address(provider, environ, base_url)
    key = environ.get(variable, "").strip()
    if settings.needs_key and not key and not own_url:
        raise ModelUnavailable(f"{provider} needs a key: set {variable}, or give a base URL of your own server")
    address = _with_version(own_url or settings.base_url)
    if settings.is_anthropic:
        return transport_to(address, api_key=key, concurrency=concurrency)
    return Transport(address, api_key=key, concurrency=concurrency)


def _with_version(base_url: str) -> str:
    """Return the URL with `/v1` where it has no path: all these servers have their interface there."""
    base_url = base_url.strip().rstrip("/")
    return base_url if "/" in base_url.partition("://")[2] else f"{base_url}/v1"


def _local(provider: str, rest: str, environ: Mapping[str, str], slots: int, throttle: Throttle) -> Model:
    """Return a model that needs no service, or knows its own."""
    if provider == "simulated":
        return SimulatedModel.parse(rest)
    if provider == "langchain":
        return _chat_model(*_split(rest), throttle)
    room = {"slots": slots, "context_per_slot": max(512, min(2048, _EMBEDDED_CELLS // slots))}
    if provider == "gguf":
        if not rest:
            raise InputError("model", "'gguf' needs a file, as in gguf:/path/model.gguf")
        return EmbeddedModel(Path(rest).expanduser(), name=f"gguf:{rest}", threads=_threads(environ), **room)
    if rest:
        raise InputError("model", "'embedded' takes no model; gguf:PATH runs any GGUF file")
    cache = environ.get("ORCHESTRA_CACHE_DIR", "").strip()
    path = weights.find(cache=Path(cache) if cache else None)
    return EmbeddedModel(path, name="embedded", threads=_threads(environ), **room)


def _chat_model(provider: str, model: str, throttle: Throttle) -> Model:
    """Return a chat model of LangChain, which finds keys and addresses by itself."""
    if not provider or not model:
        raise InputError("model", "'langchain' needs a provider and a model, as in langchain:openai:gpt-4.1-mini")
    if importlib.util.find_spec("langchain") is None:
        raise ModelUnavailable(
            'langchain models need the "langchain" extra and the provider\'s package, for example: '
            'pip install "orchestra-mas[langchain]" langchain-openai'
        )
    from orchestra_agents.models.langchain import langchain_model  # noqa: PLC0415 - the extra is optional

    return langchain_model(provider, model, throttle=throttle)


def _threads(environ: Mapping[str, str]) -> int | None:
    """Return the processor threads that the user allows models computed here, None where he does not say."""
    said = environ.get("ORCHESTRA_THREADS", "").strip()
    if said and not (said.isascii() and said.isdigit() and 0 < int(said) <= 1024):
        raise InputError("ORCHESTRA_THREADS", f"must be an integer from 1 to 1024, got {said!r}")
    return int(said) if said else None


def _plugins() -> tuple[metadata.EntryPoint, ...]:
    """Return the third parties' providers; they cannot replace ours."""
    points = metadata.entry_points(group=ENTRY_POINTS)
    return tuple(point for point in points if point.name not in PROVIDERS and point.name not in _WITHOUT_SERVER)


def _third_party(provider: str, rest: str, name: str) -> Model:
    """Return the model that a third party's provider makes of `rest`."""
    point = next((point for point in _plugins() if point.name == provider), None)
    if point is None:
        known = ", ".join(providers())
        raise InputError("model", f"{name!r} names no known provider; it must be PROVIDER:MODEL with one of {known}")
    try:
        make: Callable[[str], Model] = point.load()
        model = make(rest)
    except OrchestraError:
        raise
    except Exception as error:  # the boundary to code that is not ours
        problem = f"{type(error).__name__}: {error}"
        raise ModelUnavailable(f"the provider {provider!r} of {point.value} is broken: {problem}") from error
    if not callable(getattr(model, "sample", None)):
        raise ModelUnavailable(f"the provider {provider!r} of {point.value} is broken: it returned no model")
    return model
