"""Intervals of proportions and of means: known values, laws, coverage, and honesty where little is known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_evals.statistics.clusters import Clustered, design_effect
from orchestra_evals.statistics.means import clustered_mean, few_clusters, mean_estimate, mean_interval
from orchestra_evals.statistics.proportions import effective_clopper_pearson, wilson
from orchestra_evals.statistics.scores import SampleScore, align
from tests.statistics.making import rng, scores

units = st.floats(0, 1)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.27753279986288926),
        (1, 10, 0.017876213095072924, 0.40415002679523854),
        (9, 10, 0.5958499732047614, 0.982123786904927),
        (10, 10, 0.7224672001371106, 1.0),
        (50, 200, 0.19508168006817495, 0.31434098312045833),
    ],
)
def test_wilson_is_that_of_statsmodels(successes: int, trials: int, low: float, high: float) -> None:
    """Reference: proportion_confint(method="wilson") of statsmodels 0.15."""
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_effective_trials_that_are_integers_are_trials(seen: tuple[int, int], level: float) -> None:
    """The interval of an effective number of trials is Clopper and Pearson's where that is a number of trials."""
    exact, found = clopper_pearson(*seen, level), effective_clopper_pearson(*seen, level)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(units, st.floats(0.5, 1e4))
def test_proportions_mirror_and_hold_what_was_seen(share: float, trials: float) -> None:
    """An interval holds the share, is within 0 to 1, has a width, and failures have the mirrored one."""
    for interval in (wilson, effective_clopper_pearson):
        one, other = interval(share * trials, trials), interval(trials - share * trials, trials)
        assert 0 <= one.low <= share + 1e-9
        assert share - 1e-9 <= one.high <= 1
        assert one.high - one.low > 0
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-7)


def test_no_trials_tell_nothing() -> None:
    """Without trials, or without samples, anything may be true."""
    for found in (wilson(0, 0), effective_clopper_pearson(0, 0), mean_interval([], rng=rng())):
        assert (found.low, found.high) == (0, 1)
    assert mean_estimate([], rng=rng()) is None


@given(st.lists(units, min_size=1, max_size=60), st.integers(1, 5))
@settings(max_examples=60)
def test_means_do_not_depend_on_order_or_names(values: list[float], size: int) -> None:
    """The mean and its interval are the same for samples in another order under other names, and hold the mean."""
    families = [place // size for place in range(len(values))]
    one = scores(values, families)
    other = [
        SampleScore(sample=f"t{len(values) - place:04}", score=each.score, family=f"g{99 - int(each.family)}")
        for place, each in enumerate(one)
    ]
    first, second = mean_estimate(one, rng=rng(1)), mean_estimate(other[::-1], rng=rng(1))
    assert first is not None
    assert second is not None
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-7)
    assert first.value == pytest.approx(float(np.mean(values)), abs=1e-9)
    assert 0 <= first.low <= first.value <= first.high <= 1


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([1.0], 0.025, 1.0), ([0.0], 0.0, 0.975), ([1.0] * 10, 0.6915, 1.0), ([0.5], 0.0004, 0.9996)],
)
def test_few_or_equal_samples_have_wide_intervals(values: list[float], low: float, high: float) -> None:
    """One sample, or samples that are all equal, have the Clopper-Pearson interval of as many trials."""
    found = mean_interval(scores(values), rng=rng())
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_equal_values_never_have_an_interval_of_no_width() -> None:
    """A thousand values of one half do not show that there are no others, and a family counts once."""
    alone, family = (
        mean_interval(scores([0.5] * 1000), rng=rng()),
        mean_interval(scores([0.5] * 1000, [7] * 1000), rng=rng()),
    )
    assert (alone.low, alone.high) == pytest.approx((0.4685, 0.5315), abs=1e-4)
    assert family.high - family.low > 0.99


def test_the_bootstrap_is_that_of_scipy() -> None:
    """Reference: scipy.stats.bootstrap, BCa, 20,000 resamples of 70 right and 50 wrong: 0.4917 to 0.6667."""
    found = mean_estimate(scores([1.0] * 70 + [0.0] * 50), rng=rng())
    assert found is not None
    assert found.basis == "bca by cluster"
    assert (found.low, found.high) == pytest.approx((0.4917, 0.6667), abs=0.01)


def test_the_standard_error_is_the_clustered_one() -> None:
    """Reference: OLS on a constant with cov_type="cluster" of statsmodels 0.15."""
    values = np.array([1, 1, 0, 1, 0.5, 0, 0, 0.25, 1, 1, 1, 0])
    clusters = [("", str(each)) for each in (0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4)]
    assert Clustered.of(values, clusters).standard_error == pytest.approx(0.11200944, abs=1e-8)


@given(st.integers(1, 6), st.lists(st.booleans(), min_size=2, max_size=50))
def test_copies_have_the_design_effect_of_their_number(copies: int, values: list[bool]) -> None:
    """A family of equal scores tells as much as one sample."""
    families = np.repeat(np.arange(len(values)), copies)
    found = design_effect(scores(np.repeat(values, copies), families.tolist()))
    differ = len(set(values)) > 1
    exact = copies * (1 - 1 / (copies * len(values))) / (1 - 1 / len(values))
    assert found == pytest.approx(max(1.0, exact if differ else copies), rel=1e-9)
    with pytest.raises(InputError, match="at least two clusters"):
        design_effect(scores([0, 1], ["one", "one"]))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_differences_turn_round(values: list[float]) -> None:
    """The interval of the opposite differences is the opposite interval, and it holds the mean."""
    clusters = [("", f"{place:03}") for place in range(len(values))]
    one, other = (
        few_clusters(Clustered.of(np.array(each), clusters), least=-1) for each in (values, [-v for v in values])
    )
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert -1 <= one.low < one.high <= 1
    assert one.covers(float(np.clip(np.mean(values), one.low, one.high)))
    assert abs(one.value - np.mean(values)) < 1e-9


def test_systems_are_aligned_by_sample() -> None:
    """Samples that one system lacks are left out and counted; doubles and quarrelling families are refused."""
    both = align([scores([0, 1, 0.5])[::-1], scores([1, 0])])
    assert both.samples == ("s0000", "s0001")
    assert both.scores.tolist() == [[0, 1], [1, 0]]
    assert both.left_out == 1
    with pytest.raises(InputError, match="s0000"):
        align([scores([0]) * 2])
    with pytest.raises(InputError, match="s0000"):
        align([scores([0], ["one"]), scores([0], ["other"])])
    with pytest.raises(InputError, match="score"):
        scores([1.5])


def covered(repeats: int, seed: int) -> dict[str, int]:
    """How many intervals held the mean score of .6: 200 samples, 60 families of 4, and 25 samples of 1 or 5 runs."""
    source, found = rng(seed), {"samples": 0, "families": 0, "few": 0, "few repeated": 0}
    for _ in range(repeats):
        accuracy = np.repeat(source.beta(3, 2, size=60), 4)
        drawn = {
            "samples": (source.random(200) < 0.6, [("", str(place)) for place in range(200)]),
            "families": (source.random(240) < accuracy, [(str(place // 4), "") for place in range(240)]),
            "few": (source.random(25) < 0.6, [("", str(place)) for place in range(25)]),
            "few repeated": (
                source.binomial(5, source.beta(3, 2, size=25)) / 5,
                [("", str(place)) for place in range(25)],
            ),
        }
        for name, (right, clusters) in drawn.items():
            estimate = clustered_mean(Clustered.of(right.astype(float), clusters), least=0, rng=source)
            found[name] += estimate is not None and estimate.covers(0.6)
    return found


def test_intervals_cover_the_mean() -> None:
    """Intervals of 95 % hold the mean in 95 % of 100 cases, within three standard errors."""
    assert min(covered(100, seed=5).values()) >= 88


@pytest.mark.nightly
def test_intervals_cover_the_mean_in_the_long_run() -> None:
    """Of 1,000 intervals at least 93 % hold the mean; those of few samples about 95 % or more."""
    found = covered(1000, seed=6)
    assert min(found["samples"], found["families"]) >= 930
    assert max(found["samples"], found["families"]) <= 975
    assert min(found["few"], found["few repeated"]) >= 940


def test_importing_is_cheap() -> None:
    """No module loads scipy.stats, scipy.optimize, LangGraph or pandas."""
    names = ("comparison", "confidences", "convergence", "coverage", "detectable_apart", "efficiency", "figures")
    names += ("matched", "rare", "regret")
    code = "; ".join(f"import orchestra_evals.statistics.{name}" for name in names)
    code += "; import sys; print(sorted({'scipy.stats', 'scipy.optimize', 'langgraph', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
