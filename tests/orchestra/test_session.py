"""A session: budgets over all its runs, models, event loops and addresses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import orchestra
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.ledger import Cost, Ledger
from tests.agents.fake_openai import Reply, fake_server


def questions(count: int, **said: object) -> orchestra.TaskGraph:
    return orchestra.TaskGraph(
        [{"id": f"q{n}", "description": "?", "answer": {"choice": ["a", "b"]}, **said} for n in range(count)]
    )


async def test_a_plan_s_caps_hold_within_a_session_s(tmp_path: Path) -> None:
    """The smaller of the two budgets stops the run, whichever it is."""
    budget = orchestra.Budget(calls=1000)
    async with orchestra.Session(model="simulated", budget=budget, journal=tmp_path / "j.db") as session:
        plan = orchestra.plan(questions(6), budget=orchestra.Budget(calls=4))
        result = await orchestra.run(plan, session=session)
    assert (result.status, result.usage.calls) == ("budget", 4)


async def test_a_session_s_cap_in_money_needs_known_prices(tmp_path: Path) -> None:
    """An unknown price never counts as none."""
    model = Scripted(["x"], name="openai:gpt")
    async with orchestra.Session(
        model=model, budget=orchestra.Budget(usd=1.0), journal=tmp_path / "j.db", environ={}
    ) as session:
        with pytest.raises(orchestra.InputError, match="price of openai:gpt"):
            await orchestra.run(questions(1), session=session)


@pytest.mark.parametrize("concurrency", [1, 4, 8, 64])
def test_a_token_cap_that_suffices_suffices_at_any_concurrency(concurrency: int, tmp_path: Path) -> None:
    """Reserved worst cases make calls wait, not fail: what stops a run is what is spent."""

    async def status() -> str:
        budget = orchestra.Budget(tokens=4_500)
        model = "simulated:latency_ms=100,jitter=1"
        async with orchestra.Session(model=model, journal=tmp_path / "j.db", concurrency=concurrency) as session:
            result = await orchestra.run(orchestra.plan(questions(6), budget=budget), session=session)
        assert result.usage.input_tokens + result.usage.output_tokens <= 4_500
        return result.status

    assert run_virtual(status()) == "ok"


def test_waiting_for_a_turn_does_not_count_against_a_subtask_s_time(tmp_path: Path) -> None:
    """timeout_s runs from the first call: forty quick subtasks behind eight slots all make it."""

    async def statuses() -> set[str]:
        graph = questions(40, timeout_s=1, team="solo")
        result = await orchestra.run(graph, model="simulated:latency_ms=300", journal=tmp_path / "j.db")
        return {str(subtask["status"]) for subtask in result.subtasks.values()}

    assert run_virtual(statuses()) == {"ok"}


def test_a_session_may_be_used_by_one_event_loop_after_another(tmp_path: Path) -> None:
    """The limit on calls belongs to the running loop, so a second asyncio.run works under contention."""
    session = orchestra.Session(model="simulated:latency_ms=1", journal=tmp_path / "j.db", concurrency=2)
    for _ in range(2):
        assert asyncio.run(orchestra.run(questions(6), session=session)).status == "ok"
    asyncio.run(session.__aexit__())


async def test_one_address_is_not_used_for_two_providers(tmp_path: Path) -> None:
    """A base URL stands for one server; sending it another provider's key is refused."""
    models = ["vllm:a", "openai:b"]
    environ = {"OPENAI_API_KEY": "sk-secret"}
    url = "http://127.0.0.1:9/v1"
    async with orchestra.Session(model=models, base_url=url, journal=tmp_path / "j.db", environ=environ) as session:
        with pytest.raises(orchestra.InputError, match=r"models are of openai, vllm; set <PROVIDER>_BASE_URL"):
            await orchestra.run(questions(1), session=session)


async def test_a_stream_keeps_its_user_s_own_watcher(tmp_path: Path) -> None:
    """Hooks given to a stream are told every record, too."""
    seen: list[str] = []
    hooks = orchestra.Hooks(watch=lambda record: seen.append(record.kind))
    streamed = [
        record.kind
        async for record in orchestra.stream(questions(1), model="simulated", journal=tmp_path / "j.db", hooks=hooks)
    ]
    assert seen == streamed
    assert "run.ended" in seen


async def test_seconds_are_counted_from_the_attempt_s_start(tmp_path: Path) -> None:
    """A cap in seconds that is over before the first call stops the run before it."""
    plan = orchestra.plan(questions(1), model="simulated", budget=orchestra.Budget(seconds=1e-9))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert (result.status, result.usage.calls) == ("budget", 0)


async def test_what_a_spent_budget_never_started_says_so(tmp_path: Path) -> None:
    """Every subtask that the cap stopped, asked or not, is cancelled because of the budget."""
    plan = orchestra.plan(questions(6), model="simulated", budget=orchestra.Budget(calls=4))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    causes = [subtask["cause"]["code"] for subtask in result.subtasks.values() if subtask["status"] == "cancelled"]
    assert len(causes) >= 4
    assert set(causes) == {"budget"}


def test_time_that_is_up_ends_the_wait_for_a_sibling_s_calls(tmp_path: Path) -> None:
    """A run's cap in seconds holds while it waits for slots that another run of the session holds."""

    async def seconds() -> tuple[str, float]:
        slow = orchestra.plan(questions(4, latency_ms=3000, team="solo"))
        short = orchestra.plan(questions(2), budget=orchestra.Budget(seconds=0.5))
        async with orchestra.Session(model="simulated", journal=tmp_path / "j.db", concurrency=2) as session:
            sibling = asyncio.create_task(orchestra.run(slow, session=session))
            await asyncio.sleep(0.1)
            result = await orchestra.run(short, session=session)
            await sibling
        return result.status, result.seconds

    assert run_virtual(seconds()) == ("budget", 0.5)


def test_a_run_that_waits_for_its_budget_holds_no_slot(tmp_path: Path) -> None:
    """One run's tight cap does not keep a sibling's calls from the session's free slots."""

    async def seconds() -> float:
        tight = orchestra.plan(questions(6, latency_ms=2000, team="solo"), budget=orchestra.Budget(tokens=2_000))
        async with orchestra.Session(model="simulated", journal=tmp_path / "j.db", concurrency=4) as session:
            sibling = asyncio.create_task(orchestra.run(tight, session=session))
            await asyncio.sleep(0.1)
            result = await orchestra.run(questions(1, latency_ms=10), session=session)
            await sibling
        return result.seconds

    assert run_virtual(seconds()) < 0.1


async def test_rounding_errors_of_money_leave_nobody_waiting() -> None:
    """Once nothing is in flight, nothing is reserved, whatever the floats say."""
    ledger = Ledger(orchestra.Budget(usd=2.0))
    for reservation in [ledger.reserve(Cost(usd=usd)) for usd in (0.15, 0.7, 0.2, 0.1, 0.3)]:
        reservation.release()
    async with asyncio.timeout(1):
        await ledger.admit(Cost(usd=2.0))


@pytest.mark.parametrize(
    "reply", [Reply(body=b"<html>"), Reply(breaks=True)], ids=["2xx, not JSON", "broken connection"]
)
async def test_retries_do_not_pass_a_cap_on_calls(reply: Reply, tmp_path: Path) -> None:
    """A retry of what may have been served is a call of its own: the server sees no more than the cap allows."""
    async with fake_server(default=lambda request: reply) as server:
        async with orchestra.Session(model="vllm:x", base_url=server.url, journal=tmp_path / "j.db") as session:
            plan = orchestra.plan(questions(2, team="solo"), budget=orchestra.Budget(calls=2))
            result = await orchestra.run(plan, session=session)
        assert (result.status, result.usage.calls, len(server.requests)) == ("budget", 2, 2)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 0, "maximum": 1},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 30},
        {"type": "array", "maxItems": 0},
        {"type": "array", "minItems": 3, "items": {"type": "number", "minimum": 20}},
    ],
)
async def test_a_simulated_model_keeps_the_bounds_of_a_schema(schema: dict[str, object], tmp_path: Path) -> None:
    """Without a Truth its answer is a member of the schema, sizes included."""
    graph = orchestra.TaskGraph([{"id": "q", "description": "?", "answer": {"json": schema}}])
    assert (await orchestra.run(graph, model="simulated", journal=tmp_path / "j.db")).status == "ok"
