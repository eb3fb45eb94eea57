"""Scores at a common spend: measured, mixed, or not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.comparison import compare
from orchestra_evals.statistics.matched import bracket, samples_at
from tests.statistics.making import rng, scores

curves = st.dictionaries(st.floats(0, 1e6), st.floats(0, 1), min_size=1, max_size=8)


def score_at(curve: dict[float, float], spend: float) -> float | None:
    """Return the score at a spend of a system that was measured on one sample."""
    found = samples_at([(at, scores([score])) for at, score in curve.items()], spend)
    return None if found is None else found.scores[0].score


@given(curves, st.floats(0, 1))
def test_a_mix_lies_between_its_neighbours(curve: dict[float, float], share: float) -> None:
    """Measured spends give what was measured, others a score between those of their neighbours, beyond them nothing."""
    for spend, score in curve.items():
        assert score_at(curve, spend) == score
    spend = min(max(curve), min(curve) + share * (max(curve) - min(curve)))
    around, found = bracket(list(curve), spend), score_at(curve, spend)
    assert around is not None
    assert found is not None
    spends = list(curve)
    low, high = spends[around.below], spends[around.above]
    assert low <= spend <= high
    assert min(curve[low], curve[high]) <= found <= max(curve[low], curve[high])
    assert around.is_interpolated == (spend not in curve)
    assert score_at(curve, max(curve) + 1) is None
    assert score_at(curve, -1) is None


def test_curves_need_not_rise() -> None:
    """A curve that falls is mixed as it is."""
    assert score_at({30: 0.2, 10: 0.5, 20: 0.9}, 25) == pytest.approx(0.55)


def test_samples_are_mixed_and_compared() -> None:
    """The mix of two cells has the mixed mean, keeps families, counts lost samples, and can be compared."""
    low, high = scores([0, 1, 0, 1], [1, 1, 2, 2]), scores([1, 1, 1, 0], [1, 1, 2, 2])
    found = samples_at([(300, high), (100, low[:3])], 150)
    assert found is not None
    assert found.is_interpolated
    assert found.left_out == 1
    assert [one.score for one in found.scores] == pytest.approx([0.25, 1, 0.25])
    assert [one.family for one in found.scores] == ["1", "1", "2"]
    compared = compare(found.scores, low, rng=rng())
    assert (compared.pairs, compared.left_out, compared.test) == (3, 1, "sign flip mid-p")
    measured = samples_at([(300, high), (100, low)], 100)
    assert measured is not None
    assert (measured.scores, measured.is_interpolated, measured.left_out) == (tuple(low), False, 0)
    assert samples_at([(300, high), (100, low)], 301) is None


def test_two_points_of_one_spend_are_refused() -> None:
    """What a system scores at a spend is one number."""
    with pytest.raises(InputError, match="spends"):
        bracket([1, 1], 1)
