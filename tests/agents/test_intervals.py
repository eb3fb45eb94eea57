"""Exact intervals: against the binomial distribution itself, at their edges, and how often they cover."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import Interval, clopper_pearson, zero_bound


def at_most(successes: int, trials: int, p: float) -> float:
    """P(X <= successes) for X ~ Binomial(trials, p), term by term."""
    return math.fsum(math.comb(trials, x) * p**x * (1 - p) ** (trials - x) for x in range(successes + 1))


@given(trials=st.integers(1, 60), share=st.floats(0, 1), level=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_ends_are_where_the_tails_are(trials: int, share: float, level: float) -> None:
    """At the low end as many successes or more have the probability (1-level)/2, at the high end as many or fewer."""
    successes, tail = round(share * trials), (1 - level) / 2
    found = clopper_pearson(successes, trials, level)
    assert 0 <= found.low <= successes / trials <= found.high <= 1
    if successes:
        assert 1 - at_most(successes - 1, trials, found.low) == pytest.approx(tail, rel=1e-6)
    if successes < trials:
        assert at_most(successes, trials, found.high) == pytest.approx(tail, rel=1e-6)


@given(trials=st.integers(1, 10**6))
def test_edges_are_exact(trials: int) -> None:
    """Without a success the interval begins at 0, with nothing else it ends at 1; the other end has a closed form."""
    none, every = clopper_pearson(0, trials), clopper_pearson(trials, trials)
    assert (none.low, every.high) == (0, 1)
    assert every.low == pytest.approx(0.025 ** (1 / trials), rel=1e-12)
    assert none.high == pytest.approx(1 - every.low, rel=1e-12)


def test_without_trials_nothing_is_known() -> None:
    """No trial gives the interval from 0 to 1."""
    assert clopper_pearson(0, 0) == Interval(0.0, 1.0, 0.95, "clopper-pearson")
    assert zero_bound(0) == 1


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.97])
def test_coverage_is_at_least_the_level(p: float) -> None:
    """Over all outcomes of 40 trials the truth is covered with at least the level."""
    covered = 0.0
    for successes in range(41):
        found = clopper_pearson(successes, 40)
        if found.low <= p <= found.high:
            covered += math.comb(40, successes) * p**successes * (1 - p) ** (40 - successes)
    assert covered >= 0.95


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(9, 10, 0.5550, 0.9975), (81, 263, 0.2527, 0.3676)])
def test_published_values(successes: int, trials: int, low: float, high: float) -> None:
    """Intervals that textbooks print (Agresti and Coull 1998 for 9 of 10; Newcombe 1998 for 81 of 263)."""
    found = clopper_pearson(successes, trials)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(trials=st.integers(1, 10**9), level=st.floats(0.01, 0.9999))
def test_zero_bound_is_where_silence_becomes_unlikely(trials: int, level: float) -> None:
    """At the bound, no event in all trials has the probability 1 - level."""
    bound = zero_bound(trials, level)
    assert 0 < bound < 1
    assert math.exp(trials * math.log1p(-bound)) == pytest.approx(1 - level, rel=1e-6)


def test_zero_bound_of_the_million_step_run() -> None:
    """A million steps without an error bound the step error below 2.9e-6 (MAKER, section 4.1 of our notes)."""
    assert zero_bound(1_048_575) == pytest.approx(2.86e-6, rel=1e-2)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((-1, 3), "successes"),
        ((4, 3), "successes"),
        ((0, -1), "trials"),
        ((1, 3, 0.0), "level"),
        ((1, 3, 1.0), "level"),
    ],
)
def test_values_outside_their_domain_are_refused(arguments: tuple[int, ...], field: str) -> None:
    """What is no count, or no level, is refused by its name."""
    with pytest.raises(InputError, match="must be") as refused:
        clopper_pearson(*arguments)
    assert refused.value.field == field
