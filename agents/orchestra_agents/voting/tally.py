"""The votes of one decision, and what a rule may say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Undecided:
    """More votes are needed, at least `shortfall` of them (an integer of at least 1)."""

    shortfall: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The vote is over."""

    answer: str
    """The winning answer, canonical form."""
    margin: int
    """Votes ahead of the runner-up, at least 1."""


@dataclass(frozen=True, slots=True)
class Capped:
    """The vote is over without an answer: never a silent plurality."""

    reason: str


Verdict: TypeAlias = Undecided | Decided | Capped


@dataclass(slots=True)
class Tally:
    """Votes counted by canonical answer, and flagged replies, which are no votes."""

    counts: dict[str, int] = field(default_factory=dict)
    flagged: int = 0
    votes: int = field(default=0, init=False)
    """Valid votes so far."""

    def __post_init__(self) -> None:
        self.votes = sum(self.counts.values())

    def add(self, answer: str) -> None:
        """Count one vote for `answer` (canonical form)."""
        self.counts[answer] = self.counts.get(answer, 0) + 1
        self.votes += 1

    def leader(self) -> tuple[str, int]:
        """Return the answer with most votes (the first counted of equals) and its margin; ('', 0) without votes."""
        best, best_votes, runner_up = "", 0, 0
        for answer, votes in self.counts.items():
            if votes > best_votes:
                best, best_votes, runner_up = answer, votes, best_votes
            elif votes > runner_up:
                runner_up = votes
        return best, best_votes - runner_up

    def describe(self) -> str:
        """Return the counts as words, most votes first."""
        return ", ".join(f"{answer} {votes}" for answer, votes in _by_votes(self.counts)) or "no valid vote"


def _by_votes(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])


class Rule(Protocol):
    """When a vote is over: a pure function of the tally."""

    def __call__(self, tally: Tally) -> Verdict:
        """Judge `tally`."""
