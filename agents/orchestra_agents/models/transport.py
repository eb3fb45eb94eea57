"""JSON over HTTP, every failure one typed error."""

from __future__ import annotations

import asyncio
import json
import urllib.request
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from orchestra_agents.errors import InputError, ModelError, ModelTimeout, ServerError, TransportError
from orchestra_agents.models._decoding import decoded
from orchestra_agents.models._failures import failure, shortened
from orchestra_agents.models._retry_after import retry_after
from orchestra_agents.models.contract import Json
from orchestra_agents.models.http1 import Http1Transport
from orchestra_agents.models.retry import Attempted, Retry

__all__ = ["Attempted", "Retry", "Secret", "Timeouts", "Transport", "retry_after"]

MAX_RESPONSE_BYTES = 32 * 2**20
"""Longest answer that is read, after decompression."""

KEEPALIVE_S = 4.0
"""How long an idle connection is kept: less than the five seconds after which common servers drop theirs."""

_INFLATED = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Encodings that are undone, though none is asked for, and what zlib calls them."""


class Secret:
    """A text that only `reveal()` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a request may take."""

    connect_s: float = 10.0
    """Longest wait for a connection."""
    read_s: float = 300.0
    """Longest silence before the answer begins, and longest time for all of it from then on."""
    stream_s: float = 1800.0
    """Longest time for all of a streamed answer; no piece of it may be later than `read_s`."""


_TIMEOUTS = Timeouts()


class Transport:
    """A keep-alive connection pool to one base URL.

    Plain HTTP/1.1, with or without TLS, takes `Http1Transport`; where the environment names a proxy for the address, or
    a client is given, httpx itself sends. Redirects are never followed, so no key reaches another server. Connections
    are made inside the running loop on first use, one pool for each loop, so that a transport outlives `asyncio.run`;
    `aclose` gives back those of the loop that calls it.

    Args:
        base_url: Where paths begin, http or https, for example `http://localhost:8000/v1`.
        api_key: Sent as a bearer token, or as the value of `key_header`; kept out of repr, errors and logs.
        concurrency: Most connections at a time; further requests wait for one.
        timeouts: How long a request may take.
        client: A client of your own (proxies, certificates); it is used as it is and never closed here.
        key_header: Header that carries the key as it is; None sends it as a bearer token.
        headers: Further headers of every request, for example the version of an interface.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        concurrency: int = 8,
        timeouts: Timeouts = _TIMEOUTS,
        client: httpx.AsyncClient | None = None,
        key_header: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.base_url = _checked_base_url(base_url)
        self._key = _checked_key(api_key)
        self._key_header = key_header
        # No compression is asked for: answers are short, and a bomb is then the exception that needs no care.
        own = {"accept": "application/json", "content-type": "application/json", "accept-encoding": "identity"}
        self._headers = own | dict(headers)
        self.concurrency = concurrency
        self._timeouts = timeouts
        phases = {"connect": timeouts.connect_s, "write": timeouts.connect_s, "read": timeouts.read_s, "pool": None}
        self._extensions = {"timeout": phases}
        self._given = client
        self._ways: WeakKeyDictionary[asyncio.AbstractEventLoop, _Way] = WeakKeyDictionary()
        self._urls: dict[str, httpx.URL] = {}
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    async def post_json(self, path: str, body: Json, *, from_root: bool = False) -> Json:
        """Send `body` as JSON to `path`, below the base URL or below that without its `/v1`, and return the answer.

        Raises:
            ModelError: One of its kinds for every way this can fail.
        """
        # Escaped as ASCII: a lone surrogate in a prompt is then the server's to refuse, not a crash of ours.
        content = json.dumps(body, allow_nan=False).encode("ascii")
        return decoded(await self._ask("POST", self._base(from_root=from_root) + path, content))

    async def post(self, path: str, content: bytes) -> bytes:
        """Send `content`, which is JSON, to `path` below the base URL and return the answer as it came.

        Raises:
            ModelError: One of its kinds for every way this can fail.
        """
        return await self._ask("POST", self.base_url + path, content)

    async def get_json(self, path: str, *, from_root: bool = False) -> Json:
        """Return the decoded answer to a GET of `path`, below the base URL or below that without its `/v1`."""
        return decoded(await self._ask("GET", self._base(from_root=from_root) + path, None))

    async def stream(self, path: str, content: bytes) -> AsyncGenerator[bytes, None]:
        """Send `content`, which is JSON, to `path` below the base URL and yield the answer piece by piece.

        No more is read of it than of other answers; the time limits hold for every piece.

        Raises:
            ModelError: One of its kinds for every way this can fail.
        """
        response: httpx.Response | None = None
        try:
            response = await self._response("POST", self.base_url + path, content)
            if not response.is_success:
                raise self._failure(response, await _body_of(response))
            size, ends = 0, asyncio.get_running_loop().time() + self._timeouts.stream_s
            async for chunk in cast(httpx.AsyncByteStream, response.stream):
                size += len(chunk)
                _check_size(size, response)
                if asyncio.get_running_loop().time() > ends:
                    raise TimeoutError
                yield chunk
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._broken(error) from error
        finally:
            if response is not None:
                await response.aclose()

    def failure(self, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> ModelError:
        """Return the typed error that an answer other than 2xx stands for, without the key."""
        return failure(status, headers, body, self._key.reveal() if self._key is not None else None)

    async def aclose(self) -> None:
        """Close the connections made in the running loop; a closed transport may not be used again."""
        self._is_closed = True
        way = self._ways.pop(asyncio.get_running_loop(), None)
        if way is not None:
            await way.keeper.aclose()

    def _base(self, *, from_root: bool) -> str:
        return self.base_url.removesuffix("/v1") if from_root else self.base_url

    async def _ask(self, method: str, url: str, content: bytes | None) -> bytes:
        """Send one request and return the body of its answer; every failure becomes a ModelError."""
        response: httpx.Response | None = None
        try:
            response = await self._response(method, url, content)
            async with asyncio.timeout(self._timeouts.read_s):
                body = await _body_of(response)
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._broken(error) from error
        finally:
            if response is not None:
                await response.aclose()
        if not response.is_success:
            raise self._failure(response, body)
        return body

    async def _response(self, method: str, url: str, content: bytes | None) -> httpx.Response:
        """Send one request and return its response, the body still to be read."""
        way = await self._way()
        target = self._urls.get(url) or self._urls.setdefault(url, httpx.URL(url))
        headers = self._headers | self._authorization()
        return await way.send(way.build(method, target, headers=headers, content=content, extensions=self._extensions))

    def _authorization(self) -> dict[str, str]:
        """Return the header that carries the key, which is put together only while a request is sent."""
        if self._key is None:
            return {}
        key = self._key.reveal()
        return {self._key_header: key} if self._key_header else {"authorization": f"Bearer {key}"}

    def _failure(self, response: httpx.Response, body: bytes) -> ModelError:
        return self.failure(response.status_code, body, response.headers)

    def _broken(self, error: Exception) -> ModelError:
        """Return the typed error of a request without a whole answer."""
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            timeout = ModelTimeout(f"{self.base_url} did not answer in time ({type(error).__name__})")
            timeout.unknown = int(not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout))
            return timeout
        reason = shortened(str(error), self._key.reveal() if self._key is not None else None) or type(error).__name__
        broken = TransportError(f"no working connection to {self.base_url}: {reason}")
        unsent = httpx.ConnectError | httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.ProxyError
        broken.unknown = int(not isinstance(error, unsent))
        return broken

    async def _way(self) -> _Way:
        """Return what sends requests in the running loop."""
        if self._is_closed:
            raise TransportError(f"the connection to {self.base_url} is closed")
        if self._given is not None:
            return _Way.of(self._given)
        loop = asyncio.get_running_loop()
        way = self._ways.get(loop)
        if way is None:
            way = self._ways[loop] = self._new_way()
            await anext(way.keeper)
        return way

    def _new_way(self) -> _Way:
        """Return a new pool of connections."""
        if not _has_proxy(self.base_url):
            plain = Http1Transport(width=self.concurrency, keepalive_s=KEEPALIVE_S)
            return _Way(httpx.Request, plain.handle_async_request, _kept(plain.aclose))
        limits = httpx.Limits(
            max_connections=self.concurrency,
            max_keepalive_connections=self.concurrency,
            keepalive_expiry=KEEPALIVE_S,
        )
        client = httpx.AsyncClient(limits=limits)
        return replace(_Way.of(client), keeper=_kept(client.aclose))


async def _kept(close: Callable[[], Awaitable[None]] | None = None) -> AsyncGenerator[None, None]:
    """Wait to be closed, then close the connections."""
    try:
        yield
    finally:
        if close is not None:
            await close()


@dataclass(frozen=True, slots=True)
class _Way:
    """How requests are made and sent, in one loop."""

    build: Callable[..., httpx.Request]
    send: Callable[[httpx.Request], Awaitable[httpx.Response]]
    """Returns the response with its body still to be read."""
    keeper: AsyncGenerator[None, None] = field(default_factory=_kept)
    """Closes the connections when it is closed itself, which `asyncio.run` does for us where nobody called `aclose`."""

    @classmethod
    def of(cls, client: httpx.AsyncClient) -> Self:
        """Return the way of a client, with what it adds to every request."""
        return cls(client.build_request, partial(client.send, stream=True, follow_redirects=False))


def _has_proxy(base_url: str) -> bool:
    """Whether the environment names a proxy for this address; none may see, or break, what stays on this machine."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(host):
        return False
    proxies = urllib.request.getproxies()
    return parts.scheme in proxies or "all" in proxies


async def _body_of(response: httpx.Response) -> bytes:
    """Return the whole body, refusing more than MAX_RESPONSE_BYTES, before and after decompression."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in cast(httpx.AsyncByteStream, response.stream):
        chunks.append(chunk)
        size += len(chunk)
        _check_size(size, response)
    body = b"".join(chunks)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    return body if encoding in ("identity", "") else _inflated(body, encoding, response)


def _inflated(body: bytes, encoding: str, response: httpx.Response) -> bytes:
    """Return a compressed body as it was, never more of it than may be read."""
    if encoding not in _INFLATED:
        raise _unusable("the server's answer is in an encoding that nobody asked for", response)
    inflater = zlib.decompressobj(_INFLATED[encoding])
    try:
        plain = inflater.decompress(body, MAX_RESPONSE_BYTES + 1)
    except zlib.error as error:
        raise _unusable(f"the server answered something that is not {encoding}", response) from error
    _check_size(len(plain), response)
    if not inflater.eof:
        raise _unusable("the server's compressed answer is not complete", response)
    return plain


def _check_size(size: int, response: httpx.Response) -> None:
    if size > MAX_RESPONSE_BYTES:
        error = _unusable(f"the answer is longer than {MAX_RESPONSE_BYTES // 2**20} MiB", response)
        error.retryable = False
        raise error


def _unusable(problem: str, response: httpx.Response) -> ServerError:
    """Return the error of an answer that is of no use, though it may have to be paid for."""
    error = ServerError(problem)
    error.calls = int(response.is_success)
    return error


def _checked_key(api_key: str | None) -> Secret | None:
    """Return the key, wrapped; one that no header can carry is refused here, where no message shows it."""
    text = (api_key or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InputError("api_key", "has characters that an HTTP header cannot carry; it must be printable ASCII")
    return Secret(text)


def _checked_base_url(base_url: str) -> str:
    """Return the base URL without a closing slash."""
    base_url = base_url.strip().rstrip("/")
    if any(sign in base_url for sign in "@?#"):
        raise InputError("base_url", "must carry no user name, password, query or fragment; keys are given apart")
    try:
        httpx.URL(base_url)
        parts = urlsplit(base_url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        is_right = False
    if not is_right:
        raise InputError("base_url", f"{base_url!r} is no base URL; it must be http(s)://HOST[:PORT][/PATH]")
    return base_url
