"""What a recursive decomposition came to, read from its journal: the same now, resumed, or looked up later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra_agents.journal.records import ProblemSplit, RunStatus
from orchestra_agents.journal.replay import RunState, Usage
from orchestra_agents.models.contract import Evidence, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What a problem came to."""

    run_id: str
    status: RunStatus
    answer: Json
    """None unless the status is ok."""
    problems: list[dict[str, Json]]
    """The tree in order: path, problem, how, answer, votes, failure; and split, split_votes, split_failure, outvoted.

    `how` is None where a problem has no answer yet. `atomic_miscalc` and `composed_miscalc` are known only where the
    roles say what is right, so None among failures does not mean that an answer is right.
    """
    reason: str | None
    """Why there is no answer."""
    usage: Usage
    journal: Path
    evidence: Evidence
    seconds: float
    """Wall-clock seconds over all attempts that ended."""

    def as_dict(self) -> dict[str, Json]:
        """Return the result as a JSON document."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return values | {"usage": self.usage.as_dict(), "journal": str(self.journal)}


def solved_of(run_id: str, state: RunState, journal: Path) -> Solved:
    """Return the result of a run of `solve` from its state; one without an end counts as interrupted."""
    ended = state.ended
    splits = sorted(state.splits.values(), key=lambda split: [int(place) for place in split.path.split(".")])
    return Solved(
        run_id=run_id,
        status=ended.status if ended else "interrupted",
        answer=ended.answer if ended else None,
        problems=[_problem(split, state) for split in splits],
        reason=ended.reason if ended else None,
        usage=state.usage,
        journal=journal,
        evidence=state.evidence,
        seconds=round(state.seconds, 3),
    )


def _problem(split: ProblemSplit, state: RunState) -> dict[str, Json]:
    solved = state.solved.get(split.path)
    return {
        "path": split.path,
        "problem": split.problem,
        "split": split.split,
        "split_votes": split.votes,
        "split_failure": split.failure,
        "how": solved.how if solved and solved.decided else None,
        "answer": solved.answer if solved else None,
        "votes": solved.votes if solved else 0,
        "outvoted": split.outvoted + (solved.outvoted if solved else 0),
        "failure": solved.failure if solved else None,
    }
