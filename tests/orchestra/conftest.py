"""What the tests of the command line share: a home of their own, and the commands called as a shell would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from orchestra.cli.main import _main
from tests.crash.slow_server import SlowServer, slow_server

Json = Any


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Json:
        """The one JSON document that standard output holds and nothing else."""
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, with a folder to work in beside it and no keys in the environment."""
    folder, work = tmp_path / "home", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    for provider in ("OPENAI", "ANTHROPIC", "OPENROUTER", "VLLM", "OLLAMA", "LLAMACPP"):
        monkeypatch.delenv(f"{provider}_API_KEY", raising=False)
        monkeypatch.delenv(f"{provider}_BASE_URL", raising=False)
    monkeypatch.delenv("ORCHESTRA_CACHE_DIR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Calls a command in this process and returns its exit code and what it printed."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = _main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    yield call
    structlog.reset_defaults()  # its log lines go to a stream that is closed with the test


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SlowServer]:
    """A server in a process of its own, which answers at once unless a subtask's description says otherwise."""
    with slow_server(tmp_path / "server.log") as running:
        yield running
