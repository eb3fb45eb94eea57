"""Answers of several agents, counted by code: the one that most of them gave, the first of equals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.teams.assembly import Assembly


def most_given(answer: AnswerType, answers: Sequence[Json]) -> tuple[Json, Counter[str]]:
    """Return the answer that comes most often, the first of equals, and how often each came by its canonical form.

    Args:
        answer: The type of the answers.
        answers: At least one.
    """
    keys = [answer.canonical(one) for one in answers]
    tally = Counter(keys)
    best = max(tally.values())
    place = next(place for place, key in enumerate(keys) if tally[key] == best)
    return answers[place], tally


def plurality(team: Assembly, numbers: Iterable[int]) -> Outcome | None:
    """Return the answer that most of the agents `numbers` last gave, None where none of them gave one."""
    said = [one.answer for one in team.given(numbers) if not one.is_missing]
    if not said:
        return None
    answer, tally = most_given(team.question.answer, said)
    return Outcome(status="ok", answer=answer, selected={"by": "majority", "agents": len(said), "tally": dict(tally)})
