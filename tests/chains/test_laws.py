"""The laws that the drive is forecast by, checked on seeded chains: simulated, so that p and rho are known."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import orchestra
from orchestra import DrivePolicy
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_agents.voting.law import k_min, run_reliability, votes_per_step
from tests.chains.walk import Walk

FIXED = DrivePolicy(adaptive=False)
STEPS = 2_000


def successes(model: str, chains: int, steps: int, *, k: int | str, policy: DrivePolicy) -> tuple[int, int]:
    """How many seeded chains were all right, and the margin of the last one."""

    async def drive_all() -> tuple[int, int]:
        async with orchestra.Session() as session:
            right = margin = 0
            for seed in range(chains):
                told = f"simulated:{model},seed={seed}"
                result = await orchestra.drive(
                    Walk(steps), model=told, k=k, session=session, policy=replace(policy, max_votes=10_000)
                )
                right, margin = right + bool(result.correct), result.k
            return right, margin

    return asyncio.run(drive_all())


@pytest.mark.parametrize(
    ("chains", "steps"), [(40, 250), pytest.param(200, STEPS, marks=pytest.mark.nightly)], ids=["small", "full"]
)
@pytest.mark.parametrize(
    ("model", "law"),
    [
        ("p=0.9", {}),
        ("p=0.9,valid=0.8", {}),
        ("p=0.9,rho=0.0001", {"rho": 1e-4}),
        ("p=0.6,wrong=4", {"wrong": 4}),
    ],
    ids=["plain", "valid", "rho", "wrong"],
)
def test_chains_succeed_as_often_as_the_law_says(model: str, law: dict[str, float], chains: int, steps: int) -> None:
    """With a fixed k the success rate's 99 % Clopper-Pearson interval contains the prediction; auto is the law's k."""
    p = float(model.partition(",")[0][2:])
    k: int | str = "auto" if p > 0.8 else 5
    right, margin = successes(model, chains, steps, k=k, policy=FIXED)
    if k == "auto":
        assert margin == k_min(p, steps, 0.95)
    predicted = run_reliability(p, margin, steps, **law)  # type: ignore[arg-type]
    interval = clopper_pearson(right, chains, level=0.99)
    assert interval.low <= predicted <= interval.high, (right, predicted)


@pytest.mark.parametrize(
    ("chains", "steps"), [(30, 200), pytest.param(150, STEPS, marks=pytest.mark.nightly)], ids=["small", "full"]
)
def test_adaptation_is_never_worse_than_the_law(chains: int, steps: int) -> None:
    """With adaptive margins success is at least the law's minus three standard errors."""
    right, margin = successes("p=0.85", chains, steps, k=3, policy=DrivePolicy())
    predicted = run_reliability(0.85, margin, steps)
    error = (predicted * (1 - predicted) / chains) ** 0.5
    assert right / chains >= predicted - 3 * error


@pytest.mark.parametrize("steps", [8_000, pytest.param(100_000, marks=pytest.mark.nightly)], ids=["small", "full"])
@pytest.mark.parametrize(("p", "k"), [(0.9, 3), (0.6, 3), (0.8, 4), (0.65, 9), (0.9978, 3)])
async def test_mean_votes_are_the_exact_formulas(p: float, k: int, steps: int) -> None:
    """Mean votes a step are k (2 p_sub - 1) / (2p - 1), within 1 % over 100,000 steps."""
    policy = DrivePolicy(adaptive=False, max_votes=100_000)
    result = await orchestra.drive(Walk(steps), model=f"simulated:p={p},seed=1", k=k, policy=policy)
    tolerance = 0.01 if steps == 100_000 else 0.035
    assert result.votes / result.steps == pytest.approx(votes_per_step(p, k), rel=tolerance)


async def test_a_higher_rho_than_allowed_is_forecast() -> None:
    """The forecast of a simulated model holds its rho, and says what the target would allow."""
    result = await orchestra.drive(Walk(500), model="simulated:p=0.95,rho=0.01,seed=1", k=4, policy=FIXED)
    assert result.forecast is not None
    assert result.forecast["rho"] == 0.01
    assert result.forecast["rho_allowed"] < 0.01
    assert result.forecast["p_run"] == pytest.approx(run_reliability(0.95, 4, 500, rho=0.01))
