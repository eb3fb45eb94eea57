"""Averaged numbers: phase_transition.md A.4 and B.6, and a simulation of its own of star, chain and tree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.budget import continuous
from orchestra.budget.continuous import Averaging
from orchestra_agents.errors import InputError

variances = st.floats(0.01, 10)


def correlated(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Return errors of variance 1 whose last axis holds siblings of correlation rho."""
    common = rng.standard_normal((*shape[:-1], 1))
    return np.asarray(np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.standard_normal(shape))


@given(v0=variances, noise=variances, rho=st.floats(0, 0.95), fan_in=st.integers(2, 9))
def test_the_tree_is_its_recursion(v0: float, noise: float, rho: float, fan_in: int) -> None:
    """B.6: v_{l+1} = K v_l + sigma_c^2/b, whose fixed point is the published v* (A.4), and t = -log_b K."""
    source = Averaging(variance=v0, noise=noise, rho=rho)
    kept = float(continuous.contraction(rho, fan_in))
    risk = v0
    for level in range(6):
        assert float(continuous.tree_risk(source, fan_in, level)) == pytest.approx(risk)
        risk = kept * risk + noise / fan_in
    goal = float(continuous.tree_fixed_point(source, fan_in))
    assert goal == pytest.approx(noise / ((fan_in - 1) * (1 - rho)))
    assert kept * goal + noise / fan_in == pytest.approx(goal)
    assert fan_in ** -float(continuous.growth_exponent(rho, fan_in)) == pytest.approx(kept)


@given(v0=variances, noise=variances, rho=st.floats(0, 1))
def test_the_best_chain_is_the_best(v0: float, noise: float, rho: float) -> None:
    """B.6: best N ~ sqrt(3 (1-rho) v0/sigma_c^2), and no whole number does better than the one returned."""
    source = Averaging(variance=v0, noise=noise, rho=rho)
    best = float(continuous.best_chain(source))
    risks = continuous.chain_risk(source, np.arange(1, best + 20))
    assert float(continuous.chain_risk(source, best)) == pytest.approx(risks.min())
    assert best == pytest.approx(np.sqrt(3 * (1 - rho) * v0 / noise), abs=1.01)


def test_limits_of_b_6() -> None:
    """A star's floor is rho v0, the tree's vanishes with depth, and a chain grows like sigma_c^2 N/3."""
    source = Averaging(variance=1.0, noise=0.3, rho=0.2)
    assert float(continuous.star_risk(source, 1e9)) == pytest.approx(0.2)
    assert float(continuous.chain_risk(source, 1e9)) == pytest.approx(0.3 * 1e9 / 3)
    quiet = Averaging(variance=1.0, noise=0.0, rho=0.2)
    assert float(continuous.tree_risk(quiet, 3, 60)) == pytest.approx(0, abs=1e-12)
    assert np.isinf(continuous.best_chain(quiet))
    copies = Averaging(variance=1.0, noise=0.3, rho=1.0)
    assert float(continuous.tree_risk(copies, 3, 5)) == pytest.approx(1 + 5 * 0.1)
    assert np.isnan(continuous.tree_fixed_point(copies, 3))


@pytest.mark.parametrize(("rho", "noise", "fan_in", "depth"), [(0.0, 0.1, 3, 3), (0.3, 0.5, 5, 2), (0.6, 0.2, 3, 4)])
def test_a_played_tree(rho: float, noise: float, fan_in: int, depth: int) -> None:
    """B.6: with correlation per level, variances of a played tree are within 4 standard errors of the formula."""
    rng, runs = np.random.default_rng(1), 4_000
    values = np.zeros((runs, 1))
    risk = 1.0
    for _ in range(depth):  # the model of a level: siblings of variance v and correlation rho, averaged with noise
        siblings = np.sqrt(risk) * correlated(rng, (runs, fan_in), rho)
        values = (siblings + np.sqrt(noise) * rng.standard_normal(siblings.shape)).mean(axis=1)
        risk = float(continuous.tree_risk(Averaging(variance=risk, noise=noise, rho=rho), fan_in, 1))
    expected = float(continuous.tree_risk(Averaging(variance=1.0, noise=noise, rho=rho), fan_in, depth))
    assert risk == pytest.approx(expected)
    assert values.var() == pytest.approx(expected, abs=4 * expected * np.sqrt(2 / runs))


@pytest.mark.parametrize(("rho", "noise", "agents"), [(0.0, 0.1, 6), (0.3, 0.05, 9)])
def test_a_played_chain_and_star(rho: float, noise: float, agents: int) -> None:
    """B.6: the running mean is handed on N-1 times, each time with noise, and a star reads N messages."""
    rng, runs = np.random.default_rng(2), 20_000
    errors = correlated(rng, (runs, agents), rho)
    mean = errors[:, 0]
    for count in range(2, agents + 1):
        heard = mean + np.sqrt(noise) * rng.standard_normal(runs)
        mean = (heard * (count - 1) + errors[:, count - 1]) / count
    source = Averaging(variance=1.0, noise=noise, rho=rho)
    expected = float(continuous.chain_risk(source, agents))
    assert mean.var() == pytest.approx(expected, abs=4 * expected * np.sqrt(2 / runs))
    star = (errors + np.sqrt(noise) * rng.standard_normal(errors.shape)).mean(axis=1)
    expected = float(continuous.star_risk(source, agents))
    assert star.var() == pytest.approx(expected, abs=4 * expected * np.sqrt(2 / runs))


def test_trees_at_a_budget() -> None:
    """One agent has the variance given; trees pay c0 (N-1) for messages, and the best may be ahead or not."""
    source = Averaging(variance=1.0, noise=0.1, rho=0.0)
    trees = continuous.averaging_trees(source, 3, budget=5000, beta=0.3, message_tokens=50)
    assert [tree.leaves for tree in trees] == [1, 3, 9, 27]
    assert trees[0].risk == 1
    for tree in trees:
        assert tree.leaves * tree.compute_per_leaf + 150 * (tree.leaves - 1) == pytest.approx(5000)
    assert continuous.is_ahead(trees)
    assert not continuous.is_ahead(continuous.averaging_trees(source, 3, budget=5000, beta=2.0, message_tokens=50))
    assert not continuous.is_ahead(continuous.averaging_trees(source, 3, budget=100, beta=0.3, message_tokens=50))


def test_values_outside_are_refused() -> None:
    """A value outside its domain is refused by its name."""
    with pytest.raises(InputError, match="variance: must be from 0 to"):
        Averaging(variance=-1.0, noise=0.1)
    with pytest.raises(InputError, match="fan_in: must be from 2 to"):
        continuous.contraction(0.1, 1)
