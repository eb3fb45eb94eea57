"""What an Anthropic model sends, and what it makes of replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    InputError,
    InvalidRequest,
    ModelError,
    RateLimited,
    ServerError,
)
from orchestra_agents.models import inquiry
from orchestra_agents.models._anthropic_schema import sendable
from orchestra_agents.models._anthropic_wire import LEAST_CACHED, body_of, completion_of
from orchestra_agents.models._fan_out import singles
from orchestra_agents.models.anthropic import AnthropicModel, Dialect, transport_to
from orchestra_agents.models.contract import Message, ModelFacts, Prompt, Sampling, TokenUsage, Truth, canonical_json
from orchestra_agents.models.transport import Retry
from orchestra_agents.models.window import LEAST_SERVED, smallest_window
from tests.agents.fake_anthropic import FIXED, PLAIN, WINDOW, answering, refusing, says
from tests.agents.fake_openai import FakeServer, Handler, Reply, Request, fake_server

FAST = Retry(first_wait_s=0.001, attempts=3)
USUAL = Dialect()
CHAT = Prompt(messages=(Message("system", "Be brief."), Message("user", "Hi")))
RAW = Prompt(text="Once upon")
LONG = Prompt(messages=(Message("system", "Read this."), Message("user", "x" * 4 * LEAST_CACHED)))
SCHEMA = canonical_json(
    {
        "type": "object",
        "properties": {"answer": {"enum": ["a", "b"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
)
MARK = {"cache_control": {"type": "ephemeral"}}


@asynccontextmanager
async def served(
    *replies: Reply | Handler, model: str = "fake", dialect: Dialect = USUAL, default: Handler = answering
) -> AsyncIterator[tuple[AnthropicModel, FakeServer]]:
    """A model and the fake server behind it."""
    async with fake_server(*replies, default=default) as server:
        transport = transport_to(server.url, api_key="sk-ant-1")
        served = AnthropicModel(model, name=f"anthropic:{model}", transport=transport, dialect=dialect, retry=FAST)
        try:
            yield served, server
        finally:
            await served.aclose()


def sent(prompt: Prompt, sampling: Sampling, dialect: Dialect = USUAL) -> dict[str, Any]:
    """The body of the request for one sample."""
    return body_of(prompt, sampling, model="m", dialect=dialect)


async def test_request_says_what_the_interface_has_words_for() -> None:
    """Everything but seeds and log-probabilities is sent, with the key and the version in headers."""
    sampling = Sampling(temperature=0.3, max_tokens=5, stop=("END",), seed=4, index=2, schema=SCHEMA, logprobs=3)
    async with served() as (model, server):
        [completion] = await model.sample(CHAT, sampling)
        assert json.loads(completion.text) == {"answer": "a"}
        assert server.requests[0].path == "/v1/messages"
        assert server.requests[0].headers["x-api-key"] == "sk-ant-1"
        assert server.requests[0].headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in server.requests[0].headers
        assert server.requests[0].body == {
            "model": "fake",
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 5,
            "temperature": 0.3,
            "stop_sequences": ["END"],
            "output_config": {"format": {"type": "json_schema", "schema": json.loads(SCHEMA)}},
        }


def test_raw_text_becomes_a_user_s_message() -> None:
    """The interface continues no raw text, so it is asked as a question."""
    body = sent(RAW, Sampling())
    assert body["messages"] == [{"role": "user", "content": "Once upon"}]
    assert "system" not in body


def test_system_messages_stand_together_and_turns_in_their_order() -> None:
    """System messages are joined wherever they stood; neighbours of one role stay two messages."""
    roles: list[Any] = ["system", "user", "user", "system", "assistant", "user"]
    body = sent(Prompt(messages=tuple(Message(role, f"{place}") for place, role in enumerate(roles))), Sampling())
    assert body["system"] == "0\n\n3"
    assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [
        ("user", "1"),
        ("user", "2"),
        ("assistant", "4"),
        ("user", "5"),
    ]


def test_neutral_settings_are_left_to_the_interface() -> None:
    """A temperature of 1 and a top_p of 1, which some models refuse, are what it does by itself."""
    assert {"temperature", "top_p"} & sent(CHAT, Sampling(temperature=1.0)).keys() == set()
    assert sent(CHAT, Sampling(temperature=1.0, top_p=0.5))["top_p"] == 0.5
    assert sent(CHAT, Sampling(temperature=0.0))["temperature"] == 0.0


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        (Sampling(grammar="root ::= [0-9]"), "grammar"),
        (Sampling(temperature=1.1), "temperature"),
        (Sampling(stop=("END", "\n")), "stop"),
    ],
)
async def test_setting_that_no_model_obeys_is_refused(sampling: Sampling, field: str) -> None:
    """What would be dropped or refused for certain is an InputError that names its field; nothing is sent."""
    async with served() as (model, server):
        for count in (1, 2):
            with pytest.raises(InputError, match=f"^{field}: "):
                await model.sample(CHAT, sampling, count)
        assert server.requests == []


@given(text=st.text(), answer=st.text(min_size=8), step=st.text(min_size=8))
def test_sidecars_never_reach_the_wire(text: str, answer: str, step: str) -> None:
    """A request's body does not depend on truth and latency, and does not hold the step's name."""
    bare = Prompt(text=text, step=step)
    laden = Prompt(text=text, step=step, truth=Truth(answer=answer, wrong=(answer,)), latency_ms=5.0)
    body = sent(laden, Sampling())
    assert body == sent(bare, Sampling())
    assert body == {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0.7} | {
        "max_tokens": 512
    }


async def test_samples_are_single_requests_at_the_same_time() -> None:
    """Several samples of a short prompt are equal requests, none of which waits for another."""
    all_there = asyncio.Event()

    def wait_for_all(request: Request) -> Reply:
        if len(server.requests) == 3:
            all_there.set()
        return Reply(body=says("x").body, waits_for=all_there)

    async with served(default=wait_for_all) as (model, server):
        completions = await model.sample(CHAT, Sampling(), 3)
        assert [(one.attempts, one.calls, one.usage.input_tokens) for one in completions] == [(1, 1, 7)] * 3
        assert len({request.raw for request in server.requests}) == 1
        assert "cache_control" not in server.requests[0].raw.decode()


async def test_long_prompt_is_written_to_the_cache_once_and_read_by_the_others() -> None:
    """Of several samples of a long prompt the first goes alone, its end marked; the rest follow its reply together."""
    has_arrived, is_answered, all_there = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def first(request: Request) -> Reply:
        has_arrived.set()
        usage = {"input_tokens": 3, "output_tokens": 1, "cache_creation_input_tokens": 1100}
        return Reply(body=says("a", usage=usage).body, waits_for=is_answered)

    def later(request: Request) -> Reply:
        if len(server.requests) == 4:
            all_there.set()
        usage = {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 1100}
        return Reply(body=says("b", usage=usage).body, waits_for=all_there)

    async with served(first, default=later) as (model, server):
        task = asyncio.create_task(model.sample(LONG, Sampling(), 4))
        await has_arrived.wait()
        await asyncio.sleep(0.05)  # time enough for a request that would not wait
        assert len(server.requests) == 1
        is_answered.set()
        completions = await task
        assert [one.text for one in completions] == ["a", "b", "b", "b"]
        assert [one.usage.written_tokens for one in completions] == [1100, 0, 0, 0]
        assert [one.usage.cached_tokens for one in completions] == [0, 1100, 1100, 1100]
        assert {one.usage.input_tokens for one in completions} == {1103}
        text = {"type": "text", "text": "x" * 4 * LEAST_CACHED}
        for request in server.requests:
            assert request.body["messages"] == [{"role": "user", "content": [text | MARK]}]
            assert request.body["system"] == "Read this."


async def test_limit_and_stop_end_a_completion() -> None:
    """A completion that the limit cut says so; one that a stop ended is without it."""
    async with served() as (model, _):
        for sampling, finish_reason in [(Sampling(max_tokens=1), "length"), (Sampling(stop=("k",)), "stop")]:
            [completion] = await model.sample(CHAT, sampling)
            assert (completion.text, completion.finish_reason) == ("o", finish_reason)


async def test_lone_sample_is_not_marked() -> None:
    """Writing to the cache what nobody reads would cost more."""
    async with served(says("x")) as (model, server):
        await model.sample(LONG, Sampling())
        assert "cache_control" not in server.requests[0].raw.decode()


async def test_no_samples_cost_nothing() -> None:
    """Zero completions are no request."""
    async with served() as (model, server):
        assert await model.sample(CHAT, Sampling(), 0) == []
        assert server.requests == []


async def test_temperature_that_a_model_refuses_is_left_out_from_then_on() -> None:
    """The refused request counts as an attempt and no call, is logged once, and is not repeated."""
    async with served(model=FIXED) as (model, server):
        with capture_logs() as logs:
            completions = await model.sample(CHAT, Sampling(temperature=0.3), 2)
            assert [(one.text, one.attempts, one.calls) for one in completions] == [("ok", 2, 1)] * 2
            assert (await model.sample(CHAT, Sampling(temperature=0.3)))[0].attempts == 1
        assert [(log["event"], log["model"]) for log in logs] == [("model.setting_refused", f"anthropic:{FIXED}")]
        assert "temperature" in logs[0]["told"]
        assert ["temperature" in request.body for request in server.requests] == [True, True, False, False, False]


async def test_temperature_and_top_p_together_stay_refused() -> None:
    """Which of two settings to give up is the user's to say."""
    async with served() as (model, server):
        with pytest.raises(InvalidRequest, match="use only one"):
            await model.sample(CHAT, Sampling(temperature=0.5, top_p=0.5))
        assert len(server.requests) == 1


async def test_schema_that_a_model_refuses_is_left_out_from_then_on() -> None:
    """A model without structured outputs answers freely; whoever asked reads and judges the reply."""
    async with served(model=PLAIN) as (model, server):
        with capture_logs() as logs:
            assert (await model.sample(CHAT, Sampling(schema=SCHEMA)))[0].text == "ok"
            assert (await model.sample(CHAT, Sampling(schema=SCHEMA)))[0].attempts == 1
        assert len(logs) == 1
        assert ["output_config" in request.body for request in server.requests] == [True, False, False]
    assert "output_config" not in sent(CHAT, Sampling(schema=SCHEMA), Dialect(has_schema=False))


OPEN = {"type": "object", "additionalProperties": {"type": "string"}}
PAIR = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}
CLOSED_PAIR = PAIR | {"properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"type": "integer", "minimum": 1, "multipleOf": 2, "description": "even"}, {"type": "integer"}),
        (
            {"type": ["string", "null"], "format": "date", "minLength": 1},
            {"type": ["string", "null"], "format": "date"},
        ),
        ({"type": "string", "format": "colour", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "^[a-z]+$"}),
        ({"type": "string", "pattern": r"\bword\b"}, {"type": "string"}),
        ({"type": "array", "items": PAIR, "minItems": 1}, {"type": "array", "items": CLOSED_PAIR, "minItems": 1}),
        (
            {"type": "array", "items": {"enum": [1, None]}, "minItems": 2},
            {"type": "array", "items": {"enum": [1, None]}},
        ),
        ({"anyOf": [{"const": "x"}, PAIR]}, {"anyOf": [{"const": "x"}, CLOSED_PAIR]}),
        ({"type": "object", "properties": {}}, {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"type": "string", "enum": ["a", ["b"]]}, {"type": "string"}),
        (OPEN, None),
        ({"type": "object"}, None),
        ({}, None),
        ({"enum": [["b"]]}, None),
        ({"$ref": "#/$defs/a"}, None),
        ({"type": "array", "items": {}}, None),
        ({"anyOf": [{"type": "string"}, OPEN]}, None),
        ({"type": "object", "properties": {"a": OPEN}}, None),
        (PAIR | {"required": ["a", "b"]}, None),
        ({"type": "object", "properties": 5}, None),
        (True, None),
    ],
)
def test_schema_is_sent_as_far_as_the_interface_takes_it(schema: Any, taken: Any) -> None:
    """Limits that it refuses are left out, objects are closed, and what it has no words for is not sent at all."""
    sent_as = sendable(schema)
    assert taken == (sent_as and {name: value for name, value in sent_as.items() if name != "description"})
    assert sent_as is None or sendable(sent_as) == sent_as


async def test_schema_of_a_proposal_is_taken() -> None:
    """Schemas with limits, such as those of decompositions, get through to a server that refuses limits."""
    schema = {"type": "object", "properties": {"subtasks": {"type": "array", "items": PAIR, "maxItems": 9}}}
    async with served() as (model, _):
        [completion] = await model.sample(CHAT, Sampling(schema=canonical_json(schema)))
        assert (completion.attempts, json.loads(completion.text)) == (1, {"subtasks": "text"})


@pytest.mark.parametrize(
    ("blocks", "stop_reason", "text", "finish_reason"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "end_turn", "ab", "stop"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}], "stop_sequence", "a", "stop"),
        ([{"type": "redacted_thinking", "data": "x"}], "max_tokens", "", "length"),
        ([{"type": "text", "text": "a"}], "model_context_window_exceeded", "a", "length"),
        ([], "refusal", "", "content_filter"),
        ([{"type": "tool_use", "input": {}}], "tool_use", "", "other"),
        ([{"type": "text", "text": "bad \ud800 half"}], None, "bad ? half", "other"),
        ([{}], {"odd": 1}, "", "other"),
    ],
)
def test_text_and_finish_reason(blocks: Any, stop_reason: Any, text: str, finish_reason: str) -> None:
    """Only what was said is the text, and every stop reason has one of four names."""
    completion = completion_of({"content": blocks, "stop_reason": stop_reason}, CHAT)
    assert (completion.text, completion.finish_reason) == (text, finish_reason)


@pytest.mark.parametrize(
    "reply",
    [None, [], "x", {}, {"content": None}, {"content": "x"}, {"content": [1]}, {"content": [{"type": "text"}]}],
)
def test_malformed_reply_is_a_server_error(reply: Any) -> None:
    """A reply of the wrong shape is a retryable error, never an answer."""
    with pytest.raises(ServerError):
        completion_of(reply, CHAT)


def usage_of(usage: Any) -> TokenUsage:
    """The usage read from a reply of ten tokens, by our estimate."""
    return completion_of({"content": [{"type": "text", "text": "x" * 40}], "usage": usage}, RAW).usage


def test_usage_counts_what_the_cache_read_and_wrote_as_input() -> None:
    """The server's input is without the cache's, ours with it; thoughts are part of the output."""
    told = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert usage_of(told) == TokenUsage(
        input_tokens=125, output_tokens=9, cached_tokens=100, written_tokens=20, reasoning_tokens=4
    )
    plain = {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": None, "output_tokens_details": None}
    assert usage_of(plain) == TokenUsage(input_tokens=5, output_tokens=9)
    assert usage_of(plain | {"output_tokens_details": {"thinking_tokens": 99}}).reasoning_tokens == 9


@pytest.mark.parametrize(
    ("usage", "read", "wrote"),
    [
        (None, 3, 10),
        ([], 3, 10),
        ({"input_tokens": 5}, 5, 10),
        ({"input_tokens": -1, "output_tokens": 2}, 3, 2),
        ({"input_tokens": True, "output_tokens": "2"}, 3, 10),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": "9"}, 5, 2),
    ],
)
def test_missing_usage_is_estimated_and_marked(usage: Any, read: int, wrote: int) -> None:
    """Where the server does not say what was used, an estimate stands, marked as one."""
    assert usage_of(usage) == TokenUsage(input_tokens=read, output_tokens=wrote, estimated=True)


async def test_retries_and_calls_are_counted() -> None:
    """Refusals are attempts; a 2xx that is no message is a call as well."""
    overloaded = refusing(529, "overloaded_error", "Overloaded")
    async with served(overloaded, Reply(body={"content": None}), says("x")) as (model, _):
        [completion] = await model.sample(CHAT, Sampling())
        assert (completion.text, completion.attempts, completion.calls) == ("x", 3, 2)


@pytest.mark.parametrize(
    ("reply", "error", "attempts"),
    [
        (refusing(529, "overloaded_error", "Overloaded"), ServerError, 3),
        (refusing(500, "api_error", "Internal server error"), ServerError, 3),
        (refusing(429, "rate_limit_error", "slow down", retry_after="0"), RateLimited, 3),
        (refusing(401, "authentication_error", "invalid x-api-key"), AuthError, 1),
        (refusing(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), ContextExceeded, 1),
        (refusing(400, "invalid_request_error", "messages: at least one message is required"), InvalidRequest, 1),
        (refusing(404, "not_found_error", "model: fake"), InvalidRequest, 1),
    ],
)
async def test_errors_are_typed_and_tell_the_server_s_words(
    reply: Reply, error: type[ModelError], attempts: int
) -> None:
    """Every documented error is one of our kinds, retried where that may help."""
    async with served(default=lambda request: reply) as (model, _):
        with pytest.raises(error) as caught:
            await model.sample(CHAT, Sampling())
        assert caught.value.attempts == attempts
        assert reply.body["error"]["message"] in str(caught.value)
        assert reply.body["error"]["type"] in str(caught.value)


async def test_first_failure_of_many_requests_is_raised() -> None:
    """Of several requests one failure comes out as itself, not as a group, and the others are cancelled."""
    never = asyncio.Event()

    def refuse_second(request: Request) -> Reply:
        return refusing(400, "invalid_request_error") if len(server.requests) == 2 else Reply(waits_for=never)

    async with served(default=refuse_second) as (model, server):
        with pytest.raises(InvalidRequest, match="no"):
            await model.sample(CHAT, Sampling(), 3)


async def test_other_failure_of_many_is_raised_as_itself() -> None:
    """A failure that is nobody's model's comes out too, with its cause."""

    async def ask(index: int) -> int:
        if index == 2:
            raise ValueError("two") from KeyError("why")
        await asyncio.sleep(0)
        return index

    assert await singles(ask, []) == []
    assert await singles(ask, range(2)) == [0, 1]
    with pytest.raises(ValueError, match="two") as caught:
        await singles(ask, range(4))
    assert isinstance(caught.value.__cause__, KeyError)


async def test_cancelling_a_sample_cancels_its_requests() -> None:
    """CancelledError passes through untouched."""
    never, have_arrived = asyncio.Event(), asyncio.Event()

    def hang(request: Request) -> Reply:
        if len(server.requests) == 2:
            have_arrived.set()
        return Reply(waits_for=never)

    async with served(default=hang) as (model, server):
        task = asyncio.create_task(model.sample(CHAT, Sampling(), 2))
        await have_arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_the_server_says_of_itself_does_not_leave() -> None:
    """Identifiers of the message and the served model are in no completion."""
    async with served(says("x")) as (model, _):
        assert "secret" not in repr(await model.sample(CHAT, Sampling()))


async def test_window_and_count_are_the_server_s() -> None:
    """The window is asked for once; a count takes no sampling, and raw text counts as the message it becomes."""
    async with served(model="a/b") as (model, server):
        assert model.window is None
        assert (await model.learn_window(), await model.learn_window()) == (WINDOW, WINDOW)
        assert await smallest_window([model], LEAST_SERVED + 1) == WINDOW
        assert [request.path for request in server.requests] == ["/v1/models/a%2Fb"]
        assert (await model.count_tokens(CHAT), await model.count_tokens(RAW)) == (3, 2)


@pytest.mark.parametrize("reply", [refusing(404, "not_found_error"), Reply(body={"id": "x"}), Reply(body=[])])
async def test_server_that_tells_no_window_or_count_is_believed(reply: Reply) -> None:
    """A window that nobody tells is None, and is asked for once; so is a count, but for an error."""
    async with served(default=lambda request: reply) as (model, server):
        assert (await model.learn_window(), await model.learn_window()) == (None, None)
        assert len(server.requests) == 1
        if reply.status == 200:
            assert await model.count_tokens(CHAT) is None
        else:
            with pytest.raises(InvalidRequest):
                await model.count_tokens(CHAT)


async def test_probe_finds_what_the_interface_has() -> None:
    """There are no n, seeds and log-probabilities; the schema is tried, the window asked for."""
    async with served() as (model, _):
        assert await model.probe() == ModelFacts(
            reachable=True,
            n=False,
            seed=False,
            logprobs=False,
            json_schema=True,
            context=WINDOW,
            usage=True,
            max_tokens_field="max_tokens",
        )


@pytest.mark.parametrize(
    ("schema_reply", "json_schema"),
    [
        (refusing(400, "invalid_request_error", "output_config: no"), False),
        (says("Left, of course."), False),
        (says("", stop_reason="max_tokens"), None),
        (refusing(500, "api_error"), None),
    ],
)
async def test_probe_finds_what_is_lacking(schema_reply: Reply, json_schema: bool | None) -> None:
    """What is ignored or refused is False, what cannot be known is None."""

    def handle(request: Request) -> Reply:
        if request.method == "GET":
            return refusing(404, "not_found_error")
        return schema_reply if "output_config" in request.body else says("x")

    async with served(default=handle) as (model, _):
        assert await model.probe() == ModelFacts(
            reachable=True,
            n=False,
            seed=False,
            logprobs=False,
            json_schema=json_schema,
            context=None,
            usage=True,
            max_tokens_field="max_tokens",
        )


async def test_probe_says_why_it_reached_nothing() -> None:
    """An unreachable or refusing server is a fact with a reason, not an exception."""
    async with served(refusing(401, "authentication_error", "invalid x-api-key")) as (model, _):
        facts = await model.probe()
        assert not facts.reachable
        assert facts.problem is not None
        assert "invalid x-api-key" in facts.problem
    async with served(dialect=Dialect(has_schema=False)) as (model, _):
        assert (await model.probe()).json_schema is False


@pytest.mark.parametrize(
    ("replies", "attempts", "calls", "is_lost"),
    [
        ([], 2, 2, False),
        ([Reply(body={"content": "bogus"})], 3, 3, True),  # answered, perhaps billed, of no use
        ([Reply(breaks=True)], 3, 3, True),  # nobody knows whether it was served
        ([refusing(500, "api_error")], 3, 2, False),
        ([refusing(401, "authentication_error")], 1, 0, False),
        ([says("x"), refusing(400, "invalid_request_error")], 2, 1, False),
    ],
)
async def test_probe_counts_what_it_sends(
    monkeypatch: pytest.MonkeyPatch, replies: list[Reply], attempts: int, calls: int, is_lost: bool
) -> None:
    """Every request is an attempt; those that were answered 2xx, or may have been, are calls."""
    monkeypatch.setattr(inquiry, "_PATIENCE", replace(FAST, attempts=2))
    left = list(replies)

    def handle(request: Request) -> Reply:
        return left.pop(0) if left and request.method == "POST" else answering(request)

    async with served(default=handle) as (model, server):
        tally = inquiry.Tally()
        facts = await model.probe(tally)
        assert facts.cost == tally.cost
        posts = sum(request.method == "POST" for request in server.requests)
        assert (tally.cost.attempts, tally.cost.calls) == (attempts, calls)
        assert posts == attempts
        assert (tally.cost.lost.output_tokens > 0) == is_lost


async def test_probe_cut_short_counts_what_was_sent() -> None:
    """Whoever ends a probe knows that one request was answered, and that another may be."""
    is_asked = asyncio.Event()

    def handle(request: Request) -> Reply:
        if request.method == "POST" and "output_config" in request.body:
            is_asked.set()
            return Reply(body={}, waits_for=asyncio.Event())
        return answering(request)

    async with served(default=handle) as (model, _):
        tally = inquiry.Tally()
        probing = asyncio.create_task(model.probe(tally))
        await is_asked.wait()
        probing.cancel()
        await asyncio.wait([probing])
        assert (tally.cost.attempts, tally.cost.calls, tally.cost.samples) == (2, 2, 1)
        assert (tally.cost.usage.input_tokens, tally.cost.lost.output_tokens) == (7, inquiry.LONG)


async def test_closed_model_refuses() -> None:
    """A closed model is a ModelError to sample."""
    async with served() as (model, _):
        await model.aclose()
        with pytest.raises(ModelError):
            await model.sample(CHAT, Sampling())
