"""Waiting for a server is no working time of a subtask, and what only waited was never sent."""

from __future__ import annotations

from pathlib import Path

import orchestra
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.throttle import Rate, Throttle
from orchestra_agents.models.transport import Transport
from tests.agents.fake_openai import Reply, Request, answering, failing, fake_server

CHOICES = orchestra.Choices(topology="parallel", k=1)
ANSWER = {"choice": ["left", "right"]}


def graph(count: int, **fields: object) -> orchestra.TaskGraph:
    """Independent choices."""
    return orchestra.TaskGraph(
        [{"id": f"q{n}", "description": "Which?", "answer": ANSWER, **fields} for n in range(count)]
    )


async def test_a_server_that_asks_for_a_wait_does_not_use_up_a_subtask_s_time(tmp_path: Path) -> None:
    """A Retry-After longer than timeout_s is waited for, and the time limit holds for the answer alone."""
    refused = [failing(429, retry_after="1"), failing(429, retry_after_ms="500")]
    async with fake_server(*refused) as server:
        model = OpenAIModel("m", name="vllm:m", transport=Transport(server.url), retry=Retry(first_wait_s=0.01))
        plan = orchestra.plan(graph(1, timeout_s=0.8), model=model, choices=CHOICES)
        result = await orchestra.run(plan, journal=tmp_path / "j.db")
        assert (result.status, len(server.requests)) == ("ok", 3)


async def test_a_server_that_is_silent_does(tmp_path: Path) -> None:
    """A subtask whose server hangs after such a wait still fails in time."""
    async with fake_server(failing(429, retry_after_ms="700"), default=_broken_off) as server:
        retry = Retry(first_wait_s=0.4, max_wait_s=0.4, attempts=3)
        model = OpenAIModel("m", name="vllm:m", transport=Transport(server.url), retry=retry)
        plan = orchestra.plan(graph(1, timeout_s=30.0), model=model, choices=CHOICES)
        result = await orchestra.run(plan, journal=tmp_path / "j.db")
        assert result.status == "failed"
        assert result.subtasks["q0"]["cause"]["code"] == "transport"


def _broken_off(request: Request) -> Reply:
    return Reply(breaks=True) if request.method == "POST" else answering(request)


async def test_calls_that_only_waited_for_their_turn_are_no_calls(tmp_path: Path) -> None:
    """Where time is up before a rate let them go, requests count as nothing: not sent, not lost."""
    async with fake_server() as server:
        throttle = Throttle(ceiling=8, rate=Rate(requests=60))
        model = OpenAIModel("m", name="vllm:m", transport=Transport(server.url), throttle=throttle)
        plan = orchestra.plan(graph(8), model=model, choices=CHOICES, budget=orchestra.Budget(seconds=1.5))
        result = await orchestra.run(plan, journal=tmp_path / "j.db")
        told = result.usage.as_dict()
        assert result.status == "budget"
        assert 0 < len(server.requests) < 8
        assert told["calls"] == told["attempts"] == len(server.requests)
        assert (told["unknown"], told["lost_tokens"]) == (0, 0)
