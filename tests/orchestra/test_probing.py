"""Servers are asked once what they really do; it stands in the manifest, is paid for, and changes the requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.replay import ENDPOINTS, RunState
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.transport import Retry, Transport
from orchestra_agents.probing import MOST_CALLS, Probing
from tests.agents.fake_openai import FakeServer, Reply, Request, answering, chat, failing, fake_server

CHOICES = orchestra.Choices(topology="parallel", k=1)


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


def model(server: FakeServer) -> OpenAIModel:
    """A model behind the server."""
    retry = Retry(first_wait_s=0.001, attempts=3)
    return OpenAIModel("fake", name="vllm:fake", transport=Transport(server.url), retry=retry)


async def run_on(server: FakeServer, path: Path, count: int = 1, **options: Any) -> orchestra.RunResult:
    """Run questions, one vote each, on a model behind the server."""
    plan = orchestra.plan(question(count), model=model(server), choices=CHOICES)
    async with orchestra.Session(journal=path, **options) as session:
        return await orchestra.run(plan, session=session, run_id=f"r{len(server.requests)}")


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
    """A probe that finds nobody is no failure of its own, and is not remembered."""
    async with fake_server(default=lambda request: failing(401, "wrong key")) as server:
        result = await run_on(server, tmp_path / "j.db", probe=True)
        assert result.status == "failed"
        assert result.subtasks["q0"]["cause"]["code"] == "auth"
        assert ENDPOINTS not in manifest_of(result)


async def test_a_resumed_run_asks_nobody_again(tmp_path: Path) -> None:
    """What the manifest says is taken from there."""
    refused = True

    def handle(request: Request) -> Reply:
        is_probe = request.method == "GET" or "ten random words" in request.body["messages"][-1]["content"]
        return failing(400, "not now") if refused and not is_probe else answering(request)

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
