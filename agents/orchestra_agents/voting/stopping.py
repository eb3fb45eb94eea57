"""Further rules for when a vote is over: a fixed number of votes, a Bayesian confidence, a guarantee."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from math import comb, lgamma, log, pi

from orchestra_agents.errors import InputError
from orchestra_agents.voting.ahead import CAP_FACTOR
from orchestra_agents.voting.tally import Capped, Decided, Tally, Undecided, Verdict


@dataclass(frozen=True, slots=True)
class Majority:
    """Decide for the answer with most of a fixed number of votes; a tie decides nothing.

    It is over as soon as the rest of the votes cannot even bring a tie.

    Args:
        votes: Valid votes to draw, at least 1.
        max_flagged: Most flagged replies before giving up, at least 1; None is 10 times `votes`.

    Raises:
        InputError: An argument is outside its domain.

    >>> Majority(3)(Tally({"a": 2}))
    Decided(answer='a', margin=2)
    >>> Majority(2)(Tally({"a": 1, "b": 1}))
    Capped(reason='a tie after 2 votes: a 1, b 1')
    """

    votes: int
    max_flagged: int | None = None

    def __post_init__(self) -> None:
        _check_count("votes", self.votes)
        _check_count("max_flagged", 1 if self.max_flagged is None else self.max_flagged)

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`; the shortfall is what the leader needs if every further vote is for it."""
        answer, lead = tally.leader()
        left = self.votes - tally.votes
        if lead > max(left, 0):
            return Decided(answer, lead)
        if tally.flagged >= (CAP_FACTOR * self.votes if self.max_flagged is None else self.max_flagged):
            return _flagged(tally)
        if left <= 0:
            return Capped(f"a tie after {tally.votes} votes: {tally.describe()}")
        return Undecided((left - lead) // 2 + 1)


@dataclass(frozen=True, slots=True)
class AdaptiveConsistency:
    """Decide for the leader once it is likely to be the more frequent of the top two: the Beta criterion.

    With a votes for the leader and b for the runner-up the confidence is P(X > 1/2) for X ~ Beta(a+1, b+1), whatever
    other answers got (Adaptive-Consistency, arXiv 2305.11860). It is a heuristic: looked at after every vote, it errs
    more often than 1 - threshold, where `Ppr` keeps its promise. At the cap nothing is decided; the paper takes the
    leader.

    Args:
        threshold: Confidence that decides, strictly between 1/2 and 1.
        max_votes: Most valid votes, and as many flagged replies, before giving up; at least 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> rule = AdaptiveConsistency()
    >>> rule(Tally({"a": 3})), rule(Tally({"a": 4}))
    (Undecided(shortfall=1), Decided(answer='a', margin=4))
    """

    threshold: float = 0.95
    max_votes: int = 40

    def __post_init__(self) -> None:
        if not 0.5 < self.threshold < 1:
            raise InputError("threshold", f"must be above 1/2 and below 1, got {self.threshold:g}")
        _check_count("max_votes", self.max_votes)

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`; the shortfall is what the leader needs if every further vote is for it."""
        answer, lead = tally.leader()
        votes = tally.counts.get(answer, 0)
        if beta_confidence(votes, votes - lead) >= self.threshold:
            return Decided(answer, lead)
        if stopped := _capped(tally, self.max_votes):
            return stopped
        left = self.max_votes - tally.votes
        return Undecided(_least(left, lambda more: beta_confidence(votes + more, votes - lead) >= self.threshold))


@dataclass(frozen=True, slots=True)
class Ppr:
    """Decide for an answer once it is the most frequent one with confidence 1 - delta, however often one looks.

    PPR-1v1 (Jain et al., AISTATS 2022): with a votes for an answer and b for its best rival, stop when the density of
    Beta(a+1, b+1) at 1/2 is at most delta/(K-1). The prior-posterior ratio is a martingale, so the chance that any of
    the K-1 answers that are not the mode ever wins is at most delta. It protects the mode, not the truth.

    Args:
        delta: Largest probability that another answer than the mode wins, strictly between 0 and 1.
        answers: Number K of possible answers, at least 2; None is unknown, and then the i-th new answer needs the
            density to be at most delta 6/(pi^2 i^2), which sums to delta: late comers need more evidence.
        max_votes: Most valid votes, and as many flagged replies, before giving up; at least 1.

    Raises:
        InputError: An argument is outside its domain.

    >>> rule = Ppr(delta=0.05, answers=2)
    >>> rule(Tally({"a": 7})), rule(Tally({"a": 8}))
    (Undecided(shortfall=1), Decided(answer='a', margin=8))
    """

    delta: float = 0.05
    answers: int | None = None
    max_votes: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise InputError("delta", f"must be above 0 and below 1, got {self.delta:g}")
        if self.answers is not None and self.answers < 2:
            raise InputError("answers", f"must be an integer of at least 2, or None, got {self.answers}")
        _check_count("max_votes", self.max_votes)

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`; the shortfall is the least of what any answer needs if every further vote is for it."""
        answer, lead = tally.leader()
        places = {one: place for place, one in enumerate(tally.counts, start=1)} or {"": 1}
        votes = tally.counts.get(answer, 0)
        if self._decides(votes, votes - lead, places[answer], len(places)):
            return Decided(answer, lead)
        if stopped := _capped(tally, self.max_votes):
            return stopped
        least = self.max_votes - tally.votes
        for one, place in places.items():
            mine, rival = tally.counts.get(one, 0), votes - lead if one == answer else votes
            least = self._needed(least, mine, rival, place, len(places))
            if one == answer:  # those seen later have no more votes and need no less evidence
                break
        return Undecided(least)

    def _needed(self, left: int, votes: int, rival: int, place: int, seen: int) -> int:
        return _least(left, lambda more: self._decides(votes + more, rival, place, seen))

    def _decides(self, votes: int, rival: int, place: int, seen: int) -> bool:
        if votes <= rival:
            return False
        share = 6 / (pi * place) ** 2 if self.answers is None else 1 / (max(self.answers, seen) - 1)
        return log_density_at_half(votes, rival) <= log(self.delta * share)


def beta_confidence(a: int, b: int) -> float:
    """Return P(X > 1/2) for X ~ Beta(a+1, b+1): a binomial sum, so exact.

    >>> beta_confidence(3, 0), beta_confidence(4, 0)
    (0.9375, 0.96875)
    """
    tosses = a + b + 1
    return sum(comb(tosses, heads) for heads in range(a + 1)) / (1 << tosses)


def log_density_at_half(a: int, b: int) -> float:
    """Return the logarithm of the density of Beta(a+1, b+1) at 1/2 (the posterior of PPR-1v1 under a uniform prior)."""
    return lgamma(a + b + 2) - lgamma(a + 1) - lgamma(b + 1) - (a + b) * log(2)


def _least(left: int, decides: Callable[[int], bool]) -> int:
    """Return the least number of votes from 1 to `left` that decides, or `left`; more votes never undo a decision."""
    return 1 + bisect_left(range(1, left), True, key=decides)


def _capped(tally: Tally, max_votes: int) -> Capped | None:
    if tally.flagged >= max_votes:
        return _flagged(tally)
    if tally.votes >= max_votes:
        return Capped(f"not sure enough after {tally.votes} votes: {tally.describe()}")
    return None


def _flagged(tally: Tally) -> Capped:
    return Capped(f"{tally.flagged} replies were flagged; votes: {tally.describe()}")


def _check_count(field: str, value: int) -> None:
    if value < 1:
        raise InputError(field, f"must be an integer of at least 1, got {value}")
