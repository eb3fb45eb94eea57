"""HTTP/1.1 under httpx's interface at a fraction of its own transport's cost: kept connections, parsed by llhttp."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import httpx

from orchestra_agents.models._connection import PIECE_BYTES, Connection, Origin

Timeouts: TypeAlias = Mapping[str, float | None]
"""Seconds by phase: connect, read, write, pool."""

_NO_TIMEOUTS: Timeouts = {}


class Http1Transport(httpx.AsyncBaseTransport):
    """Sends the requests of an `httpx.AsyncClient`, or of whoever calls `handle_async_request`.

    httpx's own pool looks at every connection at the start and end of every request, which is most of its time when
    many are in flight; here a request takes the connection that was used last. Plain HTTP/1.1 over TCP or TLS alone: no
    proxies, no HTTP/2, no upgrades. Nothing is sent twice: a request that failed may have been served, and whoever sent
    it decides. Belongs to the event loop in which it is used first.

    Args:
        width: Most connections at a time, to all servers together; further requests wait in order.
        keepalive_s: Seconds that an idle connection may still be used.
        ssl_context: Whom to trust over https; None makes httpx's own on the first need.
    """

    def __init__(
        self, *, width: int = 100, keepalive_s: float = 5.0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._width, self._keepalive_s, self._ssl = width, keepalive_s, ssl_context
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._opening = 0
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        """Requests beyond the width; each is told whether its turn has come, or never will."""
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return its response once the head is there; the stream must be read or closed.

        Raises:
            httpx.TransportError: One of its kinds for every way in which a request can fail, as from httpx itself.
        """
        timeouts: Timeouts = request.extensions.get("timeout", _NO_TIMEOUTS)
        content = await request.aread()
        if "transfer-encoding" in request.headers:  # content of unknown length, which is known by now
            content = (b"%x\r\n%b\r\n" % (len(content), content) if content else b"") + b"0\r\n\r\n"
        await self._turn(timeouts.get("pool"))
        connection: Connection | None = None
        try:
            connection = await self._connection(request.url, timeouts.get("connect"))
            connection.send(request.method, request.url.raw_path, request.headers.raw, content)
            if len(content) > PIECE_BYTES:
                await connection.send_rest(content, timeouts.get("write"))
            await connection.head(timeouts.get("read"))
        except BaseException:
            if connection is not None:
                self.drop(connection)
            self._leave()
            raise
        return httpx.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(self, connection, timeouts.get("read")),
            extensions={"http_version": connection.version},
            request=request,
        )

    async def aclose(self) -> None:
        """Close all connections; requests in flight fail, and so does every later one."""
        self._is_closed = True
        for connection in list(self._open):
            self.drop(connection)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)

    def keep(self, connection: Connection) -> None:
        """Keep the connection of a request that is over for the next one, or close it where it cannot be kept."""
        if connection in self._open and connection.rest():
            self._idle.setdefault(connection.origin, []).append(connection)
        else:
            self.drop(connection)
        self._leave()

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self._open.discard(connection)
        connection.abort()

    async def _turn(self, timeout_s: float | None) -> None:
        """Wait, first come, first served, until fewer requests are in flight than the width."""
        if self._is_closed:
            raise httpx.ConnectError("the transport is closed")
        if self._in_flight < self._width:
            self._in_flight += 1
            return
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout_s):
                has_come = await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.result():
                self._leave()
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("no connection came free in time") from error
            raise
        if not has_come:
            raise httpx.ConnectError("the transport is closed")

    def _leave(self) -> None:
        """Hand the place of a request that is over to the one that waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._in_flight -= 1

    async def _connection(self, url: httpx.URL, timeout_s: float | None) -> Connection:
        """Return a connection to the server of `url`: the one used last, else a new one."""
        origin = Origin(url.scheme, url.raw_host.decode("ascii"), url.port)
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_fresh(self._keepalive_s):
                return connection
            self.drop(connection)
        if len(self._open) + self._opening >= self._width:
            self._make_room()
        return await self._connect(origin, timeout_s)

    def _make_room(self) -> None:
        """Close an idle connection to another server; no more are in use than requests in flight, so there is one."""
        for idle in self._idle.values():
            if idle:
                self.drop(idle.pop(0))
                return

    async def _connect(self, origin: Origin, timeout_s: float | None) -> Connection:
        """Open a connection."""
        if origin.scheme not in ("http", "https") or not origin.host:
            raise httpx.UnsupportedProtocol(f"{origin.scheme}://{origin.host} is no address of a server")
        if origin.is_tls and self._ssl is None:
            self._ssl = httpx.create_ssl_context()
        self._opening += 1
        try:
            async with asyncio.timeout(timeout_s):
                connection = await Connection.open(origin, self._ssl if origin.is_tls else None)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, ValueError, OverflowError) as error:  # ssl.SSLError is an OSError; the others are odd names
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        finally:
            self._opening -= 1
        if self._is_closed:
            connection.abort()
            raise httpx.ConnectError("the transport was closed")
        self._open.add(connection)
        return connection


class _Body(httpx.AsyncByteStream):
    """The body of a response, read from its connection as it arrives."""

    def __init__(self, transport: Http1Transport, connection: Connection, timeout_s: float | None) -> None:
        self._transport, self._timeout_s = transport, timeout_s
        self._connection: Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not (connection := self._open()).is_read:
            for chunk in connection.take():
                yield chunk
            await self._open().more(self._timeout_s)

    async def aclose(self) -> None:
        """Keep the connection where all was read, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.keep(connection)

    def _open(self) -> Connection:
        """Return the connection, which serves another request once the stream is closed."""
        if self._connection is None:
            raise httpx.StreamClosed
        return self._connection
