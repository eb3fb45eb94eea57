"""Calibration of confidences: scaled scores keep their order, and their skill is measured as written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestra.budget.confidence import cross_fitted, fit_platt, fit_scaling_binning
from orchestra.budget.skill import debiased_error, expected_error, is_discrete, skill_of
from orchestra_agents.errors import InputError

scored = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=300).map(
    lambda pairs: (np.array([one for one, _ in pairs]), np.array([is_right for _, is_right in pairs]))
)


def drawn(seed: int, n: int = 3000, slope: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return overconfident confidences and labels whose logit is `slope` times theirs, plus .3."""
    source = np.random.default_rng(seed)
    logits = source.normal(0, 2, n)
    return 1 / (1 + np.exp(-logits)), source.random(n) < 1 / (1 + np.exp(-(slope * logits + 0.3)))


def test_platt_recovers_slope_and_intercept() -> None:
    """Logistic regression on the logit finds what labels were drawn from, within three standard errors."""
    found = [fit_platt(*drawn(seed)) for seed in range(20)]
    assert np.mean([one.slope for one in found]) == pytest.approx(0.5, abs=0.015)
    assert np.mean([one.intercept for one in found]) == pytest.approx(0.3, abs=0.03)


def test_platt_mends_overconfidence_and_keeps_the_ranking() -> None:
    """Scaling lowers the error of calibration and raises skill; AUC, which is of the order alone, stays."""
    raw, right = drawn(1)
    before, after = skill_of(raw, right), skill_of(fit_platt(raw, right)(raw), right)
    assert after.ece < before.ece / 2
    assert after.debiased < before.debiased / 2
    assert before.skill is not None
    assert after.skill is not None
    assert after.skill > before.skill
    assert after.auc == pytest.approx(before.auc)


@settings(max_examples=40)
@given(scored)
def test_calibrated_scores_keep_their_order(given_scores: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    """A larger confidence never becomes a smaller probability, by either calibrator, and all are within 0 to 1."""
    raw, right = given_scores
    asked = np.concatenate([[0.0, 1.0], np.sort(raw)])
    for calibrate in (fit_platt(raw, right), fit_scaling_binning(raw, right, rng=np.random.default_rng(0))):
        told = calibrate(asked)
        assert ((told >= 0) & (told <= 1)).all()
        assert (np.diff(calibrate(np.sort(asked))) >= 0).all()


def test_confidence_that_predicts_errors_leaves_the_base_rate() -> None:
    """A falling, an equal or a separable score is no reason for an infinite or a negative slope."""
    raw = np.array([0.1, 0.2, 0.8, 0.9])
    assert fit_platt(raw, [1, 1, 0, 0]).slope == 0
    assert fit_platt([0.5] * 4, [1, 0, 1, 1])(0.2) == pytest.approx((3 * 4 / 5 + 1 / 3) / 4)
    assert 0 < fit_platt(raw, [0, 0, 1, 1]).slope < 5
    assert fit_platt(raw, [1, 1, 1, 1])([0.0, 1.0]) == pytest.approx(5 / 6)


def test_scaling_binning_uses_one_set_below_200_points_and_three_above() -> None:
    """With fewer than 200 points the scaler sees them all, whatever the split; with more it sees a third."""
    few, many = drawn(2, n=199), drawn(2, n=600)
    assert fit_scaling_binning(*few, rng=np.random.default_rng(0)).scaler == fit_platt(*few)
    assert fit_scaling_binning(*many, rng=np.random.default_rng(0)).scaler != fit_platt(*many)


def test_a_bins_value_is_the_mean_of_its_scaled_scores() -> None:
    """Outputs are means of scaled confidences, not of labels: with one set they average to the same."""
    raw, right = drawn(3, n=150)
    found = fit_scaling_binning(raw, right, rng=np.random.default_rng(0), bins=5)
    assert len(found.values) == 5
    assert found(raw).mean() == pytest.approx(found.scaler(raw).mean())
    assert is_discrete(found(raw))
    assert len(fit_scaling_binning([0.5] * 9, [1, 0, 1] * 3, rng=np.random.default_rng(0)).values) == 1


def test_cross_fitting_never_uses_a_points_own_source() -> None:
    """Turning the labels of one source round changes the fits of the others only."""
    raw, right = drawn(4, n=200)
    sources = np.arange(200) // 10
    turned = np.where(sources == 7, ~right, right)
    before, after = (
        cross_fitted(raw, labels, sources, rng=np.random.default_rng(1), folds=20) for labels in (right, turned)
    )
    assert (before[sources == 7] == after[sources == 7]).all()
    assert (before[sources != 7] != after[sources != 7]).all()
    with pytest.raises(InputError, match="folds: must be from 2 to the number of sources"):
        cross_fitted(raw, right, sources, rng=np.random.default_rng(1), folds=21)


def test_skill_is_0_for_the_base_rate_and_1_for_the_truth() -> None:
    """Brier skill = 1 - Brier / (ybar (1 - ybar)); without both labels there is none."""
    right = np.array([1, 1, 1, 0])
    assert skill_of(np.full(4, 0.75), right).skill == pytest.approx(0)
    assert skill_of(right, right).skill == 1
    assert skill_of(1 - right, right).skill == pytest.approx(1 - 1 / (0.75 * 0.25))
    assert skill_of(np.full(4, 0.75), right).brier == pytest.approx(0.1875)
    assert skill_of([0.9, 0.8], [1, 1]).skill is None
    assert skill_of([0.9, 0.8], [1, 1]).auc is None
    assert skill_of([0.2, 0.8, 0.8, 0.9], [0, 0, 1, 1]).auc == pytest.approx(3.5 / 4)


def test_expected_error_weighs_bins_by_their_points() -> None:
    """ECE = sum (n_i / n) |mean label - mean probability| over bins of equal width; 1 is in the last bin."""
    probabilities, labels = [0.05, 0.08, 0.95, 1.0, 1.0], [0, 1, 1, 1, 0]
    expected = 2 / 5 * abs(0.5 - 0.065) + 3 / 5 * abs(2 / 3 - 2.95 / 3)
    assert expected_error(probabilities, labels, bins=10) == pytest.approx(expected)
    for bad in ([1.5], [-0.1], [float("nan")]):
        with pytest.raises(InputError, match="confidences: must be numbers from 0 to 1"):
            expected_error(bad, [1])
    with pytest.raises(InputError, match="at least 1"):
        expected_error([], [])


def test_debiased_error_subtracts_the_noise_of_each_bin() -> None:
    """The squared error of a bin is less ybar (1 - ybar) / (n - 1); bins with one point count 0; never below 0."""
    probabilities, labels = [0.3] * 8 + [0.9], [1] * 4 + [0] * 4 + [0]
    expected = 8 / 9 * ((0.3 - 0.5) ** 2 - 0.25 / 7)
    assert debiased_error(probabilities, labels) == pytest.approx(np.sqrt(expected))
    assert debiased_error([0.5] * 8, [1, 0] * 4) == 0
    assert debiased_error([0.5], [1]) == 0


def test_calibrated_scores_have_no_error_but_noise() -> None:
    """Where labels are drawn from the scores themselves, debiasing takes away much of what plain errors show."""
    source = np.random.default_rng(5)
    plain, mended, squared = [], [], []
    for _ in range(30):
        scores = source.random(600)
        labels = source.random(600) < scores
        plain.append(expected_error(scores, labels, binning="mass"))
        mended.append(expected_error(scores, labels, binning="mass", rng=source))
        squared.append(debiased_error(scores, labels))
    assert np.mean(plain) > 0.04
    assert 0 < np.mean(mended) < 0.7 * np.mean(plain)
    assert np.mean(squared) < 0.7 * np.mean(plain)


@settings(max_examples=40)
@given(scored)
def test_scores_of_any_sample_are_within_their_ranges(
    given_scores: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> None:
    """Errors and Brier are from 0 to 1, skill at most 1, AUC turns round with the scores."""
    told = skill_of(*given_scores)
    assert 0 <= told.ece <= 1
    assert 0 <= told.debiased <= 1
    assert 0 <= told.brier <= 1
    assert told.skill is None or told.skill <= 1
    turned = skill_of(0.5 - given_scores[0] / 2, given_scores[1])
    # Halving may make tiny scores equal, so that only an AUC of distinct ones turns round exactly.
    if told.auc is not None and turned.auc is not None and (np.diff(np.unique(given_scores[0])) > 1e-9).all():
        assert turned.auc == pytest.approx(1 - told.auc)
