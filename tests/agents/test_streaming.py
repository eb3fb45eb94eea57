"""What a model tells while it answers, and how a streamed answer can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import (
    AuthError,
    InputError,
    InvalidRequest,
    ModelError,
    RateLimited,
    ServerError,
    TransportError,
)
from orchestra_agents.models import _anthropic_wire, _wire, transport
from orchestra_agents.models._sse import events_of, fill
from orchestra_agents.models.anthropic import AnthropicModel, transport_to
from orchestra_agents.models.contract import Message, Prompt, Sampling, TokenUsage
from orchestra_agents.models.embedded import EmbeddedModel, stop_servers
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import Retry, Transport
from tests.agents.embedded_weights import weights_or_skip
from tests.agents.fake_anthropic import FIXED, refusing
from tests.agents.fake_openai import FakeServer, Handler, Reply, failing, fake_server

Json = Any

FAST = Retry(first_wait_s=0.001, attempts=3)
CHAT = Prompt(messages=(Message("user", "Hi there"),))
RAW = Prompt(text="Once upon")
KEY = "open-sesame"
"""A key that has the shape of none."""
DONE = b"data: [DONE]\n\n"


def event(value: Json) -> bytes:
    """An event as it is sent, with its type where it has one."""
    kind = f"event: {value['type']}\n" if isinstance(value, dict) and "type" in value else ""
    return f"{kind}data: {json.dumps(value)}\n\n".encode()


def choice(text: str | None = None, finish_reason: str | None = None, **fields: Json) -> bytes:
    """An event of a chat completion."""
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **fields})


def delta(text: Json, kind: str = "text") -> bytes:
    """An event of a message's block."""
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: text}})


def begun(**usage: Json) -> bytes:
    """The events that begin a message."""
    message = {"id": "msg_1", "role": "assistant", "content": [], "stop_reason": None, "usage": usage}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return event({"type": "message_start", "message": message}) + event({"type": "ping"}) + event(block)


def ended(stop_reason: str | None, **usage: Json) -> bytes:
    """The event that says why a message ends."""
    told: Json = {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}}
    return event(told | ({"usage": usage} if usage else {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One of the two ways to stream."""

    model: Callable[[str], OpenAIModel | AnthropicModel]
    """Makes a model of the server at an address."""
    assembly: Callable[[], _wire.Assembly | _anthropic_wire.Assembly]
    path: str
    start: bytes
    piece: Callable[[str], bytes]
    end: bytes
    """The reason for the end and the usage: 7 tokens read, 2 written."""
    stop: bytes

    def whole(self, *texts: str) -> bytes:
        """A stream that brings these pieces."""
        return self.start + b"".join(map(self.piece, texts)) + self.end + self.stop


OPENAI = Interface(
    model=lambda url: OpenAIModel("fake", name="vllm:fake", transport=Transport(url, api_key=KEY), retry=FAST),
    assembly=_wire.Assembly,
    path="/v1/chat/completions",
    start=event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
    piece=choice,
    end=choice(None, "stop") + event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}),
    stop=DONE,
)
ANTHROPIC = Interface(
    model=lambda url: AnthropicModel(
        FIXED, name=f"anthropic:{FIXED}", transport=transport_to(url, api_key=KEY), retry=FAST
    ),
    assembly=_anthropic_wire.Assembly,
    path="/v1/messages",
    start=begun(input_tokens=7, output_tokens=1),
    piece=delta,
    end=event({"type": "content_block_stop", "index": 0}) + ended("end_turn", output_tokens=2),
    stop=event({"type": "message_stop"}),
)
both = pytest.mark.parametrize("interface", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])


def sse(*chunks: bytes | asyncio.Event, is_cut: bool = False) -> Reply:
    """A streamed reply."""
    return Reply(chunks=chunks, is_cut=is_cut)


@asynccontextmanager
async def served(
    interface: Interface, *replies: Reply | Handler, default: Handler | None = None
) -> AsyncIterator[tuple[OpenAIModel | AnthropicModel, FakeServer]]:
    """A model and the fake server behind it, which goes on with its last reply."""
    last = replies[-1] if replies else None
    async with fake_server(*replies, default=default or (lambda _: last)) as server:
        model = interface.model(server.url)
        try:
            yield model, server
        finally:
            await model.aclose()


@both
async def test_pieces_are_told_while_the_rest_is_still_to_come(interface: Interface) -> None:
    """A piece is told as soon as it is there; the completion is what one request not streamed would have given."""
    rest = asyncio.Event()
    told: asyncio.Queue[str] = asyncio.Queue()
    reply = sse(interface.start, interface.piece("Hel"), rest, interface.piece("lo") + interface.end, interface.stop)
    async with served(interface, reply) as (model, server):
        task = asyncio.create_task(model.stream(CHAT, Sampling(temperature=1.0), told.put_nowait))
        assert await told.get() == "Hel"
        assert not task.done()
        rest.set()
        completion = await task
        assert told.get_nowait() == "lo"
        assert told.empty()
        assert (completion.text, completion.finish_reason) == ("Hello", "stop")
        assert completion.usage == TokenUsage(input_tokens=7, output_tokens=2)
        assert (completion.attempts, completion.calls) == (1, 1)
        assert server.requests[0].path == interface.path
        assert server.requests[0].body["stream"] is True


async def test_request_differs_from_one_not_streamed_by_two_fields() -> None:
    """The stream is asked for with its usage; raw text goes to the interface of raw text."""
    replies = [sse(event({"choices": [{"text": "a", "finish_reason": "length"}]})), failing(400)]
    async with served(OPENAI, *replies) as (model, server):
        completion = await model.stream(RAW, Sampling(index=3), [].append)
        assert (completion.text, completion.finish_reason) == ("a", "length")
        with pytest.raises(InvalidRequest):
            await model.sample(RAW, Sampling(index=3))
        streamed, plain = server.requests
        assert streamed.path == "/v1/completions"
        assert streamed.body == plain.body | {"stream": True, "stream_options": {"include_usage": True}}


@both
async def test_streams_are_cut_anywhere(interface: Interface) -> None:
    """A stream that arrives byte by byte is the same stream."""
    raw, told = interface.whole("Zwölf", " \n", "世界"), []
    async with served(interface, sse(*(bytes([byte]) for byte in raw))) as (model, _):
        completion = await model.stream(CHAT, Sampling(temperature=1.0), told.append)
        assert told == ["Zwölf", " \n", "世界"]
        assert completion.text == "Zwölf \n世界"


async def chunked(raw: bytes, cuts: Sequence[int]) -> AsyncGenerator[bytes, None]:
    """Yield `raw` cut at these places."""
    for low, high in pairwise([0, *sorted(cuts), len(raw)]):
        yield raw[low:high]


def no_failure(status: int, body: bytes) -> ModelError:
    """There is none."""
    raise AssertionError(status, body)


def heard(raw: bytes, cuts: Sequence[int] = ()) -> list[Json]:
    """The events of a stream."""

    async def hear() -> list[Json]:
        return [event async for event in events_of(chunked(raw, cuts), no_failure)]

    return asyncio.run(hear())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=4
)


@given(
    values=st.lists(JSON.filter(lambda value: not (isinstance(value, dict) and {"error", "type"} & value.keys()))),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    is_ascii=st.booleans(),
    data=st.data(),
)
def test_events_do_not_depend_on_cuts_and_line_ends(
    values: list[Json], end: bytes, mark: bytes, is_ascii: bool, data: st.DataObject
) -> None:
    """Wherever a stream is cut, within a character or a line's end, and whatever ends its lines: the same events."""
    written = [json.dumps(value, ensure_ascii=is_ascii, indent=1) for value in values]
    lines = ["\n".join(f"data: {line}" for line in text.split("\n")) for text in written]
    raw = "".join(f"{text}\n\n" for text in lines).encode("utf-8", "surrogatepass").replace(b"\n", end)
    raw = mark + raw
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=30))
    assert heard(raw, cuts) == values


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_single_cut_gives_the_same_events(end: bytes) -> None:
    """A whole stream in two pieces, cut at each of its bytes in turn."""
    raw = OPENAI.whole("Zwölf", "世界").replace(b"\n", end)
    whole = heard(raw)
    assert len(whole) == 5
    assert all(heard(raw, [place]) == whole for place in range(len(raw) + 1))


def test_line_that_ends_with_a_piece_is_a_line() -> None:
    """A carriage return may be half of a line's end; what follows tells, were it the last line without any end."""
    raw = b"data: 1\r\rdata: [DONE]"
    assert all(heard(raw, [place]) == [1] for place in range(len(raw) + 1))


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"", []),
        (b"data: 1\n\ndata:2\n\n", [1, 2]),
        (b'data: {"a":\ndata: 1,\ndata:\ndata: "b": 2}\n\n', [{"a": 1, "b": 2}]),
        (b": a comment\n\n:\n\ndata: 1\n: within\nid: 7\nretry: 9\nevent: x\ndatum: 3\nodd\n\n", [1]),
        (b"data: 1\n\n\n\n\ndata: 2\n\n", [1, 2]),
        (b"data\n\ndata:\n\ndata: \n\ndata: 1\n\n", [1]),
        (b"data:\n\n" + DONE + b"data: 2\n\n", []),
        (b"data: 1\n\ndata: [DONE]\n", [1]),
        (b"data: 1\n\ndata:[DONE]", [1]),
        (b"data: 1\n\n" + DONE + b"data: no JSON\n\ndata: cut", [1]),
        (b'data: "[DONE]"\n\n', ["[DONE]"]),
        (b'data: 1\n\nevent: message_stop\ndata: {"type": "message_stop"}\n\ndata: cut', [1]),
        (b"data: 1\n\n: cut", [1]),
        (b"data: 1\r\n\r", [1]),
        ('data: "a\u2028b\x0b\x85c"\n\n'.replace("\x0b", "\\u000b").encode(), ["a\u2028b\x0b\x85c"]),
    ],
)
def test_fields_comments_and_ends(raw: bytes, events: list[Json]) -> None:
    """Data of several lines is one event; comments, other fields and events without data are none."""
    assert heard(raw) == events


async def test_long_line_of_many_pieces_takes_no_longer() -> None:
    """Sixteen MiB without a line's end, in pieces of one KiB, are put together once and not once a piece."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b'data: "'
        for _ in range(16 * 1024):
            yield b"x" * 1024
        yield b'"\n\n'

    async with asyncio.timeout(5):
        assert [len(value) async for value in events_of(chunks(), no_failure)] == [16 * 2**20]


@both
async def test_end_is_known_by_its_reason(interface: Interface) -> None:
    """A stream without its last mark is whole where the server said why it ended, and broken where it did not."""
    half = interface.start + interface.piece("a")
    async with served(interface, sse(half + interface.end), sse(half + interface.stop), sse(half)) as (model, server):
        assert (await model.stream(CHAT, Sampling(temperature=1.0), [].append)).text == "a"
        for requests in (2, 3):
            told: list[str] = []
            with pytest.raises(TransportError, match="before its answer did") as caught:
                await model.stream(CHAT, Sampling(temperature=1.0), told.append)
            assert (caught.value.retryable, caught.value.unknown, told) == (False, 1, ["a"])
            assert len(server.requests) == requests


@both
async def test_what_follows_the_last_mark_is_not_waited_for(interface: Interface) -> None:
    """A server that leaves the connection open after its last mark keeps nobody waiting; it is closed then."""
    async with served(interface, sse(interface.whole("a"), asyncio.Event())) as (model, server):
        assert (await model.stream(CHAT, Sampling(temperature=1.0), [].append)).text == "a"
        await asyncio.wait_for(server.is_left.wait(), 2)


@both
async def test_connection_serves_one_stream_after_the_other(interface: Interface) -> None:
    """A stream that was read to its end leaves its connection to the next request."""
    unmarked = interface.start + interface.piece("a") + interface.end
    async with served(interface, sse(unmarked)) as (model, server):
        for _ in range(3):
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)
        assert server.connections == 1


@both
@pytest.mark.parametrize("is_told", [True, False])
async def test_connection_that_breaks_is_asked_again_only_if_nothing_was_told(
    interface: Interface, is_told: bool
) -> None:
    """Whether between events or within one: a retry after the first piece would tell it twice."""
    begun = interface.start + (interface.piece("a") if is_told else b"")
    whole = sse(interface.whole("b"))
    for half in (begun, begun + b'data: {"cho', begun + b"data: {}\n"):
        told: list[str] = []
        async with served(interface, sse(half, is_cut=True), whole) as (model, server):
            if is_told:
                with pytest.raises(TransportError) as caught:
                    await model.stream(CHAT, Sampling(temperature=1.0), told.append)
                assert (caught.value.unknown, caught.value.calls) == (1, 0)
                assert (told, len(server.requests)) == (["a"], 1)
            else:
                completion = await model.stream(CHAT, Sampling(temperature=1.0), told.append)
                assert (told, completion.attempts, completion.calls) == (["b"], 2, 2)


@both
async def test_answer_that_ends_within_an_event_is_broken(interface: Interface) -> None:
    """An answer that is complete to HTTP may be half a stream."""
    async with served(interface, sse(interface.start + interface.piece("a") + interface.end + b"data: {")) as (
        model,
        _,
    ):
        with pytest.raises(TransportError, match="within an event"):
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)


@both
async def test_failures_before_the_first_piece_are_retried(interface: Interface) -> None:
    """Refused, failed in an event, and then answered: told once, with the requests it took and those to be paid for."""
    told: list[str] = []
    failed = sse(interface.start + event({"type": "error", "error": {"type": "api_error", "message": "oh"}}))
    async with served(interface, failing(503), failed, sse(interface.whole("a"))) as (model, _):
        completion = await model.stream(CHAT, Sampling(temperature=1.0), told.append)
        assert (told, completion.attempts, completion.calls) == (["a"], 3, 2)


FAILURES = [
    ({"type": "overloaded_error", "message": "Overloaded"}, ServerError, True, 3),
    ({"type": "rate_limit_error", "message": "slow down"}, RateLimited, True, 3),
    ({"type": "api_error", "message": "Internal server error"}, ServerError, False, 3),
    ({"type": "server_error", "message": "The server had an error", "code": None}, ServerError, False, 3),
    ({"message": "no slot", "code": 503}, ServerError, True, 3),
    ({"message": "no words", "code": "x", "type": ["odd"]}, ServerError, False, 3),
    ("out of memory", ServerError, False, 3),
    (["out of memory"], ServerError, False, 3),
    ({"type": "authentication_error", "message": "invalid x-api-key"}, AuthError, False, 1),
    ({"message": "bad request", "type": "BadRequestError", "code": 400}, InvalidRequest, False, 1),
]


@both
@pytest.mark.parametrize(("failure", "kind", "is_busy", "attempts"), FAILURES)
async def test_event_that_tells_of_a_failure_is_that_failure(
    interface: Interface, failure: Json, kind: type[ModelError], is_busy: bool, attempts: int
) -> None:
    """It is the error that the response of its status would be, retried only as long as nothing was told."""
    failed = event({"type": "error", "error": failure})
    for begun, told_by_then, requests in ((b"", [], attempts), (interface.piece("a"), ["a"], 1)):
        told: list[str] = []
        async with served(interface, sse(interface.start + begun + failed + interface.end)) as (model, server):
            with pytest.raises(kind) as caught:
                await model.stream(CHAT, Sampling(temperature=1.0), told.append)
            assert (caught.value.attempts, caught.value.calls, len(server.requests)) == (requests, requests, requests)
            assert (caught.value.is_busy, told) == (is_busy, told_by_then)
            words = failure["message"] if isinstance(failure, dict) else "out of memory"
            assert words in str(caught.value)
            assert begun == b"" or not caught.value.retryable


async def test_overload_in_an_event_narrows_the_throttle() -> None:
    """A server that is busy is asked less, however it says so."""
    overloaded = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    async with fake_server(sse(ANTHROPIC.start + ANTHROPIC.piece("a") + overloaded)) as server:
        throttle = Throttle(ceiling=4)
        way = transport_to(server.url, api_key=KEY)
        model = AnthropicModel("fake", name="anthropic:fake", transport=way, throttle=throttle)
        with pytest.raises(ServerError):
            await model.stream(CHAT, Sampling(), [].append)
        assert (throttle.width, throttle.in_flight) == (2, 0)
        await model.aclose()


@both
@pytest.mark.parametrize(
    "unusable",
    [b"data: {\n\n", b"data: {}\ndata: {}\n\n", b'data: "\xff"\n\n', b"data: NaN\n\n", b"data: <html>\n\n"]
    + [b"data: " + b"[" * 100_000 + b"\n\n"],
)
async def test_event_that_is_no_json_is_a_server_error(interface: Interface, unusable: bytes) -> None:
    """It was answered, so it is a call; it is retried as long as nothing was told."""
    for begun, attempts in ((b"", 3), (interface.piece("a"), 1)):
        async with served(interface, sse(interface.start + begun + unusable + interface.end)) as (model, _):
            with pytest.raises(ServerError, match="not JSON") as caught:
                await model.stream(CHAT, Sampling(temperature=1.0), [].append)
            assert (caught.value.attempts, caught.value.calls, caught.value.unknown) == (attempts, attempts, 0)


@pytest.mark.parametrize(
    ("interface", "event"),
    [
        (OPENAI, event({"choices": [{"delta": {"content": 5}}]})),
        (OPENAI, event({"choices": [{"text": {"a": "b"}}]})),
        (ANTHROPIC, delta(5)),
        (ANTHROPIC, delta(None)),
    ],
)
async def test_piece_that_is_no_text_is_a_server_error(interface: Interface, event: bytes) -> None:
    """Such a reply is never an answer, and has to be paid for."""
    async with served(interface, sse(event + interface.end)) as (model, _):
        with pytest.raises(ServerError, match="not text") as caught:
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)
        assert (caught.value.attempts, caught.value.calls) == (3, 3)


@both
@pytest.mark.parametrize("odd", [None, 5, [], {}, "x", {"choices": None}, {"choices": [1]}, {"type": ["odd"]}])
async def test_event_that_says_nothing_is_passed_over(interface: Interface, odd: Json) -> None:
    """What is not ours to understand is no failure."""
    raw = f"data: {json.dumps(odd)}\n\n".encode()
    async with served(interface, sse(raw + interface.whole("a") + raw)) as (model, _):
        assert (await model.stream(CHAT, Sampling(temperature=1.0), [].append)).text == "a"


@both
@pytest.mark.parametrize("filling", [b"x" * 1000, b": ping\n\n" * 100, b"data:\n\n" * 100])
async def test_endless_stream_is_given_up(
    interface: Interface, filling: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is read than of any other answer; asking again would give as much again."""
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 10_000)
    endless = [filling] * 100
    async with served(interface, sse(interface.start, *endless, asyncio.Event())) as (model, server):
        with pytest.raises(ServerError, match="longer than") as caught:
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)
        assert (caught.value.attempts, caught.value.calls) == (1, 1)
        await asyncio.wait_for(server.is_left.wait(), 2)


@both
async def test_cancelling_closes_the_connection(interface: Interface) -> None:
    """CancelledError passes through untouched, and the server learns at once that nobody listens."""
    has_begun = asyncio.Event()
    async with served(interface, sse(interface.start + interface.piece("a"), asyncio.Event())) as (model, server):
        task = asyncio.create_task(model.stream(CHAT, Sampling(temperature=1.0), lambda _: has_begun.set()))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.is_left.wait(), 2)


@both
async def test_listener_that_fails_closes_the_connection(interface: Interface) -> None:
    """What it raises comes out as itself, after one request, and nobody has to let go of it first."""

    def refuse(piece: str) -> None:
        raise KeyError(piece)

    async with served(interface, sse(interface.start + interface.piece("a"), asyncio.Event())) as (model, server):
        task = asyncio.create_task(model.stream(CHAT, Sampling(temperature=1.0), refuse))
        await asyncio.wait_for(server.is_left.wait(), 2)
        with pytest.raises(KeyError, match="a"):
            await task
        assert len(server.requests) == 1


@both
@pytest.mark.parametrize("shape", ["message", "text"])
async def test_key_is_never_shown(interface: Interface, shape: str) -> None:
    """A server that repeats the key in an event, after a piece or before, makes no error that holds it."""
    words = f"no such key: {KEY}"
    failed = event({"type": "error", "error": {"message": words} if shape == "message" else words})
    for begun in (b"", interface.piece("a")):
        async with served(interface, sse(interface.start + begun + failed)) as (model, server):
            with pytest.raises(ServerError, match="no such key") as caught:
                await model.stream(CHAT, Sampling(temperature=1.0), [].append)
            assert KEY in repr(server.requests[0].headers)
            assert KEY not in str(caught.value) + repr(caught.value) + repr(model)


def assembled(interface: Interface, raw: bytes, prompt: Prompt = CHAT) -> tuple[list[str], Json]:
    """What a stream tells, and the completion that it makes."""
    assembly, told = interface.assembly(), []
    asyncio.run(fill(assembly, chunked(raw, ()), tell=told.append, failed=no_failure))
    return told, assembly.completion(prompt)


@both
@given(texts=st.lists(st.text()))
def test_pieces_told_are_the_text(interface: Interface, texts: list[str]) -> None:
    """What was told, piece by piece, is what the completion says, and no piece is empty."""
    told, completion = assembled(interface, interface.whole(*texts))
    assert told == [text for text in texts if text]
    assert completion.text == "".join(texts)


@both
def test_halves_of_characters_are_told_as_the_text_shows_them(interface: Interface) -> None:
    """Lone surrogates, which no terminal can write, are neither told nor kept."""
    told, completion = assembled(interface, interface.whole("a\ud83d", "\ude00b"))
    assert told == ["a?", "?b"]
    assert completion.text == "a??b"


OPENAI_USAGES = [
    ([None, {"prompt_tokens": 3, "completion_tokens": 9}], TokenUsage(input_tokens=3, output_tokens=9)),
    (
        [{"prompt_tokens": 3, "completion_tokens": 1}, {"prompt_tokens": 3, "completion_tokens": 2}],
        TokenUsage(input_tokens=3, output_tokens=2),
    ),
    ([{"prompt_tokens": 3, "completion_tokens": 1}, None, [5]], TokenUsage(input_tokens=3, output_tokens=1)),
    ([None, {}], TokenUsage(input_tokens=2, output_tokens=10, estimated=True)),
    ([{"prompt_tokens": 3}], TokenUsage(input_tokens=3, output_tokens=10, estimated=True)),
    (
        [{"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 2}}],
        TokenUsage(input_tokens=3, output_tokens=4, reasoning_tokens=2),
    ),
]


@pytest.mark.parametrize(("usages", "usage"), OPENAI_USAGES)
def test_usage_is_the_last_one_told(usages: list[Json], usage: TokenUsage) -> None:
    """A server may count as it goes, or at the end, or never; what nobody tells is estimated and marked."""
    raw = choice("x" * 40, "stop") + b"".join(event({"choices": [], "usage": one}) for one in usages)
    assert assembled(OPENAI, raw)[1].usage == usage


ANTHROPIC_USAGES = [
    ({"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}, TokenUsage(input_tokens=5, output_tokens=9)),
    (
        {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3},
        {"input_tokens": 6, "output_tokens": 9, "cache_read_input_tokens": None},
        TokenUsage(input_tokens=13, output_tokens=9, cached_tokens=4, written_tokens=3),
    ),
    (
        {},
        {"input_tokens": 6, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
        TokenUsage(input_tokens=6, output_tokens=9, reasoning_tokens=4),
    ),
    ({"input_tokens": 5, "output_tokens": 1}, {}, TokenUsage(input_tokens=5, output_tokens=10, estimated=True)),
    ({}, {}, TokenUsage(input_tokens=2, output_tokens=10, estimated=True)),
]


@pytest.mark.parametrize(("first", "last", "usage"), ANTHROPIC_USAGES)
def test_usage_of_a_message_is_what_its_events_add_up_to(first: Json, last: Json, usage: TokenUsage) -> None:
    """The start tells the input, the end the output: what the start says of the output is only its beginning."""
    assert assembled(ANTHROPIC, begun(**first) + delta("x" * 40) + ended("end_turn", **last))[1].usage == usage


REFUSAL = event({"choices": [{"delta": {"content": None, "refusal": "No"}}]})
THOUGHT = event({"choices": [{"delta": {"reasoning_content": "hm"}}]})
PARTS = event({"choices": [{"delta": {"content": [{"text": "a"}]}}]})
THOUGHTS = begun() + delta("hm", "thinking") + delta("x", "signature")
FULL_START = event({"type": "content_block_start", "content_block": {"type": "text", "text": "a"}})


@pytest.mark.parametrize(
    ("interface", "raw", "told", "finish_reason"),
    [
        (OPENAI, choice("a", "length"), ["a"], "length"),
        (OPENAI, choice("a", "") + choice(None, "tool_calls"), ["a"], "other"),
        (OPENAI, choice("a", "stop") + choice(None), ["a"], "stop"),
        (OPENAI, REFUSAL + choice(None, "stop"), ["No"], "stop"),
        (OPENAI, THOUGHT + choice("a", "stop"), ["a"], "stop"),
        (OPENAI, PARTS + choice(None, "stop"), ["a"], "stop"),
        (ANTHROPIC, THOUGHTS + delta("a") + ended("max_tokens"), ["a"], "length"),
        (ANTHROPIC, begun() + delta("{", "partial_json") + ended("tool_use"), [], "other"),
        (ANTHROPIC, begun() + delta("a") + begun() + delta("b") + ended("stop_sequence"), ["a", "b"], "stop"),
        (ANTHROPIC, begun() + ended(None) + ended("refusal"), [], "content_filter"),
        (ANTHROPIC, FULL_START + ended("end_turn"), ["a"], "stop"),
    ],
)
def test_only_what_is_said_is_told(interface: Interface, raw: bytes, told: list[str], finish_reason: str) -> None:
    """Thoughts and calls of tools are not told, refusals are; every end has one of four names."""
    pieces, completion = assembled(interface, raw)
    assert (pieces, completion.text, completion.finish_reason) == (told, "".join(told), finish_reason)


def test_other_choices_are_not_mixed_in() -> None:
    """A server that sends more choices than were asked for does not put their words into ours."""
    rows = [{"index": 1, "delta": {"content": "x"}, "finish_reason": "length"}, {"index": 0, "delta": {"content": "b"}}]
    other = {"index": 1, "delta": {"content": "y"}}
    raw = choice("a") + event({"choices": rows}) + event({"choices": [other]}) + choice("c", "stop")
    told, completion = assembled(OPENAI, raw)
    assert (told, completion.text, completion.finish_reason) == (["a", "b", "c"], "abc", "stop")


async def test_setting_that_a_model_refuses_is_left_out_of_streams_too() -> None:
    """The refused request counts as an attempt; once something was told no refusal leads to another request."""
    no_temperature = "`temperature` is deprecated for this model."
    refused = refusing(400, "invalid_request_error", no_temperature)
    whole = sse(ANTHROPIC.whole("a"))
    async with served(ANTHROPIC, refused, whole) as (model, server):
        for attempts in (2, 1):
            assert (await model.stream(CHAT, Sampling(temperature=0.3), [].append)).attempts == attempts
        assert ["temperature" in request.body for request in server.requests] == [True, False, False]
    late = event({"type": "error", "error": {"type": "invalid_request_error", "message": no_temperature}})
    for begun, attempts in ((b"", 2), (ANTHROPIC.piece("a"), None)):
        async with served(ANTHROPIC, sse(ANTHROPIC.start + begun + late), whole) as (model, _):
            if attempts:
                assert (await model.stream(CHAT, Sampling(temperature=0.3), [].append)).attempts == attempts
            else:
                with pytest.raises(InvalidRequest):
                    await model.stream(CHAT, Sampling(temperature=0.3), [].append)


@both
async def test_setting_that_would_not_be_obeyed_is_refused(interface: Interface) -> None:
    """An InputError names it, and nothing is sent."""
    async with served(interface, sse(interface.whole("a"))) as (model, server):
        with pytest.raises(InputError, match="grammar"):
            await model.stream(CHAT, Sampling(grammar="root ::= [0-9]"), [].append)
        assert server.requests == []


@both
@pytest.mark.parametrize(("reply", "kind"), [(failing(401, "wrong key"), AuthError), (failing(400), InvalidRequest)])
async def test_refusal_instead_of_a_stream_is_typed(interface: Interface, reply: Reply, kind: type[ModelError]) -> None:
    """It is the error of a request not streamed."""
    async with served(interface, reply) as (model, _):
        with pytest.raises(kind, match="HTTP 40") as caught:
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)
        assert (caught.value.attempts, caught.value.calls) == (1, 0)


@both
async def test_closed_model_refuses(interface: Interface) -> None:
    """A closed model is a ModelError to stream."""
    async with served(interface, sse(interface.whole("a"))) as (model, _):
        await model.aclose()
        with pytest.raises(ModelError):
            await model.stream(CHAT, Sampling(temperature=1.0), [].append)


@pytest.mark.embedded
@pytest.mark.parametrize("prompt", [Prompt(text="Once upon a time"), CHAT], ids=["raw", "chat"])
async def test_real_model_streams_what_it_samples(prompt: Prompt) -> None:
    """llama.cpp gives the same completion streamed and not, in several pieces, and counts the same tokens."""
    model, told = EmbeddedModel(weights_or_skip(), name="embedded"), []
    sampling = Sampling(temperature=0.0, max_tokens=12, seed=5)
    try:
        [sampled] = await model.sample(prompt, sampling)
        streamed = await model.stream(prompt, sampling, told.append)
    finally:
        await model.aclose()
    assert (streamed.text, streamed.finish_reason) == (sampled.text, sampled.finish_reason)
    assert "".join(told) == streamed.text
    assert len(told) > 1
    for name in ("input_tokens", "output_tokens", "estimated"):
        assert getattr(streamed.usage, name) == getattr(sampled.usage, name)


@pytest.fixture(scope="module", autouse=True)
def _stopped() -> object:
    """Stop the embedded model's server once this module is through."""
    yield
    stop_servers()
