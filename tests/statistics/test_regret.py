"""Regret: what a pick lost, biased upward as measured and downward by halves, in an interval that holds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.regret import regret_of
from tests.statistics.making import rng, scores


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=2, max_size=5))
@settings(max_examples=25)
def test_the_best_has_no_regret_and_others_what_they_lack(table: list[list[bool]]) -> None:
    """Measured regret is the distance to the best mean, at least 0, in its interval, and at least the split one."""
    systems = {str(place): scores(row) for place, row in enumerate(table)}
    means = [float(np.mean(row)) for row in table]
    for pick, mean in enumerate(means):
        found = regret_of(str(pick), systems, rng=rng())
        assert found is not None
        assert found.measured.value == pytest.approx(max(means) - mean)
        assert 0 <= found.measured.low <= found.measured.value <= found.measured.high <= 1
        assert found.split is not None
        assert found.split <= found.measured.value + 1e-9
        assert means[int(found.best)] == pytest.approx(max(means))
        if mean == max(means):
            assert found.best == str(pick)


def test_a_clear_loss_is_certain() -> None:
    """A pick that is 30 points worse has a regret well above 0, by either estimate."""
    found = regret_of("bad", {"bad": scores([0, 1] * 100), "good": scores([1, 1, 1, 0, 1] * 40)}, rng=rng())
    assert found is not None
    assert found.best == "good"
    assert found.measured.low > 0.1
    assert found.split == pytest.approx(0.3, abs=0.05)


def test_few_samples_say_little() -> None:
    """Systems that were equal on five samples may be far apart, and one sample cannot be halved."""
    found = regret_of("a", {"a": scores([1] * 5), "b": scores([1] * 5)}, rng=rng())
    assert found is not None
    assert (found.best, found.measured.value, found.measured.low) == ("a", 0, 0)
    assert found.measured.high > 0.5
    single = regret_of("a", {"a": scores([0]), "b": scores([1, 1])}, rng=rng())
    assert single is not None
    assert (single.split, single.left_out) == (None, 1)
    assert regret_of("a", {"a": scores([1, 0])[:1], "b": scores([1, 0])[1:]}, rng=rng()) is None


def test_a_pick_is_one_of_several() -> None:
    """A name that no system has, or a system alone, has no regret."""
    for pick, names in (("c", "ab"), ("a", "a")):
        with pytest.raises(InputError, match="pick"):
            regret_of(pick, {name: scores([1]) for name in names}, rng=rng())


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    measured: float
    split: float
    covered: int


def simulated(shares: list[float], samples: int, repetitions: int, seed: int) -> Simulated:
    """Mean estimates of the regret of the first system, and how many intervals held it."""
    source, measured, split, covered = rng(seed), [], [], 0
    for _ in range(repetitions):
        ease = source.random(samples)
        systems = {
            str(place): scores(np.where(source.random(samples) < 0.5, ease, source.random(samples)) < share)
            for place, share in enumerate(shares)
        }
        found = regret_of("0", systems, rng=source)
        assert found is not None
        assert found.split is not None
        measured.append(found.measured.value)
        split.append(found.split)
        covered += found.measured.covers(max(shares) - shares[0])
    return Simulated(measured=float(np.mean(measured)), split=float(np.mean(split)), covered=covered)


def test_the_truth_is_between_the_two_estimates() -> None:
    """Of five equal systems the best measured seems better, the best of the other half does not; intervals hold 0."""
    found = simulated([0.5] * 5, samples=150, repetitions=30, seed=2)
    assert found.split < 0.015 < found.measured
    assert found.covered >= 25


@pytest.mark.nightly
@pytest.mark.parametrize("shares", [[0.5] * 5, [0.5, 0.6, 0.55, 0.4], [0.5, 0.55, 0.55, 0.55]])
def test_intervals_hold_the_regret(shares: list[float]) -> None:
    """At least 94 % of 500 intervals hold it, and it is between the means of the two estimates."""
    found = simulated(shares, samples=200, repetitions=500, seed=3)
    assert found.covered >= 470
    assert found.split - 0.005 <= max(shares) - shares[0] <= found.measured + 0.005
