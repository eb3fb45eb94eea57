"""One HTTP/1.1 connection: a request is written, its answer parsed as it arrives."""

from __future__ import annotations

import asyncio
import re
import select
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import httptools
import httpx

MAX_HEAD_BYTES = 65_536
"""Longest head of an answer, the names and values of its headers together; and most that comes without any body."""
PIECE_BYTES = 65_536
"""How much of a request's content is written at a time."""
_HIGH_WATER = 262_144
"""Bytes of a body that may wait to be read before the server is made to wait."""
_BODILESS = frozenset({204, 304})
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """A server."""

    scheme: str
    host: str
    port: int | None

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.scheme == "https"


class Connection(asyncio.Protocol):
    """A connection to one server, with at most one request in flight.

    The answer's `status`, `version`, `headers` and body are those of the request that was sent last.
    """

    _chunks: list[bytes]
    _has_head: bool
    _is_kept: bool
    """Whether another request may follow."""
    _is_delimited: bool
    """Whether the answer says where it ends, other than by closing the connection."""
    _is_paused: bool
    """Whether the server is made to wait with its answer."""

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.origin, self._loop = origin, loop
        self.status, self.version = 0, b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = True
        self._is_head = self._is_choked = False
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._idle_since = 0.0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._begin()

    @classmethod
    async def open(cls, origin: Origin, ssl_context: ssl.SSLContext | None) -> Self:
        """Return a new connection.

        Raises:
            OSError: There is none to be had.
            ValueError: The host is no name that can be looked up.
            OverflowError: There is no such port.
        """
        loop = asyncio.get_running_loop()
        port = origin.port if origin.port is not None else 443 if origin.is_tls else 80
        # Raced over the addresses only where there can be several: a race costs tasks of its own.
        delay_s = None if origin.host.replace(".", "").isdigit() else 0.25
        _, connection = await loop.create_connection(
            lambda: cls(origin, loop), origin.host, port, ssl=ssl_context, happy_eyeballs_delay=delay_s
        )
        return connection

    def send(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], content: bytes) -> None:
        """Write a request, with the first piece of its content; `send_rest` is to follow where that is longer.

        Raises:
            httpx.LocalProtocolError: The method is none, or a name or value would end its line.
            httpx.WriteError: The connection is closed.
        """
        if not _METHOD.fullmatch(method):
            raise httpx.LocalProtocolError(f"{method[:40]!r} is no method")
        lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), target), *(b"%b: %b" % header for header in headers)]
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(headers) or head.count(b"\r") != len(headers) or b"\0" in head:
            raise httpx.LocalProtocolError("a header holds a line break")
        if self._transport is None or self._transport.is_closing():
            raise httpx.WriteError("the connection is closed")
        self._begin()
        self.is_complete, self._is_head = False, method == "HEAD"
        self._transport.write(head + b"\r\n\r\n" + content[:PIECE_BYTES])

    async def send_rest(self, content: bytes, timeout_s: float | None) -> None:
        """Write what follows the first piece, `timeout_s` seconds a piece at the longest, or until the server refuses.

        Says nothing of failures: they are the answer's.
        """
        for begin in range(PIECE_BYTES, len(content), PIECE_BYTES):
            while self._is_choked and not self._is_refused():
                await self._wait(timeout_s, httpx.WriteTimeout, "the server takes no more of the request")
            if self._is_refused() or self._transport is None:
                self._is_kept = False
                return
            self._transport.write(content[begin : begin + PIECE_BYTES])

    async def head(self, timeout_s: float | None) -> None:
        """Wait for the head of the answer, `timeout_s` seconds from now at the longest."""
        while not self._has_head:
            await self._wait(timeout_s, httpx.ReadTimeout, "no answer in time")

    async def more(self, timeout_s: float | None) -> None:
        """Wait until more of the body is there, or its end."""
        self._resume()
        while not self._chunks and not self.is_complete:
            await self._wait(timeout_s, httpx.ReadTimeout, "the answer stopped midway")

    @property
    def is_read(self) -> bool:
        """Whether all of the body has been taken."""
        return self.is_complete and not self._chunks

    def take(self) -> list[bytes]:
        """Return what has arrived of the body since the last time."""
        chunks, self._chunks, self._size = self._chunks, [], 0
        return chunks

    def rest(self) -> bool:
        """Begin to idle; False where the connection cannot serve another request."""
        transport = self._transport
        is_usable = self.is_read and self._is_kept and self._error is None and not self._is_choked
        if not is_usable or transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        self._resume()
        self._idle_since = self._loop.time()
        return True

    def is_fresh(self, keepalive_s: float) -> bool:
        """Whether an idle connection may be used again: not for too long idle, and the server has said nothing more.

        What has arrived but was not read yet is asked of the operating system: most often that the server closed it.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._error is not None:
            return False
        if self._loop.time() - self._idle_since > keepalive_s:
            return False
        return self._poll is None or not self._poll.poll(0)

    def abort(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        if self._poll is not None:
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if self.is_complete:
            self._fail(httpx.RemoteProtocolError("the server sent something that nobody asked for"))
            return
        self._bare_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("the server wants another protocol"))
        except httptools.HttpParserError as error:
            told = error.__context__ or error
            self._fail(httpx.RemoteProtocolError(f"the server's answer is no HTTP/1.1: {told}"))
        if self.is_complete:
            return
        if self._bare_size > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError(f"the server sent {MAX_HEAD_BYTES} bytes without any of the body"))
        elif self._size > _HIGH_WATER and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Wait until the server takes more of the request."""
        self._is_choked = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_choked = False
        self._tell()

    def eof_received(self) -> None:
        """Take the end of the connection for the end of a body that has no other."""
        if self._has_head and not self.is_complete and not self._is_delimited:
            self._is_kept = False
            self.on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that is in flight."""
        self._transport = None
        if not self.is_complete:
            told = str(exc) if exc is not None else "the server closed the connection before its answer was complete"
            self._fail(httpx.ReadError(told) if exc is not None else httpx.RemoteProtocolError(told))

    def on_message_begin(self) -> None:
        """Refuse a second answer, which would be taken for the rest of the first."""
        if self.is_complete:
            raise ValueError("it answers twice")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is ignored."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD_BYTES:
            raise ValueError(f"its head is longer than {MAX_HEAD_BYTES} bytes")
        if not self._has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Let the head be read, unless it only announces another."""
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._has_head = True
        self.version = b"HTTP/" + self._parser.get_http_version().encode("ascii")
        self._is_kept = self._parser.should_keep_alive()
        headers = {name.lower(): value for name, value in self.headers}
        is_chunked = headers.get(b"transfer-encoding", b"").strip().lower().endswith(b"chunked")
        self._is_delimited = is_chunked or b"content-length" in headers or self.status in _BODILESS
        self.is_complete = self._is_head
        self._tell()

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self.is_complete:
            raise ValueError("it answers HEAD with a body")
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._bare_size = 0
        self._tell()

    def on_message_complete(self) -> None:
        """Let the body end."""
        if self.status < 200:  # 103 and the like: the answer itself follows
            self.headers, self._head_size = [], 0
            self.take()
            return
        self.is_complete = True
        self._tell()

    def _begin(self) -> None:
        """Begin with a new answer."""
        self.headers = []
        self._chunks = []
        self._size = self._head_size = self._bare_size = 0
        self._has_head = self._is_paused = False
        self._is_kept = self._is_delimited = True
        self._parser: Any = httptools.HttpResponseParser(self)

    def _is_refused(self) -> bool:
        """Whether nobody reads the rest of the request."""
        return self._error is not None or self.is_complete or (self._has_head and self.status >= 400)

    async def _wait(self, timeout_s: float | None, kind: type[httpx.TimeoutException], told: str) -> None:
        """Wait until something happens; what has failed already raises instead."""
        if self._error is not None:
            raise self._error
        waiter = self._waiter = self._loop.create_future()
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._time_out, kind, told)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _time_out(self, kind: type[httpx.TimeoutException], told: str) -> None:
        self._fail(kind(told))

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.abort()
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
