"""A real MCP server for tests, by the official package: `python mcp_server.py [plain|dotted|recursive|stubborn]`."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

PAGE = 3

Context = Any
Arguments = dict[str, Any]
calls: list[str] = []


def text(*parts: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=part) for part in parts])


async def echo(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return text(arguments["text"], "again: " + arguments["text"])


async def count(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return text(",".join(calls))


async def key(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return text(ctx.meta["orchestra-mas/key"])


async def place(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return types.CallToolResult(content=[], structured_content={"x": arguments["at"]["x"]})


async def media(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    data = base64.b64encode(b"x" * 1234).decode()
    held = types.TextResourceContents(uri="file:///a.txt", mime_type="text/plain", text="secret of the resource")
    blob = types.BlobResourceContents(uri="file:///b", blob=data)
    return types.CallToolResult(
        content=[
            types.TextContent(text="a picture"),
            types.ImageContent(data=data, mime_type="image/png"),
            types.AudioContent(data=data, mime_type="audio/wav"),
            types.EmbeddedResource(resource=held),
            types.EmbeddedResource(resource=blob),
            types.ResourceLink(name="c", uri="file:///c"),
        ]
    )


async def fail(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text="no such ticket")], is_error=True)


async def broken(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    raise RuntimeError("a bug of the server")


async def slow(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    await anyio.sleep(arguments["seconds"])
    return text("done at last")


async def busy(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    time.sleep(arguments["seconds"])  # noqa: ASYNC251 - a server that reads nothing meanwhile
    return text("done at last")


async def huge(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return text("x" * arguments["characters"])


async def die(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    print("out of cheese", file=sys.stderr, flush=True)
    os._exit(7)


async def environment(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    return text(json.dumps(dict(os.environ)))


async def child(arguments: Arguments, ctx: Context) -> types.CallToolResult:
    """Start a process that outlives the server and holds its output open."""
    return text(f"{os.getpid()} {subprocess.Popen(['sleep', '600']).pid}")  # noqa: ASYNC220


Handler = Callable[[Arguments, Context], Awaitable[types.CallToolResult]]
NUMBER = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}
POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "echo": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 40}}, "required": ["text"]},
    "place": {"$defs": {"Point": POINT}, "type": "object", "properties": {"at": {"$ref": "#/$defs/Point"}}},
    "slow": NUMBER,
    "busy": NUMBER,
    "huge": {"type": "object", "properties": {"characters": {"type": "integer"}}},
    "recursive": {"$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}, "type": "object", "items": {"$ref": "#/$defs/A"}},
}
HANDLERS: dict[str, Handler] = {
    one.__name__: one
    for one in (echo, count, key, place, media, fail, broken, slow, busy, huge, die, environment, child)
}


def offered(mode: str) -> list[types.Tool]:
    names = [*HANDLERS, *({"dotted": ["a.dotted name"], "recursive": ["recursive"]}.get(mode, []))]
    return [
        types.Tool(
            name=name,
            description=f"It is called\n  {name}.",
            input_schema=SCHEMAS.get(name, {"type": "object"}),
            annotations=types.ToolAnnotations(read_only_hint=True, idempotent_hint=True),
        )
        for name in names
    ]


async def main(mode: str) -> None:
    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        start = int(params.cursor) if params is not None and params.cursor else 0
        tools = offered(mode)
        more = str(start + PAGE) if start + PAGE < len(tools) else None
        return types.ListToolsResult(tools=tools[start : start + PAGE], next_cursor=more)

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        calls.append(params.name)
        return await HANDLERS[params.name](params.arguments or {}, ctx)

    server = Server("shop", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "plain"
    if given == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    anyio.run(main, given)
    if given == "stubborn":
        time.sleep(600)
