"""JSON over HTTP, every failure one typed error; the only module that knows httpx."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    InputError,
    InvalidRequest,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerError,
    TransportError,
)
from orchestra_agents.models._retry_after import asked_wait, retry_after
from orchestra_agents.models.contract import Json
from orchestra_agents.models.retry import Attempted, Retry

__all__ = ["Attempted", "Retry", "Secret", "Timeouts", "Transport", "retry_after"]

MAX_RESPONSE_BYTES = 32 * 2**20
"""Longest answer that is read, after decompression."""

KEEPALIVE_S = 4.0
"""How long an idle connection is kept: less than the five seconds after which common servers drop theirs."""

_CONTEXT_SIGNS = (
    "context_length_exceeded",  # OpenAI
    "exceed_context_size",  # llama.cpp
    "maximum context length",  # vLLM
    "prompt is too long",  # Anthropic
)


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
    """Longest wait for a connection, and for the server to take the request."""
    read_s: float = 300.0
    """Longest silence before the answer begins, and longest time for all of it from then on."""


_TIMEOUTS = Timeouts()


class Transport:
    """A keep-alive connection pool to one base URL.

    The HTTP client is made inside the running loop on first use, one for each loop, so that a transport outlives
    `asyncio.run`. `aclose` gives back the connections of the loop that calls it.

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
        self._headers = {"accept": "application/json", "content-type": "application/json", **headers}
        self._key_header = key_header
        self._concurrency = concurrency
        self._timeouts = timeouts
        self._given = client
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()
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
        return await self._ask("POST", self._base(from_root=from_root) + path, content)

    async def get_json(self, path: str, *, from_root: bool = False) -> Json:
        """Return the decoded answer to a GET of `path`, below the base URL or below that without its `/v1`."""
        return await self._ask("GET", self._base(from_root=from_root) + path, None)

    async def aclose(self) -> None:
        """Close the connections made in the running loop; a closed transport may not be used again."""
        self._is_closed = True
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.keeper.aclose()

    def _base(self, *, from_root: bool) -> str:
        return self.base_url.removesuffix("/v1") if from_root else self.base_url

    async def _ask(self, method: str, url: str, content: bytes | None) -> Json:
        """Send one request; every failure becomes a ModelError."""
        client = await self._client()
        headers = self._headers | self._authorization()
        try:
            async with self._stream(client, method, url, content, headers) as response:
                async with asyncio.timeout(self._timeouts.read_s):
                    body = await _read_capped(response)
                if not response.is_success:
                    raise _failure(response, body, self._key)
                return _decoded(body)
        except (httpx.TimeoutException, TimeoutError) as error:
            timeout = ModelTimeout(f"{self.base_url} did not answer in time ({type(error).__name__})")
            timeout.unknown = int(not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout))
            raise timeout from error
        except httpx.HTTPError as error:
            reason = _shortened(str(error), self._key) or type(error).__name__
            broken = TransportError(f"no working connection to {self.base_url}: {reason}")
            broken.unknown = int(not isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol))
            raise broken from error

    def _authorization(self) -> dict[str, str]:
        """Return the header that carries the key, which is put together only while a request is sent."""
        if self._key is None:
            return {}
        key = self._key.reveal()
        return {self._key_header: key} if self._key_header else {"authorization": f"Bearer {key}"}

    def _stream(
        self, client: httpx.AsyncClient, method: str, url: str, content: bytes | None, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """Open one request under this transport's time limits; waiting for a free connection has none."""
        limits = self._timeouts
        timeout = httpx.Timeout(connect=limits.connect_s, write=limits.connect_s, read=limits.read_s, pool=None)
        return client.stream(method, url, content=content, headers=headers, timeout=timeout, follow_redirects=False)

    async def _client(self) -> httpx.AsyncClient:
        """Return the HTTP client of the running loop."""
        if self._is_closed:
            raise TransportError(f"the connection to {self.base_url} is closed")
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            limits = httpx.Limits(
                max_connections=self._concurrency,
                max_keepalive_connections=self._concurrency,
                keepalive_expiry=KEEPALIVE_S,
            )
            # A proxy of the environment must not see, nor break, what goes to this machine itself.
            is_local = urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")
            client = httpx.AsyncClient(limits=limits, trust_env=not is_local)
            pool = self._pools[loop] = _Pool(client, _kept(client))
            await anext(pool.keeper)
        return pool.client


@dataclass(frozen=True, slots=True)
class _Pool:
    """The HTTP client of one loop."""

    client: httpx.AsyncClient
    keeper: AsyncGenerator[None, None]
    """Closes the client when it is closed itself, which `asyncio.run` does for us where nobody called `aclose`."""


async def _kept(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Wait to be closed, then close the client."""
    try:
        yield
    finally:
        await client.aclose()


async def _read_capped(response: httpx.Response) -> bytes:
    """Return the whole body, refusing more than MAX_RESPONSE_BYTES."""
    chunks: list[bytes] = []
    length = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        length += len(chunk)
        if length > MAX_RESPONSE_BYTES:
            error = ServerError(f"the answer is longer than {MAX_RESPONSE_BYTES // 2**20} MiB")
            error.retryable, error.calls = False, int(response.is_success)
            raise error
    return b"".join(chunks)


def _decoded(body: bytes) -> Json:
    """Return the JSON value of a body."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        unusable = ServerError(f"the server answered something that is not JSON ({len(body)} bytes)")
        unusable.calls = 1
        raise unusable from error


def _no_constant(name: str) -> float:
    """Refuse what JSON has no word for, but infinity below, which log-probabilities really carry."""
    if name == "-Infinity":
        return -math.inf
    raise ValueError(f"{name} is not JSON")


def _failure(response: httpx.Response, body: bytes, key: Secret | None) -> ModelError:
    """Return the typed error that a response other than 2xx stands for."""
    status, headers = response.status_code, response.headers
    told = _told(body)
    message = f"HTTP {status}: {_shortened(told, key) or response.reason_phrase or 'no message'}"
    if status in (401, 403):
        return AuthError(message)
    if status == 429:
        error = RateLimited(message, retry_after_s=retry_after(headers))
        # A spent quota is reported as 429 too, but no waiting refills it.
        error.retryable = "insufficient_quota" not in told
        return error
    if status == 408:
        return ModelTimeout(message, retry_after_s=asked_wait(headers))
    if status == 409 or status >= 500:
        # Only what is asked for: the x-ratelimit headers stand on every answer of OpenAI and say nothing here.
        return ServerError(message, retry_after_s=asked_wait(headers))
    if any(sign in told for sign in _CONTEXT_SIGNS):
        return ContextExceeded(message)
    if response.has_redirect_location:
        return InvalidRequest(f"{message}; redirects are not followed, give the final base URL")
    return InvalidRequest(message)


def _told(body: bytes) -> str:
    """Return the server's own words: the error's code, type and message where it is JSON, else the text."""
    text = body[:65536].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, Mapping):
        return error if isinstance(error, str) else text
    message = error.get("message") or error.get("detail") or ""
    marks = [error[name] for name in ("code", "type") if isinstance(error.get(name), str)]
    return f"{message if isinstance(message, str) else json.dumps(message)} {' '.join(f'({m})' for m in marks)}".strip()


def _shortened(text: str, key: Secret | None) -> str:
    """Return at most 300 printable characters of `text` on one line, without the key."""
    if key is not None:
        text = text.replace(key.reveal(), "***")
    words = "".join(character if character.isprintable() else " " for character in text[:4096]).split()
    line = " ".join(words)
    return line if len(line) <= 300 else line[:299] + "…"


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
