"""Replaying recorded votes: exact panels and races, and the formulas that stand beside them."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.budget.calibration import shared_errors
from orchestra.budget.joint import Joint, alpha
from orchestra.budget.replay import (
    beta_binomial_accuracy,
    beta_binomial_gain,
    majority_chances,
    panel_gain,
    replay_majority,
    replay_race,
)
from orchestra_agents.errors import InputError
from orchestra_agents.voting.law import step_reliability
from tests.budget.recorded import beta_binomial, mixture

recorded = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(recorded, st.integers(1, 7))
def test_majorities_are_those_of_all_panels(item: tuple[int, int], fan_in: int) -> None:
    """The chance of a right majority is the mean over every choice of votes, ties counting half; no sampling."""
    right, votes = item
    fan_in = min(fan_in, votes)
    ballots = [True] * right + [False] * (votes - right)
    scores = [float(np.sign(2 * sum(panel) - fan_in) + 1) / 2 for panel in combinations(ballots, fan_in)]
    assert majority_chances(np.array([item]), fan_in)[0] == pytest.approx(np.mean(scores))


@given(st.integers(2, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 20))
def test_panels_obey_their_laws(item: tuple[int, int], half: int) -> None:
    """Even panels equal the odd ones below, swapped labels turn accuracy round, more right votes never hurt."""
    right, votes = item
    fan_in = 2 * min(half, votes // 2)
    even = majority_chances(np.array([item]), fan_in)[0]
    assert even == pytest.approx(majority_chances(np.array([item]), fan_in - 1)[0])
    assert even == pytest.approx(1 - majority_chances(np.array([(votes - right, votes)]), fan_in)[0])
    assert even <= majority_chances(np.array([(min(right + 1, votes), votes)]), fan_in)[0] + 1e-12


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 4))
def test_races_are_those_of_all_orders(item: tuple[int, int], k: int) -> None:
    """Shares and votes of first-to-ahead-by-k are the mean over every order of the recorded votes."""
    right, votes = item
    ends = []
    for order in permutations([1] * right + [-1] * (votes - right)):
        leads = np.cumsum(order)
        over = np.flatnonzero(np.abs(leads) == k)
        place = int(over[0]) if len(over) else votes - 1
        ends.append((leads[place] == k, leads[place] == -k, place + 1))
    found = replay_race(np.array([item]), k, rng=rng())
    expected = np.mean(np.array(ends, dtype=np.float64), axis=0)
    assert (found.right.value, found.wrong, found.votes) == pytest.approx(tuple(expected))
    assert found.right.value + found.wrong + found.undecided == pytest.approx(1)


def test_a_long_replay_agrees_with_the_law_of_races() -> None:
    """Over free votes that do not run out a race has the reliability and the votes of the closed form."""
    found = replay_race(mixture(rng(1), 0.8, 0.0, items=2000, votes=60), 3, rng=rng(1))
    assert found.right.covers(step_reliability(0.8, 3))
    assert found.undecided < 1e-3


@pytest.mark.parametrize(
    ("fan_in", "rho", "of_mixture", "of_beta"),
    [
        (3, 0.3, 1.350, 1.189),
        (5, 0.3, 1.613, 1.267),
        (5, 0.5, 1.438, 1.112),
        (7, 0.3, 1.831, 1.310),
        (9, 0.3, 2.023, 1.337),
    ],
)
def test_gains_are_those_of_the_recipe(fan_in: int, rho: float, of_mixture: float, of_beta: float) -> None:
    """B.8.4: at the same pairwise rho, gains of a weak signal by mixture and beta-binomial, to 3 decimals."""
    assert beta_binomial_gain(rho, fan_in) == pytest.approx(of_beta, abs=6e-4)
    small = 1e-5
    slope = (2 * beta_binomial_accuracy((1 + small) / 2, rho, fan_in) - 1) / small
    assert slope == pytest.approx(of_beta, abs=6e-4)
    assert float(alpha(Joint(fan_in=fan_in, rho=rho))) == pytest.approx(of_mixture, abs=6e-4)
    counts = mixture(rng(2), 0.7, rho, votes=9)
    found, moment = panel_gain(counts, fan_in, rng=rng(2)), shared_errors(counts, rng=rng(2)).moment
    assert moment is not None
    assert found.gain_mixture == pytest.approx(float(alpha(Joint(fan_in=fan_in, rho=moment.value))))
    assert found.gain is not None
    assert found.gain.covers(of_mixture)


def test_the_histogram_wins_where_errors_come_from_item_difficulty() -> None:
    """Beta-binomial votes gain less than the mixture's formula says; the replay is reported and decided on."""
    p, rho = 0.7, 0.3
    found = panel_gain(beta_binomial(rng(3), p, rho), 5, rng=rng(3))
    assert found.disagreement > 4
    assert (found.reported, found.decision) == ("replay", "replay")
    assert found.value == found.cautious == found.replayed.value < found.mixture
    assert found.replayed.covers(beta_binomial_accuracy(p, rho, 5))
    assert found.beta_binomial == pytest.approx(found.replayed.value, abs=0.02)
    assert found.gain is not None
    assert found.gain.high < found.gain_mixture


def test_formula_and_replay_agree_in_a_mixture() -> None:
    """Mixture votes agree with their formula within noise, and the smaller of both is what decisions use."""
    found = [panel_gain(mixture(rng(seed), 0.7, 0.3), 5, rng=rng(seed)) for seed in range(10)]
    assert sum(abs(one.disagreement) < 2 for one in found) >= 8
    assert all(one.cautious == min(one.replayed.value, one.mixture) for one in found)
    assert {one.decision for one in found} == {"replay", "mixture"}
    assert all(one.value == one.cautious for one in found if abs(one.disagreement) < 2)


def test_items_with_too_few_votes_are_left_out() -> None:
    """A panel needs as many votes as it has members: others are left out and counted."""
    counts = np.array([(3, 4)] * 40 + [(1, 2)] * 10)
    found = panel_gain(counts, 3, rng=rng())
    assert (found.items, found.left_out) == (40, 10)
    with pytest.raises(InputError, match="fan_in: must be at most the votes of some item"):
        replay_majority(counts, 5, rng=rng())
    with pytest.raises(InputError, match="fan_in"):
        panel_gain(counts, 1, rng=rng())
    with pytest.raises(InputError, match="k: must be"):
        replay_race(counts, 0, rng=rng())


def test_a_panel_of_one_is_one_vote() -> None:
    """A panel of one has the accuracy of a vote, a race for a lead of one too."""
    counts = mixture(rng(4), 0.6, 0.1)
    assert replay_majority(counts, 1, rng=rng()).value == pytest.approx(counts[:, 0].mean() / 8)
    assert replay_race(counts, 1, rng=rng()).right.value == pytest.approx(counts[:, 0].mean() / 8)


def test_faultless_votes_have_an_interval_still() -> None:
    """A model without a wrong vote is as good as so many items can tell, and its gain is unknown."""
    found = panel_gain(np.full((100, 2), 8), 5, rng=rng())
    assert (found.replayed.value, found.replayed.high, found.gain, found.disagreement) == (1, 1, None, 0)
    assert found.replayed.low == pytest.approx(0.025 ** (1 / 100))


@settings(max_examples=30)
@given(st.floats(0.5, 1), st.floats(0, 1), st.integers(3, 15))
def test_shared_errors_never_make_a_panel_better(p: float, rho: float, fan_in: int) -> None:
    """A panel's accuracy lies between that of one vote and that of free votes, and falls with the correlation."""
    found = beta_binomial_accuracy(p, rho, fan_in)
    assert p - 1e-9 <= found <= beta_binomial_accuracy(p, 0.0, fan_in) + 1e-9
    assert 1 - 1e-9 <= beta_binomial_gain(rho, fan_in) <= beta_binomial_gain(0.0, fan_in) + 1e-9
    assert beta_binomial_gain(1 - 2**-53, 3) == pytest.approx(1)
