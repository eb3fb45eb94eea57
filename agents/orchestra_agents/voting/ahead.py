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
        max_votes: Most valid votes, and as many flagged replies, before giving up; None is 10 times the largest
            margin.
        wary: Ask for one more vote of margin for each vote that disagrees and each flagged reply, up to twice k: the
            hard steps decide how reliable a chain is, and they show themselves (section 4.3 of our notes on MAKER).
        electorate: How many replies there can be, where voters are drawn without replacement; then a lead that the
            rest cannot overturn decides, too. None is without end.

    >>> rule, tally = AheadByK(2), Tally()
    >>> tally.add("a"); rule(tally)
    Undecided(shortfall=1)
    >>> tally.add("a"); rule(tally)
    Decided(answer='a', margin=2)
    """

    k: int = 3
    max_votes: int | None = None
    wary: bool = False
    electorate: int | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or (self.max_votes is not None and self.max_votes < self.k):
            raise ValueError(
                f"k must be at least 1 and max_votes at least k, got k={self.k}, max_votes={self.max_votes}"
            )

    @property
    def cap(self) -> int:
        """Most valid votes, and most flagged replies."""
        largest = 2 * self.k if self.wary else self.k
        return CAP_FACTOR * largest if self.max_votes is None else self.max_votes

    def margin(self, tally: Tally) -> int:
        """Return the lead that `tally` needs: k, or more where votes disagree and the rule is wary."""
        if not self.wary or (len(tally.counts) < 2 and not tally.flagged):
            return self.k
        return self.k + min(self.k, tally.votes - max(tally.counts.values(), default=0) + tally.flagged)

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`; the shortfall is what the leader needs if every further vote is for it."""
        answer, lead = tally.leader()
        k = self.margin(tally)
        if lead >= k:
            return Decided(answer, lead)
        if tally.flagged >= self.cap:
            return Capped(f"{tally.flagged} replies were flagged; votes: {tally.describe()}")
        left = self.cap - tally.votes
        if self.electorate is not None:
            silent = self.electorate - tally.votes - tally.flagged
            if lead > silent:
                return Decided(answer, lead)
            left = min(left, silent)
        if left <= 0:
            return Capped(f"no answer was {k} ahead after {tally.votes} votes: {tally.describe()}")
        return Undecided(min(k - lead, left))
