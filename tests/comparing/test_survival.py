"""How long chains survive: the reliability of a step where it is known, and what counts as a step in each suite."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.comparing.survival import MOST_POINTS, Chain, chain_unit, per_step, steps_of, survival
from orchestra_evals.runner.evaluating import evaluate
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.selection import Selection
from orchestra_evals.statistics.proportions import wilson
from orchestra_evals.suites.catalog import SUITES, make_suite
from orchestra_evals.suites.suite import MOVES, SUBTASKS, Suite
from orchestra_evals.systems.system import System
from orchestra_evals.systems.wiring import Wiring
from tests.evals_runner.samples import kept, wired

UNITS = {"hanoi": MOVES, "checkers": MOVES, "river": MOVES, "blocks": MOVES, "addition": SUBTASKS}
UNITS |= {"multiplication": SUBTASKS, "reachability": "lookahead", "rewrite": "programs", "craft": "steps"}


def drawn(p: float, steps: Sequence[int], rng: np.random.Generator) -> list[Chain]:
    """Chains that are right with probability p^steps."""
    return [Chain(steps=one, right=float(rng.random() < p**one)) for one in steps]


def cells(folder: Path, suite: str, *systems: System, model: str = "simulated:p=0.9", **more: Any) -> list[CellScore]:
    """The cells of an evaluation."""
    selection = Selection(**{"limit": 20} | more)
    found = evaluate(suite, systems=list(systems), models=[model], selection=selection, keeping=kept(folder))
    return list(asyncio.run(found).cells)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99, 0.999])
def test_the_interval_of_a_steps_reliability_covers_it(p: float) -> None:
    """Of 300 repeats with chains of 1 to 255 steps 90 to 99 % cover p, and the median estimate is near it."""
    rng = np.random.default_rng(7)
    found = [per_step(drawn(p, rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 255], 60).tolist(), rng)) for _ in range(300)]
    known = [one for one in found if one is not None]
    covered = sum(one.covers(p) for one in known) / 300
    assert 0.90 <= covered <= 0.99
    assert np.median([one.value for one in known]) == pytest.approx(p, abs=0.2 * (1 - p))


def test_the_reliability_of_a_step_by_hand() -> None:
    """Of chains of one length p is the root of the share right; where all end alike it is at an end of the range."""
    nine = [Chain(steps=4, right=1.0)] * 9 + [Chain(steps=4, right=0.0)]
    found = per_step(nine)
    assert found is not None
    assert found.value == pytest.approx(0.9**0.25)
    for end in (found.low, found.high):
        share = end**4
        ratio = 2 * (9 * math.log(0.9 / share) + math.log(0.1 / (1 - share)))
        assert ratio == pytest.approx(3.8415, abs=1e-3)
    sure, never = per_step([Chain(steps=3, right=1.0)] * 5), per_step([Chain(steps=3, right=0.0)] * 5)
    assert sure is not None
    assert never is not None
    assert (sure.value, sure.high) == (1.0, 1.0)
    assert sure.low == pytest.approx(math.exp(-3.8415 / 2 / 15), abs=1e-5)
    assert (never.value, never.low) == (0.0, 0.0)
    assert 1 - never.high**3 == pytest.approx(math.exp(-3.8415 / 2 / 5), abs=1e-4)
    assert per_step([]) is None
    with pytest.raises(InputError, match="at least 1 step"):
        per_step([Chain(steps=0, right=1.0)])


@given(st.lists(st.tuples(st.integers(1, 40_000), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_estimate_is_a_probability_within_its_interval(said: list[tuple[int, float]]) -> None:
    """Whatever the chains; further right ones do not make it smaller."""
    chains = [Chain(steps=steps, right=right) for steps, right in said]
    found, more = per_step(chains), per_step([*chains, Chain(steps=10, right=1.0)])
    assert found is not None
    assert more is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert more.value >= found.value - 1e-9


@pytest.mark.parametrize("name", sorted(set(SUITES) - {"human-eval"}))
def test_what_counts_as_a_step(name: str) -> None:
    """Moves, subtasks or an axis of integers, at least one in every sample; 3sat and lookup have no chains."""
    suite = make_suite(name)
    samples = Selection(limit=12).samples(suite)
    unit = chain_unit(suite, samples)
    assert unit == UNITS.get(name)
    if unit is not None:
        steps = [steps_of(suite, sample, unit) for sample in samples]
        assert min(steps) >= 1
        assert len(set(steps)) > 1


def test_steps_by_hand() -> None:
    """The paper's tower of 3 takes 7 moves, one move stepwise; 5 columns are 3 groups in a chain and their join."""
    assert step(make_suite("hanoi"), n=3, mode="full_list") == 7
    assert step(make_suite("hanoi"), n=3, mode="stepwise") == 1
    assert step(make_suite("addition"), digits=5) == 4
    assert step(make_suite("addition"), digits=2) == 1
    assert step(make_suite("multiplication"), digits=4) == 3  # products, their sums in pairs, the sum of these
    assert step(make_suite("reachability"), lookahead=8, branching=2, form="logic") == 8


def step(suite: Suite, **difficulty: Any) -> int:
    """Steps of the first sample of a difficulty."""
    sample = suite.sample(difficulty, 0, split="test", seed=0)
    unit = chain_unit(suite, [sample])
    assert unit is not None
    return steps_of(suite, sample, unit)


def test_a_chain_of_subtasks_recovers_the_models_accuracy(tmp_path: Path) -> None:
    """A simulated model that is right with p = .9 a subtask has a step of that reliability, asked in sequence."""
    [cell] = cells(tmp_path, "addition", wired("sequential"), limit=75, model="simulated:p=0.9,seed=1")
    told = survival([cell])
    assert told is not None
    assert told["unit"] == "subtasks"
    [curve] = told["curves"]
    assert (curve["system"], curve["model"], curve["evidence"]) == (cell.system, "simulated:p=0.9,seed=1", "simulated")
    assert curve["per_step"]["low"] <= 0.9 <= curve["per_step"]["high"]
    assert [point["steps"] for point in curve["points"]] == [4, 6, 8, 9]
    assert [point["n"] for point in curve["points"]] == [15, 15, 15, 30]
    for point, digits in zip(curve["points"], (5, 10, 20), strict=False):
        right = sum(row.score == 1 for row in cell.rows if row.difficulty["digits"] == digits)
        span = wilson(right, 15)
        assert (point["score"], point["low"], point["high"]) == (right / 15, span.low, span.high)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_suites_without_chains_have_none_and_one_length_is_one_point(tmp_path: Path) -> None:
    """3sat has no steps; addition of 5 digits has one number of them, and each cell a curve."""
    assert survival([]) is None
    assert survival(cells(tmp_path / "sat", "3sat", Wiring(), limit=4)) is None
    told = survival(cells(tmp_path / "one", "addition:digits=5", wired(), wired("hybrid"), limit=5))
    assert told is not None
    assert [len(curve["points"]) for curve in told["curves"]] == [1, 1]


def test_many_lengths_share_points_and_repeats_share_a_sample(tmp_path: Path) -> None:
    """At most a dozen points, ascending, that hold every sample once; repeats are no further samples."""
    [cell] = cells(tmp_path, "hanoi", wired(), limit=40, repeats=2, model="simulated:p=0.7")
    told = survival([cell])
    assert told is not None
    points = told["curves"][0]["points"]
    steps = [point["steps"] for point in points]
    assert steps == sorted(steps)
    assert 4 <= len(points) <= MOST_POINTS
    assert sum(point["n"] for point in points) == 40
    total = sum(point["n"] * point["score"] for point in points)
    assert total == pytest.approx(sum((row.score or 0) >= 1 for row in cell.rows) / 2)
