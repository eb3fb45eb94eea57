"""The tools of a local MCP server as tools of ours: a program that is spoken to over its standard input and output.

The server is a program that the user chose and runs with the user's rights; what it says is untrusted all the same. Its
hints on what a tool changes count for nothing, the user's word on effects does; its names and schemas are checked, its
results are observations. It gets a minimal environment: no key of ours reaches it unless the user hands it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from orchestra_agents._server_process import STDERR_BYTES, ServerProcess, running
from orchestra_agents.errors import InputError, ToolFailed, ToolsUnavailable
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

_DESCRIPTION = 2_000
_NOTHING_SAID: Mapping[str, Effects] = MappingProxyType({})


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

    async with running(arguments, {**get_default_environment(), **env}) as process:
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


async def _why_not(process: ServerProcess, failure: Exception, start_s: float) -> str:
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

    process: ServerProcess
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


class _Stream(Generic[T]):
    """What both ends of a transport of mcp have: they are entered, left and closed."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def aclose(self) -> None:
        """Do nothing: the process is ended by whoever started it."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Incoming(_Stream["SessionMessage"]):
    """The messages of a server, for mcp; lines that are none are left out."""

    def __init__(self, process: ServerProcess) -> None:
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
                self._process.stray = self._process.stray or line[:STDERR_BYTES].decode("utf-8", "replace").strip()
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
