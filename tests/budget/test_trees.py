"""What a budget buys: A.3 and B.4 of phase_transition.md, exact finite trees, regimes, and lengths of messages."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import comb, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.budget import messages, referee, trees
from orchestra.budget.joint import Joint, odd_fan_in
from orchestra.budget.phase import exponent, fixed_point
from orchestra.budget.regime import Interval, Setting, judge, judge_intervals
from orchestra.budget.trees import Curve
from orchestra_agents.errors import InputError

CLEAR = 0.02
"""Advantage, either way, from which on a regime must agree with finite trees."""
MOST_LEAVES = 2_500


@dataclass(frozen=True)
class Case:
    """A setting in which everything is known."""

    fan_in: int
    gamma: float
    rho: float
    beta: float
    kappa: float
    budget: float
    tokens: float

    @property
    def joint(self) -> Joint:
        return Joint(fan_in=self.fan_in, gamma=self.gamma, rho=self.rho)

    @property
    def setting(self) -> Setting:
        return Setting(beta=self.beta, kappa=self.kappa, budget=self.budget, message_tokens=self.tokens)


def random_case(rng: random.Random) -> Case:
    """Draw a setting, weighted towards those where trees and one agent are not far apart."""
    return Case(
        fan_in=rng.choice((3, 5, 7)),
        gamma=rng.uniform(0.6, 1.0) if rng.random() < 0.8 else 1.0,
        rho=rng.uniform(0.0, 0.6),
        beta=rng.uniform(0.02, 0.4),
        kappa=10 ** rng.uniform(-2, -0.3),
        budget=10 ** rng.uniform(2, 6),
        tokens=10 ** rng.uniform(1, 2.3),
    )


def enumerated(case: Case) -> dict[int, float]:
    """The exact bias of one agent (depth 0) and of each full tree that the budget pays for, in plain Python."""
    needed = (case.fan_in + 1) // 2
    biases, depth = {}, 0
    while True:
        leaves = case.fan_in**depth
        sent = case.fan_in * (leaves - 1) // (case.fan_in - 1)
        compute = (case.budget - 2 * case.tokens * sent) / leaves
        if compute <= 0 or leaves > MOST_LEAVES:
            return biases
        bias = min(1.0, case.kappa * compute**case.beta)
        for _ in range(depth):
            right = (1 + case.gamma * bias) / 2
            wins = range(needed, case.fan_in + 1)
            voted = sum(comb(case.fan_in, k) * right**k * (1 - right) ** (case.fan_in - k) for k in wins)
            bias = case.rho * case.gamma * bias + (1 - case.rho) * (2 * voted - 1)
        biases[depth] = bias
        depth += 1


@pytest.mark.parametrize(
    ("beta", "s", "c0", "best", "least"), [(0.2, 0.369, 150, 177.5, 676.1), (0.15, 0.341, 120, 94.2, 408.3)]
)
def test_check_values_of_b_4(beta: float, s: float, c0: float, best: float, least: float) -> None:
    """B.4: x* = beta c0/(s-beta) and B_th, where the continuous tree is as good as one agent, with about 2 leaves."""
    assert float(trees.optimal_compute(beta, s, c0)) == pytest.approx(best, abs=0.06)
    threshold = float(trees.threshold_budget(beta, s, c0))
    assert threshold == pytest.approx(least, abs=0.06)
    leaves = float(trees.optimal_leaves(threshold, beta, s, c0))
    assert 1.5 < leaves < 2.5
    assert best**beta * leaves**s == pytest.approx(threshold**beta, rel=1e-3)


def test_allocation_of_a_3() -> None:
    """A.3: c0 = 2 m b/(b-1); where s <= beta everything goes into one agent and no budget is enough."""
    assert trees.overhead(3, 50) == trees.overhead(4, 50) == 150
    assert trees.overhead(5, 48) == 120
    assert trees.optimal_compute(0.4, 0.3, 150) == trees.threshold_budget(0.4, 0.3, 150) == inf
    assert trees.optimal_leaves(1e6, 0.4, 0.3, 150) == 1
    assert trees.threshold_budget(0.0, 0.3, 150) == pytest.approx(150)
    alone = trees.allocate(0.4, 0.3, 150, 1000.0)
    assert (alone.threshold_budget, alone.compute_per_leaf, alone.leaves) == (None, 1000.0, 1.0)


@given(seed=st.integers(0, 10**9))
def test_trees_are_exact(seed: int) -> None:
    """`compare` gives what plain enumeration of all full trees gives, and counts each message once."""
    case = random_case(random.Random(seed))
    exact = enumerated(case)
    compared = trees.compare(
        case.joint, case.budget, Curve(beta=case.beta, kappa=case.kappa, message_tokens=case.tokens)
    )
    assert compared.one_agent.bias == pytest.approx(exact.pop(0))
    found = {tree.depth: tree.bias for tree in compared.trees if tree.leaves <= MOST_LEAVES}
    assert found == pytest.approx(exact, abs=1e-12)


def regimes_agree(case: Case, rng: np.random.Generator, runs: int) -> bool | None:
    """Tell whether the regime is what a played tree shows against one agent; None where the advantage is not clear."""
    exact = enumerated(case)
    alone = exact.pop(0)
    judged = judge(case.joint, case.setting)
    if not exact or len(exact) < len(trees.compare(case.joint, case.budget, _curve(case)).trees):
        return None
    depth = max(exact, key=lambda one: exact[one])
    if abs(exact[depth] - alone) < CLEAR:
        return None
    assert (judged.regime == "synergy") == (exact[depth] > alone)
    leaf = min(
        1.0, case.kappa * float(trees.compute_per_leaf(case.budget, case.fan_in, depth, case.tokens)) ** case.beta
    )
    world = referee.World(fan_in=case.fan_in, depth=depth, gamma=case.gamma, rho=case.rho, mu0=leaf)
    return (judged.regime == "synergy") == (referee.play(world, runs, rng).bias > alone)


def _curve(case: Case) -> Curve:
    return Curve(beta=case.beta, kappa=case.kappa, message_tokens=case.tokens)


def disagreements(settings: int, runs: int, largest: float, seed: int) -> tuple[int, set[bool]]:
    """Count regimes that played trees contradict, over settings with a clear advantage, and say which ways they go."""
    rng, drawn = np.random.default_rng(seed), random.Random(seed)
    wrong, ways, done = 0, set(), 0
    while done < settings:
        case = random_case(drawn)
        if case.budget > largest:
            continue
        agrees = regimes_agree(case, rng, runs)
        if agrees is not None:
            done += 1
            wrong += not agrees
            ways.add(judge(case.joint, case.setting).regime == "synergy")
    return wrong, ways


def test_regimes_against_played_trees() -> None:
    """Issue 6, small copy: with a clear advantage either way, regimes agree with full trees played vote by vote."""
    assert disagreements(10, 8_000, 5_000, seed=6) == (0, {True, False})


@pytest.mark.nightly
def test_regimes_against_played_trees_in_full() -> None:
    """Issue 6: all but 4 of 200 settings whose advantage is at least 0.02 either way."""
    wrong, ways = disagreements(200, 30_000, inf, seed=60)
    assert wrong <= 4
    assert ways == {True, False}


@pytest.mark.parametrize(
    ("fan_in", "gamma", "rho", "setting", "regime", "binding"),
    [
        (3, 0.6, 0.0, Setting(), "collapse", "gamma"),
        (5, 0.6, 0.3, Setting(beta=0.1), "collapse", "rho"),
        (3, 0.8, 0.5, Setting(beta=0.0), "collapse", "rho"),
        (5, 0.6, 0.2, Setting(), "unsure", None),
        (3, 1.0, 1.0, Setting(), "unsure", None),
        (3, 1.0, 1.0, Setting(beta=0.1), "saturation", "rho"),
        (3, 1.0, 0.9, Setting(beta=0.3), "saturation", "beta"),
        (5, 0.9, 0.1, Setting(beta=0.1, window=499, message_tokens=100), "saturation", "window"),
        (6, 0.9, 0.1, Setting(beta=0.1, window=500, message_tokens=100), "synergy", "beta"),
        (3, 0.9, 0.1, Setting(beta=0.2), "synergy", "gamma"),
        (3, 0.9, 0.1, Setting(beta=0.1, mu0=0.97), "saturation", "baseline"),
        (3, 0.9, 0.1, Setting(beta=0.1, mu0=0.9), "synergy", "gamma"),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=700), "unsure", None),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=400, message_tokens=50), "saturation", "budget"),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=5000, message_tokens=50), "synergy", "beta"),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=400, message_tokens=50, kappa=0.01), "saturation", "budget"),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=5000, message_tokens=50, kappa=0.01), "synergy", "beta"),
        (3, 1.0, 0.0, Setting(beta=0.2, budget=5000, message_tokens=50, kappa=0.3), "saturation", "baseline"),
        (3, 0.9, 0.1, Setting(beta=0.1, budget=200, message_tokens=50, kappa=0.57), "saturation", "baseline"),
    ],
)
def test_regimes_name_what_binds(
    fan_in: int, gamma: float, rho: float, setting: Setting, regime: str, binding: str | None
) -> None:
    """Every regime and every binding constraint, as interfaces.md defines them; code never collapses."""
    judged = judge(Joint(fan_in=fan_in, gamma=gamma, rho=rho), setting)
    assert (judged.regime, judged.binding) == (regime, binding)
    assert judged.reason


@given(seed=st.integers(0, 10**9))
def test_no_tree_pays_past_the_window_of_synergy(seed: int) -> None:
    """B.4: from B = (mu*/kappa)^(1/beta) on one agent is at mu* or above, and no full tree beats it."""
    case = random_case(random.Random(seed))
    goal = float(fixed_point(case.joint))
    end = float(trees.saturation_budget(goal, case.beta, case.kappa))
    if 1 < end < 1e8:
        compared = trees.compare(case.joint, end * 1.01, _curve(case))
        assert not compared.is_ahead
        assert compared.one_agent.bias == pytest.approx(min(1.0, goal * 1.01**case.beta))


def test_intervals_of_b_8() -> None:
    """B.8.5: synergy only if it holds at every corner of the limits, else unsure, naming whose limits decide."""
    narrow = Interval(low=0.1, high=0.1)

    def regime(gamma: tuple[float, float], beta: tuple[float, float] | None = (0.05, 0.1)) -> tuple[str, str | None]:
        spans = {"gamma": Interval(low=gamma[0], high=gamma[1]), "rho": narrow}
        limits = None if beta is None else Interval(low=beta[0], high=beta[1])
        judged = judge_intervals(3, **spans, beta=limits)
        return judged.regime, judged.binding

    assert regime((0.85, 0.95)) == ("synergy", "gamma")
    assert regime((0.6, 0.68)) == ("collapse", "gamma")
    assert regime((0.6, 0.95)) == ("unsure", "gamma")
    assert regime((0.88, 0.92), (0.1, 0.5)) == ("unsure", "beta")
    assert regime((0.9, 0.9), None) == ("unsure", None)
    wide = judge_intervals(3, gamma=Interval(low=0.8, high=0.8), rho=Interval(low=0.0, high=0.9))
    assert (wide.regime, wide.binding) == ("unsure", "rho")


def test_best_message_is_the_best_of_all_lengths() -> None:
    """B.4: m has the largest s with b the largest odd number <= W/m; all lengths are tried here one by one."""
    window, rho = 1000, 0.1
    curves = (
        messages.exponential_gamma(60),
        messages.power_gamma(2.0, 0.5),
        messages.measured_gamma([(20, 0.6), (200, 0.95)]),
    )
    for curve in curves:
        best, length = -inf, 0
        for tokens in range(1, window // 3 + 1):
            gamma, fan_in = float(curve(np.array(float(tokens)))), int(odd_fan_in(window // tokens))
            if gamma > 0 and (s := float(exponent(Joint(fan_in=fan_in, gamma=gamma, rho=rho)))) > best + 1e-12:
                best, length = s, tokens
        chosen = messages.best_message(window, curve, rho=rho)
        assert chosen is not None
        assert (chosen.message_tokens, chosen.exponent) == (length, pytest.approx(best))
        assert chosen.fan_in * chosen.message_tokens <= window
        assert chosen.exponent == pytest.approx(log(chosen.alpha) / log(chosen.fan_in))


def test_curves_of_b_4() -> None:
    """B.4: 1 - exp(-m/m0) and 1 - a m^-q; measured points are not extended beyond what was measured."""
    assert float(messages.exponential_gamma(50)(np.array(50.0))) == pytest.approx(0.632, abs=5e-4)
    assert float(messages.exponential_through(120, 0.9)(np.array(120.0))) == pytest.approx(0.9)
    assert float(messages.power_gamma(2, 0.5)(np.array(100.0))) == pytest.approx(0.8)
    measured = messages.measured_gamma([(100, 0.8), (10, 0.6), (1000, 0.7)])
    found = measured(np.array([5.0, 10.0, 100.0**0.5 * 10**0.5, 1000.0, 2000.0]))
    assert found == pytest.approx([np.nan, 0.6, 0.7, 0.8, np.nan], nan_ok=True)
    assert messages.best_message(2, messages.exponential_gamma(1)) is None
    assert messages.best_message(30, messages.measured_gamma([(100, 0.8)])) is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Setting(beta=-1), "beta: must be from 0 to 10, got -1"),
        (lambda: Setting(budget=0), "budget: must be from 1 to 1,000,000,000,000,000, got 0"),
        (lambda: Setting(window=0), "window: must be from 1 to 10,000,000, got 0"),
        (lambda: Curve(beta=0.1, message_tokens=0), "message_tokens: must be from 1 to 10,000,000, got 0"),
        (lambda: messages.power_gamma(1, 0), "q: must be a finite number above 0, got 0"),
        (lambda: messages.exponential_through(10, 1.0), "gamma: must be above 0 and below 1 to fix a curve, got 1"),
        (lambda: messages.measured_gamma([]), "points: must hold at least one pair of tokens and gamma"),
    ],
)
def test_values_outside_are_refused(make: object, told: str) -> None:
    """A value outside its domain is refused by its name, with the range."""
    assert callable(make)
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == told
