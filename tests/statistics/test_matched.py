"""Scores at a common spend: measured, mixed, or not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.comparison import compare
from orchestra_evals.statistics.matched import SpendPoint, SpendRange, common_range, samples_at, score_at
from tests.statistics.making import rng, scores

curves = st.dictionaries(st.floats(0, 1e6), st.floats(0, 1), min_size=1, max_size=8).map(
    lambda held: [SpendPoint(spend=spend, score=score) for spend, score in held.items()]
)


@given(curves, st.floats(0, 1))
def test_a_mix_lies_between_its_neighbours(points: list[SpendPoint], share: float) -> None:
    """Measured spends give what was measured, others a score between those of their neighbours, beyond them nothing."""
    spends = [point.spend for point in points]
    for point in points:
        found = score_at(points, point.spend)
        assert found is not None
        assert (found.score, found.is_interpolated) == (point.score, False)
    spend = min(max(spends), min(spends) + share * (max(spends) - min(spends)))
    found = score_at(points, spend)
    assert found is not None
    ends = [point.score for point in points if point.spend in (found.from_spend, found.to_spend)]
    assert min(ends) <= found.score <= max(ends)
    assert found.from_spend <= spend <= found.to_spend
    assert found.is_interpolated == (spend not in spends)
    assert score_at(points, max(spends) + 1) is None
    assert score_at(points, -1) is None


def test_curves_need_not_rise() -> None:
    """A curve that falls is mixed as it is."""
    points = [SpendPoint(spend=spend, score=score) for spend, score in ((30, 0.2), (10, 0.5), (20, 0.9))]
    found = score_at(points, 25)
    assert found is not None
    assert (found.score, found.from_spend, found.to_spend) == (pytest.approx(0.55), 20, 30)


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


def test_a_common_spend_is_within_every_range() -> None:
    """The range is where all systems were measured or can be mixed, if there is one."""
    assert common_range([[100, 400], [300, 50, 900]]) == SpendRange(low=100, high=400)
    assert common_range([[100], [100, 50]]) == SpendRange(low=100, high=100)
    assert common_range([[100, 200], [300]]) is None
    assert common_range([[], [300]]) is None
    assert common_range([]) is None


def test_two_points_of_one_spend_are_refused() -> None:
    """What a system scores at a spend is one number."""
    with pytest.raises(InputError, match="spends"):
        score_at([SpendPoint(spend=1, score=0), SpendPoint(spend=1, score=1)], 1)
    with pytest.raises(InputError, match="spend"):
        SpendPoint(spend=-1, score=0)
