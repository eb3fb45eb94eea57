"""HTTP/1.1 against a raw server: every way to answer, to fail and to be cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeAlias

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.models._connection import MAX_HEAD_BYTES, Connection, Origin
from orchestra_agents.models.http1 import Http1Transport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LONG_S = 30.0
"""Never reached: what takes so long hangs."""
SHORT_S = 0.05
"""Seconds after which a test wants a limit to be reached."""


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_open() -> Iterator[None]:
    """Let what was left open be reported before the module ends; warnings are errors."""
    yield
    gc.collect()


@dataclass
class Visit:
    """One connection, seen by the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def head(self) -> bytes:
        """Return the head of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    async def request(self) -> bytes:
        """Read a request whole and return its content."""
        head = (await self.head()).lower()
        if b"transfer-encoding: chunked" in head:
            content = b""
            while size := int(await self.reader.readline(), 16):
                content += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return content
        length = re.search(rb"content-length: (\d+)", head)
        return await self.reader.readexactly(int(length[1]) if length else 0)

    async def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a packet of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3):  # the client reads in between
                await asyncio.sleep(0)

    def vanish(self) -> None:
        """Close the connection at once, before the client's loop can hear of it."""
        self.writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def is_over(self) -> None:
        """Wait until the client closes."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Script: TypeAlias = Callable[[Visit], Awaitable[None]]


def answering(*pieces: bytes, closes: bool = False) -> Script:
    """Return a script that answers every request with the same bytes."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(*pieces)
            if closes:
                return

    return script


async def silent(visit: Visit) -> None:
    """Read and say nothing."""
    await visit.is_over()


@dataclass
class RawServer:
    """Counts who visits."""

    url: str = ""
    connections: int = 0
    open: int = 0
    most_open: int = 0
    heads: list[bytes] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    visited: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [head.split(b" ")[1].decode() for head in self.heads]

    async def all_gone(self) -> None:
        """Wait until every connection is closed."""
        async with asyncio.timeout(LONG_S):
            await asyncio.gather(*self.tasks)


@asynccontextmanager
async def raw_server(
    script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Serve each connection by a script for the length of a `with` block."""
    raw = RawServer()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        raw.tasks.add(task)
        raw.connections += 1
        raw.open += 1
        raw.most_open = max(raw.most_open, raw.open)
        raw.visits.append(visit := Visit(reader, writer, raw))
        raw.visited.set()
        try:
            await script(visit)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client, or the test, is through
        finally:
            raw.open -= 1
            raw.tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    raw.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else 'localhost' if tls else host}:{port}"
    try:
        yield raw
    finally:
        server.close()
        for task in list(raw.tasks):
            task.cancel()
        await asyncio.gather(*raw.tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0.001)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Http1Transport]:
    """Give a transport and close it, after which it has nothing in flight and nobody waiting."""
    transport = Http1Transport(**options)
    try:
        yield transport
    finally:
        await transport.aclose()
        await asyncio.sleep(0.001)
        assert not transport._open
        assert not transport._opening
        assert not transport._in_flight
        assert not transport._waiting


@dataclass(frozen=True)
class Answer:
    """A response, read."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


def asked(url: str, method: str = "GET", *, content: bytes | None = None, **timeouts: float) -> httpx.Request:
    """Return a request whose phases have time limits."""
    phases = {"connect": LONG_S, "read": LONG_S, "write": LONG_S, "pool": LONG_S} | timeouts
    return httpx.Request(method, url, content=content, extensions={"timeout": phases})


async def read(response: httpx.Response) -> Answer:
    """Read a response and close it."""
    try:
        body = await response.aread()
    finally:
        await response.aclose()
    return Answer(response.status_code, body, response.headers.raw)


async def ask(
    transport: Http1Transport, url: str, method: str = "GET", *, content: bytes | None = None, **timeouts: float
) -> Answer:
    """Send a request and read its answer."""
    return await read(await transport.handle_async_request(asked(url, method, content=content, **timeouts)))


async def ask_once(script: Script, method: str = "GET", *, content: bytes | None = None, **timeouts: float) -> Answer:
    """Ask a server of one's own."""
    async with raw_server(script) as server, opened() as transport:
        return await ask(transport, server.url, method, content=content, **timeouts)


WIRES: dict[str, tuple[bytes, int, bytes]] = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, b"hello"),
    "empty": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
    "empty value": (b"HTTP/1.1 200 OK\r\nx:\r\ncontent-length: 1\r\ny:\r\n\r\n!", 200, b"!"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n 123456789\r\n0\r\n\r\n",
        200,
        b"hello 123456789",
    ),
    "chunk extensions and trailers": (
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b;c="d"\r\nabc\r\n0;e\r\nt: v\r\nu:\r\n\r\n',
        200,
        b"abc",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", 204, b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
    "informed before": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok",
        201,
        b"ok",
    ),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "error": (b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno", 500, b"no"),
}
"""Answers after which the connection may be used again."""

CLOSING: dict[str, tuple[bytes, int, bytes]] = {
    "until closed": (b"HTTP/1.1 200 OK\r\n\r\nall of it", 200, b"all of it"),
    "nothing until closed": (b"HTTP/1.1 200 OK\r\n\r\n", 200, b""),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "1.0 until closed": (b"HTTP/1.0 200 OK\r\n\r\nall of it", 200, b"all of it"),
    "close": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "another coding": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\nconnection: close\r\n\r\nzip", 200, b"zip"),
}
"""Answers with which a server ends the connection."""

KEPT = pytest.mark.parametrize(("wire", "status", "body"), WIRES.values(), ids=WIRES.keys())
ENDED = pytest.mark.parametrize(("wire", "status", "body"), CLOSING.values(), ids=CLOSING.keys())


@KEPT
async def test_an_answer_is_the_same_wherever_its_packets_end(wire: bytes, status: int, body: bytes) -> None:
    """An answer cut in two at any byte is read, and the connection serves the next request."""
    places = iter(range(1, len(wire)))

    async def script(visit: Visit) -> None:
        for place in places:
            await visit.request()
            await visit.send(wire[:place], wire[place:])

    async with raw_server(script) as server, opened() as transport:
        for _ in range(1, len(wire)):
            answer = await ask(transport, server.url)
            assert (answer.status, answer.body) == (status, body)
        assert server.connections == 1


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WIRES)), st.sets(st.integers(1, 150)))
async def test_an_answer_may_come_in_any_pieces(name: str, cuts: set[int]) -> None:
    """However an answer is cut to pieces, it reads the same."""
    wire, status, body = WIRES[name]
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[begin:end] for begin, end in pairwise(places)]
    answer = await ask_once(answering(*pieces))
    assert (answer.status, answer.body) == (status, body)


@ENDED
@pytest.mark.parametrize("is_split", [False, True])
async def test_an_answer_may_end_the_connection(wire: bytes, status: int, body: bytes, is_split: bool) -> None:
    """A body without an end of its own ends with the connection; the next request opens another."""
    pieces = [wire[place : place + 1] for place in range(len(wire))] if is_split else [wire]
    async with raw_server(answering(*pieces, closes=True)) as server, opened() as transport:
        for _ in range(2):
            answer = await ask(transport, server.url)
            assert (answer.status, answer.body) == (status, body)
        assert server.connections == 2


async def test_several_headers_of_one_name_are_kept() -> None:
    """Headers come as they were sent: order, case, repetitions and bytes beyond ASCII."""
    wire = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX: \xff\r\nContent-Length: 0\r\n\r\n"
    answer = await ask_once(answering(wire))
    assert [header for header in answer.headers if header[0].lower() == b"set-cookie"] == [
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    assert (b"X", b"\xff") in answer.headers


async def test_trailers_and_informational_heads_are_no_headers() -> None:
    """What a 103 or the end of a body says is not among the answer's headers."""
    for name in ("informed before", "chunk extensions and trailers"):
        names = {header[0] for header in (await ask_once(answering(WIRES[name][0]))).headers}
        assert names.isdisjoint({b"link", b"t", b"u"})


async def test_the_version_is_told() -> None:
    """The response says which HTTP the server speaks."""
    async with raw_server(answering(CLOSING["1.0"][0], closes=True)) as server, opened() as transport:
        response = await transport.handle_async_request(asked(server.url))
        assert response.http_version == "HTTP/1.0"
        await response.aclose()


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    ],
)
async def test_the_answer_to_head_has_no_body(wire: bytes) -> None:
    """HEAD is answered by a head alone, whatever length it announces; the connection is kept."""
    async with raw_server(answering(wire)) as server, opened() as transport:
        for _ in range(2):
            assert (await ask(transport, server.url, "HEAD")).body == b""
        assert server.connections == 1


async def test_a_body_after_head_is_not_read_as_the_next_answer() -> None:
    """A server that answers HEAD with a body loses its connection."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        assert (await ask(transport, server.url, "HEAD")).body == b""
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 2


BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "text": b"hello world, this is no HTTP at all\r\n\r\n",
    "cut in the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "cut in the body": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
    "cut in a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    "cut before the last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "cut before the answer": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "chunk size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "nothing": b"",
    "long head": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\ncontent-length: 2\r\n\r\nok",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"name: value\r\n" * 10_000 + b"content-length: 2\r\n\r\nok",
    "long trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + b"name: value\r\n" * 10_000 + b"\r\n"
    ),
}


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("is_split", [False, True])
async def test_what_is_no_answer_is_an_error(wire: bytes, is_split: bool) -> None:
    """Garbage, broken framing, heads without end and connections cut short are protocol errors, never half a body."""
    pieces = [wire[place : place + 7001] for place in range(0, len(wire), 7001)] if len(wire) > 7001 else [wire]
    if is_split:
        pieces = [wire[:12], *pieces] if not wire else [wire[:12], wire[12:]]
    with pytest.raises(httpx.RemoteProtocolError):
        await ask_once(answering(*pieces, closes=True))


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nx: ", b"a" * 1000),
        (b"HTTP/1.1 200 ", b"a" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 30),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nt: ", b"a" * 1000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;", b"a" * 1000),
    ],
    ids=["header", "reason", "informed", "trailer", "extension"],
)
async def test_what_never_ends_is_refused(begin: bytes, more: bytes) -> None:
    """A header, trailer or chunk extension without end is not gathered without end."""
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(begin)
        while True:
            await visit.send(more)
            sent += len(more)

    with pytest.raises(httpx.RemoteProtocolError):
        await ask_once(script)
    assert sent < 8 * MAX_HEAD_BYTES


@pytest.mark.parametrize(
    "junk", [b"junk", b"H", OK, b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nintrusive"], ids=["junk", "H", "ok", "no"]
)
@pytest.mark.parametrize("is_later", [False, True])
async def test_what_follows_an_answer_is_no_part_of_it(junk: bytes, is_later: bool) -> None:
    """A server that says more than it was asked is heard no further: the answer stands, the connection is closed."""

    async def script(visit: Visit) -> None:
        await visit.request()
        if is_later:
            await visit.send(OK, junk)
        else:
            await visit.send(OK + junk)
        await visit.is_over()

    async with raw_server(script) as server, opened() as transport:
        for _ in range(3):
            answer = await ask(transport, server.url)
            assert (answer.status, answer.body) == (200, b"ok")
            await asyncio.sleep(0.02)  # what comes once the next request is sent cannot be told from its answer
        assert server.connections == 3


async def test_idle_connection_that_speaks_is_not_used_again() -> None:
    """What a server sends between two requests is not the answer to the second, even unread by the loop as yet."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        assert (await ask(transport, server.url)).body == b"ok"
        server.visits[0].writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 2


async def test_connections_are_kept_and_the_last_one_used_first() -> None:
    """Requests one after another share a connection, those at once have one each."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        for _ in range(5):
            await ask(transport, server.url)
        assert server.connections == 1
        await asyncio.gather(*(ask(transport, server.url) for _ in range(5)))
        assert server.connections == 5
        await asyncio.gather(*(ask(transport, server.url) for _ in range(5)))
        assert server.connections == 5


async def test_closed_idle_connection_is_noticed() -> None:
    """A server that dropped an idle connection costs no request, even where the loop has not heard of it yet."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        await ask(transport, server.url)
        server.visits[0].vanish()
        assert (await ask(transport, server.url)).body == b"ok"
        server.visits[1].vanish()
        await asyncio.sleep(0.01)
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 3


async def test_connection_is_not_kept_longer_than_told() -> None:
    """After keepalive_s an idle connection is replaced."""
    async with raw_server(answering(OK)) as server, opened(keepalive_s=SHORT_S) as transport:
        await ask(transport, server.url)
        await asyncio.sleep(2 * SHORT_S)
        await ask(transport, server.url)
        assert server.connections == 2


async def test_nothing_is_sent_twice() -> None:
    """A kept connection that is closed while a request is on its way fails that request, and no other."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()

    async with raw_server(script) as server, opened() as transport:
        await ask(transport, server.url)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await ask(transport, server.url, "POST", content=b"once")
        assert len(server.heads) == 2
        assert (await ask(transport, server.url)).body == b"ok"


async def test_reset_connection_is_a_read_error() -> None:
    """A reset, in the head or in the body, is an error of its own kind."""
    for begin in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\n\r\nhalf"):

        async def script(visit: Visit, begin: bytes = begin) -> None:
            await visit.request()
            await visit.send(begin)
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for no time: close by reset
            visit.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            visit.writer.transport.abort()

        with pytest.raises(httpx.ReadError):
            await ask_once(script)


async def test_nobody_listening_is_a_connect_error() -> None:
    """A port without a server, a host without an address and a port that is none are all no connection."""
    async with raw_server(silent) as server:
        url = server.url
    async with opened() as transport:
        for wrong in (url, "http://nowhere.invalid/", f"http://{'a' * 80}.invalid/", "http://127.0.0.1:99999/"):
            with pytest.raises(httpx.ConnectError):
                await ask(transport, wrong)
        for wrong in ("ftp://127.0.0.1/", "http:///x"):
            with pytest.raises(httpx.UnsupportedProtocol):
                await ask(transport, wrong)


async def test_host_is_looked_up_as_httpx_spells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name beyond ASCII goes by one spelling only, so that no other server than httpx's own gets the request."""
    tried: list[Origin] = []

    async def refuse(origin: Origin, ssl_context: ssl.SSLContext | None) -> Connection:
        tried.append(origin)
        raise OSError("refused")

    monkeypatch.setattr(Connection, "open", refuse)
    async with opened() as transport:
        with pytest.raises(httpx.ConnectError, match="refused"):
            await ask(transport, "http://faß.example/")
    assert tried == [Origin("http", "xn--fa-hia.example", None)]


async def test_each_phase_has_its_timeout() -> None:
    """Every limit ends in the exception that httpx has for it, and the place is free again."""
    half = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")

    async def deaf(visit: Visit) -> None:
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(LONG_S)

    async with opened(width=1) as transport:
        async with raw_server(silent) as server:
            with pytest.raises(httpx.ReadTimeout):
                await ask(transport, server.url, read=SHORT_S)
            with pytest.raises(httpx.ConnectTimeout):  # the server never begins to speak TLS
                await ask(transport, server.url.replace("http", "https"), connect=SHORT_S)
            await server.all_gone()
        async with raw_server(half) as server:
            with pytest.raises(httpx.ReadTimeout):
                await ask(transport, server.url, read=SHORT_S)
            response = await transport.handle_async_request(asked(server.url))
            with pytest.raises(httpx.PoolTimeout):
                await ask(transport, server.url, pool=SHORT_S)
            await response.aclose()
            await server.all_gone()
        async with raw_server(deaf) as server:
            with pytest.raises(httpx.WriteTimeout):
                await ask(transport, server.url, "POST", content=bytes(30_000_000), write=SHORT_S)
        async with raw_server(answering(OK)) as server:
            assert (await ask(transport, server.url)).body == b"ok"


async def test_slow_server_may_take_longer_than_a_limit_in_all() -> None:
    """The read limit is for silence: what keeps coming is waited for."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(SHORT_S / 2)
            await visit.send(b"x")

    assert (await ask_once(script, read=4 * SHORT_S)).body == b"x" * 10


async def test_slow_reader_gets_all_of_the_body() -> None:
    """What arrives while the reader is busy with an earlier piece is not lost."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab")
        await visit.send(b"cd", b"ef")
        await visit.request()
        await visit.send(OK)

    async with raw_server(script) as server, opened() as transport:
        response = await transport.handle_async_request(asked(server.url))
        pieces = []
        async for piece in response.aiter_raw():
            pieces.append(piece)
            await asyncio.sleep(0.02)
        assert b"".join(pieces) == b"abcdef"
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 1


async def test_closed_stream_leaves_the_next_request_alone() -> None:
    """Closing twice, or reading on after closing, touches nothing of the request that has the connection by then."""
    async with raw_server(answering(OK)) as server, opened(width=2) as transport:
        first = await transport.handle_async_request(asked(server.url))
        stream = first.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        pieces = stream.__aiter__()
        assert await anext(pieces) == b"ok"
        await stream.aclose()
        second = await transport.handle_async_request(asked(server.url))
        await stream.aclose()
        with pytest.raises(httpx.StreamClosed):
            await anext(pieces)
        third = await transport.handle_async_request(asked(server.url))
        assert server.connections == 2
        assert [(await read(response)).body for response in (second, third)] == [b"ok", b"ok"]


async def test_unread_answer_closes_its_connection() -> None:
    """A response that is closed before its end leaves nothing for the next request to trip over."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        response = await transport.handle_async_request(asked(server.url))
        await response.aclose()
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 2


async def test_server_is_made_to_wait_for_the_reader() -> None:
    """While nobody reads, a body of 50 MB stays with the server but for what buffers hold; then all of it arrives."""
    piece, count = bytes(1_000_000), 50
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (count * len(piece)))
        for _ in range(count):
            await visit.send(piece)
            sent += len(piece)
        await visit.request()
        await visit.send(OK)

    async with raw_server(script) as server, opened() as transport:
        response = await transport.handle_async_request(asked(server.url))
        stalled = -1
        while sent != stalled:
            stalled = sent
            await asyncio.sleep(SHORT_S)
        assert sent < 40_000_000
        assert sum(len(chunk) for chunk in transport._open.copy().pop()._chunks) < 1_000_000
        assert len((await read(response)).body) == count * len(piece)
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.connections == 1


async def test_large_content_arrives_whole() -> None:
    """A request of 10 MB is sent as it is, and the connection kept."""
    content = bytes(range(256)) * 40_000
    received: list[bytes] = []

    async def script(visit: Visit) -> None:
        while True:
            received.append(await visit.request())
            await visit.send(OK)

    async with raw_server(script) as server, opened() as transport:
        for size in (len(content), 0, 65_536, 65_537):
            assert (await ask(transport, server.url, "POST", content=content[:size])).body == b"ok"
            assert received.pop() == content[:size]
        assert server.connections == 1


async def test_refusal_before_the_request_is_sent_whole_is_read() -> None:
    """A server that has heard enough is listened to; the connection, in the middle of a request, is closed."""

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await asyncio.sleep(LONG_S)

    async with raw_server(script) as server, opened() as transport:
        for _ in range(2):
            answer = await ask(transport, server.url, "POST", content=bytes(30_000_000))
            assert (answer.status, answer.body) == (413, b"large")
        assert server.connections == 2


async def test_early_head_does_not_cut_a_request_short() -> None:
    """A server that begins to answer while it reads gets the rest of the request all the same."""
    content = bytes(10_000_000)

    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await visit.reader.readexactly(len(content))
        await visit.send(b"3\r\nall\r\n0\r\n\r\n")

    assert (await ask_once(script, "POST", content=content)).body == b"all"


async def test_server_that_breaks_off_a_large_request_is_an_error() -> None:
    """A connection that is lost in the middle of a request fails it."""

    async def script(visit: Visit) -> None:
        await visit.head()

    with pytest.raises(httpx.TransportError):
        await ask_once(script, "POST", content=bytes(30_000_000))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x", b"a\r\nevil: yes")],
        [(b"x", b"a\nevil: yes")],
        [(b"x", b"a\revil: yes")],
        [(b"x\r\nevil", b"yes")],
        [(b"x", b"a\r\n\r\nGET /evil HTTP/1.1\r\n")],
        [(b"x", b"a\0b")],
    ],
)
async def test_headers_cannot_be_smuggled(headers: list[tuple[bytes, bytes]]) -> None:
    """A line break in a header never reaches the server."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        request = httpx.Request("GET", server.url, headers=headers)
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(request)
        assert server.heads == []
        assert (await ask(transport, server.url)).body == b"ok"


@pytest.mark.parametrize("method", ["GET /evil HTTP/1.1\r\nhost: x\r\n\r\nGET", "GET /evil", "GÉT", ""])
async def test_method_is_one_word(method: str) -> None:
    """A method that would be more than a method is refused."""
    async with raw_server(answering(OK)) as server, opened() as transport:
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(httpx.Request(method, server.url))
        assert server.heads == []


async def test_no_more_connections_than_the_width() -> None:
    """However many ask at once, the server sees as many connections as allowed, and all are answered."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await asyncio.sleep(0.001)
            await visit.send(OK)

    async with raw_server(script) as server, opened(width=3) as transport:
        answers = await asyncio.gather(*(ask(transport, server.url) for _ in range(60)))
        assert {answer.body for answer in answers} == {b"ok"}
        assert server.most_open == 3


async def test_first_come_first_served() -> None:
    """Requests beyond the width are sent in the order in which they were made."""
    async with raw_server(answering(OK)) as server, opened(width=2) as transport:
        await asyncio.gather(*(ask(transport, f"{server.url}/{index}") for index in range(40)))
        assert [int(path[1:]) for path in server.paths[2:]] == list(range(2, 40))


async def test_nobody_overtakes_those_who_wait() -> None:
    """Who asks again as soon as it was answered lets the others go first."""
    async with raw_server(answering(OK)) as server, opened(width=1) as transport:

        async def asking(name: str) -> None:
            for _ in range(10):
                await ask(transport, f"{server.url}/{name}")

        await asyncio.gather(asking("a"), asking("b"), asking("c"))
        assert server.paths == ["/a", "/b", "/c"] * 10


async def test_servers_share_the_width() -> None:
    """Idle connections to one server are given up for another, and nobody waits for ever."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            opens.append(sum(server.open for server in servers))
            await asyncio.sleep(0.001)
            await visit.send(OK)

    opens: list[int] = []
    async with raw_server(script) as one, raw_server(script) as other, opened(width=2) as transport:
        servers = (one, other)
        urls = [server.url for server in servers for _ in range(10)]
        await asyncio.gather(*(ask(transport, url) for url in urls))
        for url in (one.url, other.url) * 5:
            await ask(transport, url)
        await asyncio.gather(*(ask(transport, url) for url in (one.url, other.url) * 10))
    assert len(opens) == 50
    assert max(opens) <= 3  # a connection that was given up may not have been seen to close yet


async def cancelled(request: asyncio.Task[Any]) -> None:
    """Cancel a request that has got as far as it gets."""
    await asyncio.sleep(0.02)
    assert not request.done()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.mark.parametrize("phase", ["connect", "head", "body", "write", "pool"])
async def test_cancelled_request_leaves_nothing(phase: str) -> None:
    """In whichever phase a request is cancelled, its connection is closed and its place taken by the next."""

    async def script(visit: Visit) -> None:
        head = await visit.head()
        if b" /body " in head:
            await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        elif b" /fine " in head:
            await visit.send(OK)
        if b" /write " in head:
            await asyncio.sleep(LONG_S)
        await visit.is_over()

    async with raw_server(script) as server, opened(width=1) as transport:
        url = f"{server.url}/{phase}"
        if phase == "connect":
            url = url.replace("http", "https")
        content = bytes(30_000_000) if phase == "write" else None
        first = asyncio.create_task(ask(transport, url, "POST", content=content))
        await server.visited.wait()
        if phase == "pool":
            second = asyncio.create_task(ask(transport, f"{server.url}/fine"))
            await cancelled(second)
        await cancelled(first)
        assert (await ask(transport, f"{server.url}/fine")).body == b"ok"
        assert server.connections == 2


async def test_cancelled_just_as_its_turn_came() -> None:
    """A turn that comes to a request being cancelled goes on to the next one."""
    async with raw_server(answering(OK)) as server, opened(width=1) as transport:
        response = await transport.handle_async_request(asked(server.url))
        second, third = (asyncio.create_task(ask(transport, server.url)) for _ in range(2))
        await asyncio.sleep(0.01)
        await response.aclose()
        second.cancel()
        assert (await third).body == b"ok"
        with pytest.raises(asyncio.CancelledError):
            await second


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 0.008), st.booleans()), min_size=1, max_size=12), st.integers(1, 3))
async def test_cancelling_at_any_time_leaks_no_place(cancels: list[tuple[float, bool]], width: int) -> None:
    """After requests that were cancelled whenever, as many as the width can be in flight at once, and no more."""
    together = asyncio.Barrier(width)

    async def script(visit: Visit) -> None:
        while True:
            head = await visit.head()
            if b" /together " in head:
                await together.wait()
            await asyncio.sleep(0.001)
            await visit.send(OK[:-1])
            await asyncio.sleep(0.001)
            await visit.send(OK[-1:])

    async with raw_server(script) as server, opened(width=width) as transport:
        requests = []
        for delay_s, is_cancelled in cancels:
            request = asyncio.create_task(ask(transport, server.url))
            requests.append(request)
            if is_cancelled:
                asyncio.get_running_loop().call_later(delay_s, request.cancel)
        await asyncio.gather(*requests, return_exceptions=True)
        async with asyncio.timeout(LONG_S):
            await asyncio.gather(*(ask(transport, f"{server.url}/together") for _ in range(width)))
        assert len(transport._open) <= width


async def test_closing_fails_what_is_in_flight() -> None:
    """Requests that connect, wait for a head, read a body or wait for their turn all end, and no more are taken."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await visit.is_over()

    async with raw_server(silent) as still, raw_server(script) as half, opened(width=3) as transport:
        urls = [still.url, half.url, still.url.replace("http", "https"), still.url, half.url]
        requests = [asyncio.create_task(ask(transport, url, connect=4 * SHORT_S)) for url in urls]
        await asyncio.sleep(2 * SHORT_S)
        await transport.aclose()
        for outcome in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(outcome, httpx.TransportError)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await ask(transport, half.url)
        await still.all_gone()
        await half.all_gone()


async def test_connection_that_comes_after_closing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that is closed while a connection is being made does not keep it."""
    go_on = asyncio.Event()
    real = Connection.open

    async def slow(origin: Origin, ssl_context: ssl.SSLContext | None) -> Connection:
        connection = await real(origin, ssl_context)
        await go_on.wait()
        return connection

    async with raw_server(answering(OK)) as server, opened() as transport:
        monkeypatch.setattr(Connection, "open", slow)
        request = asyncio.create_task(ask(transport, server.url))
        await asyncio.sleep(0.01)
        await transport.aclose()
        go_on.set()
        with pytest.raises(httpx.ConnectError, match="closed"):
            await request
        await server.all_gone()
        assert server.heads == []


async def test_ipv6() -> None:
    """A literal IPv6 address is a host like any other."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 on loopback")
    async with raw_server(answering(OK), host="::1") as server, opened() as transport:
        assert (await ask(transport, server.url)).body == b"ok"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server named localhost shows, and what a client needs to trust it."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().issuer_name(name).subject_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    shown = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(shown + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=shown.decode())


async def test_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Over TLS, connections are kept and large contents go both ways; a body may end with the connection."""
    content = bytes(5_000_000)
    large = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content
    async with raw_server(answering(large), tls=tls[0]) as server, opened(ssl_context=tls[1]) as transport:
        for _ in range(3):
            assert (await ask(transport, server.url, "POST", content=content)).body == content
        assert server.connections == 1
    ending = answering(CLOSING["until closed"][0], closes=True)
    async with raw_server(ending, tls=tls[0]) as server, opened(ssl_context=tls[1]) as transport:
        assert (await ask(transport, server.url)).body == b"all of it"


async def test_tls_trusts_nobody_else(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A certificate for another host, or of an unknown issuer, is no connection; nothing is sent."""
    async with raw_server(answering(OK), tls=tls[0]) as server:
        async with opened(ssl_context=tls[1]) as transport:
            with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1"):
                await ask(transport, server.url.replace("localhost", "127.0.0.1"))
        async with opened() as transport:
            with pytest.raises(httpx.ConnectError, match="verify failed"):
                await ask(transport, server.url)
        assert server.heads == []


async def test_tls_server_that_takes_nothing_is_a_write_timeout(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Over TLS, too, a server is not given more than it takes."""

    async def deaf(visit: Visit) -> None:
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(LONG_S)

    async with raw_server(deaf, tls=tls[0]) as server, opened(ssl_context=tls[1]) as transport:
        with pytest.raises(httpx.WriteTimeout):
            await ask(transport, server.url, "POST", content=bytes(30_000_000), write=SHORT_S)


CLIENT_ANSWERS = {
    "/cookie": (b"HTTP/1.1 204 OK\r\nset-cookie: a=1; Path=/\r\n\r\n",),
    "/missing": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",),
    "/moved": (b"HTTP/1.1 302 Found\r\nlocation: /json\r\ncontent-length: 0\r\n\r\n",),
    "/json": (b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"a": [1.5]}',),
    "/stream": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"4\r\none\n\r\n",
        b"4\r\ntwo\n\r\n0\r\n\r\n",
    ),
}


async def test_an_httpx_client_can_use_it() -> None:
    """Under httpx.AsyncClient it serves JSON, error statuses, redirects, cookies and streams."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(*CLIENT_ANSWERS[visit.server.paths[-1]])

    async with raw_server(script) as server, httpx.AsyncClient(transport=Http1Transport()) as client:
        response = await client.post(f"{server.url}/json", json={"q": 1})
        assert (response.json(), response.http_version, response.reason_phrase) == ({"a": [1.5]}, "HTTP/1.1", "OK")
        assert response.elapsed > timedelta(0)
        assert (await client.get(f"{server.url}/cookie")).status_code == 204
        with pytest.raises(httpx.HTTPStatusError):
            (await client.get(f"{server.url}/missing")).raise_for_status()
        assert b"Cookie: a=1\r\n" in server.heads[-1]
        assert (await client.get(f"{server.url}/moved", follow_redirects=True)).json() == {"a": [1.5]}
        async with client.stream("GET", f"{server.url}/stream") as response:
            assert [line async for line in response.aiter_lines()] == ["one", "two"]
        assert server.connections == 1


async def test_contents_of_unknown_length_are_sent() -> None:
    """What a client's content turns out to be is sent in chunks, an empty one and a form among them."""
    contents: list[bytes] = []

    async def script(visit: Visit) -> None:
        while True:
            contents.append(await visit.request())
            await visit.send(OK)

    async def pieces(*texts: bytes) -> AsyncIterator[bytes]:
        for text in texts:
            yield text

    async with raw_server(script) as server, httpx.AsyncClient(transport=Http1Transport()) as client:
        for texts in ((b"of unknown ", b"length"), (), (bytes(200_000),)):
            await client.post(server.url, content=pieces(*texts))
            assert contents[-1] == b"".join(texts)
        await client.post(server.url, files={"f": ("name", b"data")}, data={"k": "v"})
        assert b"data" in contents[-1]
        assert server.connections == 1


def test_one_loop_after_another() -> None:
    """Each loop has a transport of its own, and a loop may end with one that nobody closed the responses of."""

    async def once() -> bytes:
        async with raw_server(answering(OK)) as server, httpx.AsyncClient(transport=Http1Transport()) as client:
            await client.send(client.build_request("GET", server.url), stream=True)
            return (await client.get(server.url)).content

    assert [asyncio.run(once()) for _ in range(2)] == [b"ok", b"ok"]
