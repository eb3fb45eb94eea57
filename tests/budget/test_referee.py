"""The recursion against full trees played vote by vote (phase_transition.md B.2; issue 6)."""

from __future__ import annotations

import random
import tracemalloc
from math import log, sqrt

import numpy as np
import pytest

from orchestra.budget.depth import bias_by_depth
from orchestra.budget.joint import Joint
from orchestra.budget.referee import World, play
from orchestra_agents.errors import InputError

CELLS = 100_000_000
"""Leaves played per setting at full size."""
MOST_RUNS = 40_000


def random_world(rng: random.Random, largest: int) -> World:
    """Draw a tree of at most `largest` leaves; the larger ones are as likely as the small."""
    fan_in = rng.choice((3, 4, 5, 7, 9, 11))
    return World(
        fan_in=fan_in,
        depth=rng.randint(1, int(log(largest) / log(fan_in) + 1e-9)),
        gamma=1.0 if rng.random() < 0.15 else rng.uniform(0.3, 1.0),
        rho=0.0 if rng.random() < 0.15 else rng.uniform(0.0, 1.0),
        mu0=rng.uniform(0.0, 0.95),
        share=rng.choice(("after", "before")),
    )


def distance(world: World, runs: int, rng: np.random.Generator) -> float:
    """Return how far the played bias is from the recursion, in standard errors (half a run allowed for the grid)."""
    joint = Joint(fan_in=world.fan_in, gamma=world.gamma, rho=world.rho, share=world.share)
    expected = float(bias_by_depth(world.mu0, joint, world.depth)[-1])
    seen = play(world, runs, rng)
    off = max(0.0, abs(seen.bias - expected) - 1 / runs)
    return off / sqrt((1 - expected**2) / runs) if off else 0.0


def distances(settings: int, largest: int, cells: int, seed: int) -> list[float]:
    """Return the distance of each of many random settings."""
    drawn, rng = random.Random(seed), np.random.default_rng(seed)
    worlds = [random_world(drawn, largest) for _ in range(settings)]
    return [distance(world, min(MOST_RUNS, max(200, cells // world.leaves)), rng) for world in worlds]


def test_the_recursion_against_full_trees() -> None:
    """Issue 6, small copy: ten random settings with up to 2,000 leaves, none outside 3.5 standard errors."""
    assert max(distances(10, 2_000, 3_000_000, seed=3)) < 3.5


@pytest.mark.nightly
def test_the_recursion_against_full_trees_in_full() -> None:
    """Issue 6: of 200 settings with up to 100,000 leaves at most 3 are outside 3 standard errors, none outside 4.5."""
    found = np.array(distances(200, 100_000, CELLS, seed=2601))
    assert (found > 3).sum() <= 3
    assert found.max() <= 4.5


@pytest.mark.parametrize(
    ("world", "published"),
    [
        (World(fan_in=3, depth=6, gamma=1.0, rho=0.1, mu0=0.05), 0.4360),
        (World(fan_in=3, depth=6, gamma=0.8, rho=0.1, mu0=0.3), 0.5866),
        (World(fan_in=5, depth=4, gamma=0.9, rho=0.3, mu0=0.05), 0.2210),
        (World(fan_in=5, depth=4, gamma=0.6, rho=0.5, mu0=0.3), 0.1568),
        (World(fan_in=7, depth=3, gamma=0.9, rho=0.2, mu0=0.1), 0.4907),
        (World(fan_in=5, depth=4, gamma=0.6, rho=0.5, mu0=0.3, share="before"), 0.2918),
    ],
)
def test_monte_carlo_values_of_b_2(world: World, published: float) -> None:
    """B.2: the Monte-Carlo column (60,000 runs, 2 SE = .008) within 4 standard errors of a smaller play of ours."""
    seen = play(world, 4_000, np.random.default_rng(4))
    assert seen.bias == pytest.approx(published, abs=4 * sqrt(seen.standard_error**2 + 0.004**2))


def test_an_even_panel_is_worth_the_odd_one_below() -> None:
    """B.1, played: four votes with fair ties are worth three."""
    rng = np.random.default_rng(5)
    even, odd = (play(World(fan_in=b, depth=1, mu0=0.4), 100_000, rng) for b in (4, 3))
    assert even.bias == pytest.approx(odd.bias, abs=4 * sqrt(2) * odd.standard_error)


def test_certain_worlds() -> None:
    """Perfect leaves read without loss are right always; leaves without bias know nothing; depth 0 is a leaf."""
    rng = np.random.default_rng(6)
    assert play(World(fan_in=3, depth=3, mu0=1.0), 50, rng).bias == 1
    assert abs(play(World(fan_in=3, depth=3), 10_000, rng).bias) < 0.05
    assert play(World(fan_in=3, depth=0, mu0=0.5), 40_000, rng).bias == pytest.approx(0.5, abs=0.02)


def test_memory_does_not_grow_with_runs() -> None:
    """Runs are played in blocks; the same seed plays the same trees."""
    world = World(fan_in=3, depth=9, gamma=0.9, rho=0.2, mu0=0.1)
    play(world, 1, np.random.default_rng(0))
    tracemalloc.start()
    first = play(world, 300, np.random.default_rng(7))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert first == play(world, 300, np.random.default_rng(7))


@pytest.mark.parametrize(("depth", "runs", "told"), [(20, 1, "depth: must leave"), (1, 0, "runs: must be at least 1")])
def test_too_large_a_tree_is_refused(depth: int, runs: int, told: str) -> None:
    """A tree that cannot be drawn is refused instead of filling the memory."""
    with pytest.raises(InputError, match=told):
        play(World(fan_in=3, depth=depth), runs, np.random.default_rng(0))
