"""Coverage: the unbiased estimate, its mean over samples, and the two laws that are fitted to it."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.budget.estimates import Estimate
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.coverage import (
    BetaLaw,
    CoverageLaw,
    _gauss_newton,
    coverage,
    coverage_at,
    fit_beta_coverage,
    fit_coverage,
)
from tests.statistics.making import repeats, rng

draws = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n)))


@given(draws)
def test_coverage_is_the_share_of_subsets_with_a_right_run(drawn: tuple[int, int, int]) -> None:
    """1 - C(n - c, k) / C(n, k), computed as a product."""
    right, runs, k = drawn
    exact = 1 - Fraction(comb(runs - right, k), comb(runs, k))
    assert coverage(right, runs, k) == pytest.approx(float(exact), abs=1e-12)


def test_coverage_ends_where_it_must() -> None:
    """At one run it is the share of right runs, at all runs whether one is right; more runs than made are refused."""
    assert coverage(3, 10, 1) == pytest.approx(0.3)
    assert (coverage(1, 10, 10), coverage(0, 10, 10)) == (1, 0)
    with pytest.raises(InputError, match="k"):
        coverage(1, 3, 4)


def test_coverage_at_leaves_short_samples_out() -> None:
    """The mean is over samples with k runs; without one there is none."""
    samples = repeats([(1, 0, 0, 0), (1, 1), (0, 0)])
    found = coverage_at(samples, 2, rng=rng())
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(0.5), 3)
    assert coverage_at(samples, 5, rng=rng()) is None
    longest = coverage_at(samples, 4, rng=rng())
    assert longest is not None
    assert (longest.value, longest.n) == (1, 1)


def test_the_beta_law_has_the_values_of_the_notes() -> None:
    """Beta(.5, 2): .20 .61 .87 .96 .99 at 1, 10, 100, 1,000, 10,000 runs."""
    law = beta_law(mean=0.2, correlation=1 / 3.5)
    assert [round(law.at(10**power), 2) for power in range(5)] == [0.2, 0.61, 0.87, 0.96, 0.99]


def test_the_beta_law_at_its_ends() -> None:
    """Equal samples give 1 - (1 - p)^k; samples whose runs are copies gain nothing."""
    assert beta_law(mean=0.3, correlation=0.0).at(4) == pytest.approx(1 - 0.7**4)
    assert beta_law(mean=0.3, correlation=2e-9).at(4) == pytest.approx(1 - 0.7**4, abs=1e-5)
    assert beta_law(mean=0.3, correlation=1.0).at(100) == 0.3
    assert beta_law(mean=1.0, correlation=0.5).at(2) == 1.0


def test_both_laws_are_found_again() -> None:
    """From 100 runs of each of 400 samples drawn by the Beta law, which is found, and the other one comes near."""
    source = rng(8)
    right = source.binomial(100, source.beta(0.5, 2, size=400))
    samples = repeats([(1,) * int(each) + (0,) * (100 - int(each)) for each in right])
    beta, power = fit_beta_coverage(samples), fit_coverage(samples)
    assert beta.mean.covers(0.2)
    assert beta.correlation.covers(1 / 3.5)
    assert power is not None
    assert power.a < 0
    assert power.b < 0
    assert power.most == 100
    assert power.largest_error < 0.05
    measured = coverage_at(samples, 30, rng=rng())
    assert measured is not None
    assert power.at(30) == pytest.approx(measured.value, abs=0.03)
    assert beta.at(30) == pytest.approx(measured.value, abs=0.03)


def test_the_power_law_is_scipys_least_squares() -> None:
    """Reference: scipy.optimize.curve_fit of exp(a k^b) gives a = -1.645895, b = -.487699."""
    ks, seen = np.array([1, 2, 4, 8, 16, 32]), np.array([0.2, 0.31, 0.42, 0.55, 0.66, 0.74])
    level, slope = _gauss_newton(np.log(ks), seen)
    assert (-exp(level), slope) == pytest.approx((-1.64589458, -0.48769936), abs=1e-6)


@given(st.floats(-6, -0.05), st.floats(-1, -0.05))
def test_an_exact_power_law_is_found_exactly(a: float, b: float) -> None:
    """Points on a curve exp(a k^b) give a and b back."""
    ks = np.array([1, 2, 3, 5, 8, 16, 32, 64])
    level, slope = _gauss_newton(np.log(ks), np.exp(a * ks**b))
    assert (-exp(level), slope) == pytest.approx((a, b), rel=1e-4)


def test_what_cannot_be_fitted() -> None:
    """One run a sample, all right, or all wrong have no power law; runs that are copies have slope 0."""
    assert fit_coverage([]) is None
    assert fit_coverage(repeats([[1], [0]])) is None
    assert fit_coverage(repeats([[1, 1]])) is None
    assert fit_coverage(repeats([[0, 0]])) is None
    law = fit_coverage(repeats([[1] * 8, [0] * 8]))
    assert law is not None
    assert law.at(1) == pytest.approx(0.5)
    assert law.at(8) == pytest.approx(0.5)
    assert CoverageLaw(a=-1.0, b=-0.5, largest_error=0.0, most=4).at(4) == pytest.approx(exp(-0.5))
    with pytest.raises(InputError, match="samples"):
        fit_beta_coverage([])


def beta_law(*, mean: float, correlation: float) -> BetaLaw:
    one, other = (Estimate(value=each, low=0, high=1, basis="given", n=1) for each in (mean, correlation))
    return BetaLaw(mean=one, correlation=other)
