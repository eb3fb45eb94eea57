"""What is foretold of a cell: near what is measured of models that are known, and nothing where nobody knows."""

from __future__ import annotations

import asyncio
import time
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.session import Session
from orchestra_evals.comparing.foretelling import Foretold, foretold
from orchestra_evals.comparing.profiling import profile_of
from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.composing import cells_of
from orchestra_evals.runner.evaluating import evaluate
from orchestra_evals.runner.selection import Selection
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import System
from orchestra_evals.systems.wiring import Wiring
from tests.evals_runner.samples import kept

ENDS = {"pessimistic", "optimistic", "low"}


def measured_on(suite: str, model: str, *, samples: int = 40) -> Profile:
    """The profile of a model on a suite."""

    async def measure() -> Profile:
        async with Session() as session:
            return (await profile_of(suite, model, samples=samples, messages=[16], session=session)).profile

    return asyncio.run(measure())


def cell_of(suite: str, system: System, model: str = "simulated:p=0.8", **more: Any) -> Cell:
    """The cell of one system."""
    [cell] = cells_of(suite, [system], models=[model], selection=Selection(**{"limit": 100} | more))
    return cell


def told(suite: str, system: System, **more: Any) -> Foretold:
    """What is foretold of one system."""
    return asyncio.run(foretold(cell_of(suite, system, **more)))


def wiring(topology: str, team: str, profile: Profile | None, **more: Any) -> Wiring:
    """A wiring that knows a profile."""
    return Wiring(choices=Choices(topology=topology, team=team, **more), profile=profile)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("suite", "topology", "team"),
    [
        ("3sat", "single", "solo"),
        ("3sat", "single", "vote"),
        ("addition", "single", "solo"),
        ("addition", "sequential", "solo"),
        ("addition", "hybrid", "vote"),
    ],
)
def test_what_is_foretold_is_what_is_measured(tmp_path: Path, suite: str, topology: str, team: str) -> None:
    """The score lies within the ends, but for what 40 samples of the profile and 50 of the cell leave open."""
    model = "simulated:p=0.85"
    system = wiring(topology, team, measured_on(suite, model))
    expected = told(suite, system)
    assert expected.accuracy is not None
    assert set(expected.accuracy) == ENDS
    selection = Selection(limit=50)
    evaluation = evaluate(suite, systems=[system], models=[model], selection=selection, keeping=kept(tmp_path))
    [cell] = asyncio.run(evaluation).cells
    score, low, high = cell.mean.score, expected.accuracy["pessimistic"], expected.accuracy["optimistic"]
    assert score is not None
    assert expected.accuracy["low"] <= low <= high
    middle = min(0.9, max(0.1, (low + high) / 2))
    slack = 3 * sqrt(middle * (1 - middle) * (1 / 50 + 1 / 40))
    assert low - slack <= score <= high + slack
    assert expected.calls == pytest.approx(cell.taken.calls / 50, rel=0.35)


def test_a_whole_question_is_as_hard_as_its_size() -> None:
    """One agent with the whole question is no agent with a subtask: by independent errors p to the number of them."""
    profile = measured_on("3sat", "simulated:p=0.9")  # of one size: nothing says how accuracy falls with it
    size = profile.answers[0].sizes[0].votes
    assert size is not None
    p = size.accuracy.value
    single, wired = (told("addition:digits=5", wiring(way, "solo", profile)) for way in ("single", "sequential"))
    assert single.accuracy is not None
    assert wired.accuracy is not None
    assert single.accuracy["pessimistic"] == pytest.approx(p**4)
    assert wired.accuracy["pessimistic"] == pytest.approx(p**4)
    assert (single.calls, wired.calls) == (1.0, 4.0)
    short = told("addition", wiring("sequential", "solo", profile), difficulty={"digits": 2})
    assert short.accuracy is not None
    assert short.accuracy["pessimistic"] == pytest.approx(p)  # too short to be split up


def test_an_open_choice_is_foretold_as_it_will_be_decided() -> None:
    """The routed pick is as good as the way that it follows, and at its low end as the best of the ways it looks at."""
    profile = measured_on("addition", "simulated:p=0.9")
    pick = told("addition", wiring("auto", "auto", profile)).accuracy
    assert pick is not None
    for topology in ("sequential", "hierarchical"):
        for team in ("solo", "vote"):
            other = told("addition", wiring(topology, team, profile)).accuracy
            assert other is not None
            assert pick["low"] >= other["low"] - 1e-9


async def test_where_nobody_knows_nothing_is_foretold() -> None:
    """Without a profile, of votes on the whole and of environments no accuracy; of a user's own system nothing."""

    async def own(sample: Any) -> str:
        return "0"

    plain = await foretold(cell_of("addition", Wiring()))
    assert plain.accuracy is None
    assert plain.calls
    assert plain.tokens
    votes = await foretold(cell_of("addition", SelfConsistency(samples=5)))
    assert (votes.accuracy, votes.calls) == (None, 5.0)
    assert await foretold(cell_of("addition", Own("mine", own))) == Foretold(accuracy=None, calls=None, tokens=None)
    acting = await foretold(cell_of("craft", wiring("auto", "solo", None), limit=6))
    assert (acting.accuracy, acting.calls is not None) == (None, True)
    split = await foretold(cell_of("addition", Wiring(decompose="model"), limit=4))
    assert split == Foretold(accuracy=None, calls=None, tokens=None)


def test_seventeen_systems_take_little_time() -> None:
    """A hundred samples each are foretold within seconds, the pick among all ways included."""
    profile = measured_on("addition", "simulated:p=0.9", samples=10)
    teams = ("solo", "vote", "independent", "decentralized", "centralized", "peers", "tree")
    systems = [wiring("single", team, profile) for team in teams]
    ways = ("sequential", "parallel", "hierarchical", "hybrid")
    systems += [wiring(topology, team, profile) for topology in ways for team in ("solo", "vote")]
    systems += [wiring("auto", "auto", profile)]
    cells = cells_of("addition", systems, models=["simulated:p=0.9"])
    began = time.process_time()
    found = [asyncio.run(foretold(cell)) for cell in cells]
    assert time.process_time() - began < 10
    assert all(one.accuracy is not None and one.tokens for one in found)


def test_calls_and_tokens_are_those_of_the_estimate() -> None:
    """Alike samples are decided once, and what each takes is still its own."""

    async def estimated(cell: Cell) -> list[float]:
        known = [await cell.system.spending(sample, cell.suite, cell.share) for sample in cell.samples]
        calls, tokens = (sum(getattr(one, unit) for one in known) / len(known) for unit in ("calls", "tokens"))
        return [calls, tokens]

    profile = measured_on("hanoi", "simulated:p=0.9", samples=10)
    for system in (Wiring(), wiring("hybrid", "vote", profile), wiring("auto", "auto", profile)):
        cell = cell_of("hanoi", system, limit=12)
        found = asyncio.run(foretold(cell))
        assert [found.calls, found.tokens] == pytest.approx(asyncio.run(estimated(cell)), rel=0.02)
