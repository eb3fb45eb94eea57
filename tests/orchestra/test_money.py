"""Money: what calls cost stands in results, caps in dollars hold, and an unknown price is never taken for none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.models.contract import Completion, Prompt, Sampling, TokenUsage
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.transport import Transport
from orchestra_agents.prices import Price, Prices
from tests.agents.fake_openai import FakeServer, Reply, Request, answering, fake_server
from tests.orchestra.conftest import Call

PRICED = "openai:gpt-4.1-mini"
PRICE = Price(input=400.0, cached=100.0, output=1600.0)
"""A thousand times what it is, so that single calls cost cents."""
PRICES = Prices(models={PRICED: PRICE, "openai:other": PRICE}, dated="2026-11-25")


def usage(read: int = 10, written: int = 5, **more: int) -> TokenUsage:
    """What a call took."""
    return TokenUsage(input_tokens=read, output_tokens=written, **more)


def graph(count: int, **fields: Any) -> orchestra.TaskGraph:
    """Independent choices."""
    answer = {"choice": ["left", "right"]}
    return orchestra.TaskGraph(
        [{"id": f"q{n}", "description": "Which?", "answer": answer, **fields} for n in range(count)]
    )


def priced(name: str = PRICED, **more: int) -> Scripted:
    """A model that always says the same, at the price of its name."""
    return Scripted([Completion(text='{"answer": "left"}', usage=usage(**more))], name=name)


CHOICES = orchestra.Choices(topology="parallel", k=2, max_tokens=16)


async def test_a_result_says_what_it_cost(tmp_path: Path) -> None:
    """Every sample at its model's price, cached tokens at theirs; the same figure is read back from the journal."""
    model = priced(read=1000, written=50, cached_tokens=800, reasoning_tokens=20)
    async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=PRICES) as session:
        result = await orchestra.run(orchestra.plan(graph(3), choices=CHOICES), session=session, run_id="r")
        again = await orchestra.run(orchestra.plan(graph(3), choices=CHOICES), session=session, run_id="r")
    one = (200 * 400 + 800 * 100 + 50 * 1600) / 1e6
    told = result.usage.as_dict()
    assert told["cost_usd"] == pytest.approx(6 * one)
    assert (told["cached_tokens"], told["reasoning_tokens"]) == (4800, 120)
    assert again.usage.as_dict() == told


@pytest.mark.parametrize("cap", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("team", ["vote", "decentralized:agents=3", "tree:fan_in=3,depth=2"])
async def test_a_cap_in_dollars_holds_for_nested_and_parallel_work(team: str, cap: float, tmp_path: Path) -> None:
    """At a worst-case price no concurrent or nested work passes the cap, and a larger one goes on from there."""
    spent = 0.0

    def reply(prompt: Prompt, sampling: Sampling) -> Completion:
        nonlocal spent
        took = usage(read=len(prompt.content()), written=sampling.max_tokens)
        spent += PRICE.cost(took)
        return Completion(text='{"answer": "left"}', usage=took)

    plan = orchestra.plan(
        graph(12),
        choices=orchestra.Choices(topology="parallel", team=team, max_tokens=16),
        budget=orchestra.Budget(usd=cap),
    )
    model = Scripted(reply, name=PRICED)
    async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=PRICES, concurrency=16) as session:
        result = await orchestra.run(plan, session=session, run_id="r")
        assert spent <= cap
        assert result.usage.cost_usd == pytest.approx(spent)
        assert result.status == "budget"
        more = await orchestra.run(plan, session=session, run_id="r", budget=orchestra.Budget(usd=1000.0))
    assert more.status == "ok"
    assert more.usage.cost_usd == pytest.approx(spent)


async def test_a_session_s_cap_in_dollars_holds_over_its_runs(tmp_path: Path) -> None:
    """Runs side by side share one account."""
    model = priced(read=1000, written=16)
    budget = orchestra.Budget(usd=6.0)
    async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=PRICES, budget=budget) as session:
        plan = orchestra.plan(graph(4), choices=CHOICES)
        results = await asyncio.gather(*(orchestra.run(plan, session=session) for _ in range(4)))
    assert sum(result.usage.cost_usd or 0 for result in results) <= 6.0
    assert "budget" in {result.status for result in results}


async def test_a_chain_says_what_it_cost_and_keeps_its_cap(tmp_path: Path) -> None:
    """Steps, stopped votes and a resume add up in dollars, and no step is begun that could pass the cap."""

    def reply(prompt: Prompt, sampling: Sampling) -> Completion:
        answer = prompt.truth.answer if prompt.truth is not None else ""
        return Completion(text=str(answer), usage=usage(read=100, written=10))

    each = PRICE.cost(usage(read=100, written=10))
    model = Scripted(reply, name=PRICED)
    process = _Count()
    async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=PRICES) as session:
        stopped = await orchestra.drive(process, session=session, k=2, run_id="c", budget=orchestra.Budget(usd=1.5))
        assert (stopped.status, stopped.usage.cost_usd) == ("budget", pytest.approx(each * stopped.usage.samples))
        assert stopped.usage.cost_usd is not None
        assert stopped.usage.cost_usd <= 1.5
        ended = await orchestra.drive(process, session=session, k=2, run_id="c", budget=orchestra.Budget(usd=100.0))
    assert (ended.status, ended.correct) == ("ok", True)
    assert ended.usage.cost_usd == pytest.approx(each * ended.usage.samples)


class _Count:
    """Counts to thirty."""

    def first(self) -> int:
        return 0

    def prompt(self, state: int) -> Prompt:
        return orchestra.Prompt(text=f"After {state} comes", truth=orchestra.Truth(answer=state + 1))

    def parse(self, text: str, state: int) -> int:
        return int(text)

    def advance(self, state: int, action: int) -> int:
        return action

    def is_done(self, state: int) -> bool:
        return state == 30

    def reference(self, state: int) -> int:
        return state + 1


async def test_an_unknown_price_makes_the_cost_null_where_it_is_allowed(tmp_path: Path) -> None:
    """One model without a price is enough: what is not known is null, never less."""
    models = [priced(), priced("openai:nobody-knows")]
    choices = orchestra.Choices(topology="parallel", k=2, max_tokens=16)
    plan = orchestra.plan(graph(1), model=models, choices=choices, budget=orchestra.Budget(usd=5.0))
    async with orchestra.Session(journal=tmp_path / "j.db", prices=PRICES) as session:
        with pytest.raises(orchestra.InputError, match=r"budget\.usd: the price of openai:nobody-knows is not known"):
            await orchestra.run(plan, session=session)
        assert session.is_new
    async with orchestra.Session(journal=tmp_path / "j.db", prices=PRICES, allow_unpriced=True) as session:
        result = await orchestra.run(plan, session=session)
    assert (result.status, result.usage.as_dict()["cost_usd"]) == ("ok", None)


async def test_what_may_have_been_served_in_vain_counts_against_the_cap(tmp_path: Path) -> None:
    """A broken answer may have been billed: at most so much is lost, the cap holds, and usage shows what was told."""
    served = 0

    def broken(request: Request) -> Reply:
        nonlocal served
        if request.method == "GET":
            return answering(request)
        served += 1
        return Reply(body=b'{"choices": [') if served % 3 else answering(request)

    async with fake_server(default=broken) as server:
        model = OpenAIModel("gpt-4.1-mini", name=PRICED, transport=Transport(server.url))
        plan = orchestra.plan(graph(6), choices=CHOICES, budget=orchestra.Budget(usd=1.0, calls=20))
        async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=PRICES, probe=False) as session:
            result = await orchestra.run(plan, session=session, run_id="r")
    told = result.usage.as_dict()
    assert served == told["calls"] <= 20
    assert told["lost_usd"] > 0
    assert told["cost_usd"] + told["lost_usd"] <= 1.0


def test_the_command_line_prices_and_refuses(call: Call, tmp_path: Path, server_url: str) -> None:
    """--prices adds to the list, an unknown price is refused by name, and --allow-unpriced goes without."""
    task = tmp_path / "task.json"
    task.write_text(json.dumps({"subtasks": [{"id": "a", "description": "Say ok."}]}))
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n  openai:fake: {input: 1000, output: 2000}\n")
    usual = ("run", task, "--model", "openai:fake", "--base-url", server_url, "--json")
    assert call(*usual).document["usage"]["cost_usd"] == 0.0  # on this machine
    assert call(*usual, "--prices", prices).document["usage"]["cost_usd"] == pytest.approx((7 * 1000 + 2000) / 1e6)
    capped = call(*usual, "--prices", prices, "--budget-usd", "0.001")
    assert (capped.code, capped.document["status"]) == (3, "budget")
    away = ("run", task, "--model", "openai:nobody-knows", "--base-url", "https://models.example", "--json")
    refused = call(*away)
    assert (refused.code, refused.out) == (2, "")
    assert "the price of openai:nobody-knows is not known" in refused.err
    assert "--allow-unpriced" in refused.err
    bad = call(*usual, "--prices", tmp_path / "none.yaml")
    assert (bad.code, bad.out) == (2, "")


@pytest.fixture
def server_url() -> Any:
    """A fake server in a thread with a loop of its own, because commands bring their own."""
    import threading

    loop, ready, box = asyncio.new_event_loop(), threading.Event(), {}

    async def serve() -> None:
        async with fake_server() as server:
            box["server"], box["end"] = server, asyncio.Event()
            ready.set()
            await box["end"].wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    fake: FakeServer = box["server"]
    yield fake.url
    loop.call_soon_threadsafe(box["end"].set)
    thread.join(10)
    loop.close()
