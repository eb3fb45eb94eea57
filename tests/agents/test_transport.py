"""JSON over HTTP: every failure is one typed error, and retries keep their limits."""

from __future__ import annotations

import asyncio
import gzip
import selectors
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from orchestra_agents.models import transport as transport_module
from orchestra_agents.models.transport import Retry, Secret, Timeouts, Transport, retry_after
from tests.agents.fake_openai import Reply, failing, fake_server

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = "sk-very-secret-key"


class _VirtualSelector(selectors.DefaultSelector):
    """Skips waiting: the loop's clock jumps to the next timer instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is not None:
            self.now += timeout
        return events


def run_virtually(work: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    """Run `work` in a loop with a virtual clock; return its result and the virtual seconds it took."""
    selector = _VirtualSelector()

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        loop._clock_resolution = 1e-9  # type: ignore[attr-defined]
        return loop

    async def main() -> Any:
        return await work()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main()), selector.now


async def ask(reply: Reply, **options: Any) -> Any:
    """Post to a server that sends `reply`; return the decoded answer."""
    async with fake_server(reply) as server:
        transport = Transport(server.url, **options)
        try:
            return await transport.post_json("/chat/completions", {})
        finally:
            await transport.aclose()


@pytest.mark.parametrize(
    ("reply", "kind", "is_retryable"),
    [
        (failing(400), InvalidRequest, False),
        (failing(404), InvalidRequest, False),
        (failing(422), InvalidRequest, False),
        (failing(301, location="http://127.0.0.1:1/"), InvalidRequest, False),
        (failing(400, code="context_length_exceeded"), ContextExceeded, False),
        (failing(400, "This model's maximum context length is 10 tokens"), ContextExceeded, False),
        (Reply(status=400, body={"error": {"type": "exceed_context_size_error"}}), ContextExceeded, False),
        (failing(401), AuthError, False),
        (failing(403), AuthError, False),
        (failing(408), ModelTimeout, True),
        (failing(409), ServerError, True),
        (failing(429), RateLimited, True),
        (failing(429, code="insufficient_quota"), RateLimited, False),
        (failing(500), ServerError, True),
        (failing(503), ServerError, True),
        (failing(529), ServerError, True),
        (Reply(body=b'{"choices": ['), ServerError, True),
        (Reply(body=b""), ServerError, True),
        (Reply(body=b"<html>"), ServerError, True),
        (Reply(body=b"\xff\xfe"), ServerError, True),
        (Reply(body=b"[" * 100_000), ServerError, True),
        (Reply(breaks=True), TransportError, True),
        (Reply(body=b"{}", headers={"content-encoding": "gzip"}), ServerError, True),
        (Reply(body=b"{}", headers={"content-encoding": "br"}), ServerError, True),
        (failing(503, x_should_retry="false"), ServerError, False),
    ],
)
async def test_each_failure_has_its_type(reply: Reply, kind: type[ModelError], is_retryable: bool) -> None:
    """A reply maps to exactly one error class, which says whether asking again may help."""
    with pytest.raises(ModelError) as caught:
        await ask(reply)
    assert type(caught.value) is kind
    assert caught.value.retryable is is_retryable


async def test_answer_is_decoded() -> None:
    """A 2xx JSON answer comes back as its value."""
    assert await ask(Reply(body={"a": [1, None]})) == {"a": [1, None]}


async def test_retry_after_of_a_429_is_kept() -> None:
    """The wait a server asks for travels in the error."""
    with pytest.raises(RateLimited) as caught:
        await ask(failing(429, retry_after="7"))
    assert caught.value.retry_after_s == 7


async def test_quota_headers_of_a_500_are_no_wait() -> None:
    """Rate-limit resets, which stand on every answer of some providers, delay nothing after a server error."""
    with pytest.raises(ServerError) as caught:
        await ask(failing(500, x_ratelimit_reset_requests="6m0s"))
    assert caught.value.retry_after_s is None


async def test_server_message_is_shown_short_and_clean() -> None:
    """The server's words are kept, on one line of at most 300 characters without control characters."""
    with pytest.raises(InvalidRequest) as caught:
        await ask(failing(400, "bad\x1b[31m\nfield " + "x" * 1000))
    message = str(caught.value)
    assert message.startswith("HTTP 400: bad [31m field xxx")
    assert message.isprintable()
    assert len(message) <= 320


async def test_refused_connection_is_a_transport_error() -> None:
    """Nobody listening is a retryable TransportError that names the address."""
    async with fake_server() as server:
        url = server.url
    transport = Transport(url)
    with pytest.raises(TransportError, match=url):
        await transport.get_json("/models")
    await transport.aclose()


async def test_silent_server_is_a_timeout() -> None:
    """A server that never answers ends in ModelTimeout after read_s."""
    with pytest.raises(ModelTimeout):
        await ask(Reply(waits_for=asyncio.Event()), timeouts=Timeouts(read_s=0.05))


async def test_too_long_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer over the cap, counted after decompression, is an error that is not retried."""
    monkeypatch.setattr(transport_module, "MAX_RESPONSE_BYTES", 1000)
    bomb = Reply(body=gzip.compress(b" " * 100_000), headers={"content-encoding": "gzip"})
    with pytest.raises(ServerError, match="longer than") as caught:
        await ask(bomb)
    assert not caught.value.retryable


async def test_connections_are_kept_alive_and_recover() -> None:
    """Requests share a connection, and a dropped one is a TransportError at worst, never a hang."""
    async with fake_server(Reply(body=1), Reply(body=2), Reply(body=3)) as server:
        transport = Transport(server.url)
        assert await transport.get_json("/a") == 1
        assert await transport.get_json("/b") == 2
        assert server.connections == 1
        server.drop_connections()
        answered = await Retry(first_wait_s=0.001).run(lambda: transport.get_json("/c"))
        assert answered.value == 3
        await transport.aclose()


async def test_pool_is_as_large_as_the_concurrency() -> None:
    """No more connections are opened than asked for; further requests wait for a free one."""
    async with fake_server(default=lambda request: Reply(body={})) as server:
        transport = Transport(server.url, concurrency=2)
        await asyncio.gather(*(transport.get_json(f"/{i}") for i in range(20)))
        assert server.connections <= 2
        assert len(server.requests) == 20
        await transport.aclose()


async def test_root_path_leaves_out_the_version() -> None:
    """What lives beside /v1 is reached from the root."""
    async with fake_server(Reply(body={}), Reply(body={})) as server:
        transport = Transport(server.url)
        await transport.get_json("/props", from_root=True)
        await transport.get_json("/models")
        assert [request.path for request in server.requests] == ["/props", "/v1/models"]
        await transport.aclose()


async def test_given_client_is_used_and_left_open() -> None:
    """A user's own httpx client carries the requests and stays his to close."""
    async with fake_server(Reply(body={})) as server, httpx.AsyncClient(headers={"x-mine": "1"}) as client:
        transport = Transport(server.url, client=client)
        await transport.get_json("/models")
        await transport.aclose()
        assert server.requests[0].headers["x-mine"] == "1"
        assert not client.is_closed


async def test_closed_transport_refuses() -> None:
    """After aclose, which may be repeated, a request is a TransportError."""
    transport = Transport("http://127.0.0.1:1")
    await transport.aclose()
    await transport.aclose()
    with pytest.raises(TransportError, match="closed"):
        await transport.get_json("/models")


def test_transport_outlives_a_loop() -> None:
    """One transport serves one asyncio.run after another, without leaving sockets open."""
    transport: Transport | None = None

    async def once() -> Any:
        nonlocal transport
        async with fake_server(Reply(body=1), Reply(body=2)) as server:
            if transport is None:
                transport = Transport(server.url)
            transport.base_url = server.url
            return await transport.get_json("/a")

    assert asyncio.run(once()) == 1
    assert asyncio.run(once()) == 1


async def test_key_is_sent_and_never_shown() -> None:
    """The key reaches the server, and neither repr nor an error nor its whole traceback holds it."""
    async with fake_server(failing(401, f"Incorrect API key provided: {KEY}")) as server:
        transport = Transport(server.url, api_key=f" {KEY}\n")
        with pytest.raises(AuthError) as caught:
            await transport.post_json("/x", {})
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        shown = "".join(traceback.format_exception(caught.value)) + repr(transport) + repr(vars(transport))
        assert KEY not in shown
        await transport.aclose()


def test_secret_hides_itself() -> None:
    """A Secret shows its text through reveal() only."""
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == KEY


@pytest.mark.parametrize("key", ["two words", "sk-é", "sk-\x00"])
def test_unsendable_key_is_refused_without_showing_it(key: str) -> None:
    """A key no header can carry is refused by name, not by value."""
    with pytest.raises(InputError, match="api_key") as caught:
        Transport("http://localhost", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://x/", "http://", "http://h:99999", "http://u:p@h/", "http://h/?a=1", "http://h#f"],
)
def test_wrong_base_url_is_refused(url: str) -> None:
    """A base URL must be a plain http(s) address; a password in it is not repeated."""
    with pytest.raises(InputError, match="base_url") as caught:
        Transport(url)
    assert "u:p" not in str(caught.value)


async def test_redirect_is_not_followed() -> None:
    """A redirect never carries the key to another address."""
    async with fake_server() as other:
        with pytest.raises(InvalidRequest, match="redirect"):
            await ask(Reply(status=307, body={}, headers={"location": other.url}), api_key=KEY)
        assert other.requests == []


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-reset-tokens": "500ms"}, 0.5),
        ({"x-ratelimit-reset-tokens": "1h0m0.5s"}, 3600.5),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "2s"}, 2),
        ({"x-ratelimit-reset-requests": "1x"}, None),
        ({"x-ratelimit-reset-requests": "9s", "retry-after": "1"}, 1),
        ({"anthropic-ratelimit-tokens-reset": "2026-11-22T12:00:10Z"}, 10),
        (
            {
                "Anthropic-Ratelimit-Requests-Reset": "2026-11-22T12:00:10Z",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-22T12:00:40+00:00",
            },
            40,
        ),
        ({"anthropic-ratelimit-tokens-reset": "tomorrow"}, None),
    ],
)
def test_each_form_of_retry_after(headers: dict[str, str], wait_s: float | None) -> None:
    """Every documented form is read; what is no waiting time is ignored."""
    assert retry_after(headers, now=NOW) == wait_s


@given(st.text(), st.text(), st.text())
def test_retry_after_never_fails(first: str, second: str, third: str) -> None:
    """No header value raises, and no wait is negative."""
    headers = {
        "retry-after": first,
        "x-ratelimit-reset-tokens": second,
        "anthropic-ratelimit-tokens-reset": third,
    }
    wait_s = retry_after(headers, now=NOW)
    assert wait_s is None or wait_s >= 0


class _Failing:
    """A call that fails as told, then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_success_takes_one_attempt_and_no_time() -> None:
    """A call that succeeds is made once."""
    answered, seconds = run_virtually(lambda: Retry().run(_Failing()))
    assert (answered.value, answered.attempts, seconds) == ("answer", 1, 0)


def test_retryable_errors_are_retried_with_growing_waits() -> None:
    """Waits double from the first one, each with at most one first wait of jitter."""
    call = _Failing(*(ServerError("x") for _ in range(4)))
    answered, seconds = run_virtually(lambda: Retry(first_wait_s=1.0).run(call))
    assert answered.attempts == call.count == 5
    assert 1 + 2 + 4 + 8 <= seconds <= 1 + 2 + 4 + 8 + 4


def test_retry_after_is_a_floor() -> None:
    """The server's wait is kept, even past the longest wait of our own."""
    call = _Failing(RateLimited("x", retry_after_s=60.0))
    _, seconds = run_virtually(lambda: Retry(first_wait_s=0.5, max_wait_s=2.0).run(call))
    assert 60 <= seconds <= 60.5


def test_attempts_are_limited() -> None:
    """The last error is raised after `attempts` requests, and says how many they were."""
    call = _Failing(*(ServerError(str(i)) for i in range(9)))

    async def work() -> ModelError:
        with pytest.raises(ServerError) as caught:
            await Retry(attempts=3).run(call)
        return caught.value

    error, _ = run_virtually(work)
    assert (str(error), error.attempts, call.count) == ("2", 3, 3)


def test_total_time_is_limited() -> None:
    """A wait that would end past the total time is not begun."""
    call = _Failing(ServerError("x"), RateLimited("y", retry_after_s=1000.0))

    async def work() -> ModelError:
        with pytest.raises(RateLimited) as caught:
            await Retry(total_s=120.0, first_wait_s=1.0).run(call)
        return caught.value

    error, seconds = run_virtually(work)
    assert error.attempts == 2
    assert seconds <= 2


@pytest.mark.parametrize("error", [InvalidRequest("x"), AuthError("x"), ContextExceeded("x"), ValueError("x")])
async def test_other_errors_pass_at_once(error: Exception) -> None:
    """What asking again cannot help is raised unchanged after one request."""
    call = _Failing(error)
    with pytest.raises(type(error)) as caught:
        await Retry().run(call)
    assert caught.value is error
    assert call.count == 1


async def test_a_retry_stops_at_an_error_that_is_final() -> None:
    """An error that is not retryable ends the retries, with the requests counted."""
    call = _Failing(ServerError("x"), AuthError("y"))
    with pytest.raises(AuthError) as caught:
        await Retry(first_wait_s=0.001).run(call)
    assert caught.value.attempts == 2


def test_cancellation_passes_untouched() -> None:
    """A task cancelled during a wait ends cancelled, without another request."""
    call = _Failing(ServerError("x"))

    async def work() -> None:
        task = asyncio.create_task(Retry(first_wait_s=50.0).run(call))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(work)
    assert call.count == 1
