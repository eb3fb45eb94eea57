"""The question of `--approve` at a real terminal, and signals: at the question, after it, and before there is a run."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.journal.records import Approval
from orchestra_agents.journal.sqlite import Journal
from tests.orchestra.conftest import Call
from tests.orchestra.test_cli import CALLS, write_graph

AT_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from orchestra.cli.main import main
main()
"""
"""The command in a session whose terminal is its standard input, so that Ctrl-C reaches it as a signal."""
MODEL = ["--model", "simulated:p=0.9,seed=1,latency_ms=300"]
WHERE = ["--journal", "j.db", "--json"]
PATIENCE_S = 30.0


@dataclass
class Terminal:
    """A terminal, and the command that has it as standard input and error."""

    process: subprocess.Popen[bytes]
    descriptor: int
    shown: bytearray = field(default_factory=bytearray)

    def watch(self) -> None:
        """Keep what is shown, until the command has ended."""
        with contextlib.suppress(OSError):
            while chunk := os.read(self.descriptor, 4096):
                self.shown += chunk

    def wait_for(self, text: bytes) -> None:
        """Return as soon as `text` is shown."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < until, self.shown.decode()
            time.sleep(0.02)

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self.descriptor, keys)

    def send(self, number: signal.Signals) -> None:
        """Press Ctrl-C, or send another signal."""
        if number == signal.SIGINT:
            self.press(b"\x03")
        else:
            self.process.send_signal(number)

    def end(self) -> tuple[int, Any]:
        """Return how the command ended and its document."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, json.loads(out)


@contextlib.contextmanager
def at_terminal(*arguments: str) -> Iterator[Terminal]:
    """Yield the command at a terminal of its own."""
    ours, its_end = pty.openpty()
    command = [sys.executable, "-c", AT_TERMINAL, *arguments]
    process = subprocess.Popen(command, stdin=its_end, stdout=subprocess.PIPE, stderr=its_end, start_new_session=True)
    os.close(its_end)
    terminal = Terminal(process, ours)
    watching = threading.Thread(target=terminal.watch)
    watching.start()
    try:
        yield terminal
    finally:
        process.kill()
        process.communicate()
        watching.join()
        os.close(ours)


def approvals() -> list[str]:
    """Return how the question stood, from its first record to its last."""
    with Journal(Path("j.db"), "read") as journal:
        return [entry.record.status for entry in journal.entries("r") if isinstance(entry.record, Approval)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_the_question_leaves_it_open(call: Call, number: signal.Signals, code: int) -> None:
    """The run is interrupted, not declined, and asks again when it is resumed as the hint says."""
    with at_terminal("run", write_graph(), *MODEL, *WHERE, "--run-id", "r", "--approve") as terminal:
        terminal.wait_for(b"Run it? [y/N] ")
        terminal.send(number)
        ended, document = terminal.end()
    assert (ended, document["status"], document["usage"]["calls"]) == (code, "interrupted", 0)
    assert approvals() == ["waiting"]
    assert b"\r\ngo on with: orchestra resume r --journal j.db --approve\r\n" in terminal.shown
    assert b"Traceback" not in terminal.shown

    with at_terminal("resume", "r", *WHERE, "--approve") as terminal:
        terminal.wait_for(b"Run it? [y/N] ")
        terminal.press(b"y\n")
        ended, document = terminal.end()
    assert (ended, document["status"], document["usage"]["calls"]) == (0, "ok", CALLS)
    assert approvals() == ["waiting", "granted"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_after_the_question_is_answered_as_ever(call: Call, number: signal.Signals, code: int) -> None:
    """Having been asked changes nothing: the code, the document and the hint are those of any interrupted run."""
    with at_terminal("run", write_graph(), *MODEL, *WHERE, "--run-id", "r", "--approve") as terminal:
        terminal.wait_for(b"Run it? [y/N] ")
        terminal.press(b"y\n")
        terminal.wait_for(b"facts: ok")
        terminal.send(number)
        ended, document = terminal.end()
    assert (ended, document["status"]) == (code, "interrupted")
    assert document["subtasks"]["facts"]["status"] == "ok"
    assert approvals() == ["waiting", "granted"]
    assert b"go on with: orchestra resume r --journal j.db\r\n" in terminal.shown
    assert call("resume", "r", *WHERE).document["status"] == "ok"


@pytest.mark.parametrize("keys", [b"yes, but\n", b"\x04"], ids=["else", "end"])
def test_anything_but_yes_is_a_no(call: Call, keys: bytes) -> None:
    """Any other reply declines, as does the end of the input; the hint says how to be asked again."""
    with at_terminal("run", write_graph(), *MODEL, *WHERE, "--run-id", "r", "--approve") as terminal:
        terminal.wait_for(b"Run it? [y/N] ")
        terminal.press(keys)
        ended, document = terminal.end()
    assert (ended, document["status"], document["usage"]["calls"]) == (5, "interrupted", 0)
    assert approvals() == ["waiting", "declined"]
    assert b"the plan was declined; nothing more was spent\r\n" in terminal.shown
    assert b"go on with: orchestra resume r --journal j.db --approve\r\n" in terminal.shown


INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
from orchestra.cli.main import main
main()
"""
"""The command, which gets SIGINT as soon as it begins to import `module`."""


@pytest.mark.parametrize("module", ["typer", "orchestra_agents.tracing", "orchestra.cli.run"])
def test_ctrl_c_before_there_is_a_run_says_nothing(home: Path, module: str) -> None:
    """While the command is still being imported it ends with 130 and without a traceback."""
    command = [sys.executable, "-c", INTERRUPTED.format(module=module), "run", write_graph(), *MODEL, *WHERE]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    assert not Path("j.db").exists()
