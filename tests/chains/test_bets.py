"""Speculation: the same decisions sooner, in virtual time; bets that are lost are paid and leave nothing behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import orchestra
from orchestra import DrivePolicy
from orchestra.testing import run_virtual
from orchestra_agents.journal.chain_records import StepDecided
from orchestra_agents.ledger import Budget
from tests.chains.walk import Walk


@dataclass
class Timed:
    """A chain, how long it took in virtual seconds, and what it decided."""

    result: orchestra.DriveResult
    seconds: float
    rows: list[StepDecided]


def timed(model: str, length: int, *, speculate: int, width: int = 64, **policy: Any) -> Timed:
    """Drive a walk in virtual time."""

    async def work() -> Timed:
        loop = asyncio.get_running_loop()
        async with orchestra.Session(model=model, concurrency=width) as session:
            started = loop.time()
            chosen = DrivePolicy(speculate=speculate, **policy)
            result = await orchestra.drive(Walk(length), session=session, k=3, policy=chosen)
            rows = [row.record for row in session.journal.steps(result.run_id)]
            return Timed(result, loop.time() - started, rows)

    return run_virtual(work())


def decisions(rows: list[StepDecided]) -> list[Any]:
    """What was decided, by which votes; what bets cost aside."""
    return [(row.action, row.votes, row.flagged, row.tally, row.k) for row in rows]


@pytest.mark.parametrize("length", [300, pytest.param(2_000, marks=pytest.mark.nightly)])
def test_speculation_takes_less_than_a_third_of_the_time(length: int) -> None:
    """Lognormal latency of sigma 1, p=0.99, k=3: at most 0.3 of the time, and the same decisions by the same votes."""
    model = "simulated:p=0.99,seed=3,latency_ms=100,jitter=1"
    patient, eager = (timed(model, length, speculate=depth) for depth in (0, 16))
    assert eager.seconds <= 0.3 * patient.seconds
    assert decisions(eager.rows) == decisions(patient.rows)
    assert eager.result.votes == patient.result.votes


@pytest.mark.parametrize(("depth", "width"), [(2, 8), (16, 8), (16, 64)])
@pytest.mark.parametrize("length", [150, pytest.param(1_000, marks=pytest.mark.nightly)])
def test_speculation_on_a_poor_model_is_never_slower(depth: int, width: int, length: int) -> None:
    """At p=0.6 most bets are lost; they give way to the open vote, so the chain takes at most 5 % longer."""
    model = "simulated:p=0.6,seed=5,latency_ms=100,jitter=1"
    options: dict[str, Any] = {"adaptive": False, "max_votes": 1_000}
    patient, eager = (timed(model, length, speculate=steps, width=width, **options) for steps in (0, depth))
    assert eager.seconds <= 1.05 * patient.seconds
    assert decisions(eager.rows) == decisions(patient.rows)


def test_lost_bets_are_paid_for() -> None:
    """Samples of lost bets count in the usage, calls that were cancelled as calls of unknown outcome, not as votes."""
    model = "simulated:p=0.7,seed=1,latency_ms=100,jitter=1"
    patient, eager = (timed(model, 80, speculate=depth, adaptive=False) for depth in (0, 8))
    assert eager.result.votes == patient.result.votes
    assert eager.result.usage.calls > patient.result.usage.calls
    assert eager.result.usage.samples == eager.result.votes + sum(row.lost for row in eager.rows)
    assert sum(row.lost for row in eager.rows) > 0


def test_bets_stop_where_the_chain_does() -> None:
    """Nothing is begun beyond the process's end: a model that is always right costs no call more."""
    model = "simulated:p=1,latency_ms=100,jitter=1"
    eager = timed(model, 20, speculate=8)
    assert eager.result.usage.calls == eager.result.votes == 60


def test_a_stop_between_bets_loses_nothing_acknowledged() -> None:
    """Stopped by its budget while bets are open, a chain goes on from what was decided, and decides the same."""
    model = "simulated:p=0.9,seed=8,latency_ms=100,jitter=1"

    async def work() -> list[StepDecided]:
        async with orchestra.Session(model=model, concurrency=32) as session:
            policy = DrivePolicy(speculate=4)
            told: dict[str, Any] = {"session": session, "k": 3, "policy": policy, "run_id": "w"}
            stopped = await orchestra.drive(Walk(60), budget=Budget(calls=100), **told)
            assert stopped.status == "budget"
            assert stopped.usage.calls <= 100
            done = await orchestra.drive(Walk(60), budget=Budget(calls=10_000), **told)
            assert done.status == "ok"
            return [row.record for row in session.journal.steps("w")]

    assert decisions(run_virtual(work())) == decisions(timed(model, 60, speculate=0).rows)


async def test_a_process_with_effects_is_never_bet_on() -> None:
    """Where a step has an effect the next one waits for it."""

    class Effect(Walk):
        async def observe(self, state: list[int], action: int, key: str) -> None:
            """Do nothing, once."""

    policy = DrivePolicy(speculate=8)
    result = await orchestra.drive(Effect(20), model="simulated:p=0.8,latency_ms=1,jitter=1", k=2, policy=policy)
    assert result.usage.calls == result.votes
