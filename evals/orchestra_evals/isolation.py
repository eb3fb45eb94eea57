"""Running a Python program where it can do no harm: one process without files, network, children and keys.

There is one back end, `landlock`: a process of one thread that can open the standard library and nothing else, with a
list of the system calls it may make (`_isolated_child`). It needs no root and no other program. It stands or falls as a
whole: where a part of it is not to be had, no program is run.

A program gets no input and no environment, prints, and may use the standard library. It cannot write a file, not even a
temporary one, nor start a thread or a process, so that what it takes ends with it. What it can learn of the rest of the
machine is which files exist, how large they are, and which processes there are; it can tell nobody but its output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import platform
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, ClassVar, Literal

from orchestra_agents.errors import InputError, OrchestraError
from orchestra_evals._isolation_probe import PYTHON, hostile_program, readable_files

Reason = Literal["ended", "time", "output"]
"""Why a program is no longer running: it ended, its time was up, or it wrote more than it may."""

_CHILD = str(Path(__file__).with_name("_isolated_child.py"))
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # equal programs shall print equal texts
_PATIENCE_S = 60.0
_LEAST_MIB = 64
_CHUNK = 65_536
_SHOWN = 200
_NEEDS = (
    "programs cannot be run in isolation here: that takes Linux 5.13 or later on x86_64 or aarch64, with Landlock "
    "(`landlock` in /sys/kernel/security/lsm) and seccomp, both let through by the container, if this is one"
)


class ProgramFailed(ValueError):
    """An isolated program failed by its own fault: an error, an exit status, or more time or output than it has."""


class IsolationUnavailable(OrchestraError):
    """This machine offers no isolation; the message says what would help."""

    code = "isolation.unavailable"

    def __init__(self) -> None:
        super().__init__(_NEEDS)


class IsolationFailed(OrchestraError):
    """An isolated program could not be started or was ended from outside, by no fault of its own."""

    code = "isolation.failed"


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program."""

    stdout: str
    stderr: str
    returncode: int
    """Its exit status, or below 0 the signal that ended it."""
    reason: Reason

    def printed(self) -> str:
        """Return what it printed.

        Raises:
            ProgramFailed: It did not end by itself with the exit status 0.
        """
        if self.reason != "ended":
            raise ProgramFailed("its time was up" if self.reason == "time" else "it wrote more than it may")
        if self.returncode:
            status = f"signal {-self.returncode}" if self.returncode < 0 else f"exit status {self.returncode}"
            told = _last_line(self.stderr)
            raise ProgramFailed(f"{status}: {told}" if told else status)
        return self.stdout


@dataclass(frozen=True, slots=True)
class Isolation:
    """A way to run programs that hostile ones were seen not to get out of; see `isolation_available`."""

    name: ClassVar = "landlock"
    """The back end, for those who note how a score came about."""
    files: Mapping[str, list[str]]
    """What a program may open, each with all that is in it: `listed`, `read` or `written`."""

    def run(self, program: str, *, seconds: float, memory_mib: int, output_bytes: int) -> Ran:
        """Run a program to its end.

        Args:
            program: Its source.
            seconds: Until it is killed, counted from when it begins.
            memory_mib: Its address space, of which the interpreter takes about 30.
            output_bytes: Until it is killed, what it writes to both of its outputs together.

        Raises:
            InputError: A limit is too low.
            IsolationFailed: It could not be started, or was killed by somebody else.
        """
        return self._start(program, seconds, memory_mib, output_bytes).finish()

    async def run_async(self, program: str, *, seconds: float, memory_mib: int, output_bytes: int) -> Ran:
        """Run a program as `run` does, while the loop goes on; where this is cancelled, it is killed."""
        running = self._start(program, seconds, memory_mib, output_bytes)
        ending = asyncio.ensure_future(asyncio.to_thread(running.finish))
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError:
            running.process.kill()
            with contextlib.suppress(IsolationFailed):
                await ending
            raise

    def _start(self, program: str, seconds: float, memory_mib: int, output_bytes: int) -> _Running:
        for name, value, least in (("memory_mib", memory_mib, _LEAST_MIB), ("output_bytes", output_bytes, 1)):
            if value < least:
                raise InputError(name, f"must be at least {least}, got {value}")
        if not 0 < seconds < math.inf:
            raise InputError("seconds", f"must be above 0 and finite, got {seconds}")
        job = {
            "program": program,
            "files": self.files,
            "memory_bytes": memory_mib * 2**20,
            "cpu_s": math.ceil(seconds) + 1,
            "parent": os.getpid(),
        }
        job_fd = os.memfd_create("orchestra-job")
        ready, told = os.pipe()
        try:
            with open(job_fd, "wb", closefd=False) as file:
                file.write(json.dumps(job).encode())
            os.lseek(job_fd, 0, os.SEEK_SET)
            process = subprocess.Popen(
                [*PYTHON, _CHILD, str(job_fd), str(told)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(job_fd, told),
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            os.close(ready)
            raise IsolationFailed(f"an isolated program could not be started: {error.strerror or error}") from error
        finally:
            os.close(job_fd)
            os.close(told)
        return _Running(process, open(ready, "rb", buffering=0), seconds, output_bytes)


@dataclass(frozen=True, slots=True)
class _Running:
    """A program that has been started."""

    process: subprocess.Popen[bytes]
    ready: IO[bytes]
    seconds: float
    output_bytes: int

    def finish(self) -> Ran:
        """Wait for the program, or kill it when its time or output is up."""
        outputs = (bytearray(), bytearray())
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout as stdout, self.process.stderr as stderr, self.ready:
            try:
                is_ready = self._is_ready()
                reason = self._read({stdout: outputs[0], stderr: outputs[1]})
            finally:
                self.process.kill()
                status = self.process.wait()
        out, err = (output[: self.output_bytes].decode("utf-8", "replace") for output in outputs)
        if not is_ready:
            raise IsolationFailed(f"a program could not be isolated: {_last_line(err) or status}")
        if status == -signal.SIGKILL and reason == "ended":  # no program can send itself this signal
            raise IsolationFailed("an isolated program was killed from outside; is there enough memory for memory_mib?")
        return Ran(out, err, status, reason)

    def _is_ready(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self.ready, selectors.EVENT_READ)
            return bool(selector.select(_PATIENCE_S)) and self.ready.read(1) == b"!"

    def _read(self, outputs: Mapping[IO[bytes], bytearray]) -> Reason:
        deadline = time.monotonic() + self.seconds
        with selectors.DefaultSelector() as selector:
            for output in outputs:
                selector.register(output, selectors.EVENT_READ)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return "time"
                for key, _ in selector.select(left):
                    chunk = os.read(key.fd, _CHUNK)
                    outputs[key.fileobj].extend(chunk)  # type: ignore[index] # what is registered are the outputs
                    if not chunk:
                        selector.unregister(key.fileobj)
                if sum(map(len, outputs.values())) > self.output_bytes:
                    return "output"
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "time"
        return "ended"


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()[:_SHOWN]


def isolation_available() -> Isolation | None:
    """Return the isolation that this machine offers, None where it offers none; hostile programs are tried once."""
    return _found()


def require_isolation() -> Isolation:
    """Return the isolation that this machine offers.

    Raises:
        IsolationUnavailable: It offers none.
    """
    if (isolation := isolation_available()) is None:
        raise IsolationUnavailable
    return isolation


def printed_by(
    isolation: Isolation, *, seconds: float = 10.0, memory_mib: int = 512, output_bytes: int = 2**20
) -> Callable[[str], str]:
    """Return what runs a program and returns what it printed, as suites that run answers want it.

    It raises ProgramFailed where the program failed, and IsolationFailed where the machine did.
    """

    def run(program: str) -> str:
        return isolation.run(program, seconds=seconds, memory_mib=memory_mib, output_bytes=output_bytes).printed()

    return run


@lru_cache(maxsize=1)
def _found() -> Isolation | None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64") or not sys.executable:
        return None
    try:
        isolation = Isolation(readable_files())
        return isolation if _is_tight(isolation) else None
    except (OSError, subprocess.SubprocessError, IsolationFailed):
        return None


def _is_tight(isolation: Isolation) -> bool:
    """Tell whether a program that tries to get out does not."""
    with tempfile.TemporaryDirectory(prefix="orchestra-") as folder:
        mark = Path(folder) / "mark"
        mark.write_text("untouched")
        program = hostile_program(str(mark))
        ran = isolation.run(program, seconds=_PATIENCE_S, memory_mib=256, output_bytes=_CHUNK)
        is_whole = os.listdir(folder) == ["mark"] and mark.read_text() == "untouched"
        return is_whole and (ran.stdout, ran.returncode) == ("done: []\n", 0)
