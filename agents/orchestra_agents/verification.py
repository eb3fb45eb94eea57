"""Checking an answer by something that can tell: the exit status of a program, or a Python function.

A command is run without a shell, in a process group of its own that is killed as a whole when it ends, when its time or
output is up, and when the run is cancelled; what has left that group (`setsid`) cannot be killed, and is not waited
for. It gets the answer on standard input, and `{file}` in an argument stands for the path of a file that holds it.
Variables that look like credentials are not passed on. This is no sandbox: what the command does, it does with the
user's rights.

A function is called in a thread of its own. No thread can be killed: one whose time is up, or whose run is cancelled,
is left behind, and nobody waits for it, not even the end of the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import re
import shlex
import shutil
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, canonical_json

Verify: TypeAlias = "str | Callable[[Json], bool | str | Awaitable[bool | str]]"
"""A command line, or a function of the typed answer: True where it is right, else False or what is wrong with it."""

PYTHON = "python:"
"""How the name of a Python callable begins where a graph is written down; no file can bring the callable back."""

_SECRET = re.compile(r"(?i)(key|token|secret|password|credential)s?$|^(aws|ssh)_")
_SHOWN = 200
_PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyLimits:
    """What one check may take."""

    seconds: float = 60.0
    """Until its processes are killed, above 0; a Python function is no longer waited for."""
    output_bytes: int = 65_536
    """Until its processes are killed, at least 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check said of an answer."""

    passed: bool
    detail: str
    """Why not, as a few words; of a program its exit status and last line."""


LIMITS = VerifyLimits()


def named(given: str | Callable[..., object]) -> str:
    """Return a text as it is, and of a function or callable object the name to be written down."""
    if isinstance(given, str):
        return given
    kind = given if hasattr(given, "__qualname__") else type(given)
    return f"{PYTHON}{kind.__module__}:{kind.__qualname__}"


def parse_command(command: str) -> list[str]:
    """Return the program and its arguments, split as a shell would, with nothing else that a shell does.

    Raises:
        InputError: The quotes are not closed, or nothing is named.
    """
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise InputError("verify", f"must be a command line with its quotes closed, got {shown(command)}") from error
    if not arguments:
        raise InputError("verify", f"must name a program, got {shown(command)}")
    return arguments


def check_runnable(verify: Verify) -> None:
    """Refuse a check that cannot be carried out here.

    Raises:
        InputError: The program is not found, or the function was not brought along.
    """
    if not isinstance(verify, str):
        return
    if verify.startswith(PYTHON):
        raise InputError("verify", f"{verify} is a Python function; run the graph from the program that has it")
    program = parse_command(verify)[0]
    if shutil.which(program) is None:
        raise InputError("verify", f"the program {shown(program)} is not found on this machine")


async def verify(check: Verify, answer: Json, *, limits: VerifyLimits = LIMITS) -> Verdict:
    """Return what `check` says of `answer`; a check that breaks, hangs, floods or says nothing does not pass.

    Args:
        check: The command or function.
        answer: The typed answer; a command gets a text as it is and anything else as JSON.
        limits: What the check may take.

    Raises:
        InputError: The command line cannot be split into a program and its arguments.
    """
    if isinstance(check, str):
        return await _run(parse_command(check), answer, limits)
    try:
        async with asyncio.timeout(limits.seconds) as limit:
            said = check(answer) if inspect.iscoroutinefunction(check) else await _in_thread(check, answer)
            if inspect.isawaitable(said):
                said = await said
    except Exception as error:  # noqa: BLE001 - the boundary to the user's code: whatever it raises is its verdict
        return Verdict(False, f"not done within {limits.seconds:g} s") if limit.expired() else _broken(error)
    match said:
        case Verdict():
            return said
        case bool():
            return Verdict(said, "" if said else "refused")
        case str():
            return Verdict(False, _last_line(said) or "refused")
    return Verdict(False, f"{named(check)} must return True, False or what is wrong, got {shown(said)}")


async def _in_thread(check: Callable[[Json], object], answer: Json) -> object:
    """Return what `check` returns, or as a verdict what it raises.

    The event loop's own threads are waited for when the loop is closed and when the program ends; this one is not.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    said: asyncio.Future[object] = loop.create_future()

    def tell(result: object) -> None:
        if not said.done():
            said.set_result(result)

    def work() -> None:
        try:
            result = context.run(check, answer)
        except BaseException as error:  # noqa: BLE001 - the thread's boundary: sys.exit() and pytest.fail() must be told, too
            result = _broken(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=work, name="orchestra-verify", daemon=True).start()
    return await said


def _broken(error: BaseException) -> Verdict:
    return Verdict(False, f"{type(error).__name__}: {_last_line(str(error))}".rstrip(": "))


class _Program(asyncio.SubprocessProtocol):
    """What a program writes, and how it goes, as asyncio tells of it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.output = bytearray()
        self.is_settled, self.is_silent = asyncio.Event(), asyncio.Event()
        self.is_ended, self.is_closed = asyncio.Event(), asyncio.Event()

    @property
    def is_flood(self) -> bool:
        """Whether more was written than is allowed; the rest is read, so that writers may end, but not kept."""
        return len(self.output) > self.most

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what was written, as far as it is allowed."""
        self.output += data[: self.most + 1 - len(self.output)]
        if self.is_flood:
            self.is_settled.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that nobody can write any more."""
        if fd == 1:
            self.is_silent.set()

    def process_exited(self) -> None:
        """Note that the program itself has ended; others may go on, and hold its pipes open."""
        self.is_ended.set()
        self.is_settled.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the program has ended and all its pipes are closed."""
        self.is_closed.set()


async def _run(arguments: Sequence[str], answer: Json, limits: VerifyLimits) -> Verdict:
    text = (answer if isinstance(answer, str) else canonical_json(answer)).encode("utf-8", "replace")
    with _as_file(arguments, text) as command:
        try:
            transport, program = await _start(command, limits.output_bytes)
        except OSError as error:
            return Verdict(False, f"cannot be started: {error.strerror or error}")
        try:
            stdin = _stdin(transport)
            stdin.write(text)
            stdin.close()  # once all is written; a program need not read what it is given
            async with asyncio.timeout(limits.seconds):
                await program.is_settled.wait()
        except TimeoutError:
            return Verdict(False, f"not done within {limits.seconds:g} s")
        finally:
            await _end(transport, program)
    if program.is_flood:
        return Verdict(False, f"wrote more than {limits.output_bytes:,} bytes")
    status = transport.get_returncode() or 0
    told = _last_line(program.output.decode("utf-8", "replace"))
    detail = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return Verdict(status == 0, f"{detail}: {told}" if told else detail)


async def _start(command: Sequence[str], most: int) -> tuple[asyncio.SubprocessTransport, _Program]:
    """Start a program; one that is being started when the run is cancelled is ended like any other.

    Left to itself, asyncio would kill the program without its group, and wait for pipes that others hold open.
    """
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: _Program(most),
            *command,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not _SECRET.search(name)},
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(*await starting)
        raise


async def _end(transport: asyncio.SubprocessTransport, program: _Program) -> None:
    """Kill the program with all that it started, read what they wrote, and close the pipes to them.

    What left the group may hold the pipes open: it is waited for a moment only.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    try:
        await _moment(program.is_ended, program.is_silent)
    finally:
        if _stdin(transport).get_write_buffer_size():
            _stdin(transport).abort()  # else it would stay open until somebody has read the rest
        transport.close()
    await _moment(program.is_closed)  # asyncio closes pipes in turns of the loop, which may end with this check


async def _moment(*events: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            for event in events:
                await event.wait()


def _stdin(transport: asyncio.SubprocessTransport) -> asyncio.WriteTransport:
    stdin = transport.get_pipe_transport(0)
    assert isinstance(stdin, asyncio.WriteTransport)
    return stdin


@contextlib.contextmanager
def _as_file(arguments: Sequence[str], text: bytes) -> Iterator[list[str]]:
    """Yield the arguments with `{file}` replaced by the path of a file that holds `text`, where one of them has it."""
    if not any("{file}" in argument for argument in arguments):
        yield list(arguments)
        return
    with tempfile.TemporaryDirectory(prefix="orchestra-") as folder:
        path = Path(folder) / "answer"
        path.write_bytes(text)
        yield [argument.replace("{file}", str(path)) for argument in arguments]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    line = lines[-1].strip() if lines else ""
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
