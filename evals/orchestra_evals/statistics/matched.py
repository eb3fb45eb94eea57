"""Scores of systems at one spend: what was measured there, or a mix of the two measurements around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.scores import SampleScore, align


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Two neighbouring points around a spend, and how they are mixed to it."""

    below: int
    """Place of the point with the smaller spend, among those given."""
    above: int
    """Place of the other; the same where the spend was measured."""
    share: float
    """Share of samples that are given the larger spend, 0 to below 1."""

    @property
    def is_interpolated(self) -> bool:
        """Whether the spend itself was not measured."""
        return self.below != self.above


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedSamples:
    """The scores of a system's samples at a spend, ready to be compared with another system's at the same."""

    scores: tuple[SampleScore, ...]
    is_interpolated: bool
    """Whether the spend itself was not measured."""
    left_out: int
    """Samples that only one of the two neighbouring cells has."""


def bracket(spends: Sequence[float], spend: float) -> Bracket | None:
    """Return the neighbours of a spend, None outside the measured range: nothing is extrapolated.

    Args:
        spends: Of the measured points, in any order, no two alike.
        spend: At which a score is wanted.

    Raises:
        InputError: Two points have the same spend.
    """
    if len(set(spends)) < len(spends):
        raise InputError("spends", "must differ from each other; average the points of one spend first")
    order = sorted(range(len(spends)), key=spends.__getitem__)
    below = [place for place in order if spends[place] <= spend]
    above = [place for place in order if spends[place] >= spend]
    if not below or not above:
        return None
    low, high = below[-1], above[0]
    share = (spend - spends[low]) / (spends[high] - spends[low]) if low != high else 0.0
    return Bracket(below=low, above=high, share=share)


def samples_at(cells: Sequence[tuple[float, Iterable[SampleScore]]], spend: float) -> MatchedSamples | None:
    """Return the scores of a system's samples at a spend, None outside the measured range.

    Between two neighbouring cells a sample's score is linear in the spend. That is no assumption on the curve, which
    need not rise: a system that gives each sample either spend by lot, so that the mean is the one asked for, has that
    score. What is returned can be compared, with intervals that take the mean spends of the cells as known.

    Args:
        cells: Mean spend on a sample and one score a sample, of each budget, in any order.
        spend: In the unit of the cells.

    Raises:
        InputError: Two cells have the same spend, or their scores cannot be aligned.
    """
    found = bracket([cell for cell, _ in cells], spend)
    if found is None:
        return None
    low = tuple(cells[found.below][1])
    both = align([low, tuple(cells[found.above][1]) if found.is_interpolated else low])
    scores = tuple(
        SampleScore(sample=name, family=family, score=_mixed(one, other, found.share))
        for name, (family, _), (one, other) in zip(both.samples, both.clusters, both.scores.tolist(), strict=True)
    )
    return MatchedSamples(scores=scores, is_interpolated=found.is_interpolated, left_out=both.left_out)


def _mixed(low: float, high: float, share: float) -> float:
    return min(max(low, high), max(min(low, high), low + share * (high - low)))  # rounding steps over an end
