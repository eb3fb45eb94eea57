"""Every fault of a server by itself gives its typed error or does no harm, and votes get over all of them together."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faults
from orchestra import Budget
from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerError,
    TransportError,
)
from orchestra_agents.models.contract import Completion, Message, Prompt, Sampling
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.throttle import Throttle
from orchestra_agents.models.transport import MAX_RESPONSE_BYTES, Retry, Timeouts, Transport
from tests.agents.fault_server import MIXES, VOTING, FaultServer, fault_server, walking

READ_S = 0.4
RIGHT = "52"
SAMPLING = Sampling(max_tokens=16)
FORMS_S = {
    "429:seconds": 0.25,
    "429:date": 0.0,
    "429:ms": 0.02,
    "429:openai": 0.05,
    "429:anthropic": 0.04,
    "429:none": 0.0,
}
"""How long each form of a 429 asks to wait, at least."""


def question(step: int = 0) -> Prompt:
    return Prompt(messages=(Message("user", f"step {step}: you stand at 17 of 97."),), step=str(step))


def places(completions: Sequence[Completion]) -> list[str]:
    """Return what was answered, without the number that no other answer has."""
    return [completion.text.partition(" #")[0] for completion in completions]


@asynccontextmanager
async def asked(
    script: Sequence[str], *, attempts: int = 1, width: int = 16, **options: Any
) -> AsyncIterator[tuple[FaultServer, OpenAIModel]]:
    """Give a server that meets requests with `script`, and a model that asks it."""
    answer = walking(0, wrong=0, unreadable=0)
    async with fault_server(script, answer=answer, **options) as server:
        transport = Transport(server.url, concurrency=width, timeouts=Timeouts(connect_s=1.0, read_s=READ_S))
        retry = Retry(attempts=attempts, first_wait_s=0.01, max_wait_s=0.05)
        throttle = Throttle(ceiling=width)
        model = OpenAIModel("m", name="vllm:m", transport=transport, retry=retry, throttle=throttle)
        try:
            yield server, model
        finally:
            assert throttle.in_flight == 0
            await model.aclose()


@pytest.mark.parametrize(
    ("fault", "kind", "is_retryable", "calls", "unknown"),
    [
        ("refuse", TransportError, True, 0, 1),
        ("reset", TransportError, True, 0, 1),
        ("cut", TransportError, True, 0, 1),
        ("stall", ModelTimeout, True, 0, 1),
        ("429:none", RateLimited, True, 0, 0),
        ("storm", ServerError, True, 0, 0),
        ("truncated", ServerError, True, 1, 0),
        ("html", ServerError, True, 1, 0),
        ("utf8", ServerError, True, 1, 0),
        ("nan", ServerError, True, 1, 0),
        ("401", AuthError, False, 0, 0),
        ("context", ContextExceeded, False, 0, 0),
    ],
)
async def test_a_fault_has_its_error(
    fault: str, kind: type[ModelError], is_retryable: bool, calls: int, unknown: int
) -> None:
    """One fault gives one error, which says whether to ask again and whether the request may have been served."""
    async with asked([fault]) as (_, model):
        with pytest.raises(ModelError) as caught:
            await model.sample(question(), SAMPLING, 3)
    error = caught.value
    assert type(error) is kind
    assert (error.retryable, error.attempts, error.calls, error.unknown) == (is_retryable, 1, calls, unknown)


async def test_a_closed_listening_side_served_nothing() -> None:
    """Where nobody listens, the request was surely not served."""
    async with asked([]) as (server, model):
        server.go_away()
        await asyncio.sleep(0)
        with pytest.raises(TransportError) as caught:
            await model.sample(question(), SAMPLING)
    assert (caught.value.retryable, caught.value.unknown) == (True, 0)


@pytest.mark.parametrize("fault", [fault for fault in VOTING if fault not in ("none", "away", "stall")])
async def test_patience_gets_over_it(fault: str) -> None:
    """After one fault the samples that were asked for come, all different, and every request is accounted for."""
    async with asked([fault], attempts=20) as (server, model):
        got = await model.sample(question(), SAMPLING, 3)
        again = await model.sample(question(1), SAMPLING, 3)
    assert places(got) == places(again) == [RIGHT] * 3
    assert len({completion.text for completion in got + again}) == 6
    calls = sum(completion.calls for completion in got + again)
    assert calls - (fault == "refuse") <= server.counts.worked <= calls
    assert sum(completion.attempts for completion in got + again) >= server.counts.received


@pytest.mark.parametrize(("fault", "least_s"), FORMS_S.items())
async def test_each_way_to_ask_for_a_wait_is_heard(fault: str, least_s: float) -> None:
    """A 429 is asked again no sooner than it says, in whichever of the forms it says so."""
    loop = asyncio.get_running_loop()
    async with asked([fault], attempts=2) as (server, model):
        started = loop.time()
        await model.sample(question(), SAMPLING)
        taken_s = loop.time() - started
    assert server.counts.received == 2
    assert least_s <= taken_s < least_s + 1.5


async def test_nobody_asks_while_a_server_wants_none() -> None:
    """`Retry-After` on one answer holds back all requests to that model."""
    async with asked(["429:seconds"], attempts=2, latency_s=(0.001, 0.001)) as (server, model):
        first = asyncio.create_task(model.sample(question(), SAMPLING))
        await asyncio.sleep(0.15)
        await asyncio.gather(first, *(model.sample(question(step), SAMPLING) for step in range(1, 9)))
    assert server.counts.received == 10
    assert server.counts.asked_while_held == 0


@pytest.mark.parametrize("fault", ["bomb", "endless", "huge"])
async def test_an_answer_without_end_is_cut_off(fault: str) -> None:
    """What unpacks, or goes on, beyond the limit is refused for good, and never held in memory beyond it."""
    async with asked([fault], attempts=20) as (server, model):
        tracemalloc.start()
        try:
            with pytest.raises(ServerError) as caught:
                await model.sample(question(), SAMPLING)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (caught.value.retryable, caught.value.attempts, caught.value.calls) == (False, 1, 1)
    assert server.counts.received == 1
    assert peak < 2.5 * MAX_RESPONSE_BYTES


async def test_a_server_that_ignores_n_is_asked_one_by_one() -> None:
    """A server that gives one choice is asked for the others, and from then on for one at a time."""
    async with asked(["ignore-n"]) as (server, model):
        got = await model.sample(question(), SAMPLING, 4)
        again = await model.sample(question(1), SAMPLING, 4)
    assert places(got + again) == [RIGHT] * 8
    assert len({completion.text for completion in got + again}) == 8
    assert server.counts.received == 1 + 3 + 4
    assert sum(completion.calls for completion in got + again) == server.counts.worked


async def test_a_copy_passes_for_no_vote() -> None:
    """Of two choices with one index only one counts; the sample that is missing is asked for."""
    async with asked(["duplicate"]) as (server, model):
        got = await model.sample(question(), SAMPLING, 3)
    assert [completion.text for completion in got] == [f"{RIGHT} #1.0", f"{RIGHT} #1.1", f"{RIGHT} #2.0"]
    assert server.counts.received == 2


async def test_choices_come_by_their_index() -> None:
    """Choices in another order are put in theirs."""
    async with asked(["swap"]) as (_, model):
        got = await model.sample(question(), SAMPLING, 3)
    assert [completion.text for completion in got] == [f"{RIGHT} #1.{index}" for index in range(3)]


async def test_usage_is_estimated_where_it_is_not_told() -> None:
    """Tokens that the server does not tell are ours, and said to be."""
    async with asked(["no-usage"]) as (_, model):
        first, second = await model.sample(question(), SAMPLING, 2)
    assert first.usage.estimated
    assert second.usage.estimated
    assert first.usage.input_tokens > 0


@pytest.mark.parametrize("faults_met", [(), ("drop",) * 30])
async def test_a_connection_that_was_dropped_costs_at_most_a_request(faults_met: Sequence[str]) -> None:
    """A server that closes kept connections without a word does no harm."""
    async with asked(faults_met, attempts=5, keep=3 if not faults_met else None) as (server, model):
        for step in range(30):
            assert places(await model.sample(question(step), SAMPLING)) == [RIGHT]
            await asyncio.sleep(0.002)
    assert server.counts.connections >= 10
    assert server.counts.good == 30


async def test_a_hidden_limit_is_found() -> None:
    """A server that takes 16 requests at a time is soon asked hardly more, and answers all."""
    async with asked([], attempts=50, width=64, limit=16, latency_s=(0.004, 0.008)) as (server, model):
        got = await asyncio.gather(*(model.sample(question(step), SAMPLING) for step in range(600)))
    assert all(places(completions) == [RIGHT] for completions in got)
    assert len(server.counts.served) == 600
    assert server.counts.faults["limit"] < 0.3 * server.counts.received


@pytest.mark.parametrize(
    ("mix", "budget"), [("voting", Budget(calls=10_000, tokens=10_000_000)), ("keeping-n", None)], ids=str
)
async def test_chains_vote_through_all_faults(mix: str, budget: Budget | None, tmp_path: Path) -> None:
    """Through the mix of all faults each vote is counted once, each request is paid for once, and chains end right."""
    journal = tmp_path / "journal.db"
    async with fault_server(MIXES[mix], seed=7, latency_s=(0.001, 0.004)) as server:
        results = await faults.drive_walks(server.url, journal, chains=16, length=9, width=16, budget=budget)
    told, account = server.counts.as_dict(), faults.Account.of_chains(journal)
    usages = [result.usage for result in results]
    checks = faults.all_right(results) | faults.accounted(usages, account, told) | faults.exact(usages, account, told)
    assert [sentence for sentence, holds in checks.items() if not holds] == []
    assert account.samples > 500
    assert told["most_in_flight"] <= 16


@pytest.mark.parametrize("budget", [Budget(calls=200), Budget(tokens=8_000)], ids=["calls", "tokens"])
async def test_no_fault_passes_a_cap(budget: Budget, tmp_path: Path) -> None:
    """A cap over several chains holds by the server's own count, retries and lost answers included."""
    journal = tmp_path / "journal.db"
    async with fault_server(VOTING, seed=8, latency_s=(0.001, 0.004)) as server:
        results = await faults.drive_walks(server.url, journal, chains=16, length=9, width=16, budget=budget)
    told = server.counts.as_dict()
    assert "budget" in {result.status for result in results} <= {"budget", "ok"}
    assert told["worked"] <= (budget.calls or told["worked"])
    assert told["worked_tokens"] <= (budget.tokens or told["worked_tokens"])
    checks = faults.accounted([result.usage for result in results], faults.Account.of_chains(journal), told)
    assert [sentence for sentence, holds in checks.items() if not holds] == []
