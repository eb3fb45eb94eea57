"""The real embedded model: it answers, is shared, survives, and never outlives the process."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestra_agents.errors import ContextExceeded, InputError, InvalidRequest, ModelError, ModelUnavailable
from orchestra_agents.models.contract import Message, Prompt, Sampling
from orchestra_agents.models.embedded import EmbeddedModel, default_threads, stop_servers
from tests.agents.embedded_weights import weights_or_skip

COUNTING = Prompt(text="890123456789012345678901")
CHAT = Prompt(messages=(Message("user", "Say hello."),))


@pytest.fixture
def path() -> Path:
    """The weights, if they are here."""
    return weights_or_skip()


@pytest.fixture
async def model(path: Path) -> AsyncIterator[EmbeddedModel]:
    """The embedded model, closed afterwards."""
    model = EmbeddedModel(path, name="embedded")
    yield model
    await model.aclose()


@pytest.fixture(scope="module", autouse=True)
def _stopped() -> object:
    """Stop the servers once this module is through."""
    yield
    stop_servers()


@pytest.mark.embedded
async def test_counts_as_measured(model: EmbeddedModel) -> None:
    """The step that the design's measurements rest on is answered right."""
    grammar = "root ::= [0-9]"
    completion = (await model.sample(COUNTING, Sampling(temperature=0.0, max_tokens=1, grammar=grammar, logprobs=5)))[0]
    assert completion.text == "2"
    assert completion.logprobs is not None
    assert completion.logprobs[0].alternatives[0][0] == "2"


@pytest.mark.embedded
async def test_equal_seeds_repeat_and_samples_differ(model: EmbeddedModel) -> None:
    """Samples of one step have seeds of their own, and asking again for an index gives the same sample."""
    sampling = Sampling(temperature=1.0, max_tokens=12)
    alone = await model.sample(CHAT, Sampling(temperature=1.0, max_tokens=12, index=1))
    again = await model.sample(CHAT, Sampling(temperature=1.0, max_tokens=12, index=1))
    assert alone[0].text == again[0].text
    assert len({completion.text for completion in await model.sample(CHAT, sampling, 4)}) > 1


@pytest.mark.embedded
async def test_too_long_prompt_and_bad_grammar_are_typed(model: EmbeddedModel) -> None:
    """llama.cpp's refusals arrive as the errors they are."""
    with pytest.raises(ContextExceeded):
        await model.sample(Prompt(text="a " * 5000), Sampling(max_tokens=1))
    with pytest.raises(InvalidRequest):
        await model.sample(COUNTING, Sampling(grammar="root ::= nothing ::"))


@pytest.mark.embedded
async def test_probe_finds_a_capable_server(model: EmbeddedModel) -> None:
    """The embedded server repeats seeds, gives log-probabilities, obeys schemas, and tells its window per slot."""
    facts = await model.probe()
    assert (facts.reachable, facts.seed, facts.logprobs, facts.json_schema) == (True, True, True, True)
    assert facts.context == 2048


@pytest.mark.embedded
def test_model_outlives_a_loop(path: Path) -> None:
    """The server belongs to the process and the connections to the loop: two asyncio.run share one model."""
    model = EmbeddedModel(path, name="embedded")
    texts = [asyncio.run(model.sample(COUNTING, Sampling(max_tokens=2)))[0].text for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.embedded
async def test_models_of_one_file_share_a_server(model: EmbeddedModel, path: Path) -> None:
    """A second model of the same file starts nothing, and closing one leaves the other alive."""
    other = EmbeddedModel(path, name="embedded")
    await asyncio.gather(model.sample(COUNTING, Sampling(max_tokens=1)), other.sample(COUNTING, Sampling(max_tokens=1)))
    assert other._server is model._server
    await other.aclose()
    await model.sample(COUNTING, Sampling(max_tokens=1))
    with pytest.raises(ModelError):
        await other.sample(COUNTING, Sampling(max_tokens=1))


@pytest.mark.embedded
async def test_dead_server_is_started_again(model: EmbeddedModel) -> None:
    """A server that dies, as under memory pressure, costs one error at most."""
    await model.sample(COUNTING, Sampling(max_tokens=1))
    assert model._server is not None
    model._server._process.kill()
    model._server._process.wait()
    assert len(await model.sample(COUNTING, Sampling(max_tokens=1))) == 1


@pytest.mark.embedded
@pytest.mark.parametrize("length", [8, 4096, 1_000_000])
async def test_damaged_file_is_reported(path: Path, tmp_path: Path, length: int) -> None:
    """A GGUF file that llama.cpp cannot load is an error naming the file, and this process lives on."""
    damaged = tmp_path / "damaged.gguf"
    with path.open("rb") as source:
        damaged.write_bytes(source.read(length))
    model = EmbeddedModel(damaged, name=f"gguf:{damaged}")
    with pytest.raises(ModelUnavailable, match=r"damaged\.gguf"):
        await model.sample(COUNTING, Sampling(max_tokens=1))
    assert not (await model.probe()).reachable
    await model.aclose()


def test_other_files_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """What is missing, a folder or no GGUF is an InputError naming the path."""
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "empty.gguf").touch()
    for wrong in ("absent.gguf", "text.gguf", "empty.gguf", ""):
        with pytest.raises(InputError, match=str(tmp_path)):
            EmbeddedModel(tmp_path / wrong, name="gguf:x")


def test_missing_extra_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without llama.cpp the message is the command that installs it."""
    (tmp_path / "a.gguf").write_bytes(b"GGUF")

    def find_nothing(name: str, package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(ModelUnavailable, match=r'pip install "orchestra-mas\[embedded\]"'):
        EmbeddedModel(tmp_path / "a.gguf", name="gguf:a")


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"slots": 65}, {"context_per_slot": 1}, {"threads": 0}])
def test_numbers_have_ranges(tmp_path: Path, wrong: dict[str, int]) -> None:
    """A number out of its range is refused by name."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        EmbeddedModel(tmp_path / "a.gguf", name="gguf:a", **wrong)


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 4)])
def test_threads_leave_processors_free(monkeypatch: pytest.MonkeyPatch, processors: int, threads: int) -> None:
    """Half of the processors, 1 to 4: a thread without a processor of its own makes all others spin."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
    assert default_threads() == threads


_SCRIPT = """
import asyncio, os, signal, sys
from pathlib import Path
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.models.embedded import EmbeddedModel

async def work(model, ending):
    await model.sample(Prompt(text="a"), Sampling(max_tokens=1))
    print(await model._server.address(), flush=True)
    task = asyncio.create_task(model.sample(Prompt(text="a"), Sampling(max_tokens=2000)))
    await asyncio.sleep(0.2)
    if ending == "error":
        raise ValueError("on purpose")
    if ending == "leave":
        sys.exit(7)
    if ending == "abandon":
        return
    await task

if sys.argv[2] == "term":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
model = EmbeddedModel(Path(sys.argv[1]), name="embedded")
if sys.argv[2] == "unclosed-loop":
    asyncio.new_event_loop().run_until_complete(work(model, "abandon"))
else:
    asyncio.run(work(model, sys.argv[2]))
"""


def _is_served(address: str) -> bool:
    """Whether anything listens at the address."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("ending", "signal_sent", "status"),
    [
        ("abandon", None, 0),
        ("unclosed-loop", None, 0),
        ("leave", None, 7),
        ("error", None, 1),
        ("term", signal.SIGTERM, 143),
        ("default", signal.SIGTERM, -signal.SIGTERM),
        ("default", signal.SIGINT, -signal.SIGINT),
        ("default", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_server_ends_with_the_process(path: Path, ending: str, signal_sent: int | None, status: int) -> None:
    """However a process ends, with a request in flight, it ends at once, in silence, and its server with it."""
    command = [sys.executable, "-c", _SCRIPT, str(path), ending]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if signal_sent is not None:
            process.send_signal(signal_sent)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert out == ""
    has_traceback = ending in ("error", "term") or signal_sent == signal.SIGINT  # Python's own, of the way it ended
    has_warning = ending == "unclosed-loop" and "Task was destroyed but it is pending" in err  # Python's, rightly
    assert err == "" or (has_traceback and "Traceback" in err) or has_warning
    assert not any(word in err for word in ("ggml", "terminate called", "ResourceWarning"))
    for _ in range(200):
        if not _is_served(address):
            return
        time.sleep(0.05)
    pytest.fail("the server outlived its process")
