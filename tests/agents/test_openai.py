"""What an OpenAI-compatible model sends, and what it makes of replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError, InvalidRequest, ModelError, ServerError
from orchestra_agents.models._wire import completions_of, request_of
from orchestra_agents.models.contract import Message, ModelFacts, Prompt, Sampling, TokenLogprob, Truth
from orchestra_agents.models.openai import Dialect, OpenAIModel
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


async def test_closed_model_refuses() -> None:
    """A closed model is a ModelError to sample."""
    async with served() as (model, _):
        await model.aclose()
        with pytest.raises(ModelError):
            await model.sample(CHAT, Sampling())
