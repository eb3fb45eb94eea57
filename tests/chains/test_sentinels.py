"""Sentinels: what they say of p and rho is covered by their intervals, and a run reacts to shared errors."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra import DrivePolicy, DriveResult
from orchestra_agents.chains.estimate import estimate_of
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import SentinelAnswered, Spent
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Prompt
from tests.chains.walk import Walk

P = 0.85


def watched(model: str, steps: int, **options: Any) -> DriveResult:
    """Drive a walk with one sentinel a step."""
    policy = DrivePolicy(sentinels=1.0, **options)
    return asyncio.run(orchestra.drive(Walk(steps), model=f"simulated:p={P},{model}", policy=policy))


@pytest.mark.parametrize("rho", [0.0, 1e-3, 1e-2])
@pytest.mark.parametrize(
    ("runs", "steps"), [(12, 400), pytest.param(200, 2_000, marks=pytest.mark.nightly)], ids=["small", "full"]
)
def test_intervals_cover_p_and_rho(rho: float, runs: int, steps: int) -> None:
    """On 200 simulated runs the reported 95 % intervals cover rho and p in 88 to 99 % of them."""
    covered: Counter[str] = Counter()
    for seed in range(runs):
        told = watched(f"rho={rho},seed={seed}", steps).sentinels
        assert told is not None
        for name, truth in (("p", P), ("rho", rho)):
            covered[name] += told[name]["low"] <= truth <= told[name]["high"]
    low, high = (0.88, 0.99) if runs == 200 else (0.66, 1.0)
    for name in ("p", "rho"):
        assert low <= covered[name] / runs <= high, (name, covered)


def test_a_run_whose_votes_err_together_stops_and_says_why() -> None:
    """With nothing left to try, shared errors that k does not allow for end the run resumable, with the figures."""
    result = watched("rho=0.05,seed=1", 2_000)
    assert result.status == "undecided"
    assert result.reason is not None
    assert "votes err together: rho is" in result.reason
    assert result.p_estimate["basis"] == "sentinels"
    assert result.sentinels is not None
    assert result.steps < 2_000
    assert sum(cell["sentinels"] for cell in result.sentinels["histogram"]) == result.sentinels["asked"]


def test_independent_errors_are_left_alone() -> None:
    """Sentinels of a model without shared errors end nothing; they are charged to the run like any vote."""
    result = watched("seed=4", 600)
    assert (result.status, result.steps) == ("ok", 600)
    assert result.usage.calls > 2 * result.votes * 0.9
    plain = asyncio.run(orchestra.drive(Walk(100), model=f"simulated:p={P},seed=4"))
    assert (plain.sentinels, plain.p_estimate["basis"]) == (None, "agreement")


async def test_other_words_then_the_reserve_before_a_run_stops(tmp_path: Path) -> None:
    """A run climbs the ladder, each rung recorded with its reason, its sentinels counted anew on each."""

    class Varied(Walk):
        def variants(self, state: list[int]) -> list[Prompt]:
            return [Prompt(text=f"{word} {state[0]}") for word in ("From", "At", "Leaving")]

    models = {"worker": f"simulated:p={P},rho=0.2,seed=1", "reserve": "simulated:p=0.99,seed=2"}
    policy = DrivePolicy(sentinels=0.5)
    path = tmp_path / "j.db"
    result = await orchestra.drive(Varied(1_500), model=models, policy=policy, journal=path, run_id="w")
    with Journal(path, "read") as journal:
        state = ChainState.whole(journal, "w")
    assert [rung.rung for rung in state.rungs][:1] == ["variants"]
    assert all("votes err together" in rung.reason for rung in state.rungs)
    assert result.status == "ok"
    assert result.sentinels is not None
    assert result.sentinels["rung"] == state.rung


def test_sentinels_go_on_where_they_stopped(tmp_path: Path) -> None:
    """A resumed chain asks no sentinel twice, and comes to the same figures as in one go."""
    whole, parts = [], []
    for path, stops in ((tmp_path / "a.db", [None]), (tmp_path / "b.db", [7, 50, None])):
        for steps in stops:
            result = asyncio.run(
                orchestra.drive(
                    Walk(120),
                    model=f"simulated:p={P},seed=3",
                    k=4,
                    policy=DrivePolicy(sentinels=0.3),
                    steps=steps,
                    journal=path,
                    run_id="w",
                )
            )
        (parts if len(stops) > 1 else whole).append(result)
    assert whole[0].sentinels == parts[0].sentinels
    assert whole[0].usage == parts[0].usage
    assert whole[0].sentinels is not None
    assert whole[0].sentinels["asked"] == 36


def answered(right: int, wrong: int, *, rung: str = "plain") -> SentinelAnswered:
    """A sentinel with so many votes."""
    copies = not (right and wrong)
    return SentinelAnswered(number=0, step=0, rung=rung, right=right, wrong=wrong, copies=copies, spent=Spent())


def test_an_estimate_needs_answers_and_keeps_rungs_apart() -> None:
    """Nothing is said without sentinels; those of another rung do not count."""
    assert estimate_of([], "plain") is None
    mixed = [answered(3, 0)] * 50 + [answered(0, 3, rung="variants")] * 50
    told = estimate_of(mixed, "plain")
    assert told is not None
    assert told.asked == 50
    assert told.p.high > 0.99
    assert told.rho.low == 0.0


def test_steps_that_are_all_wrong_together_are_shared_errors() -> None:
    """Unanimous wrong sentinels that independent errors cannot explain put the lower end of rho above zero."""
    told = estimate_of([answered(5, 0)] * 900 + [answered(5, 1)] * 80 + [answered(0, 5)] * 20, "plain")
    assert told is not None
    assert told.rho.low > 0.1
    independent = estimate_of([answered(3, 0)] * 729 + [answered(3, 1)] * 243 + [answered(0, 3)] * 1, "plain")
    assert independent is not None
    assert independent.rho.low < 0.01
