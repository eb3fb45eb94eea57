"""Servers are asked once what they really do; it stands in the manifest, is paid for, and changes the requests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.records import EndpointProbed
from orchestra_agents.journal.replay import ENDPOINTS, RunState
from orchestra_agents.models.anthropic import AnthropicModel, transport_to
from orchestra_agents.models.inquiry import MOST_CALLS, WORST
from orchestra_agents.models.openai import Dialect, OpenAIModel
from orchestra_agents.models.transport import Retry, Transport
from orchestra_agents.price import Price
from orchestra_agents.prices import Prices
from orchestra_agents.probing import Probed, Probing
from tests.agents.fake_openai import FakeServer, Reply, Request, answering, chat, failing, fake_server

CHOICES = orchestra.Choices(topology="parallel", k=1)
PLAIN = Dialect()
VERSIONED = Dialect(version_path="/version")


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier tests found out is not known."""
    monkeypatch.setattr(Probing, "_found", {})


def question(count: int = 1) -> orchestra.TaskGraph:
    """A graph of independent choices."""
    choice = {"choice": ["left", "right"]}
    return orchestra.TaskGraph([{"id": f"q{n}", "description": "Which?", "answer": choice} for n in range(count)])


def without_schema(request: Request) -> Reply:
    """A server that refuses schemas and takes only the newer name of the limit; it answers as JSON all the same."""
    if request.method == "GET":
        return Reply(body={"version": "9.9"} if request.path == "/version" else {"data": []})
    body = request.body
    if "response_format" in body or "max_tokens" in body:
        return failing(400, "unsupported parameter")
    return chat(*['{"answer": "left"}'] * body.get("n", 1), usage={"prompt_tokens": 5, "completion_tokens": 5})


def model(server: FakeServer, dialect: Dialect = PLAIN) -> OpenAIModel:
    """A model behind the server."""
    retry = Retry(first_wait_s=0.001, attempts=3)
    return OpenAIModel("fake", name="vllm:fake", transport=Transport(server.url), dialect=dialect, retry=retry)


async def run_on(
    server: FakeServer, path: Path, count: int = 1, *, dialect: Dialect = PLAIN, run_id: str = "", **options: Any
) -> orchestra.RunResult:
    """Run questions, one vote each, on a model behind the server."""
    plan = orchestra.plan(question(count), model=model(server, dialect), choices=CHOICES)
    async with orchestra.Session(journal=path, **options) as session:
        return await orchestra.run(plan, session=session, run_id=run_id or f"r{len(server.requests)}")


def is_probe(request: Request) -> bool:
    """Whether a request asks the server about itself."""
    return request.method == "GET" or "ten random words" in request.body["messages"][-1]["content"]


def asked(server: FakeServer, since: int = 0) -> list[str]:
    """Methods of the requests that ask the server about itself."""
    return [request.method for request in server.requests[since:] if is_probe(request)]


def manifest_of(result: orchestra.RunResult) -> dict[str, Any]:
    """The manifest of a run, as its journal has it."""
    with orchestra.Journal(result.journal, "read") as journal:
        return RunState.of(journal.entries(result.run_id)).manifest


async def test_facts_stand_in_the_manifest_and_change_the_requests(tmp_path: Path) -> None:
    """A server without schemas is sent none, the limit by the name it takes, and the manifest says what was found."""
    async with fake_server(default=without_schema) as server:
        result = await run_on(server, tmp_path / "j.db", probe=True)
        assert result.status == "ok"
        facts = manifest_of(result)[ENDPOINTS]["vllm:fake"]
        assert (facts["n"], facts["json_schema"], facts["max_tokens_field"]) == (True, False, "max_completion_tokens")
        asked = server.requests[-1].body
        assert "response_format" not in asked
        assert "max_completion_tokens" in asked


async def test_probes_are_paid_for(tmp_path: Path) -> None:
    """Calls, samples and tokens of finding out are part of the run's usage: what the server counted."""
    async with fake_server() as server:
        result = await run_on(server, tmp_path / "j.db", probe=True)
        posts = [request for request in server.requests if request.method == "POST"]
        assert result.usage.calls == len(posts) == 4
        assert result.usage.samples == sum(request.body.get("n", 1) for request in posts)


async def test_an_endpoint_is_asked_once(tmp_path: Path) -> None:
    """A second run, with a session of its own, knows what the first one found, and records it as known."""
    async with fake_server() as server:
        await run_on(server, tmp_path / "j.db", probe=True)
        before = len(server.requests)
        result = await run_on(server, tmp_path / "j.db", probe=True)
        assert [request.method for request in server.requests[before:]] == ["POST"]
        assert manifest_of(result)[ENDPOINTS]["vllm:fake"]["reachable"]


async def test_a_file_keeps_facts_for_later_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found stands in a file that a damaged content never breaks."""
    facts = tmp_path / "cache" / "endpoints.json"
    async with fake_server() as server:
        await run_on(server, tmp_path / "j.db", probe=True, facts=facts)
        monkeypatch.setattr(Probing, "_found", {})
        before = len(server.requests)
        await run_on(server, tmp_path / "j.db", probe=True, facts=facts)
        assert len(server.requests) == before + 1
        for content in ("", "[1]", '{"a": 5}', json.dumps({"x": {"reachable": "?"}})):
            facts.write_text(content)
            monkeypatch.setattr(Probing, "_found", {})
            assert (await run_on(server, tmp_path / "j.db", probe=True, facts=facts)).status == "ok"


async def test_small_runs_and_small_budgets_are_spared(tmp_path: Path) -> None:
    """By itself a run asks only where it makes ten times the calls of asking; a cap on calls counts alike."""
    large = MOST_CALLS * 10
    async with fake_server() as server:
        await run_on(server, tmp_path / "a.db", count=large - 1)
        assert len(server.requests) == large - 1
        capped = orchestra.Budget(calls=large - 1)
        await run_on(server, tmp_path / "b.db", count=5, probe=True, budget=capped)
        assert len(server.requests) == large - 1 + 5
        await run_on(server, tmp_path / "c.db", count=large, probe=False)
        assert len(server.requests) == large - 1 + 5 + large
        result = await run_on(server, tmp_path / "d.db", count=large)
        assert result.usage.calls == large + 3


async def test_a_server_that_cannot_be_reached_says_so_in_the_run(tmp_path: Path) -> None:
    """A probe that finds nobody is no failure of its own; the manifest says why, and nothing is kept."""
    async with fake_server(default=lambda request: failing(401, "wrong key")) as server:
        result = await run_on(server, tmp_path / "j.db", probe=True)
        assert result.status == "failed"
        assert result.subtasks["q0"]["cause"]["code"] == "auth"
        facts = manifest_of(result)[ENDPOINTS]["vllm:fake"]
        assert (facts["reachable"], facts["problem"]) == (False, "HTTP 401: wrong key (t)")
        assert (result.usage.calls, result.usage.attempts) == (0, len(server.requests))
        assert Probing._found == {}


async def test_a_resumed_run_asks_nobody_again(tmp_path: Path) -> None:
    """What the manifest says is taken from there."""
    refused = True

    def handle(request: Request) -> Reply:
        return failing(400, "not now") if refused and not is_probe(request) else answering(request)

    async with fake_server(default=handle) as server:
        plan = orchestra.plan(question(), model=model(server), choices=CHOICES)
        async with orchestra.Session(journal=tmp_path / "j.db", probe=True) as session:
            assert (await orchestra.run(plan, session=session, run_id="r")).status == "failed"
        refused = False
        Probing._found.clear()
        before = len(server.requests)
        async with orchestra.Session(journal=tmp_path / "j.db", probe=True) as session:
            assert (await orchestra.run(plan, session=session, run_id="r")).status == "ok"
        assert len(server.requests) == before + 1


async def test_a_chain_finds_out_too(tmp_path: Path) -> None:
    """A chain's models know their servers before the first step, and its manifest says what was found."""
    async with (
        fake_server() as server,
        orchestra.Session(model=model(server), journal=tmp_path / "j.db", probe=True) as session,
    ):
        await orchestra.drive("addition:digits=3,seed=1", session=session, k=1, steps=1, run_id="c")
        state = ChainState.whole(session.journal, "c")
        assert state.manifest[ENDPOINTS]["vllm:fake"]["reachable"]
        assert state.usage.calls == sum(request.method == "POST" for request in server.requests)


async def test_models_without_a_server_need_nothing(tmp_path: Path) -> None:
    """A scripted or simulated model is asked nothing about itself."""
    scripted = Scripted(['{"answer": "left"}'])
    async with orchestra.Session(model=scripted, journal=tmp_path / "j.db", probe=True) as session:
        result = await orchestra.run(orchestra.plan(question(), choices=CHOICES), session=session)
    assert (result.usage.calls, ENDPOINTS in manifest_of(result)) == (1, False)


def later(seconds: float, reply: Reply) -> Reply:
    """A reply that comes only after a while; seconds are 0 for never."""
    come = asyncio.Event()
    if seconds:
        asyncio.get_running_loop().call_later(seconds, come.set)
    return replace(reply, waits_for=come)


async def test_finding_out_is_no_subtask_s_time(tmp_path: Path) -> None:
    """Several subtasks wait for one probe, which takes longer than the time that each of them has."""

    def handle(request: Request) -> Reply:
        return later(0.2, answering(request)) if is_probe(request) else answering(request)

    subtasks = [
        {"id": f"q{n}", "description": "Which?", "answer": {"choice": ["left", "right"]}, "timeout_s": 0.4}
        for n in range(6)
    ]
    async with fake_server(default=handle) as server:
        plan = orchestra.plan(orchestra.TaskGraph(subtasks), model=model(server), choices=CHOICES)
        async with orchestra.Session(journal=tmp_path / "j.db", probe=True) as session:
            result = await orchestra.run(plan, session=session)
        assert (result.status, result.usage.calls, result.usage.paid.lost_tokens) == ("ok", 6 + 3, 0)


async def test_a_cancelled_run_ends_its_probe_and_books_what_was_sent(tmp_path: Path) -> None:
    """Of two requests one was answered: its tokens are known, and no more than the other one's may be lost."""
    is_asked = asyncio.Event()

    def handle(request: Request) -> Reply:
        if len(server.requests) < 2:
            return answering(request)
        is_asked.set()
        return later(0, answering(request))

    async with fake_server(default=handle) as server:
        plan = orchestra.plan(question(3), model=model(server), choices=CHOICES)
        before = asyncio.all_tasks()
        async with orchestra.Session(journal=tmp_path / "j.db", probe=True) as session:
            running = asyncio.create_task(orchestra.run(plan, session=session, run_id="r"))
            await is_asked.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            entries = list(session.journal.entries("r"))
            [probed] = [entry.record for entry in entries if isinstance(entry.record, EndpointProbed)]
        serving = {task for task in asyncio.all_tasks() if "fake_server" in repr(task)}
        assert asyncio.all_tasks() - serving <= before
        state = RunState.of(entries)
        assert state.ended is not None
        assert state.ended.status == "interrupted"
        assert (probed.attempts, probed.calls, probed.samples) == (2, 2, 2)
        assert (probed.input_tokens, probed.output_tokens) == (7, 2)
        assert 0 < probed.lost_tokens < WORST.lost.input_tokens
        assert state.usage.calls == len(server.requests) == 2


@pytest.mark.parametrize("what", ["run", "drive"])
async def test_time_that_is_up_ends_a_probe(tmp_path: Path, what: str) -> None:
    """A server that does not answer holds nothing up beyond the cap in seconds, and what was sent is booked."""
    budget = orchestra.Budget(seconds=0.5)
    async with (
        asyncio.timeout(20),
        fake_server(default=lambda request: later(0, answering(request))) as server,
        orchestra.Session(model=model(server), journal=tmp_path / "j.db", probe=True) as session,
    ):
        ended: orchestra.RunResult | orchestra.DriveResult
        if what == "run":
            plan = orchestra.plan(question(), budget=budget, choices=CHOICES)
            ended = await orchestra.run(plan, session=session)
        else:
            ended = await orchestra.drive("addition:digits=3,seed=1", session=session, k=1, steps=1, budget=budget)
        assert (ended.status, ended.usage.calls, len(server.requests)) == ("budget", 1, 1)


def newer_name(request: Request) -> Reply:
    """A server that takes the limit by its newer name only, and tells a version."""
    if request.path == "/version":
        return Reply(body={"version": "1"})
    if request.method == "POST" and "max_tokens" in request.body:
        return failing(400, "unsupported parameter")
    return answering(request)


async def test_what_is_kept_serves_small_runs(tmp_path: Path) -> None:
    """A run too small to ask learns what an earlier one found, and its manifest says so."""
    async with fake_server(default=newer_name) as server:
        await run_on(server, tmp_path / "j.db", dialect=VERSIONED, probe=True)
        before = len(server.requests)
        result = await run_on(server, tmp_path / "j.db", dialect=VERSIONED)
        assert (result.status, asked(server, before)) == ("ok", ["GET"])  # the version alone
        assert result.usage.calls == 1
        assert manifest_of(result)[ENDPOINTS]["vllm:fake"]["max_tokens_field"] == "max_completion_tokens"


async def test_small_runs_of_which_nothing_is_kept_send_nothing(tmp_path: Path) -> None:
    """Not even its version is asked of a server that nothing is known of."""
    async with fake_server() as known, fake_server() as unknown:
        await run_on(known, tmp_path / "j.db", dialect=VERSIONED, probe=True)
        await run_on(unknown, tmp_path / "j.db", dialect=VERSIONED, run_id="other")
        assert asked(unknown) == []


async def test_another_version_is_asked_anew_by_large_runs_alone(tmp_path: Path) -> None:
    """What was found of an earlier version counts no longer; a small run then goes by what is assumed."""
    version = "1"

    def handle(request: Request) -> Reply:
        return Reply(body={"version": version}) if request.path == "/version" else answering(request)

    async with fake_server(default=handle) as server:
        await run_on(server, tmp_path / "j.db", dialect=VERSIONED, probe=True)
        version, before = "2", len(server.requests)
        result = await run_on(server, tmp_path / "j.db", dialect=VERSIONED)
        assert asked(server, before) == ["GET"]
        assert ENDPOINTS not in manifest_of(result)
        before = len(server.requests)
        result = await run_on(server, tmp_path / "j.db", dialect=VERSIONED, probe=True)
        assert asked(server, before).count("POST") == 3
        assert manifest_of(result)[ENDPOINTS]["vllm:fake"]["version"] == "2"


async def test_a_session_asks_for_a_version_once_in_a_while(tmp_path: Path) -> None:
    """Many runs of one session do not each ask the server for its version."""
    async with fake_server(default=newer_name) as server:
        one = model(server, VERSIONED)
        async with orchestra.Session(model=one, journal=tmp_path / "j.db", probe=True) as session:
            for number in range(3):
                plan = orchestra.plan(question(), choices=CHOICES)
                assert (await orchestra.run(plan, session=session, run_id=f"r{number}")).status == "ok"
        assert sum(request.path == "/version" for request in server.requests) == 2  # before asking, and as a part of it


@pytest.mark.parametrize("moves", [True, False])
async def test_a_resumed_run_trusts_no_other_server(tmp_path: Path, moves: bool) -> None:
    """Facts in the manifest count for the address and the version that they were found of."""
    version, is_refused = "1", True

    def older_name(request: Request) -> Reply:
        if request.path == "/version":
            return Reply(body={"version": version})
        if request.method == "POST" and "max_completion_tokens" in request.body:
            return failing(400, "unsupported parameter")
        return answering(request)

    def handle(request: Request) -> Reply:
        if version == "2":
            return older_name(request)
        return failing(400, "not now") if is_refused and not is_probe(request) else newer_name(request)

    async with fake_server(default=handle) as server, fake_server(default=older_name) as other:
        path = tmp_path / "j.db"
        first = await run_on(server, path, dialect=VERSIONED, probe=True, run_id="r")
        assert first.status == "failed"
        assert manifest_of(first)[ENDPOINTS]["vllm:fake"]["base_url"] == server.url
        version = version if moves else "2"
        now = other if moves else server
        before = len(now.requests)
        resumed = await run_on(now, path, dialect=VERSIONED, probe=True, run_id="r")
        assert resumed.status == "ok"
        assert asked(now, before).count("POST") == 3
        found = manifest_of(resumed)[ENDPOINTS]["vllm:fake"]
        assert (found["base_url"], found["max_tokens_field"]) == (now.url, "max_tokens")


PRICE = Price(input=1.0, cached=1.0, written=1.0, output=2.0)
MOST_TOKENS = WORST.lost.input_tokens + WORST.lost.output_tokens
MOST_USD = PRICE.worst(WORST.lost.input_tokens, WORST.lost.output_tokens)


@pytest.mark.parametrize("owner", ["run", "session"])
@pytest.mark.parametrize(
    ("unit", "tenfold"), [("calls", MOST_CALLS * 10), ("tokens", MOST_TOKENS * 10), ("usd", MOST_USD * 10)]
)
async def test_a_probe_takes_at_most_a_tenth(tmp_path: Path, unit: str, tenfold: float, owner: str) -> None:
    """Whatever the cap is on, and whoever holds it, a probe that could take more of it than a tenth is not made."""
    prices = Prices(models={"vllm:fake": PRICE}, dated="2026-01-01")
    for cap, posts in ((tenfold, 3), (tenfold * 0.99, 0)):
        caps: dict[str, Any] = {unit: cap if unit == "usd" else int(cap)}
        budget = orchestra.Budget(**caps)
        own, whole = (budget, None) if owner == "run" else (None, budget)
        Probing._found.clear()
        async with fake_server() as server:
            plan = orchestra.plan(question(), model=model(server), choices=CHOICES, budget=own or orchestra.Budget())
            path = tmp_path / f"{posts}.db"
            async with orchestra.Session(journal=path, probe=True, prices=prices, budget=whole) as session:
                assert (await orchestra.run(plan, session=session)).status == "ok"
            assert asked(server).count("POST") == posts


async def test_who_can_be_asked() -> None:
    """Models behind a server of their own can be asked what it does; instruments cannot."""
    async with fake_server() as server:
        messages = AnthropicModel("m", name="anthropic:m", transport=transport_to(server.url, api_key="k"))
        assert isinstance(model(server), Probed)
        assert isinstance(messages, Probed)
        assert not isinstance(Scripted(["x"]), Probed)
