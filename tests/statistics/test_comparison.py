"""Comparisons: what they say, and the acceptance figures of size, coverage and power by simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.comparison import Comparison, compare, compare_all
from orchestra_evals.statistics.detectable import mde
from orchestra_evals.statistics.runs import scores_of
from tests.statistics.making import repeats, rng, scores


def test_right_and_wrong_answers_are_compared_by_mcnemar() -> None:
    """Wins, losses, p value, difference, and what such a comparison can find."""
    first, second = [1] * 40 + [0] * 10 + [1] * 50, [0] * 40 + [1] * 10 + [1] * 50
    found = compare(scores(first), scores(second + [1, 1, 1]), rng=rng(), names=("vote", "single"))
    assert (found.first, found.second) == ("vote", "single")
    assert (found.pairs, found.left_out, found.wins, found.losses) == (100, 3, 40, 10)
    assert found.test == "mcnemar mid-p"
    assert found.p_value == found.adjusted_p < 1e-4
    assert found.detectable == mde(100, 0.5)
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.3)
    assert 0.1 < found.difference.low < 0.3 < found.difference.high < 0.5


def test_parts_and_families_are_compared_by_flipping_signs() -> None:
    """Scores between 0 and 1, means over repeats, and samples that are alike need the permutation test, by cluster."""
    parts = compare(scores([0.5, 1, 0.25]), scores([0, 1, 0.5]), rng=rng())
    assert (parts.test, parts.p_value) == ("sign flip mid-p", pytest.approx(0.75))
    means = scores_of(repeats([(1, 0), (1, 1), (0, 0)]))
    assert compare(means, scores([0, 0, 0]), rng=rng()).test == "sign flip mid-p"
    families = [place // 5 for place in range(20)]
    alike = compare(scores([1] * 20, families), scores([0] * 20, families), rng=rng())
    assert (alike.test, alike.p_value) == ("sign flip mid-p", pytest.approx(1 / 16))
    assert alike.difference is not None
    assert alike.difference.low < 0.5
    single = [f"family {place}" for place in range(20)]
    assert compare(scores([1] * 20, single), scores([0] * 20, single), rng=rng()).test == "mcnemar mid-p"


def test_nothing_in_common_says_nothing() -> None:
    """Systems that share no sample have no difference, a p value of 1, and both left out."""
    found = compare(scores([1, 0])[:1], scores([1, 0])[1:], rng=rng())
    assert (found.pairs, found.left_out, found.difference, found.p_value) == (0, 2, None, 1.0)
    assert found.detectable is None


def test_systems_that_never_differ_may_differ() -> None:
    """Equal scores on 10 samples leave any difference up to .31 open, on 1,000 up to .004."""
    for samples, most in ((1, 0.976), (10, 0.31), (1000, 0.004)):
        found = compare(scores([1] * samples), scores([1] * samples), rng=rng()).difference
        assert found is not None
        assert (found.low, found.high) == pytest.approx((-found.high, most), rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25))
@settings(max_examples=40)
def test_comparisons_turn_round(pairs: list[tuple[float, float]]) -> None:
    """Exchanged systems have the opposite difference, wins for losses, and the same p value."""
    first, second = (scores(each) for each in zip(*pairs, strict=True))
    one, other = compare(first, second, rng=rng()), compare(second, first, rng=rng())
    assert (one.wins, one.losses, one.p_value) == (other.losses, other.wins, pytest.approx(other.p_value, abs=1e-9))
    assert one.difference is not None
    assert other.difference is not None
    ends = (-other.difference.high, -other.difference.value, -other.difference.low)
    assert (one.difference.low, one.difference.value, one.difference.high) == pytest.approx(ends, abs=1e-9)


def test_a_family_of_comparisons_is_adjusted() -> None:
    """Every pair, or each with a baseline; p values by Holm, and detectable differences by the size of the family."""
    drawn = rng(3)
    systems = {name: scores(drawn.random(120) < share) for name, share in (("a", 0.4), ("b", 0.6), ("c", 0.62))}
    every, against = compare_all(systems, rng=rng()), compare_all(systems, rng=rng(), baseline="a")
    assert [(one.first, one.second) for one in every] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [(one.first, one.second) for one in against] == [("b", "a"), ("c", "a")]
    smallest = min(every, key=lambda one: one.p_value)
    assert smallest.adjusted_p == pytest.approx(3 * smallest.p_value)
    alone = compare(systems["a"], systems["b"], rng=rng())
    assert every[0].detectable is not None
    assert alone.detectable is not None
    assert every[0].detectable > alone.detectable
    assert replace(every[0], adjusted_p=alone.p_value, detectable=alone.detectable, difference=None) == replace(
        alone, first="a", second="b", difference=None
    )
    with pytest.raises(InputError, match="baseline"):
        compare_all(systems, rng=rng(), baseline="d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What comparisons of simulated systems came to."""

    rejected: int
    covered: int


def simulated(repetitions: int, effect: float, *, kind: str, seed: int) -> Outcomes:
    """Compare two systems of that true difference on 200 samples again and again, discordance .25 or so.

    `plain` draws from one table for all samples; `hard and easy` has samples of other accuracies, independent runs;
    `repeated` has three runs a sample; `families` has 50 families of 4 with a common accuracy.
    """
    source, rejected, covered = rng(seed), 0, 0
    for _ in range(repetitions):
        found = _compared(source, effect, kind)
        assert found.difference is not None
        rejected += found.p_value <= 0.05
        covered += found.difference.covers(effect)
    return Outcomes(rejected=rejected, covered=covered)


def _compared(source: np.random.Generator, effect: float, kind: str) -> Comparison:
    if kind == "plain":
        draw = source.random(200)
        first, second = draw < (0.25 + effect) / 2, (draw >= (0.25 + effect) / 2) & (draw < 0.25)
        return compare(scores(first), scores(second), rng=source)
    groups, size = (50, 4) if kind == "families" else (200, 1)
    accuracy = np.repeat(source.beta(1, 1, size=groups), size) * (1 - effect)
    runs = 3 if kind == "repeated" else 1
    first, second = (source.binomial(runs, each) / runs for each in (accuracy + effect, accuracy))
    families = [place // size for place in range(200)] if size > 1 else None
    return compare(scores(first, families), scores(second, families), rng=source)


@pytest.mark.parametrize("kind", ["plain", "hard and easy", "repeated", "families"])
def test_a_system_is_seldom_told_from_itself(kind: str) -> None:
    """Of 60 comparisons of a system with itself about 3 reject, and about 57 intervals hold 0."""
    found = simulated(60, 0.0, kind=kind, seed=11)
    assert found.rejected <= 9
    assert found.covered >= 50


def test_the_detectable_effect_is_found_four_times_in_five() -> None:
    """Of 100 comparisons at the detectable effect about 80 find it."""
    effect = mde(200, 0.25)
    assert effect is not None
    assert 67 <= simulated(100, effect, kind="plain", seed=12).rejected <= 92


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["plain", "hard and easy", "repeated", "families"])
def test_a_system_is_told_from_itself_as_often_as_the_level_says(kind: str) -> None:
    """1,000 comparisons of a system with itself reject in 3.5 to 6.5 %, and their intervals hold 0 in 93 to 97 %."""
    found = simulated(1000, 0.0, kind=kind, seed=13)
    assert 35 <= found.rejected <= 65
    assert 930 <= found.covered <= 975


@pytest.mark.nightly
def test_the_detectable_effect_is_found_as_often_as_its_power_says() -> None:
    """1,000 comparisons at the detectable effect find it in 75 to 85 %, and their intervals hold it in 93 to 97 %."""
    effect = mde(200, 0.25)
    assert effect is not None
    found = simulated(1000, effect, kind="plain", seed=14)
    assert 750 <= found.rejected <= 850
    assert 930 <= found.covered <= 975
