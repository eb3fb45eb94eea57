"""Detectable effects: power against sums and simulations, solved both ways, and laws."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.detectable import mde, paired_power, samples_for
from orchestra_evals.statistics.detectable_apart import mde_unpaired, samples_for_unpaired, unpaired_power
from orchestra_evals.statistics.pair_tests import mcnemar_mid_p
from tests.statistics.making import rng

counts = st.integers(6, 400)
shares = st.floats(0, 1)


def listed_power(n: int, effect: float, discordance: float, level: float) -> float:
    """The probability of wins and losses that reject with more wins, term by term."""
    win, lose = (discordance + effect) / 2, (discordance - effect) / 2
    return sum(
        comb(n, wins) * comb(n - wins, losses) * win**wins * lose**losses * (1 - win - lose) ** (n - wins - losses)
        for wins in range(n + 1)
        for losses in range(min(wins, n + 1 - wins))
        if mcnemar_mid_p(wins, losses) <= level
    )


@pytest.mark.parametrize("level", [0.05, 0.01, 0.2])
@pytest.mark.parametrize(
    ("n", "effect", "discordance"), [(4, 1, 1), (12, 0.3, 0.5), (30, 0.3, 0.3), (40, 0.1, 0.25), (25, 0.0, 0.4)]
)
def test_power_is_the_sum_over_all_outcomes(n: int, effect: float, discordance: float, level: float) -> None:
    """Power is the trinomial probability of the outcomes at which McNemar's test rejects."""
    expected = listed_power(n, effect, discordance, level)
    assert paired_power(n, effect, discordance, level=level) == pytest.approx(expected, abs=1e-9)


def test_the_test_has_its_level() -> None:
    """From 200 samples and a discordance of .2 on, equally good systems are told apart in 4 to 5.5 %."""
    for n in (200, 300, 500, 1000, 5000):
        for discordance in (0.2, 0.3, 0.5, 0.8):
            assert 0.02 < paired_power(n, 0, discordance) < 0.0275


@given(counts, shares, st.floats(0.001, 0.2), st.integers(1, 20))
@settings(max_examples=30)
def test_the_detectable_effect_has_the_power(n: int, discordance: float, level: float, comparisons: int) -> None:
    """At the effect power is what was asked, just below it is less; where there is none, even 1 has less."""
    found = mde(n, discordance, level=level, comparisons=comparisons)
    if found is None:
        assert paired_power(n, 1.0, discordance, level=level / comparisons) < 0.8
        return
    assert paired_power(n, found, discordance, level=level / comparisons) >= 0.8
    assert paired_power(n, found - 1e-6, discordance, level=level / comparisons) < 0.8 + 1e-4


@given(st.floats(0.05, 1), shares)
@settings(max_examples=30)
def test_effects_and_samples_are_solved_both_ways(effect: float, discordance: float) -> None:
    """As many samples find the effect, one fewer do not, and the effect that so many find is no larger."""
    n = samples_for(effect, discordance)
    assert n is not None
    assert paired_power(n, effect, discordance) >= 0.8 > paired_power(n - 1, effect, discordance)
    found = mde(n, discordance)
    assert found is not None
    assert found <= effect + 1e-8


@given(counts, st.floats(0.05, 1), st.integers(1, 4))
@settings(max_examples=30)
def test_more_of_everything_helps(n: int, discordance: float, times: int) -> None:
    """A design effect takes samples away; a larger family or more power asked for makes the effect larger."""
    plain = mde(n * times, discordance)
    assert mde(n * times, discordance, design_effect=times) == mde(n, discordance)
    for harder in (mde(n * times, discordance, comparisons=5), mde(n * times, discordance, power=0.9)):
        assert harder is None or (plain is not None and harder >= plain)


def test_what_nobody_can_find() -> None:
    """Four samples never reject at level .05, and tiny effects need more than ten million samples."""
    assert mde(4, 0.5) is None
    assert mde(0, 0.5) is None
    assert samples_for(1e-4, 0.5) is None
    assert samples_for_unpaired(1e-4, 0.5) is None
    assert mde_unpaired(0, 0.5) is None
    for field, wrong in (
        ("discordance", 1.5),
        ("level", 0.0),
        ("comparisons", 0),
        ("design_effect", 0.5),
        ("power", 1),
    ):
        with pytest.raises(InputError, match=field):
            mde(**{"n": 100, "discordance": 0.2, field: wrong})


@pytest.mark.parametrize(
    ("effect", "base", "n", "power"),
    [
        (0.1, 0.5, 388, 0.8006711510376865),
        (0.14, 0.5, 200, 0.8096734822550319),
        (0.05, 0.1, 500, 0.6670306286061747),
        (0.2, 0.3, 50, 0.5330843961785717),
        (0.01, 0.9, 5000, 0.3994514134518143),
    ],
)
def test_unpaired_power_is_that_of_statsmodels(effect: float, base: float, n: int, power: float) -> None:
    """Reference: power_proportions_2indep(alternative="larger", alpha=.025) of statsmodels 0.15."""
    assert unpaired_power(n, effect, base) == pytest.approx(power, abs=1e-9)


def test_unpaired_power_is_what_simulations_show() -> None:
    """Of 40,000 pairs of drawn shares the pooled z test tells about as many apart as the formula says."""
    source = rng(4)
    for n, base, effect in ((100, 0.5, 0.15), (400, 0.85, 0.07), (60, 0.2, 0.25)):
        worse, better = source.binomial(n, base, 40_000), source.binomial(n, base + effect, 40_000)
        pooled = (worse + better) / (2 * n)
        z = (better - worse) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
        assert float((z > 1.959964).mean()) == pytest.approx(unpaired_power(n, effect, base), abs=0.02)


@given(st.integers(30, 5000), st.floats(0, 0.8))
@settings(max_examples=30)
def test_unpaired_effects_and_samples_are_solved_both_ways(n: int, base: float) -> None:
    """The effect that n samples find needs n samples, and one that needs n is found by them."""
    found = mde_unpaired(n, base)
    if found is None:
        assert unpaired_power(n, 1 - base, base) < 0.8
        return
    assert unpaired_power(n, found, base) == pytest.approx(0.8, abs=1e-4)
    samples = samples_for_unpaired(found, base)
    assert samples is not None
    assert abs(samples - n) <= 1


def test_pairing_saves_samples() -> None:
    """Systems that agree on most samples need far fewer pairs than independent ones need samples."""
    paired, apart = samples_for(0.1, 0.25), samples_for_unpaired(0.1, 0.5)
    assert paired is not None
    assert apart is not None
    assert (paired, apart) == (190, 388)
