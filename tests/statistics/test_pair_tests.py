"""Tests of pairs: known p values, how they agree with each other, and Holm's method."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.holm import holm
from orchestra_evals.statistics.pair_tests import mcnemar_mid_p, sign_flip_mid_p
from tests.statistics.making import rng


@pytest.mark.parametrize(
    ("wins", "losses", "p_value"),
    [
        (0, 6, 0.015625),
        (5, 15, 0.026603698730468753),
        (20, 9, 0.04277394525706768),
        (30, 30, 1.0),
        (59, 80, 0.07555082875265662),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_the_exact_one_less_half_of_what_was_seen(wins: int, losses: int, p_value: float) -> None:
    """Reference: mcnemar(exact=True) of statsmodels 0.15 less the probability of the smaller count."""
    assert mcnemar_mid_p(wins, losses) == pytest.approx(p_value, rel=1e-9)
    assert mcnemar_mid_p(losses, wins) == mcnemar_mid_p(wins, losses)


def test_mcnemar_is_that_of_the_paper() -> None:
    """Airway hyper-responsiveness before and after transplantation, 1 against 7: mid-p .039 (Fagerland et al. 2013)."""
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.039, abs=5e-4)


@given(st.integers(0, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=40)
def test_flipping_signs_of_ones_is_mcnemar(seen: tuple[int, int]) -> None:
    """For differences of 1 and -1 the permutation test is McNemar's; samples without a difference say nothing."""
    wins, losses = seen[0], seen[1] - seen[0]
    differences = np.array([1.0] * wins + [-1.0] * losses + [0.0] * 5)
    assert sign_flip_mid_p(differences, rng=rng()) == pytest.approx(mcnemar_mid_p(wins, losses), abs=1e-12)


def test_flipping_signs_is_the_permutation_test() -> None:
    """Reference: scipy.stats.permutation_test over all signs gives .0859375, which counts ties wholly."""
    values = np.array([0.2, 0.4, -0.1, 0.5, 0.3, 0, -0.2, 0.6, 0.1])
    totals = np.array([np.dot(signs, np.abs(values)) for signs in product((-1, 1), repeat=len(values))])
    farther, as_far = np.abs(totals) > 1.8 + 1e-9, np.abs(np.abs(totals) - 1.8) < 1e-9
    assert (farther | as_far).mean() == 0.0859375
    assert sign_flip_mid_p(values, rng=rng()) == pytest.approx(farther.mean() + as_far.mean() / 2, abs=1e-12)


def test_drawn_signs_are_near_the_listed_ones() -> None:
    """Of many samples signs are drawn, which comes within the error of 20,000 draws of the exact test."""
    differences = np.array([1.0] * 62 + [-1.0] * 40)
    assert sign_flip_mid_p(differences, rng=rng(1)) == pytest.approx(mcnemar_mid_p(62, 40), abs=0.006)
    assert sign_flip_mid_p(np.ones(60), rng=rng(1)) == pytest.approx(0.5 / 20_001)


def test_holm_is_that_of_statsmodels() -> None:
    """Reference: multipletests(method="holm") of statsmodels 0.15."""
    found = holm([0.01, 0.04, 0.03, 0.005, 0.2, 0.5])
    assert found == pytest.approx([0.05, 0.12, 0.12, 0.03, 0.4, 0.5], abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_order_and_lies_between_raw_and_bonferroni(p_values: list[float]) -> None:
    """Adjusted values are at least the raw ones, at most m times those, and in the same order."""
    found = holm(p_values)
    assert len(found) == len(p_values)
    for raw, adjusted in zip(p_values, found, strict=True):
        assert raw <= adjusted <= min(1.0, raw * len(p_values))
    order = np.argsort(p_values, kind="stable")
    assert bool((np.diff(np.array(found)[order]) >= 0).all())


def test_impossible_numbers_are_refused() -> None:
    """Counts are not negative, and a probability is at most 1."""
    with pytest.raises(InputError, match="wins"):
        mcnemar_mid_p(-1, 2)
    with pytest.raises(InputError, match="p_values"):
        holm([0.5, 1.2])
