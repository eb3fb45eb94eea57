"""One run of `orchestra drive` in processes of its own, and what its journal and its stream file hold meanwhile."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.cli.main import main

Json = Any
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from orchestra.cli.main import main; main()"]
HANOI = ("hanoi:disks=20", "--model", "simulated:p=0.99,seed=1", "--k", "4")
OWN = frozenset({"run_id", "journal", "seconds", "steps_per_second"})
"""Keys of a result that two equal runs need not share."""
PATIENCE_S = 120.0
_MOMENT_S = 0.002


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Json:
        """The one JSON document on standard output."""
        return json.loads(self.out)


@dataclass(slots=True)
class Drive:
    """A chain that is driven by the same command again and again.

    Args:
        folder: Where its journal is, and its stream file.
        options: The process and the options.
        streams: Whether it is told to write a stream file.
        before: Called in the new process before it becomes the command.
    """

    folder: Path
    options: tuple[str, ...] = HANOI
    streams: bool = True
    before: Callable[[], None] | None = None
    journal: Path = field(init=False)
    stream: Path = field(init=False)
    checked: int = field(default=0, init=False)
    """Lines of the stream file that were compared with the journal."""
    _place: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.journal, self.stream = self.folder / "journal.db", self.folder / "steps.jsonl"

    def arguments(self, *more: str) -> list[str]:
        """Return the arguments of the command."""
        stream = ["--stream", str(self.stream)] if self.streams else []
        return ["drive", *self.options, "--journal", str(self.journal), "--run-id", "r", *stream, "--json", *more]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Begin the run, or go on with it, in a process of its own."""
        command = [*COMMAND, *self.arguments(*more)]
        pipes: Json = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, preexec_fn=self.before, **pipes)

    def end(self, *more: str) -> Ended:
        """Let the command go to its own end."""
        with self.start(*more) as process:
            return ended(process)

    def here(self, *more: str) -> Ended:
        """Let the command go to its own end in this process, which saves the start of another."""
        return here(*self.arguments(*more))

    def finish(self, *more: str) -> Json:
        """Let the run go to its end in this process and return its result."""
        done = self.here(*more)
        assert done.code == 0, done.err
        return done.result

    def steps(self) -> int:
        """Return how many steps are committed, read beside orchestra and without writing."""
        return sum(count for (count,) in self._rows("SELECT count(*) FROM steps"))

    def bodies(self, first: int = 0, count: int = 1 << 30) -> list[str]:
        """Return the records of steps as they stand in the journal."""
        query = "SELECT body FROM steps ORDER BY key LIMIT ? OFFSET ?"
        return [body for (body,) in self._rows(query, count, first)]

    def records(self, kind: str) -> list[Json]:
        """Return the records of one kind."""
        return [json.loads(body) for (body,) in self._rows("SELECT body FROM records WHERE kind = ?", kind)]

    def wait_for(self, process: subprocess.Popen[str], lines: int) -> None:
        """Return once the stream file holds about `lines` further lines, while the process is alive."""
        size = self.stream.stat().st_size if self.stream.exists() else 0
        wait_until(lambda: self.stream.exists() and self.stream.stat().st_size >= size + 200 * lines, process)

    def check_stream(self) -> None:
        """Check that the stream file is the journal's steps from 0 on, but for a tail, and one torn line at its end."""
        if not self.stream.exists():
            return
        with self.stream.open("rb") as file:
            file.seek(self._place)
            *whole, torn = file.read().split(b"\n")
        steps = self.steps()
        assert self.checked + len(whole) <= steps, "the stream file is ahead of the journal"
        bodies = self.bodies(self.checked, len(whole) + 1)
        lines = [f'{{"step":{self.checked + at},{body[1:]}'.encode() for at, body in enumerate(bodies)]
        assert whole == lines[: len(whole)]
        assert b"".join(lines[len(whole) :]).startswith(torn)
        self.checked += len(whole)
        self._place += sum(len(line) + 1 for line in whole)

    def check_whole_stream(self) -> None:
        """Check that the stream file is the journal's steps, all of them."""
        self.check_stream()
        assert self.checked == self.steps()
        assert self.stream.stat().st_size == self._place

    def _rows(self, query: str, *values: Json) -> list[Json]:
        """Return what a query gives, nothing where the journal is not made yet."""
        if not self.journal.exists() or self.journal.with_name("journal.db-journal").exists():
            return []
        db = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
        finally:
            db.close()


def here(*arguments: str) -> Ended:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ending:
            code = ending.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


def ended(process: subprocess.Popen[str]) -> Ended:
    """Return how a process ended, once it has."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> Ended:
    """Kill a process with SIGKILL."""
    os.kill(process.pid, signal.SIGKILL)
    return ended(process)


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Return once something is so, while a process is alive."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert process is None or process.poll() is None, f"the process ended too early: {ended(process)}"
        assert time.monotonic() < end, "what is waited for did not come"
        time.sleep(_MOMENT_S)


def comparable(result: Json) -> Json:
    """Return what two equal runs must share."""
    return {name: value for name, value in result.items() if name not in OWN}
