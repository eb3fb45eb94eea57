"""A program that is spoken to line by line over its standard input and output, and ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown

STDERR_BYTES = 4_096
"""Of its last words that are kept."""
_MESSAGE_BYTES = 64 * 2**20
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PATIENCE_S = 2.0
_LINGER_S = 0.5


@contextlib.asynccontextmanager
async def running(arguments: list[str], env: dict[str, str]) -> AsyncIterator[ServerProcess]:
    """Yield the started program, which is ended on the way out with all that it started.

    mcp's own `stdio_client` leaves the children of a server that ends by itself alone, and reads a message of any size.
    """
    script = [one for one in arguments[1:2] if not one.startswith("-")]  # no more: what follows may be a secret
    name = " ".join([Path(arguments[0]).name, *script])
    try:
        transport, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: ServerProcess(name), *arguments, env=env, start_new_session=True
        )
    except OSError as error:
        told = f"the program {shown(arguments[0])} cannot be started: {error.strerror or error}"
        raise InputError("command", told) from error
    try:
        yield process
        await process.end()
    finally:
        process.send(signal.SIGKILL)
        transport.close()
        await process.gone_within(_LINGER_S)


class ServerProcess(asyncio.SubprocessProtocol):
    """A program in a process group of its own, read line by line.

    When the program itself has ended, the rest of its group is killed at once: later its number may be another's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_left = False
        """Whether nobody is to call it any more."""
        self.stray = ""
        """The first thing it wrote that is no message."""
        self.is_over = False
        """Whether nothing more can be read or nothing more be said."""
        self._problem = "it closed the connection"
        self._told = b""
        self._exited = asyncio.Event()
        self._output = asyncio.StreamReader(limit=_MESSAGE_BYTES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the pipes; asyncio calls it."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(_STDIN))
        self._output.set_transport(cast("asyncio.Transport", self._transport.get_pipe_transport(_STDOUT)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it wrote; asyncio calls it."""
        if fd == _STDERR:
            self._told = (self._told + data)[-STDERR_BYTES:]
        elif not self.is_over:
            self._output.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Say nothing more to who does not listen, and wait for nothing more; asyncio calls it."""
        if fd != _STDERR:
            self._close()

    def process_exited(self) -> None:
        """Kill what it left behind; asyncio calls it."""
        self._exited.set()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._transport.get_pid(), signal.SIGKILL)
        asyncio.get_running_loop().call_later(_LINGER_S, self._close)  # what left the group may hold the pipe open

    def _close(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._output.feed_eof()

    async def read(self) -> bytes | None:
        """Return its next line, or None when there is none any more."""
        await asyncio.sleep(0)  # a program that floods must not keep everything else from running
        try:
            return await self._output.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            self._problem = f"it sent a message of more than {_MESSAGE_BYTES:,} bytes"
            self._close()
            return None

    def write(self, line: bytes) -> bool:
        """Send it a line without waiting for it to be read, and return whether it can still be sent one."""
        if self.is_over or self._stdin.is_closing():
            return False
        self._stdin.write(line)
        return True

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to its group, unless it has ended."""
        if not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), sign)

    async def gone_within(self, seconds: float) -> bool:
        """Return whether it has ended after at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        return self._exited.is_set()

    async def end(self) -> None:
        """Have it end by itself, as the protocol says: by closing its input, then by SIGTERM."""
        self._stdin.close()
        if not await self.gone_within(_PATIENCE_S):
            self.send(signal.SIGTERM)
            await self.gone_within(_PATIENCE_S / 2)

    @property
    def last_words(self) -> str:
        """The last line of its standard error, for the user alone: a model is never shown it."""
        lines = self._told.decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def fate(self) -> str | None:
        """Return how it came to be over, or None if it is not."""
        if not self.is_over and not self._exited.is_set():
            return None
        if not await self.gone_within(_LINGER_S):
            return self._problem
        status = self._transport.get_returncode() or 0
        return f"it was killed by signal {-status}" if status < 0 else f"it ended with exit status {status}"
