"""First-to-ahead-by-k: an answer wins once it is k votes ahead of every other (MAKER, algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.voting.tally import Capped, Decided, Tally, Undecided, Verdict

CAP_FACTOR = 10
"""Default cap on votes, as a multiple of k: well above the expected number where voting works at all."""


LARGEST_K = 1_000
"""Largest margin; what needs more is a question no vote can answer."""


@dataclass(frozen=True, slots=True)
class AheadByK:
    """Decide for the leader once it is `k` votes ahead; give up at the cap.

    With k = 1 the first valid vote decides, which is how one agent answers alone.

    Args:
        k: Margin, at least 1.
        max_votes: Most valid votes, and as many flagged replies, before giving up; None is 10 k.

    >>> rule, tally = AheadByK(2), Tally()
    >>> tally.add("a"); rule(tally)
    Undecided(shortfall=1)
    >>> tally.add("a"); rule(tally)
    Decided(answer='a', margin=2)
    """

    k: int = 3
    max_votes: int | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or (self.max_votes is not None and self.max_votes < self.k):
            raise ValueError(
                f"k must be at least 1 and max_votes at least k, got k={self.k}, max_votes={self.max_votes}"
            )

    @property
    def cap(self) -> int:
        """Most valid votes, and most flagged replies."""
        return CAP_FACTOR * self.k if self.max_votes is None else self.max_votes

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`; the shortfall is what the leader needs if every further vote is for it."""
        answer, margin = tally.leader()
        if margin >= self.k:
            return Decided(answer, margin)
        if tally.flagged >= self.cap:
            return Capped(f"{tally.flagged} replies were flagged; votes: {tally.describe()}")
        left = self.cap - tally.votes
        if left <= 0:
            return Capped(f"no answer was {self.k} ahead after {tally.votes} votes: {tally.describe()}")
        return Undecided(min(self.k - margin, left))
