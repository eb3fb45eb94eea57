"""A GGUF file as a model, computed on this machine by llama.cpp."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orchestra_agents.errors import InputError, ModelUnavailable, TransportError
from orchestra_agents.models._llama_server import LlamaServer, ServerSettings, shared_server, stop_servers
from orchestra_agents.models.contract import Completion, Evidence, Form, ModelFacts, Prompt, Sampling
from orchestra_agents.models.openai import Dialect, OpenAIModel
from orchestra_agents.models.transport import Retry, Timeouts, Transport

__all__ = ["EmbeddedModel", "default_threads", "stop_servers"]

_RETRY = Retry(attempts=3, total_s=10.0)
_TIMEOUTS = Timeouts(connect_s=10.0, read_s=1800.0)  # requests queue in the server for a slot, answering nothing yet


class EmbeddedModel:
    """Samples a GGUF file; its server starts on first use, is shared by the process, and ends with it.

    The server belongs to the process and the HTTP connections to the running loop, so a model may be used by one
    `asyncio.run` after another. `aclose` gives back the connections; the server stays for the next model of the same
    file, until `stop_servers()` or the end of the process.

    Args:
        path: The GGUF file.
        name: The canonical name, `embedded` or `gguf:PATH`.
        slots: Completions computed at the same time, 1 to 64.
        context_per_slot: Context window of each in tokens, 64 or more.
        threads: Processor threads; by default what `default_threads()` says.

    Raises:
        InputError: The path is no readable GGUF file, or a number is out of its range.
        ModelUnavailable: llama.cpp is not installed.
    """

    evidence: Evidence = "real"
    form: Form = "pattern"  # few-shot patterns beat the chat template wherever both were tried (docs/design/prompts.md)

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        slots: int = 4,
        context_per_slot: int = 2048,
        threads: int | None = None,
    ) -> None:
        if not 1 <= slots <= 64:
            raise InputError("slots", f"must be 1 to 64, got {slots}")
        if context_per_slot < 64:
            raise InputError("context_per_slot", f"must be at least 64 tokens, got {context_per_slot}")
        if threads is not None and threads < 1:
            raise InputError("threads", f"must be at least 1, got {threads}")
        _check_gguf(path)
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelUnavailable(
                'the embedded model needs the "embedded" extra: pip install "orchestra-mas[embedded]"'
            )
        self._name = name
        self._settings = ServerSettings(
            model=str(path.resolve()),
            slots=slots,
            context_per_slot=context_per_slot,
            threads=threads or default_threads(),
        )
        self._server: LlamaServer | None = None
        self._client: OpenAIModel | None = None
        self._is_closed = False

    @property
    def name(self) -> str:
        """`embedded` or `gguf:PATH`."""
        return self._name

    def __repr__(self) -> str:
        return f"EmbeddedModel({self._name!r})"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`, one after the other.

        The second and later ones find the prompt computed in the slot that the first one left; at the same time each
        would take a slot of its own and compute it there, and drive another prompt out.

        Log-probabilities are those before a schema or grammar is applied: their sum over the allowed tokens says how
        much of the model's own mass the constraint kept.

        Raises:
            ModelError: llama.cpp did not answer.
            ModelUnavailable: llama.cpp cannot serve this file.
        """
        client = await self._started()
        indices = range(sampling.index, sampling.index + count)
        return [(await client.sample(prompt, replace(sampling, index=index)))[0] for index in indices]

    async def stream(self, prompt: Prompt, sampling: Sampling, tell: Callable[[str], None]) -> Completion:
        """Return one completion, its text told piece by piece as it is computed.

        Args:
            prompt: The question.
            sampling: How the completion is drawn; without log-probabilities.
            tell: Told each piece of the text.

        Raises:
            ModelError: llama.cpp did not answer, or its answer broke off.
            ModelUnavailable: llama.cpp cannot serve this file.
        """
        return await (await self._started()).stream(prompt, sampling, tell)

    @property
    def window(self) -> int:
        """Context window of one request in tokens."""
        return self._settings.context_per_slot

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Return the tokens of `prompt` by the model's own tokenizer.

        Raises:
            ModelError: llama.cpp did not answer.
            ModelUnavailable: llama.cpp cannot serve this file.
        """
        return await (await self._started()).count_tokens(prompt)

    async def probe(self) -> ModelFacts:
        """Ask the server what it can do, in three requests of a few tokens."""
        try:
            client = await self._started()
        except ModelUnavailable as error:
            return ModelFacts(reachable=False, problem=str(error))
        return await client.probe()

    async def aclose(self) -> None:
        """Give back the connections; may be called twice."""
        self._is_closed = True
        if self._client is not None:
            await self._client.aclose()

    async def _started(self) -> OpenAIModel:
        """Return a client of the running server, starting it if needed."""
        if self._is_closed:
            raise TransportError(f"{self._name} is closed")
        server = shared_server(self._settings)
        address = await server.address()
        if self._client is None or server is not self._server:
            stale = self._client
            self._client, self._server = self._client_of(server, address), server
            if stale is not None:
                await stale.aclose()
        return self._client

    def _client_of(self, server: LlamaServer, address: str) -> OpenAIModel:
        """Return a client with as many connections as the server has slots: what is more would wait there."""
        transport = Transport(f"{address}/v1", api_key=server.key, concurrency=self._settings.slots, timeouts=_TIMEOUTS)
        dialect = Dialect(is_llamacpp=True, has_n=False)
        return OpenAIModel(self._name, name=self._name, transport=transport, dialect=dialect, retry=_RETRY)


def default_threads() -> int:
    """Return half of the processors this process may use, at least 1 and at most 4.

    llama.cpp's threads wait for each other by spinning, so one thread too many does not cost a little but a factor of
    hundreds: on two processors, one of them busy with something else, two threads took 40 s for what one thread did in
    0.3 s, while on two idle processors they are less than twice as fast as one.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, processors // 2))


def _check_gguf(path: Path) -> None:
    """Refuse what llama.cpp would choke on: no file, not readable, not GGUF."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputError("model", f"{path}: cannot be read ({error.strerror or error})") from error
    if magic != b"GGUF":
        raise InputError("model", f"{path}: is not a GGUF file")
