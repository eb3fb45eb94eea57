"""A real HTTP server on loopback that speaks the OpenAI interface as a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the server received."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Json:
        """The decoded JSON body."""
        return json.loads(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server sends back."""

    status: int = 200
    body: Json = None
    """JSON, or bytes sent as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    """Close the connection instead of answering."""
    waits_for: asyncio.Event | None = None
    """Answer only once this is set."""
    chunks: Sequence[bytes | asyncio.Event] | None = None
    """Instead of the body: pieces of it, sent one by one in chunked encoding; the rest is held back until an event."""
    is_cut: bool = False
    """Close the connection after the last chunk, without saying that it was the last."""


Handler = Callable[[Request], Reply]


def chat(*texts: str, finish_reason: str | None = "stop", usage: Json = None) -> Reply:
    """Return a chat completion with these choices."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        for i, text in enumerate(texts)
    ]
    body = {"id": "x", "model": "/secret/path.gguf", "choices": choices}
    return Reply(body=body if usage is None else body | {"usage": usage})


def failing(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """Return an error in OpenAI's form; header names are given with underscores."""
    error = {"message": message, "type": "t", "code": code}
    return Reply(status=status, body={"error": error}, headers={k.replace("_", "-"): v for k, v in headers.items()})


def answering(request: Request) -> Reply:
    """Answer as a small obedient model would: the first member of a schema, else a word; `n` and `max_tokens` hold."""
    if request.method == "GET":
        return Reply(body={"data": [{"id": "fake", "max_model_len": 4096}]})
    body = request.body
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    text = "ok" if limit > 1 else "o"
    schema = body.get("json_schema") or body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema:
        text = json.dumps(_member(schema))
    finish_reason = "stop" if limit > 1 else "length"
    rows = [{"token": text, "logprob": -0.5, "top_logprobs": [{"token": text, "logprob": -0.5}]}]
    wants_logprobs = bool(body.get("logprobs"))
    choices = []
    for index in range(body.get("n", 1)):
        choice: Json = {"index": index, "finish_reason": finish_reason}
        choice |= {"message": {"content": text}} if "messages" in body else {"text": text}
        choices.append(choice | {"logprobs": {"content": rows} if wants_logprobs else None})
    usage = {"prompt_tokens": 7, "completion_tokens": len(choices)}
    return Reply(body={"choices": choices, "usage": usage})


def _member(schema: Json) -> Json:
    """Return the first member of a schema of enums and objects."""
    if "enum" in schema:
        return schema["enum"][0]
    return {name: _member(part) for name, part in schema["properties"].items()}


class FakeServer:
    """Sends `replies` in turn, one per request, then what `default` says; `requests` records what came."""

    def __init__(self, replies: Sequence[Reply | Handler], default: Handler) -> None:
        self.replies = list(replies)
        self.default = default
        self.requests: list[Request] = []
        self.port = 0
        self.connections = 0
        self.is_left = asyncio.Event()
        """Set once a client has closed its connection while an answer was held back."""
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Base URL of the interface."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it ends."""
        self.connections += 1
        self._writers.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                planned = self.replies.pop(0) if self.replies else self.default
                reply = planned(request) if callable(planned) else planned
                if reply.waits_for is not None:
                    await reply.waits_for.wait()
                if reply.breaks:
                    break
                if reply.chunks is None:
                    writer.write(_encoded(reply))
                    await writer.drain()
                elif not await self._sent(reply, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer, or the test, is through; a cancelled connection would be reported as a failure
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _sent(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send an answer chunk by chunk; whether another may follow."""
        writer.write(_head(reply, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
        for chunk in reply.chunks or ():
            if isinstance(chunk, bytes):
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
            elif await _is_left(reader, until=chunk):
                self.is_left.set()
                return False
        writer.write(b"" if reply.is_cut else b"0\r\n\r\n")
        await writer.drain()
        return not reply.is_cut

    def drop_connections(self) -> None:
        """Break every open connection."""
        for writer in list(self._writers):
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request of a connection, None at its end."""
    first = await reader.readline()
    if not first:
        return None
    method, path, _ = first.decode("ascii").split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, raw=raw)


async def _is_left(reader: asyncio.StreamReader, *, until: asyncio.Event) -> bool:
    """Wait for an event; whether the client closed the connection instead."""
    waits = [asyncio.ensure_future(until.wait()), asyncio.ensure_future(reader.read(1))]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return waits[0] not in done


def _encoded(reply: Reply) -> bytes:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    return _head(reply, {"content-type": "application/json", "content-length": str(len(body))}) + body


def _head(reply: Reply, headers: dict[str, str]) -> bytes:
    headers = headers | reply.headers
    lines = [f"HTTP/1.1 {reply.status} Reason", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


@asynccontextmanager
async def fake_server(*replies: Reply | Handler, default: Handler = answering) -> AsyncIterator[FakeServer]:
    """Serve on a free loopback port for the length of a `with` block."""
    fake = FakeServer(replies, default)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await fake.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.drop_connections()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
