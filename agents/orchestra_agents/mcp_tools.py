"""The tools of a local MCP server as tools of ours: a program that is spoken to over its standard input and output.

The server is a program that the user chose and runs with the user's rights; what it says is untrusted all the same. Its
hints on what a tool changes count for nothing, the user's word on effects does; its names and schemas are checked, its
results are observations. It gets a minimal environment: no key of ours reaches it unless the user hands it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from orchestra_agents.errors import InputError, OrchestraError
from orchestra_agents.json_schema import inlined, shown
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_agents.sections import cut
from orchestra_agents.tools import LIMITS, Effects, Tool, ToolLimits

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client
    from mcp.shared.message import SessionMessage

T = TypeVar("T")

CALL_KEY = "orchestra-mas/key"
"""Where in a request's `_meta` a server finds the call's key, the same whenever the same call is repeated."""
OTHERS = "*"
"""Stands in `effects` for every tool that is not named."""

_MESSAGE_BYTES = 64 * 2**20
_DESCRIPTION = 2_000
_STDERR_BYTES = 4_096
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PATIENCE_S = 2.0
_LINGER_S = 0.5
_NOTHING_SAID: Mapping[str, Effects] = MappingProxyType({})


class ToolsUnavailable(OrchestraError):
    """A tool server cannot be used on this machine; the message says what is missing or what went wrong."""

    code = "tools.unavailable"


class ToolFailed(OrchestraError):
    """A tool server reported an error instead of a result, or ended."""

    code = "tool.failed"


@contextlib.asynccontextmanager
async def mcp_tools(
    command: str | Sequence[str],
    *,
    effects: Mapping[str, Effects] = _NOTHING_SAID,
    limits: ToolLimits = LIMITS,
    env: Mapping[str, str] | None = None,
    start_s: float = 10.0,
) -> AsyncIterator[list[Tool]]:
    """Start an MCP server and yield its tools; leaving the context ends it and all that it started.

    A call's key goes to the server in the request's `_meta`, under `CALL_KEY`. A call that runs out of time is
    cancelled at the server too; if the server ends, calls end in an `error` observation.

    Args:
        command: The program and its arguments; a text is split as a shell would, with nothing else that a shell does.
        effects: What calls change, by the tool's name; `*` stands for all others, which without it are `once`,
            whatever the server says.
        limits: What one call may take.
        env: Variables that the server gets besides PATH, HOME and the like (mcp's `get_default_environment`).
        start_s: Seconds until the server must have listed its tools, above 0.

    Raises:
        InputError: The command is none or its program is not found, a name or value in `effects` is none, or a tool
            has a name or a schema that cannot be used.
        ToolsUnavailable: The extra is not installed, or the program is no MCP server that can be spoken to.
    """
    arguments = _arguments(command)
    if not start_s > 0:
        raise InputError("start_s", f"must be a number above 0, got {shown(start_s)}")
    for name, said in effects.items():
        if said not in get_args(Effects):
            raise InputError(f"effects[{shown(name)}]", f"must be none, idempotent or once, got {shown(said)}")
    if importlib.util.find_spec("mcp") is None:
        raise ToolsUnavailable('MCP servers need the "mcp" extra: pip install "orchestra-mas[mcp]"')
    async with _in_own_task(_connected(arguments, dict(env or {}), start_s)) as server:
        yield server.tools(effects, limits)


def _arguments(command: str | Sequence[str]) -> list[str]:
    try:
        arguments = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise InputError("command", f"must be a command line with its quotes closed, got {shown(command)}") from error
    if not arguments or not all(isinstance(one, str) and "\0" not in one for one in arguments):
        raise InputError("command", f"must be a program and its arguments as texts, got {shown(command)}")
    return arguments


@contextlib.asynccontextmanager
async def _in_own_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave `context` in one task of its own, whichever tasks enter, use and leave what it yields.

    A session of mcp holds anyio cancel scopes, which belong to a task; in the user's task they would also wrap the
    errors of the user's code in exception groups.
    """
    ready: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def own() -> None:
        async with context as entered:
            ready.set_result(entered)
            await leave.wait()

    owner = asyncio.create_task(own())
    awaited: set[asyncio.Future[Any]] = {owner, ready}
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            owner.result()
        yield ready.result()
    finally:
        leave.set()
        if not ready.done():
            owner.cancel()
        await _settled(owner)
    owner.result()


async def _settled(task: asyncio.Task[None]) -> None:
    """Wait for the end of `task`; a cancellation that comes meanwhile is raised after it."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled():
        task.exception()  # seen: what else went wrong on the way out is not to hide the error that led there
    if cancelled is not None:
        raise cancelled


@contextlib.asynccontextmanager
async def _connected(arguments: list[str], env: dict[str, str], start_s: float) -> AsyncIterator[_Server]:
    """Yield the started server once it has listed its tools."""
    from mcp import Client  # noqa: PLC0415 - the extra is optional
    from mcp.client.stdio import get_default_environment  # noqa: PLC0415 - the extra is optional

    async with _running(arguments, {**get_default_environment(), **env}) as process:
        failure: Exception | None = None
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(start_s):
                    streams = contextlib.nullcontext((_Incoming(process), _Outgoing(process)))
                    client = await stack.enter_async_context(Client(streams, cache=None))
                    listed = await _listed(client)
            except Exception as error:  # noqa: BLE001 - the boundary to a program that may say anything at all
                failure = error
            else:
                yield _Server(process=process, client=client, listed=listed)
            process.is_left = True
        if failure is not None:  # raised out here, for anyio would wrap in a group what passes through the session
            raise ToolsUnavailable(await _why_not(process, failure, start_s)) from failure


async def _listed(client: Client) -> list[mcp_types.Tool]:
    page = await client.list_tools()
    listed = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        listed += page.tools
    return listed


async def _why_not(process: _Process, failure: Exception, start_s: float) -> str:
    """Return why a program that was started is no server."""
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    if isinstance(failure, TimeoutError):
        told = f"it did not list its tools within {start_s:g} s"
    else:
        told = await process.fate() or f"it did not list its tools: {shown(str(failure))}"
    stray = f"; what it wrote is no MCP message: {shown(process.stray)}" if process.stray else ""
    complaint = f"; its last words: {shown(process.last_words)}" if process.last_words else ""
    return f"the MCP server {process.name}: {told}{stray}{complaint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """A server that is running and has listed its tools."""

    process: _Process
    client: Client
    listed: Sequence[mcp_types.Tool]

    def tools(self, effects: Mapping[str, Effects], limits: ToolLimits) -> list[Tool]:
        """Return what it offers as tools of ours."""
        known = [one.name for one in self.listed]
        for name in effects:
            if name != OTHERS and name not in known:
                offered = ", ".join(known) or "none"
                raise InputError(
                    "effects", f"{self.process.name} has no tool called {shown(name)}; it has {shown(offered)}"
                )
        others = effects.get(OTHERS, "once")
        return [self._tool(one, effects.get(one.name, others), limits) for one in self.listed]

    def _tool(self, one: mcp_types.Tool, effects: Effects, limits: ToolLimits) -> Tool:
        async def invoke(arguments: dict[str, Json], key: str) -> Json:
            return await self.call(one.name, arguments, key)

        try:
            return Tool(
                name=one.name,
                description=cut(" ".join((one.description or one.title or "").split()), _DESCRIPTION),
                schema=inlined(one.input_schema, "schema"),
                effects=effects,
                invoke=invoke,
                limits=limits,
            )
        except (InputError, AttributeError, TypeError, RecursionError) as error:
            raise InputError(f"mcp[{self.process.name}] tool {shown(one.name)}", f"cannot be used: {error}") from error

    async def call(self, name: str, arguments: dict[str, Json], key: str) -> str:
        """Return what the tool said, as text.

        Raises:
            ToolFailed: The tool or the server says that it failed, or the server has ended.
        """
        from mcp import MCPError  # noqa: PLC0415 - the extra is optional

        if self.process.is_left:
            raise ToolFailed(f"the MCP server {self.process.name} has been left")
        try:
            result = await self.client.call_tool(name, arguments, meta=cast("Any", {CALL_KEY: key}))
        except MCPError as error:
            fate = await self.process.fate() if self.process.is_over else None
            raise ToolFailed(f"the MCP server {self.process.name}: {fate or error}") from error
        text = _said(result)
        if result.is_error:
            raise ToolFailed(text or "the tool failed without a word")
        return text


def _said(result: mcp_types.CallToolResult) -> str:
    """Return a result as text: its texts, else its structured value, and a word on everything else."""
    lines = [_line(part) for part in result.content]
    if result.structured_content is not None and all(part.type != "text" for part in result.content):
        lines.insert(0, canonical_json(result.structured_content))
    return "\n".join(lines)


def _line(part: mcp_types.ContentBlock) -> str:
    if part.type == "text":
        return part.text
    if part.type == "resource_link":
        return f"[link {_brief(part.uri)}]"
    if part.type == "resource":
        held = part.resource
        text: str | None = getattr(held, "text", None)
        size = _bytes_of(getattr(held, "blob", "")) if text is None else len(text.encode("utf-8", "replace"))
        return f"[resource {_brief(held.uri)}{f' {_brief(held.mime_type)}' if held.mime_type else ''}, {size:,} bytes]"
    return f"[{part.type} {_brief(part.mime_type)}, {_bytes_of(part.data):,} bytes]"


def _bytes_of(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def _brief(text: str) -> str:
    return cut(" ".join(text.split()), 200)


@contextlib.asynccontextmanager
async def _running(arguments: list[str], env: dict[str, str]) -> AsyncIterator[_Process]:
    """Yield the started program, which is ended on the way out with all that it started.

    mcp's own `stdio_client` leaves the children of a server that ends by itself alone, and reads a message of any size.
    """
    script = [one for one in arguments[1:2] if not one.startswith("-")]  # no more: what follows may be a secret
    name = " ".join([Path(arguments[0]).name, *script])
    try:
        transport, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Process(name), *arguments, env=env, start_new_session=True
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


class _Process(asyncio.SubprocessProtocol):
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
            self._told = (self._told + data)[-_STDERR_BYTES:]
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


class _Stream(Generic[T]):
    """What both ends of a transport of mcp have: they are entered, left and closed."""

    def __init__(self, process: _Process) -> None:
        self._process = process

    async def aclose(self) -> None:
        """Do nothing: the process is ended by whoever started it."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Incoming(_Stream["SessionMessage"]):
    """The messages of a server, for mcp; lines that are none are left out."""

    def __init__(self, process: _Process) -> None:
        from mcp.shared.message import SessionMessage  # noqa: PLC0415 - the extra is optional
        from mcp_types import jsonrpc_message_adapter  # noqa: PLC0415 - the extra is optional

        super().__init__(process)
        self._parsed: Callable[[bytes], SessionMessage] = lambda line: SessionMessage(
            jsonrpc_message_adapter.validate_json(line, by_name=False)
        )

    def __aiter__(self) -> _Incoming:
        return self

    async def __anext__(self) -> SessionMessage:
        while (line := await self._process.read()) is not None:
            try:
                return self._parsed(line)
            except ValueError:
                self._process.stray = self._process.stray or line[:_STDERR_BYTES].decode("utf-8", "replace").strip()
        raise StopAsyncIteration

    async def receive(self) -> SessionMessage:
        """Return the next message."""
        return await anext(self)


class _Outgoing(_Stream["SessionMessage"]):
    """Where mcp puts messages to a server."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        from anyio import BrokenResourceError  # noqa: PLC0415 - comes with the extra, which is optional

        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        if not self._process.write(f"{line}\n".encode()):
            raise BrokenResourceError
