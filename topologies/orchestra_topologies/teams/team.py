"""Which team answers a question by default, and which rule ends its vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.voting.ahead import CAP_FACTOR, AheadByK

Select = Literal["judge", "medoid", "verify"]
"""Who picks one of several samples: a model, the sample most like the others, or the check of `verify`."""

TeamName = Literal["auto", "solo", "vote", "independent", "centralized", "decentralized", "peers", "tree"]

DEFAULT_K = 3
"""Margin of a vote unless something else is asked."""
SOLO_TRIES = 3
"""Replies of a lone agent that may be flagged before its subtask fails."""


@dataclass(frozen=True, slots=True)
class Team:
    """How one question is answered.

    Args:
        name: `solo` takes the first reply without a red flag; `vote` takes the answer that is first k votes ahead.
        k: Margin of the vote; None for solo.
        select: Who picks one of `samples` answers of a lone agent; None takes the first.
        samples: Answers drawn to pick from.
        tries: Replies of a lone agent that may be flagged before it fails.
    """

    name: Literal["solo", "vote"]
    k: int | None = None
    select: Select | None = None
    samples: int = 1
    tries: int = SOLO_TRIES

    def rule(self, *, rounds: int = 1) -> AheadByK:
        """Return when the vote is over; each further round allows as many votes again as the first."""
        if self.k is None:
            return AheadByK(1, max_votes=self.tries * rounds)
        return AheadByK(self.k, max_votes=CAP_FACTOR * self.k * rounds)

    def __str__(self) -> str:
        if self.k is not None:
            return f"vote(k={self.k})"
        return "solo" if self.select is None else f"solo({self.select} of {self.samples})"


def choose_team(asked: TeamName, answer: AnswerType, *, k: int | None, field: str) -> Team:
    """Return the team for an answer type: `vote` where equal answers can be counted, `solo` for prose and code.

    Args:
        asked: What the user asked for; `auto` decides by the answer type.
        answer: The question's answer type.
        k: Margin asked for, or None for the default.
        field: Name of the option or key, for errors.

    Raises:
        InputError: The team cannot answer such a question, or is not built yet.
    """
    match asked:
        case "auto":
            return Team("vote", k or DEFAULT_K) if answer.votable else Team("solo")
        case "solo":
            return Team("solo")
        case "vote":
            if not answer.votable:
                raise InputError(
                    field, f"vote needs an answer that can be counted, not {answer.kind}; use solo or auto"
                )
            return Team("vote", k or DEFAULT_K)
        case _:
            raise InputError(field, f"{asked} is not built yet; available: auto, solo, vote")
