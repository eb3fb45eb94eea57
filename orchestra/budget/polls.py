"""What the votes on some items say, put together as the parts of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from orchestra.budget.agreement import agreement
from orchestra.budget.calibration import calibrate_votes, valid_rate
from orchestra.budget.compute import FEWEST_LEVELS, ComputeLaw, ComputeLevel, compute_law
from orchestra.budget.confidence import cross_fitted, fit_platt
from orchestra.budget.profile import ConfidenceProfile, SizeProfile
from orchestra.budget.replay import PanelGain, majority_chances, panel_gain
from orchestra.budget.skill import skill_of

PANELS = (3, 5, 9, 15)
"""Panels whose gain is replayed, as far as there are votes."""
VOTES_AXIS = "profile likelihood; x = votes counted, by exact replay"
"""Basis of a law of compute whose compute is votes."""
THOUGHT_AXIS = "profile likelihood; x = most tokens of thought before the answer"
"""Basis of one whose compute is tokens of thought."""

_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVotes:
    """The valid votes on one item."""

    tally: Mapping[str, int]
    """Votes by canonical answer."""
    right: str | None
    """The right answer in canonical form; None is not known."""

    @property
    def votes(self) -> int:
        """Valid votes."""
        return sum(self.tally.values())

    @property
    def right_votes(self) -> int:
        """Votes for the right answer."""
        return 0 if self.right is None else self.tally.get(self.right, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The votes on items of one size."""

    size: float
    panel: int
    """Votes asked of each item."""
    items: tuple[ItemVotes, ...]
    input_tokens: float
    """Mean of a request."""
    output_tokens: float

    @property
    def is_known(self) -> bool:
        """Whether the right answers are known and somebody gave a valid vote."""
        return any(item.votes for item in self.items) and all(item.right is not None for item in self.items)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Right valid votes and valid votes of each item, shape (items, 2)."""
        return np.array([(item.right_votes, item.votes) for item in self.items], dtype=np.int64).reshape(-1, 2)


def size_profile(poll: Poll, *, rng: np.random.Generator) -> SizeProfile:
    """Return what the votes say of the model at this size."""
    tallies = [list(item.tally.values()) for item in poll.items]
    samples = len(poll.items) * poll.panel
    copies = np.array([len(item.tally) == 1 for item in poll.items])
    return SizeProfile(
        size=poll.size,
        items=len(poll.items),
        panel=poll.panel,
        valid=valid_rate(int(poll.counts[:, 1].sum()), samples),
        agreement=agreement(tallies, rng=rng) if sum(sum(tally) > 1 for tally in tallies) > 1 else None,
        votes=calibrate_votes(poll.counts, rng=rng, copies=copies) if poll.is_known else None,
        panels=_panels(poll, rng),
        input_tokens=poll.input_tokens,
        output_tokens=poll.output_tokens,
    )


def vote_confidence(poll: Poll, *, rng: np.random.Generator) -> ConfidenceProfile | None:
    """Return how the share of votes for the leading answer becomes the probability that it is right.

    None where answers are not known, or fewer than two items have two valid votes.
    """
    items = [item for item in poll.items if item.votes > 1]
    if not poll.is_known or len(items) < 2:
        return None
    leaders = [max(item.tally, key=lambda answer: item.tally[answer]) for item in items]
    raw = np.array([item.tally[leader] / item.votes for item, leader in zip(items, leaders, strict=True)])
    labels = np.array([leader == item.right for item, leader in zip(items, leaders, strict=True)])
    folds = min(_FOLDS, len(items))
    scaled = cross_fitted(raw, labels, np.arange(len(items)), rng=rng, folds=folds)
    return ConfidenceProfile(
        source="votes", scaler=fit_platt(raw, labels), raw=skill_of(raw, labels), scaled=skill_of(scaled, labels)
    )


def law_of_votes(poll: Poll, *, choices: int) -> ComputeLaw | None:
    """Return what further votes buy: the law of compute with x votes as compute, by exact replay of majorities.

    Each way to draw x of an item's votes counts as a trial; trials of one item are alike, which the design effect takes
    back. None where answers are not known or there are votes for fewer than `FEWEST_LEVELS` levels.
    """
    if not poll.is_known:
        return None
    most = int(poll.counts[:, 1].max())
    odd = list(range(1, most + 1, 2))
    levels = odd if len(odd) >= FEWEST_LEVELS else list(range(1, most + 1))
    if len(levels) < FEWEST_LEVELS:
        return None
    return law([ComputeLevel(compute=x, counts=_majorities(poll.counts, x)) for x in levels], choices, VOTES_AXIS)


def law(levels: Sequence[ComputeLevel], choices: int, axis: str) -> ComputeLaw:
    """Return the law of compute through some levels, its basis saying what compute is."""
    found = compute_law(levels, choices=choices)
    return replace(found, beta=replace(found.beta, basis=axis), kappa=replace(found.kappa, basis=axis))


def _majorities(counts: NDArray[np.int64], votes: int) -> NDArray[np.int64]:
    """Return right draws and draws of `votes` of each item's votes, ties counted half: all of them doubled."""
    enough = counts[counts[:, 1] >= votes]
    ways = np.array([2 * comb(int(each), votes) for each in enough[:, 1]], dtype=np.int64)
    return np.stack([np.rint(majority_chances(enough, votes) * ways).astype(np.int64), ways], axis=1)


def _panels(poll: Poll, rng: np.random.Generator) -> tuple[PanelGain, ...]:
    if not poll.is_known:
        return ()
    most = int(poll.counts[:, 1].max())
    return tuple(panel_gain(poll.counts, fan_in, rng=rng) for fan_in in PANELS if fan_in <= most)
