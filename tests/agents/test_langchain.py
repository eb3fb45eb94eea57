"""What a chat model of LangChain is told, and what is made of what it says."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ContextOverflowError
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError

import orchestra
from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    InputError,
    InvalidRequest,
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    RateLimited,
    ServerError,
    TransportError,
)
from orchestra_agents.models.contract import Message, Prompt, Sampling, TokenUsage
from orchestra_agents.models.langchain import LangChainModel
from orchestra_agents.models.names import providers, resolve
from orchestra_agents.models.retry import Retry
from tests.agents.fake_langchain import Asked, Bare, FakeChat, Renamed, Reply, Script, answering, reply

FAST = Retry(first_wait_s=0.001, attempts=3)
CHAT = Prompt(messages=(Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "So?")))
RAW = Prompt(text="Once upon")


def model_of(
    answer: Callable[[Asked], Reply], kind: type[Bare] = FakeChat, **fields: Any
) -> tuple[LangChainModel, list[Asked]]:
    """A model, and the list of what it is asked."""
    script = Script(answer)
    chat_model = kind(script=script, **fields)
    return LangChainModel(chat_model, name="langchain:fake", retry=FAST, evidence="simulated"), script.asked


async def failing(error: Exception) -> ModelError:
    """What comes out where the chat model raises `error` whenever it is asked."""

    def answer(asked: Asked) -> str:
        raise error

    model, _ = model_of(answer)
    with pytest.raises(ModelError) as raised:
        await model.sample(CHAT, Sampling())
    return raised.value


async def test_a_request_says_everything() -> None:
    """Every setting reaches the chat model, in fields where it has them, and the messages keep their roles."""
    model, asked = model_of(lambda asked: "ok")
    sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=5, stop=("\n",), seed=4, index=2)
    await model.sample(CHAT, sampling)
    assert asked[0].messages == [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("So?")]
    assert asked[0].fields == {
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": sampling.seed_of(CHAT.identity(), 2),
    }
    assert asked[0].stop == ["\n"]
    assert asked[0].keywords == {}


async def test_fields_may_have_other_names() -> None:
    """A limit and a seed go by the names that integrations know; without a seed the chat model's own is taken away."""
    model, asked = model_of(lambda asked: "ok", Renamed, takes=frozenset({"top_p"}))
    await model.sample(RAW, Sampling(temperature=0, max_tokens=5, top_p=0.5, seed=None))
    assert asked[0].fields == {"temperature": 0, "num_predict": 5, "random_seed": None}
    assert asked[0].keywords == {"top_p": 0.5}


async def test_raw_text_is_one_message() -> None:
    """Raw text is asked as one message of the user's."""
    model, asked = model_of(lambda asked: "ok")
    await model.sample(RAW, Sampling())
    assert asked[0].messages == [HumanMessage("Once upon")]


async def test_refused_keyword_is_left_out_from_then_on() -> None:
    """What a TypeError refuses is dropped alone, costs no attempt, and is not tried again."""
    model, asked = model_of(lambda asked: "ok", Bare, takes=frozenset({"temperature", "max_tokens"}))
    [first] = await model.sample(CHAT, Sampling(top_p=0.5))
    assert (first.text, first.attempts, first.calls) == ("ok", 1, 1)
    await model.sample(CHAT, Sampling())
    assert [set(one.keywords) for one in asked] == [
        {"temperature", "top_p", "max_tokens", "seed"},
        {"temperature", "max_tokens", "seed"},
        {"temperature", "max_tokens"},
        {"temperature", "max_tokens"},
    ]


async def test_concurrent_requests_learn_what_is_refused() -> None:
    """Requests that are refused at the same time all go through without the keyword."""
    model, _ = model_of(lambda asked: "ok", Bare)
    assert len(await model.sample(CHAT, Sampling(), 4)) == 4


async def test_other_type_error_is_a_failure() -> None:
    """A TypeError about anything else is a failure of the chat model."""
    error = await failing(TypeError("got an unexpected keyword argument 'tools'"))
    assert str(error) == "the chat model failed: TypeError: got an unexpected keyword argument 'tools'"


@pytest.mark.parametrize(
    ("takes", "tokens", "finish"),
    [((), 5, "stop"), ((), 6, "length"), (("max_tokens",), 6, "stop"), (("max_tokens",), 7, "length")],
)
async def test_a_limit_that_is_not_obeyed_shows(takes: tuple[str, ...], tokens: int, finish: str) -> None:
    """A reply past the limit counts as cut off, whatever it says; where no limit could be sent, one that reaches it."""
    told = reply("x" * 9, input_tokens=3, output_tokens=tokens, finish_reason="stop")
    model, _ = model_of(lambda asked: told, Bare, takes=frozenset(takes))
    [completion] = await model.sample(CHAT, Sampling(max_tokens=6))
    assert completion.finish_reason == finish
    assert completion.usage.output_tokens == tokens


async def test_a_limit_is_not_judged_by_an_estimate_where_it_was_sent() -> None:
    """Without usage, a reply to a request with a limit ends as it says; without a limit it is estimated."""
    told = reply("x" * 24, finish_reason="stop")
    limited, _ = model_of(lambda asked: told)
    unlimited, _ = model_of(lambda asked: told, Bare)
    for model, finish in ((limited, "stop"), (unlimited, "length")):
        [completion] = await model.sample(CHAT, Sampling(max_tokens=5))
        assert completion.finish_reason == finish


async def test_stop_texts_hold() -> None:
    """A stop text that the chat model went past ends the reply there, the first of them."""
    told = reply("a|b;c|d", input_tokens=1, finish_reason="length")
    model, _ = model_of(lambda asked: told)
    [completion] = await model.sample(CHAT, Sampling(stop=(";", "|")))
    assert (completion.text, completion.finish_reason) == ("a", "stop")


@pytest.mark.parametrize("seed", [3, None])
async def test_votes_have_seeds_of_their_own(seed: int | None) -> None:
    """Each sample of a step is asked with another seed, the same ones again next time; without one, with none."""
    model, asked = model_of(lambda asked: "ok", seed=77)
    await model.sample(CHAT, Sampling(seed=seed), 2)
    await model.sample(CHAT, Sampling(seed=seed, index=2))
    expected = [Sampling(seed=seed).seed_of(CHAT.identity(), index) for index in range(3)]
    assert [one.fields["seed"] for one in asked] == expected
    assert len(set(expected)) == (1 if seed is None else 3)


@pytest.mark.parametrize(("top_p", "sent"), [(1.0, None), (0.9, 0.9)])
async def test_anthropic_is_sent_no_top_p_of_one(top_p: float, sent: float | None) -> None:
    """Models of Anthropic's refuse a top_p next to a temperature, and need none of 1."""

    class ChatAnthropic(FakeChat):
        model: str = "claude-x"

    model, asked = model_of(lambda asked: "ok", ChatAnthropic, top_p=0.4)
    await model.sample(CHAT, Sampling(top_p=top_p))
    assert asked[0].fields["top_p"] == sent


async def test_profile_says_what_is_not_taken() -> None:
    """Neither temperature nor top_p goes to a model whose profile says that it takes no temperature."""
    model, asked = model_of(lambda asked: "ok", profile={"temperature": False, "max_input_tokens": 4096}, temperature=1)
    await model.sample(CHAT, Sampling(temperature=0.2, top_p=0.9))
    assert (asked[0].fields["temperature"], asked[0].fields["top_p"]) == (None, None)
    assert model.window == 4096


async def test_the_cache_of_langchain_is_passed_by() -> None:
    """Two votes are two requests, even at equal settings with a cache set."""
    model, asked = model_of(lambda asked: "ok")
    set_llm_cache(InMemoryCache())
    try:
        await model.sample(CHAT, Sampling(seed=None), 2)
    finally:
        set_llm_cache(None)
    assert len(asked) == 2


async def test_the_chat_model_is_not_changed() -> None:
    """Requests are made on copies; what a copy makes on first use is there for the next one."""

    class Lazy(FakeChat):
        def _cut(self, text: str, stop: list[str] | None) -> AIMessage:
            self.__dict__.setdefault("client", object())
            clients.append(self.__dict__["client"])
            return super()._cut(text, stop)

    clients: list[object] = []
    chat_model = Lazy(script=Script(lambda asked: "ok"), temperature=0.1)
    model = LangChainModel(chat_model, name="langchain:fake")
    await model.sample(CHAT, Sampling(temperature=0.9))
    await model.sample(CHAT, Sampling(temperature=0.8))
    assert (chat_model.temperature, chat_model.cache) == (0.1, None)
    assert clients[0] is clients[1]


async def test_usage_is_told() -> None:
    """What was read, cached, written to a cache, answered and reasoned is counted as LangChain tells it."""
    usage: Any = {"input_tokens": 50, "output_tokens": 7, "total_tokens": 57}
    usage["input_token_details"] = {"cache_read": 20, "cache_creation": 0, "ephemeral_5m_input_tokens": 10}
    usage["output_token_details"] = {"reasoning": 4}
    message = AIMessage("ok", usage_metadata=usage)
    model, _ = model_of(lambda asked: message)
    [completion] = await model.sample(CHAT, Sampling())
    assert completion.usage == TokenUsage(
        input_tokens=50, output_tokens=7, cached_tokens=20, written_tokens=10, reasoning_tokens=4
    )


async def test_usage_that_is_not_told_is_estimated() -> None:
    """Without usage the figures are ours, and say so."""
    model, _ = model_of(lambda asked: AIMessage("x" * 8))
    [completion] = await model.sample(RAW, Sampling())
    assert completion.usage == TokenUsage(input_tokens=3, output_tokens=2, estimated=True)


@pytest.mark.parametrize(
    ("metadata", "finish"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stopReason": "stop_sequence"}, "stop"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"status": "completed"}, "stop"),
        ({"done_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"finish_reason": "tool_calls"}, "other"),
        ({"finish_reason": 3}, "other"),
        ({}, "other"),
    ],
)
async def test_finish_reasons(metadata: dict[str, Any], finish: str) -> None:
    """The words of every integration mean one of ours; what is none of them, or not said, is `other`."""
    model, _ = model_of(lambda asked: reply("ok", **metadata))
    assert (await model.sample(CHAT, Sampling()))[0].finish_reason == finish


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, "b"]), "ab"),
        (AIMessage([]), ""),
        (AIMessage("", additional_kwargs={"refusal": "I can't."}), "I can't."),
        (AIMessage("a\ud800b"), "a?b"),
    ],
    ids=["blocks", "nothing", "refusal", "surrogate"],
)
async def test_text_is_what_is_said(message: AIMessage, text: str) -> None:
    """Text blocks are joined, thoughts left out, a refusal is its words, and a lone surrogate is replaced."""
    model, _ = model_of(lambda asked: message)
    assert (await model.sample(CHAT, Sampling()))[0].text == text


async def test_what_it_cannot_do() -> None:
    """A grammar is refused, log-probabilities are left out, and no schema is sent."""
    model, asked = model_of(lambda asked: "ok")
    with pytest.raises(InputError, match=r"^grammar: "):
        await model.sample(CHAT, Sampling(grammar='root ::= "x"'))
    assert not asked
    [completion] = await model.sample(CHAT, Sampling(logprobs=3, schema='{"enum":["a"]}'))
    assert completion.logprobs is None
    assert asked[0].keywords == {}


@pytest.mark.parametrize("given", ["gpt-4.1", FakeChat(script=None).bind(temperature=1)])
def test_only_chat_models_are_taken(given: Any) -> None:
    """A name, or a chat model with something bound to it, is refused by its type."""
    with pytest.raises(InputError, match=r"^chat_model: .*(str|Binding)"):
        LangChainModel(given, name="langchain:fake")


class StatusError(Exception):
    """A failure as OpenAI's, Anthropic's, Groq's and Ollama's libraries raise it."""

    def __init__(self, status: int, message: str = "no", **headers: str) -> None:
        super().__init__(message)
        self.status_code, self.code = status, ""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = httpx.Response(status, headers=named)


class CodeError(Exception):
    """A failure as Google's libraries raise it."""

    def __init__(self, code: int) -> None:
        super().__init__("no")
        self.code = code


class ClientError(Exception):
    """A failure as botocore raises it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__("no")
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        self.response = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": named}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StatusError(400), InvalidRequest),
        (StatusError(401), AuthError),
        (StatusError(403), AuthError),
        (StatusError(404), InvalidRequest),
        (StatusError(408), ModelTimeout),
        (StatusError(400, "maximum context length is 8"), ContextExceeded),
        (StatusError(429, "maximum context length is 8"), RateLimited),
        (StatusError(409), ServerError),
        (StatusError(500), ServerError),
        (StatusError(529), ServerError),
        (CodeError(429), RateLimited),
        (CodeError(503), ServerError),
        (ClientError(403), AuthError),
        (ClientError(429), RateLimited),
        (
            httpx.HTTPStatusError("no", request=httpx.Request("GET", "http://h"), response=httpx.Response(401)),
            AuthError,
        ),
        (ContextOverflowError("too long"), ContextExceeded),
    ],
    ids=repr,
)
async def test_refusals_are_typed(error: Exception, kind: type[ModelError]) -> None:
    """A status means the same whoever's library carries it, and nothing was served then."""
    typed = await failing(error)
    assert type(typed) is kind
    assert typed.retryable == (kind in (RateLimited, ServerError, ModelTimeout))
    assert (typed.attempts, typed.calls, typed.unknown) == (3 if typed.retryable else 1, 0, 0)
    assert typed.__cause__ is error


def raised_from(error: Exception, cause: Exception, *, hidden: bool = False) -> Exception:
    """`error` as it is when raised from `cause`, or in its place."""
    try:
        try:
            raise cause
        except type(cause) as caught:
            raise error from (None if hidden else caught)
    except type(error) as whole:
        return whole


class APIConnectionError(Exception):
    """No connection, as OpenAI's library says it."""


class APITimeoutError(APIConnectionError):
    """No answer in time, as OpenAI's library says it."""


@pytest.mark.parametrize(
    ("error", "kind", "unknown"),
    [
        (TimeoutError(), ModelTimeout, 1),
        (httpx.ReadTimeout("slow"), ModelTimeout, 1),
        (raised_from(APITimeoutError("slow"), httpx.ReadTimeout("slow")), ModelTimeout, 1),
        (raised_from(APITimeoutError("slow"), httpx.ConnectTimeout("slow")), ModelTimeout, 0),
        (raised_from(APIConnectionError("broke"), httpx.ReadError("broke")), TransportError, 1),
        (raised_from(APIConnectionError("none"), httpx.ConnectError("none")), TransportError, 0),
        (raised_from(ConnectionError("none"), httpx.ConnectError("none"), hidden=True), TransportError, 0),
        (ConnectionRefusedError("none"), TransportError, 0),
        (socket.gaierror("no such host"), TransportError, 0),
        (json.JSONDecodeError("no JSON", "<html>", 0), ServerError, 1),
        (ValueError("what\nis this"), ModelError, 1),
    ],
    ids=repr,
)
async def test_failures_without_an_answer_are_typed(error: Exception, kind: type[ModelError], unknown: int) -> None:
    """What may have been served is of unknown outcome; what is not known at all is not tried again."""
    typed = await failing(error)
    assert type(typed) is kind
    attempts = 3 if kind is not ModelError else 1
    assert (typed.attempts, typed.calls, typed.unknown) == (attempts, 0, attempts * unknown)


async def test_waits_are_asked_for() -> None:
    """A limited client hears how long to wait, from httpx's headers and from botocore's."""
    spent = StatusError(429, "no money", retry_after="3")
    spent.code = "insufficient_quota"
    model_error = await failing(spent)
    assert (model_error.retry_after_s, model_error.retryable, model_error.attempts) == (3.0, False, 1)

    for error in (
        ClientError(429, retry_after="7"),
        StatusError(503, retry_after="7"),
        StatusError(429, retry_after_ms="7000"),
    ):
        errors = [error]

        def answer(asked: Asked, errors: list[Exception] = errors) -> str:
            if errors:
                raise errors.pop()
            return "ok"

        model, asked = model_of(answer)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await model.sample(CHAT, Sampling())
        assert len(asked) == 1


async def test_messages_are_short_and_show_no_key() -> None:
    """A failure's words are one line of at most 300 characters, without what looks like a key."""
    key = "sk-proj-" + "Ab1" * 12
    text = str(await failing(StatusError(401, f"Incorrect API key provided: {key}\nfor {'long ' * 99}")))
    assert key not in text
    assert "\n" not in text
    assert len(text) < 320
    assert text.startswith("HTTP 401: Incorrect API key provided: ")


async def test_messages_show_nothing_that_was_given() -> None:
    """Where pydantic refuses something, the problem is told without the value."""

    class Form(BaseModel):
        number: int

    with pytest.raises(ValidationError) as raised:
        Form.model_validate({"number": "a secret prompt"})
    text = str(await failing(raised.value))
    assert text.startswith("the chat model failed: ValidationError: Input should be a valid integer")
    assert "a secret prompt" not in text


async def test_retries_are_counted() -> None:
    """A completion says how many requests it took, those of unknown outcome among its calls."""
    replies = [TimeoutError(), StatusError(500), None]

    def answer(asked: Asked) -> str:
        error = replies.pop(0)
        if error is not None:
            raise error
        return "ok"

    model, _ = model_of(answer)
    [completion] = await model.sample(CHAT, Sampling())
    assert (completion.text, completion.attempts, completion.calls) == ("ok", 3, 2)


async def test_typed_errors_and_cancellation_pass() -> None:
    """An error of ours is not wrapped, and a cancellation is a cancellation, in the chat model too."""
    error = ServerError("mine")
    error.retryable = False
    assert await failing(error) is error
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> AIMessage:
        began.set()
        try:
            return await asyncio.Future[AIMessage]()
        finally:
            ended.set()

    def answer(asked: Asked) -> Awaitable[AIMessage]:
        return wait()

    model, _ = model_of(answer)
    task = asyncio.create_task(model.sample(CHAT, Sampling(), 2))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_probe_asks_once() -> None:
    """A probe is one tiny request, and says of what it did not try that it does not know."""
    model, asked = model_of(lambda asked: "ok", profile={"max_input_tokens": 8192})
    facts = await model.probe()
    assert (facts.reachable, facts.n, facts.seed, facts.logprobs, facts.json_schema) == (True, False, None, None, None)
    assert facts.context == 8192
    assert len(asked) == 1

    def refuse(asked: Asked) -> str:
        raise StatusError(401, "who?")

    facts = await model_of(refuse)[0].probe()
    assert (facts.reachable, facts.problem) == (False, "HTTP 401: who?")


async def test_a_run_by_a_chat_model(tmp_path: Path) -> None:
    """A chat model is given where models are named: a graph runs to its end, its answers parsed, its usage booked."""
    model, asked = model_of(lambda asked: '{"answer": "a"}' if "Which?" in str(asked.messages) else "x is fast")
    graph = orchestra.TaskGraph(
        [
            {"id": "facts", "description": "List facts."},
            {"id": "judge", "description": "Which?", "answer": {"choice": ["a", "b"]}, "depends_on": ["facts"]},
        ]
    )
    result = await orchestra.run(graph, model=model, journal=tmp_path / "j.db")
    assert (result.status, result.answer, result.evidence) == ("ok", "a", "simulated")
    assert len({one.fields["seed"] for one in asked}) == len(asked) == 4


@pytest.mark.parametrize(
    ("name", "canonical", "told"),
    [
        ("langchain:openai:gpt-4.1", "langchain:openai:gpt-4.1", ("gpt-4.1", "openai", 0)),
        ("langchain/openai/gpt-4.1", "langchain:openai:gpt-4.1", ("gpt-4.1", "openai", 0)),
        ("langchain:OpenRouter/a/b:free", "langchain:openrouter:a/b:free", ("a/b:free", "openrouter", 0)),
        ("langchain:google-genai:gemini", "langchain:google-genai:gemini", ("gemini", "google_genai", 1)),
    ],
)
def test_names_reach_langchain(
    name: str, canonical: str, told: tuple[str, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Provider and model are split at the first separator, and LangChain's own retries are switched off."""
    chat_models = pytest.importorskip("langchain.chat_models")
    made: list[tuple[str, str, int]] = []

    def make(model: str, *, model_provider: str, max_retries: int) -> FakeChat:
        made.append((model, model_provider, max_retries))
        return FakeChat(script=Script(answering))

    monkeypatch.setattr(chat_models, "init_chat_model", make)
    model = resolve(name, environ={})
    assert (model.name, model.evidence, model.form) == (canonical, "real", "chat")
    assert made == [told]
    assert "langchain" in providers()


@pytest.mark.parametrize("name", ["langchain", "langchain:", "langchain:openai", "langchain:openai:", "langchain::x"])
def test_incomplete_names_are_refused(name: str) -> None:
    """A name without a provider or a model says how it must look."""
    with pytest.raises(InputError, match=r"^model: .*langchain:openai:"):
        resolve(name, environ={})


def test_missing_langchain_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without LangChain the message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"orchestra-mas\[langchain\]"):
        resolve("langchain:openai:gpt-4.1", environ={})


def test_missing_provider_names_its_package() -> None:
    """Without the provider's package LangChain's own words say which; an unknown provider is named."""
    pytest.importorskip("langchain")
    with pytest.raises(ModelUnavailable, match=r"langchain:deepseek:x cannot be used: .*langchain-deepseek"):
        resolve("langchain:deepseek:x", environ={})
    with pytest.raises(ModelUnavailable, match=r"langchain:nobody:x cannot be used: .*nobody"):
        resolve("langchain:nobody:x", environ={})


def test_langchain_takes_no_address() -> None:
    """A base URL that would be ignored is refused."""
    with pytest.raises(InputError, match=r"^base_url: "):
        resolve("langchain:openai:gpt-4.1", environ={}, base_url="http://h")
