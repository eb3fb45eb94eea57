"""Checking an answer by something that can tell: the exit status of a program, or a Python function.

A command is run without a shell, in a process group of its own that is killed as a whole when it ends, when its time or
output is up, and when the run is cancelled. It gets the answer on standard input, and `{file}` in an argument stands
for the path of a file that holds it. Variables that look like credentials are not passed on. This is no sandbox: what
the command does, it does with the user's rights.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import re
import shlex
import shutil
import signal
import tempfile
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
_CHUNK = 4096
_PATIENCE_S = 0.5
_POLL_S = 0.01


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
    """Return what `check` says of `answer`; a check that breaks, hangs or floods does not pass.

    Args:
        check: The command or function.
        answer: The typed answer; a command gets a text as it is and anything else as JSON.
        limits: What the check may take.

    Raises:
        InputError: A function returned neither a bool nor a text.
    """
    if isinstance(check, str):
        return await _run(parse_command(check), answer, limits)
    try:
        async with asyncio.timeout(limits.seconds):
            said = check(answer) if inspect.iscoroutinefunction(check) else await asyncio.to_thread(check, answer)
            if inspect.isawaitable(said):
                said = await said
    except TimeoutError:
        return Verdict(False, f"not done within {limits.seconds:g} s")
    except Exception as error:  # noqa: BLE001 - the boundary to the user's code: whatever it raises is its verdict
        return Verdict(False, f"{type(error).__name__}: {_last_line(str(error))}".rstrip(": "))
    if not isinstance(said, bool | str):
        raise InputError("verify", f"{named(check)} must return True, False or what is wrong, got {shown(said)}")
    return Verdict(said is True, "" if said is True else _last_line(str(said)) if said else "refused")


async def _run(arguments: Sequence[str], answer: Json, limits: VerifyLimits) -> Verdict:
    text = (answer if isinstance(answer, str) else canonical_json(answer)).encode("utf-8", "replace")
    with _as_file(arguments, text) as command:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if not _SECRET.search(name)},
            )
        except OSError as error:
            return Verdict(False, f"cannot be started: {error.strerror or error}")
        try:
            async with asyncio.timeout(limits.seconds):
                output, is_whole = await _talk(process, text, limits.output_bytes)
                if not is_whole:
                    return Verdict(False, f"wrote more than {limits.output_bytes:,} bytes")
                await _ended(process)
                status = process.returncode or 0
        except TimeoutError:
            return Verdict(False, f"not done within {limits.seconds:g} s")
        finally:
            await _end(process)
    told = _last_line(output.decode("utf-8", "replace"))
    detail = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return Verdict(status == 0, f"{detail}: {told}" if told else detail)


async def _talk(process: asyncio.subprocess.Process, text: bytes, most: int) -> tuple[bytes, bool]:
    """Hand over the answer and return the output, and whether it is the whole of it; reads until the program ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    writing = asyncio.create_task(_hand_over(process.stdin, text))
    reading = asyncio.create_task(_read(process.stdout, most))
    ended = asyncio.create_task(_ended(process))
    try:
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():  # it ended, and something it left behind may hold the pipe open
            _kill(process)
        output = await reading
        return output, len(output) <= most
    finally:
        for task in (writing, reading, ended):
            task.cancel()
        await asyncio.wait({writing, reading, ended})


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Return once the program itself has ended; asyncio's own wait is for its pipes, which others may hold open."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio has no event for it
        await asyncio.sleep(_POLL_S)


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    """Return what comes until the end, or until it is more than `most` bytes."""
    output = bytearray()
    while len(output) <= most and (chunk := await reader.read(_CHUNK)):
        output += chunk
    return bytes(output)


async def _hand_over(stdin: asyncio.StreamWriter, text: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # a program need not read what it is given
        stdin.write(text)
        await stdin.drain()
        stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the program with all that it started, and wait for its end."""
    _kill(process)
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):  # what left the group may hold the pipe open: it is not waited for
        async with asyncio.timeout(_PATIENCE_S):
            while await process.stdout.read(_CHUNK):  # asyncio sees no end of a process before that of its pipes
                pass
            await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


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
