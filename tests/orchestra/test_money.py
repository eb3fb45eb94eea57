"""Money: what calls cost stands in results, caps in dollars hold, and an unknown price is never taken for none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.errors import BudgetExceeded
from orchestra_agents.ledger import Cost
from orchestra_agents.models.contract import Completion, Prompt, Sampling, TokenUsage
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.transport import Transport
from orchestra_agents.prices import FREE, Price, Prices, Tier
from tests.agents.fake_openai import FakeServer, Reply, Request, answering, chat, fake_server
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


@pytest.mark.parametrize("caps", [{}, {"usd": 1000.0}, {"calls": 100_000}])
@pytest.mark.parametrize("price", [None, Price(input=1000, output=2000)])
async def test_a_price_of_the_user_s_holds_for_simulated_chains(
    caps: dict[str, Any], price: Price | None, tmp_path: Path
) -> None:
    """What was asked of a simulated model is billed as the user says, with a cap and without; by itself it is free."""
    prices = Prices(models={} if price is None else {"simulated:*": price}, dated="2026-11-25")
    async with orchestra.Session(model="simulated:p=0.99,seed=7", prices=prices, journal=tmp_path / "j.db") as session:
        result = await orchestra.drive("hanoi:disks=3", session=session, k=2, budget=orchestra.Budget(**caps))
    took = usage(result.usage.input_tokens, result.usage.output_tokens)
    assert result.status == "ok"
    assert result.usage.cost_usd == pytest.approx((price or FREE).cost(took))
    assert (price is None) == (result.usage.cost_usd == 0)


@pytest.mark.parametrize("how", ["run", "drive"])
async def test_votes_of_one_request_cost_what_its_length_says(how: str, tmp_path: Path) -> None:
    """All completions of a request are priced by the input that it had, though only the first of them carries it."""
    price = Price(input=1000, output=1000, tiers=(Tier(above=500, input=5000, output=9000),))

    def reply(request: Request) -> Reply:
        if request.method == "GET":
            return answering(request)
        told = {"prompt_tokens": 600, "completion_tokens": 10 * request.body.get("n", 1)}
        text = '{"answer": 1}' if how == "run" else "1"
        return chat(*[text] * request.body.get("n", 1), usage=told)

    async with fake_server(default=reply) as server:
        model = OpenAIModel("gpt-4.1-mini", name=PRICED, transport=Transport(server.url))
        prices = Prices(models={PRICED: price}, dated="2026-11-25")
        async with orchestra.Session(model=model, journal=tmp_path / "j.db", prices=prices, probe=False) as session:
            if how == "drive":
                result: Any = await orchestra.drive(_Count(), session=session, k=3, steps=1)
            else:
                one = {"id": "q", "description": "Which?", "answer": "number"}
                plan = orchestra.plan(orchestra.TaskGraph([one]), choices=orchestra.Choices(k=3, max_tokens=16))
                result = await orchestra.run(plan, session=session)
        await model.aclose()
        posts = [request.body for request in server.requests if request.method == "POST"]
    samples = sum(body.get("n", 1) for body in posts)
    assert max(body.get("n", 1) for body in posts) > 1
    assert result.usage.cost_usd == pytest.approx((len(posts) * 600 * 5000 + samples * 10 * 9000) / 1e6)


EMBEDDER = "openai:embedder"
MEDOID = [{"id": "q", "description": "Say something.", "answer": "text", "select": "medoid", "samples": 3}]


def embedding(request: Request) -> Reply:
    """Vectors that tell a thousand tokens a request."""
    rows = [{"index": place, "embedding": [1.0, float(place)]} for place in range(len(request.body["input"]))]
    return Reply(body={"data": rows, "usage": {"prompt_tokens": 1000}})


@pytest.mark.parametrize("caps", [{}, {"usd": 5.0}])
async def test_an_embedder_without_a_price_is_refused(caps: dict[str, Any], tmp_path: Path) -> None:
    """As a model is, by name and before anything is written; a listed one is not."""
    environ = {"OPENAI_BASE_URL": "https://models.example/v1"}
    for name, problem in (("openai:nobody-knows", "openai:nobody-knows"), ("openai:text-embedding-3-small", None)):
        choices = orchestra.Choices(topology="parallel", embedding=name)
        plan = orchestra.plan(orchestra.TaskGraph(MEDOID), choices=choices, budget=orchestra.Budget(**caps))
        path = tmp_path / f"{name.partition(':')[2]}.db"
        async with orchestra.Session(model="simulated:p=0.9", journal=path, environ=environ) as session:
            if problem is None:
                panel = session.panel(None)
                session.check_prices(plan.budget, panel, session.embedder(name, panel))
                continue
            with pytest.raises(orchestra.InputError, match=f"the price of {problem} is not known"):
                await orchestra.run(plan, session=session)
            assert session.is_new
        async with orchestra.Session(
            model="simulated:p=0.9", journal=path, environ=environ, allow_unpriced=True
        ) as session:
            panel = session.panel(None)
            session.check_prices(plan.budget, panel, session.embedder(name, panel))


@pytest.mark.parametrize(("cap", "status"), [(None, "ok"), (5.0, "ok"), (0.01, "budget")])
async def test_embeddings_are_paid_within_the_cap(cap: float | None, status: str, tmp_path: Path) -> None:
    """They cost their input, and are not asked for where that could pass the cap."""
    model = Scripted(["one thing", "another thing", "a third thing"])
    prices = Prices(models={EMBEDDER: Price(input=400.0, output=0)}, dated="2026-11-25")
    choices = orchestra.Choices(topology="parallel", embedding=EMBEDDER, max_tokens=16)
    async with fake_server(default=embedding) as server:
        plan = orchestra.plan(orchestra.TaskGraph(MEDOID), choices=choices, budget=orchestra.Budget(usd=cap))
        async with orchestra.Session(
            model=model, journal=tmp_path / "j.db", prices=prices, environ={"OPENAI_BASE_URL": server.url}
        ) as session:
            result = await orchestra.run(plan, session=session)
    assert result.status == status
    assert len(server.requests) == (status == "ok")
    assert result.usage.cost_usd == pytest.approx(0.4 * len(server.requests))


SUBTASK = {"id": "a", "description": "Say ok.", "answer": "text", "choices": [], "depends_on": [], "coupling": "none"}
PROPOSAL = json.dumps({"answer": {"subtasks": [{**SUBTASK, "estimated_tokens": 5}]}})
"""What a decomposer may say."""


async def test_a_decomposer_without_a_price_is_refused() -> None:
    """Before it is asked; who is not asked needs no price, and a graph of the user's own costs nothing."""
    environ = {"OPENAI_BASE_URL": "https://models.example/v1"}
    async with orchestra.Session(environ=environ) as session:
        with pytest.raises(orchestra.InputError, match="model: the price of openai:nobody-knows is not known"):
            await orchestra.decompose("Do it", model="openai:nobody-knows", session=session)
        assert session.is_new
        model = Scripted([PROPOSAL])
        roles: dict[str, Any] = {"worker": "openai:nobody-knows", "decomposer": model}
        assert len((await orchestra.decompose("Do it", model=roles, session=session)).graph) == 1
        own = await orchestra.decompose(
            "Do it", model="openai:nobody-knows", session=session, decomposer=lambda text: graph(2)
        )
    assert (len(model.asked), len(own.graph)) == (1, 2)


async def test_a_decomposition_keeps_the_session_s_cap() -> None:
    """What it takes counts against the session's budget, and it is not asked where it could pass that."""
    model = Scripted([Completion(text=PROPOSAL, usage=usage(100, 50))], name=PRICED)
    for cap, asked in ((0.001, 0), (100.0, 1)):
        async with orchestra.Session(model=model, prices=PRICES, budget=orchestra.Budget(usd=cap)) as session:
            if asked:
                await orchestra.decompose("Do it", session=session)
                ledger = session.ledger(orchestra.Budget(), Cost())
                with pytest.raises(BudgetExceeded):
                    ledger.reserve(Cost(usd=cap))
                ledger.reserve(Cost(usd=cap - PRICE.cost(usage(100, 50)) - 1e-9))
            else:
                with pytest.raises(BudgetExceeded, match="usd"):
                    await orchestra.decompose("Do it", session=session)
            assert len(model.asked) == asked
    unpriced = Scripted([PROPOSAL], name="openai:nobody-knows")
    async with orchestra.Session(model=unpriced, prices=PRICES, budget=orchestra.Budget(usd=1.0)) as session:
        with pytest.raises(orchestra.InputError, match=r"budget\.usd: the price of openai:nobody-knows is not known"):
            await orchestra.decompose("Do it", session=session)
    assert unpriced.asked == []


async def test_a_name_that_was_free_at_home_is_not_elsewhere(tmp_path: Path) -> None:
    """One session meets a name on this machine first, and at a public address later."""
    plan = orchestra.plan(graph(1), model="openai:my-model", choices=CHOICES, budget=orchestra.Budget(usd=5.0))
    async with fake_server() as server, orchestra.Session(journal=tmp_path / "j.db", environ={}) as session:
        result = await orchestra.run(replace(plan, base_url=server.url), session=session)
        assert (result.status, result.usage.cost_usd) == ("ok", 0.0)
        with pytest.raises(orchestra.InputError, match="the price of openai:my-model is not known"):
            await orchestra.run(replace(plan, base_url="https://models.example/v1"), session=session)


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


def test_a_plan_of_text_checks_prices(
    call: Call, tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plan TEXT` asks a model, so that it refuses an unknown price as `run` does, and takes the same options."""
    usual = ("plan", "Write a poem", "--model", "openai:fake", "--json", "--base-url")
    refused = call(*usual, "https://models.example")
    assert (refused.code, refused.out) == (2, "")
    assert "the price of openai:fake is not known" in refused.err
    assert call(*usual, server_url, "--prices", tmp_path / "none.yaml").code == 2
    assert call(*usual, server_url).code == 0  # on this machine
    monkeypatch.setattr("orchestra_agents.prices._is_near", lambda base_url: False)
    assert call(*usual, server_url).code == 2
    assert call(*usual, server_url, "--allow-unpriced").code == 0
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n  openai:fake: {input: 1000, output: 2000}\n")
    assert call(*usual, server_url, "--prices", prices).code == 0


@pytest.mark.parametrize(
    ("more", "is_free"),
    [((), True), (("--base-url", "http://gpu-box:8000"), True), (("--base-url", "https://models.example"), None)],
)
def test_a_plan_says_what_each_way_costs(
    more: tuple[str, ...], is_free: bool | None, call: Call, tmp_path: Path
) -> None:
    """A server of one's own costs nothing where it is near, what the user says with a price, and else nobody knows."""
    task, prices = tmp_path / "task.json", tmp_path / "prices.yaml"
    task.write_text(json.dumps({"subtasks": [{"id": "a", "description": "Say ok."}]}))
    prices.write_text("models:\n  vllm:*: {input: 1000, output: 2000}\n")
    usual = ("plan", task, "--model", "vllm/Qwen/Qwen3-8B", "--json", *more)
    [row] = call(*usual).document["forecast"]["rows"][:1]
    assert row["cost_usd"] == (0.0 if is_free else None)
    [row] = call(*usual, "--prices", prices).document["forecast"]["rows"][:1]
    assert row["cost_usd"] == pytest.approx((row["input_tokens"] * 1000 + row["output_tokens"] * 2000) / 1e6, rel=0.01)


@pytest.mark.parametrize("command", ["run", "drive", "resume"])
def test_what_a_resume_must_be_told_again_is_said(command: str, call: Call) -> None:
    """The help of --rpm, --tpm, --prices and --allow-unpriced says that no run keeps them."""
    told = " ".join(call(command, "--help").out.split())
    assert told.count("not kept, give it again to resume") == 4


def proposing(request: Request) -> Reply:
    """Propose a graph where one is asked for; else answer as usual."""
    asks = request.method == "POST" and b"subtasks" in request.raw
    return chat(PROPOSAL, usage={"prompt_tokens": 7, "completion_tokens": 9}) if asks else answering(request)


@pytest.fixture
def server_url() -> Any:
    """A fake server in a thread with a loop of its own, because commands bring their own."""
    import threading

    loop, ready, box = asyncio.new_event_loop(), threading.Event(), {}

    async def serve() -> None:
        async with fake_server(default=proposing) as server:
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
