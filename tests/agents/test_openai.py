"""What an OpenAI-compatible model sends, and what it makes of replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError, InvalidRequest, ModelError, ServerError
from orchestra_agents.models import inquiry
from orchestra_agents.models._wire import completions_of, request_of
from orchestra_agents.models.contract import Message, ModelFacts, Prompt, Sampling, TokenLogprob, Truth
from orchestra_agents.models.openai import Dialect, OpenAIModel
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import Retry, Transport
from tests.agents.fake_openai import FakeServer, Handler, Reply, Request, answering, chat, failing, fake_server

FAST = Retry(first_wait_s=0.001, attempts=3)
PLAIN = Dialect()
LLAMACPP = Dialect(is_llamacpp=True, has_n=False)
CHAT = Prompt(messages=(Message("system", "Be brief."), Message("user", "Hi")))
RAW = Prompt(text="Once upon")
SCHEMA = '{"enum":["a","b"]}'


@asynccontextmanager
async def served(
    *replies: Reply | Handler, dialect: Dialect = PLAIN, default: Handler = answering
) -> AsyncIterator[tuple[OpenAIModel, FakeServer]]:
    """A model and the fake server behind it."""
    async with fake_server(*replies, default=default) as server:
        model = OpenAIModel("fake", name="vllm:fake", transport=Transport(server.url), dialect=dialect, retry=FAST)
        try:
            yield model, server
        finally:
            await model.aclose()


async def test_chat_request_says_everything() -> None:
    """Every setting of a sampling is sent explicitly, with a seed of the sample's own."""
    sampling = Sampling(
        temperature=0.3, top_p=0.9, max_tokens=5, stop=("\n",), seed=4, index=2, schema=SCHEMA, logprobs=3
    )
    async with served() as (model, server):
        await model.sample(CHAT, sampling)
        assert server.requests[0].path == "/v1/chat/completions"
        assert server.requests[0].body == {
            "model": "fake",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "temperature": 0.3,
            "top_p": 0.9,
            "max_tokens": 5,
            "stop": ["\n"],
            "seed": sampling.seed_of(CHAT.identity(), 2),
            "logprobs": True,
            "top_logprobs": 3,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"enum": ["a", "b"]}, "strict": True},
            },
        }


async def test_raw_request_says_everything() -> None:
    """Raw text goes to /completions with that interface's names."""
    async with served() as (model, server):
        await model.sample(RAW, Sampling(logprobs=2, seed=None))
        assert server.requests[0].path == "/v1/completions"
        assert server.requests[0].body == {
            "model": "fake",
            "prompt": "Once upon",
            "temperature": 0.7,
            "top_p": 1.0,
            "max_tokens": 512,
            "logprobs": 2,
        }


def body_of(prompt: Prompt, sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    """The body of the request for one sample."""
    return json.loads(request_of(prompt, sampling, model="m", dialect=dialect, index=0).content)


def test_dialects_differ_as_documented() -> None:
    """The name of the limit, whether schemas are sent, and llama.cpp's own samplers depend on the dialect."""
    chat_body = body_of(CHAT, Sampling(), Dialect(max_tokens_field="max_completion_tokens"))
    assert chat_body["max_completion_tokens"] == 512
    assert "max_tokens" not in chat_body
    assert "max_tokens" in body_of(RAW, Sampling(), Dialect(max_tokens_field="max_completion_tokens"))
    assert "response_format" not in body_of(CHAT, Sampling(schema=SCHEMA), Dialect(has_schema=False))
    llama_body = body_of(RAW, Sampling(schema=SCHEMA), LLAMACPP)
    assert (llama_body["top_k"], llama_body["min_p"]) == (0, 0.0)
    assert llama_body["json_schema"] == json.loads(SCHEMA)
    assert "response_format" in body_of(CHAT, Sampling(schema=SCHEMA), LLAMACPP)
    assert body_of(CHAT, Sampling(grammar="root ::= [0-9]"), LLAMACPP)["grammar"] == "root ::= [0-9]"


@pytest.mark.parametrize(
    ("sampling", "dialect"),
    [(Sampling(grammar="root ::= [0-9]"), Dialect()), (Sampling(grammar="x", schema=SCHEMA), LLAMACPP)],
)
def test_constraint_that_would_be_ignored_is_refused(sampling: Sampling, dialect: Dialect) -> None:
    """A grammar is never dropped silently."""
    with pytest.raises(InputError, match="grammar"):
        body_of(CHAT, sampling, dialect)


@given(text=st.text(), answer=st.text(min_size=8), step=st.text(min_size=8))
def test_sidecars_never_reach_the_wire(text: str, answer: str, step: str) -> None:
    """A request's body does not depend on truth and latency, and does not hold the step's name."""
    bare = Prompt(text=text, step=step)
    laden = Prompt(text=text, step=step, truth=Truth(answer=answer, wrong=(answer,)), latency_ms=5.0)
    for dialect in (Dialect(), LLAMACPP):
        body = body_of(laden, Sampling(), dialect)
        assert body == body_of(bare, Sampling(), dialect)
        assert set(body) <= {"model", "prompt", "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"}
        assert body["prompt"] == text


async def test_samples_share_a_request_where_n_works() -> None:
    """Several completions take one request; the first carries its input and its attempt."""
    async with served(chat("a", "bbbbbbbb", "", usage={"prompt_tokens": 9, "completion_tokens": 8})) as (model, server):
        completions = await model.sample(CHAT, Sampling(), 3)
        assert [completion.text for completion in completions] == ["a", "bbbbbbbb", ""]
        assert [completion.attempts for completion in completions] == [1, 0, 0]
        assert [completion.usage.input_tokens for completion in completions] == [9, 0, 0]
        assert sum(completion.usage.output_tokens for completion in completions) == 8
        assert [request.body.get("n") for request in server.requests] == [3]


async def test_ignored_n_is_topped_up_and_remembered() -> None:
    """A server that ignores n is sent single requests with seeds of their own, from then on at once."""
    async with served(default=lambda request: chat("x")) as (model, server):
        assert len(await model.sample(CHAT, Sampling(), 3)) == 3
        assert [request.body.get("n") for request in server.requests] == [3, None, None]
        assert len({request.body["seed"] for request in server.requests}) == 3
        assert len(await model.sample(CHAT, Sampling(index=3), 2)) == 2
        assert [request.body.get("n") for request in server.requests[3:]] == [None, None]


async def test_surplus_choices_are_dropped() -> None:
    """A server that sends more than was asked for gives no extra samples, and all its tokens are counted."""
    usage = {"prompt_tokens": 1, "completion_tokens": 30}
    async with served(chat("a", "b", "c", usage=usage)) as (model, _):
        completions = await model.sample(CHAT, Sampling(), 1)
        assert [completion.text for completion in completions] == ["a"]
        assert completions[0].usage.output_tokens == 30


async def test_llamacpp_is_sent_single_requests() -> None:
    """llama.cpp counts the tokens of one choice only, so n is never used there."""
    async with served(dialect=LLAMACPP) as (model, server):
        completions = await model.sample(RAW, Sampling(), 4)
        assert [completion.attempts for completion in completions] == [1, 1, 1, 1]
        assert all("n" not in request.body for request in server.requests)
        assert len({request.body["seed"] for request in server.requests}) == 4


async def test_no_samples_cost_nothing() -> None:
    """Zero completions are no request."""
    async with served() as (model, server):
        assert await model.sample(CHAT, Sampling(), 0) == []
        assert server.requests == []


async def test_retries_are_counted() -> None:
    """A completion says how many requests it took."""
    async with served(failing(500), failing(429, retry_after_ms="1"), chat("x")) as (model, _):
        assert (await model.sample(CHAT, Sampling()))[0].attempts == 3


async def test_calls_are_what_was_answered_or_may_have_been() -> None:
    """A refusal is no call; a 2xx that is no completion is one; a broken connection after sending may be one."""
    async with served(failing(500), Reply(body={"choices": []}), chat("x")) as (model, _):
        [completion] = await model.sample(CHAT, Sampling())
        assert (completion.attempts, completion.calls) == (3, 2)
    for default, calls, unknown in [
        (failing(500), 0, 0),
        (failing(408), 0, 0),
        (Reply(body=b"<html>"), 3, 0),
        (Reply(breaks=True), 0, 3),
    ]:
        async with served(default=lambda request, reply=default: reply) as (model, _):
            with pytest.raises(ModelError) as caught:
                await model.sample(CHAT, Sampling())
            assert (caught.value.attempts, caught.value.calls, caught.value.unknown) == (3, calls, unknown)


async def test_reply_that_breaks_the_promise_is_retried() -> None:
    """A 2xx without choices is a server's slip: asked again, then a ServerError with its attempts."""
    async with served(Reply(body={"choices": []}), chat("x")) as (model, _):
        assert (await model.sample(CHAT, Sampling()))[0].text == "x"
    async with served(default=lambda request: Reply(body=[])) as (model, _):
        with pytest.raises(ServerError) as caught:
            await model.sample(CHAT, Sampling())
        assert caught.value.attempts == 3


async def test_first_failure_of_many_requests_is_raised() -> None:
    """Of several requests one failure comes out as itself, not as a group, and the others are cancelled."""
    never = asyncio.Event()

    def refuse_second(request: Request) -> Reply:
        return failing(400, "no") if len(server.requests) == 2 else Reply(waits_for=never)

    async with served(dialect=LLAMACPP, default=refuse_second) as (model, server):
        with pytest.raises(InvalidRequest, match="no"):
            await model.sample(CHAT, Sampling(), 3)


async def test_cancelling_a_sample_cancels_its_requests() -> None:
    """CancelledError passes through untouched."""
    never, have_arrived = asyncio.Event(), asyncio.Event()

    def hang(request: Request) -> Reply:
        if len(server.requests) == 2:
            have_arrived.set()
        return Reply(waits_for=never)

    async with served(default=hang, dialect=LLAMACPP) as (model, server):
        task = asyncio.create_task(model.sample(CHAT, Sampling(), 2))
        await have_arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def as_sent(reply: Any) -> bytes:
    """A reply's body."""
    return json.dumps(reply).encode()


def choice(**fields: Any) -> dict[str, Any]:
    """A reply with one choice."""
    return {"choices": [fields]}


@pytest.mark.parametrize(
    ("reply", "text", "finish_reason"),
    [
        (choice(message={"content": "hi"}, finish_reason="stop"), "hi", "stop"),
        (choice(message={"content": None}, finish_reason="length"), "", "length"),
        (choice(message={}, finish_reason="content_filter"), "", "content_filter"),
        (choice(message={"content": None, "refusal": "I cannot"}, finish_reason="stop"), "I cannot", "stop"),
        (choice(message={"content": [{"type": "text", "text": "a"}, {"text": "b"}]}), "ab", "other"),
        (choice(text="raw", finish_reason="tool_calls"), "raw", "other"),
        (choice(text="raw", finish_reason={"odd": 1}), "raw", "other"),
        (choice(text="bad \ud800 half", finish_reason="stop"), "bad ? half", "stop"),
        (choice(), "", "other"),
    ],
)
def test_text_and_finish_reason(reply: Any, text: str, finish_reason: str) -> None:
    """Absent content is "", a refusal's words are content, and every finish reason has one of four names."""
    completion = completions_of(as_sent(reply), CHAT, count=1)[0]
    assert (completion.text, completion.finish_reason) == (text, finish_reason)


def test_choices_come_in_order_and_once() -> None:
    """Choices are taken by their index; a second one of the same index is a copy, not another vote."""
    rows = [{"index": index, "message": {"content": text}} for index, text in [(2, "c"), (0, "a"), (1, "b"), (0, "x")]]
    assert [one.text for one in completions_of(as_sent({"choices": rows}), CHAT, count=4)] == ["a", "b", "c"]


def test_constants_that_are_not_json_are_refused() -> None:
    """NaN makes a reply malformed, as a number or not; the same letters in a text are a text."""
    for body in (b'{"choices": [{"text": "a", "x": NaN}]}', b'{"choices": [{"text": "a", "logprobs": Infinity}]}'):
        with pytest.raises(ServerError):
            completions_of(body, RAW, count=1)
    assert completions_of(as_sent(choice(text="NaN is Infinity")), RAW, count=1)[0].text == "NaN is Infinity"


def test_cached_and_reasoning_tokens_are_told_apart() -> None:
    """What was read from a cache or written unseen is a part of the tokens, never more than all of them."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 70},
    }
    told = completions_of(as_sent(choice(text="x") | {"usage": usage}), RAW, count=1)[0].usage
    assert (told.cached_tokens, told.reasoning_tokens, told.estimated) == (64, 50, False)


@pytest.mark.parametrize("reply", [None, [], "x", {}, {"choices": None}, {"choices": [1]}, choice(text=5)])
def test_malformed_reply_is_a_server_error(reply: Any) -> None:
    """A reply of the wrong shape is a retryable error, never an answer."""
    with pytest.raises(ServerError):
        completions_of(as_sent(reply), CHAT, count=1)


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": "1"}, {"prompt_tokens": True}, []],
)
def test_missing_usage_is_estimated_and_marked(usage: Any) -> None:
    """Where the server does not say what was used, an estimate stands, marked as one."""
    completion = completions_of(as_sent(choice(text="x" * 40) | {"usage": usage}), RAW, count=1)[0]
    assert completion.usage.estimated
    assert completion.usage.output_tokens == 10
    assert completion.usage.input_tokens == 3


@given(texts=st.lists(st.text(), min_size=1, max_size=9), tokens=st.integers(0, 10_000))
def test_shared_usage_adds_up(texts: list[str], tokens: int) -> None:
    """The completions of one request share out exactly the tokens that were billed."""
    usage = {"prompt_tokens": 11, "completion_tokens": tokens}
    completions = completions_of(as_sent(chat(*texts, usage=usage).body), CHAT, count=len(texts))
    assert sum(completion.usage.output_tokens for completion in completions) == tokens
    assert sum(completion.usage.input_tokens for completion in completions) == 11
    assert all(completion.usage.output_tokens >= 0 for completion in completions)


@pytest.mark.parametrize(
    "logprobs",
    [
        {
            "content": [
                {
                    "token": "a",
                    "logprob": -0.5,
                    "top_logprobs": [{"token": "b", "logprob": -2}, {"token": "a", "logprob": -0.5}],
                },
                {"token": "b", "logprob": None, "top_logprobs": []},
            ]
        },
        {"tokens": ["a", "b"], "token_logprobs": [-0.5, None], "top_logprobs": [{"b": -2, "a": -0.5}, None]},
    ],
)
def test_logprobs_of_both_interfaces(logprobs: Any) -> None:
    """Chat's rows and raw completions' columns give the same values, alternatives sorted, zero probability finite."""
    completion = completions_of(as_sent(choice(text="ab", logprobs=logprobs)), RAW, count=1)[0]
    assert completion.logprobs == (
        TokenLogprob("a", -0.5, (("a", -0.5), ("b", -2.0))),
        TokenLogprob("b", -9999.0, ()),
    )


async def test_served_path_does_not_leave() -> None:
    """What the server says about itself is in no completion."""
    async with served(chat("x")) as (model, _):
        assert "secret" not in repr(await model.sample(CHAT, Sampling()))


async def test_probe_finds_what_a_good_server_does() -> None:
    """A server that does everything is reported so, with its context window."""
    async with served() as (model, _):
        facts = await model.probe()
        assert facts == ModelFacts(
            reachable=True,
            n=True,
            seed=True,
            logprobs=True,
            json_schema=True,
            context=4096,
            usage=True,
            max_tokens_field="max_tokens",
        )
        assert (facts.cost.calls, facts.cost.samples) == (3, 5)


def _limited(refuses: Callable[[dict[str, Any]], bool]) -> Handler:
    """A server that knows neither n, seeds, schemas nor models, and refuses some requests."""
    count = 0

    def handle(request: Request) -> Reply:
        nonlocal count
        count += 1
        if request.method == "GET":
            return failing(404)
        return failing(400) if refuses(request.body) else chat(f"answer {count}")

    return handle


async def test_probe_finds_what_a_poor_server_lacks() -> None:
    """What is ignored or refused is False, what cannot be known is None."""
    async with served(default=_limited(lambda body: "response_format" in body)) as (model, _):
        assert await model.probe() == ModelFacts(
            reachable=True,
            n=False,
            seed=False,
            logprobs=False,
            json_schema=False,
            context=None,
            usage=False,
            max_tokens_field="max_tokens",
        )


async def test_probe_reads_the_context_of_llamacpp() -> None:
    """llama.cpp tells the window of one slot at its root."""

    def handle(request: Request) -> Reply:
        if request.path == "/props":
            return Reply(body={"default_generation_settings": {"n_ctx": 2048}})
        return answering(request)

    async with served(dialect=LLAMACPP, default=handle) as (model, _):
        assert (await model.probe()).context == 2048


async def test_probe_says_why_it_reached_nothing() -> None:
    """An unreachable or refusing server is a fact with a reason, not an exception."""
    async with served(failing(401, "wrong key")) as (model, _):
        facts = await model.probe()
        assert not facts.reachable
        assert facts.problem is not None
        assert "wrong key" in facts.problem


def thinking(request: Request) -> Reply:
    """A model that says nothing within 500 tokens, and obeys schemas."""
    if request.method == "GET":
        return failing(404)
    limit, count = request.body["max_tokens"], request.body.get("n", 1)
    if limit > 500:
        return answering(request)
    return chat(*[""] * count, finish_reason="length", usage={"prompt_tokens": 7, "completion_tokens": limit * count})


async def test_probe_leaves_a_model_time_to_think() -> None:
    """What is thought before the answer does not hide that schemas are obeyed; no words are no repetition."""
    async with served(default=thinking) as (model, _):
        facts = await model.probe()
        assert (facts.json_schema, facts.seed, facts.n) == (True, None, True)


@pytest.mark.parametrize(
    ("reply", "json_schema"),
    [
        (chat("", finish_reason="length"), None),
        (chat('{"side": "le', finish_reason=None), None),
        (chat("Well,", usage={"prompt_tokens": 7, "completion_tokens": 1024}), None),
        (chat("", finish_reason="content_filter"), None),
        (chat('{"side": "up"}'), False),
        (chat("left"), False),
        (chat('{"side": "left"}', finish_reason=None), True),
    ],
)
async def test_reply_that_was_cut_tells_nothing_of_schemas(reply: Reply, json_schema: bool | None) -> None:
    """Schemas are then unknown, and go on being sent; they are left out where a whole reply disobeyed."""

    def handle(request: Request) -> Reply:
        return reply if request.method == "POST" and "response_format" in request.body else answering(request)

    async with served(default=handle) as (model, server):
        facts = await model.probe()
        assert facts.json_schema is json_schema
        model.learn(facts)
        await model.sample(CHAT, Sampling(schema=SCHEMA))
        assert ("response_format" in server.requests[-1].body) == (json_schema is not False)


@pytest.mark.parametrize(
    ("replies", "attempts", "calls", "is_lost"),
    [
        ([], 3, 3, False),
        ([Reply(body={"choices": []})], 4, 4, True),  # answered, perhaps billed, of no use
        ([Reply(body=b"?")], 4, 4, True),
        ([Reply(breaks=True)], 4, 4, True),  # nobody knows whether it was served
        ([failing(500)], 4, 3, False),
        ([failing(400)], 4, 3, False),  # without `n` it is taken
        ([failing(401)], 1, 0, False),
    ],
)
async def test_probe_counts_what_it_sends(
    monkeypatch: pytest.MonkeyPatch, replies: list[Reply], attempts: int, calls: int, is_lost: bool
) -> None:
    """Every request is an attempt; those that were answered 2xx, or may have been, are calls."""
    monkeypatch.setattr(inquiry, "_PATIENCE", replace(FAST, attempts=2))
    async with served(*replies) as (model, server):
        tally = inquiry.Tally()
        facts = await model.probe(tally)
        assert facts.cost == tally.cost
        posts = sum(request.method == "POST" for request in server.requests)
        assert (tally.cost.attempts, tally.cost.calls) == (attempts, calls)
        assert posts == attempts
        assert (tally.cost.lost.output_tokens > 0) == is_lost


async def test_probe_never_takes_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """However badly a server behaves, calls and tokens stay within what was set aside for them."""
    monkeypatch.setattr(inquiry, "_PATIENCE", replace(FAST, attempts=2))
    count = 0

    def handle(request: Request) -> Reply:
        nonlocal count
        if request.method == "GET":
            return failing(404)
        schema = request.body.get("response_format", {}).get("json_schema", {}).get("schema", "")
        words = json.dumps([request.body["messages"], schema])
        assert len(words) + 64 <= inquiry.MOST_READ
        count += 1
        if count % 2:
            return Reply(breaks=True)
        return failing(400) if count < 8 or "logprobs" in request.body else chat("one two")

    async with served(default=handle) as (model, _):
        facts = await model.probe()
        cost, worst = facts.cost, inquiry.WORST
        assert (facts.reachable, facts.json_schema, cost.calls) == (True, None, inquiry.MOST_CALLS)
        assert cost.lost.input_tokens + cost.usage.input_tokens <= worst.lost.input_tokens
        assert cost.lost.output_tokens + cost.usage.output_tokens <= worst.lost.output_tokens


async def test_probe_waits_for_its_turn() -> None:
    """A probe takes a place among the requests in flight like any other request."""
    held = asyncio.Event()
    async with fake_server(replace(chat("x"), waits_for=held)) as server:
        model = OpenAIModel("fake", name="vllm:fake", transport=Transport(server.url), throttle=Throttle(ceiling=1))
        sampling = asyncio.create_task(model.sample(CHAT, Sampling()))
        probing = asyncio.create_task(model.probe())
        await asyncio.sleep(0.1)
        assert len(server.requests) == 1
        held.set()
        await sampling
        assert (await probing).reachable
        await model.aclose()


async def test_n_that_failed_is_not_learnt_again() -> None:
    """Facts found earlier do not switch `n` on where counting has shown that it is ignored."""
    async with served(default=lambda request: chat("a")) as (model, _):
        await model.sample(CHAT, Sampling(), 2)
        assert not model.uses_n
        model.learn(ModelFacts(reachable=True, n=True))
        assert not model.uses_n
    async with served() as (model, _):
        model.learn(ModelFacts(reachable=True, n=False))
        assert not model.uses_n
        model.learn(ModelFacts(reachable=True, n=True))
        assert model.uses_n


async def test_closed_model_refuses() -> None:
    """A closed model is a ModelError to sample."""
    async with served() as (model, _):
        await model.aclose()
        with pytest.raises(ModelError):
            await model.sample(CHAT, Sampling())


async def test_a_refused_n_is_not_tried_again() -> None:
    """A server that refuses n by an error is asked one by one from then on, in the same call already."""

    def handle(request: Request) -> Reply:
        return failing(400, "'n' must be at most 1") if "n" in request.body else answering(request)

    async with served(default=handle) as (model, server):
        assert len(await model.sample(CHAT, Sampling(), 3)) == 3
        assert len(await model.sample(CHAT, Sampling(), 3)) == 3
        assert ["n" in request.body for request in server.requests].count(True) == 1
        assert not model.uses_n


async def test_many_samples_take_several_requests() -> None:
    """No request asks for more completions than servers commonly give."""
    async with served() as (model, server):
        assert len(await model.sample(CHAT, Sampling(), 40)) == 40
        assert [request.body["n"] for request in server.requests] == [16, 16, 8]
        assert len({request.body["seed"] for request in server.requests}) == 3


async def test_a_refused_temperature_is_left_out() -> None:
    """A model that takes only its own temperature is asked without one from then on."""

    def handle(request: Request) -> Reply:
        if "temperature" in request.body:
            return failing(400, "Unsupported value: 'temperature' does not support 0.7 with this model.")
        return answering(request)

    async with served(default=handle) as (model, server):
        first = await model.sample(CHAT, Sampling())
        await model.sample(CHAT, Sampling())
        assert [("temperature" in request.body) for request in server.requests] == [True, False, False]
        assert first[0].attempts == 2


def test_a_schema_that_is_not_sent_is_told_in_words() -> None:
    """Where no schema is sent, a chat prompt tells it; where it is sent, and in raw text, nothing is added."""
    told = body_of(CHAT, Sampling(schema=SCHEMA), Dialect(has_schema=False))["messages"][0]
    assert told["role"] == "system"
    assert SCHEMA in told["content"]
    assert SCHEMA not in json.dumps(body_of(CHAT, Sampling(schema=SCHEMA), PLAIN)["messages"])
    assert body_of(RAW, Sampling(schema=SCHEMA), Dialect(has_schema=False))["prompt"] == "Once upon"
