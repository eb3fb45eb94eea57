"""Text and code with a second look: several samples are drawn, one is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Microagent, Question, Vote
from orchestra_agents.models.contract import Json
from orchestra_agents.verification import Verify
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.prompts import judge_prompt
from orchestra_topologies.teams.team import DEFAULT_K, Team

if TYPE_CHECKING:
    from orchestra_topologies.execution import Execution


async def select(run: Execution, agent: Microagent, question: Question, team: Team, verify: Verify | None) -> Outcome:
    """Return the outcome of a question of which `team.samples` answers are drawn and one is taken.

    Raises:
        ModelError, BudgetExceeded, JournalError: As `Microagent.decide`.
    """
    if team.select == "verify" and verify is not None:
        return await _first_that_passes(run, agent, question, team, verify)
    drawn = await agent.candidates(question, range(team.samples))
    different = list({vote.canonical: vote for vote in drawn if vote is not None}.values())
    if not different:
        cause = Cause(code="red_flag", message=f"all {team.samples} samples were flagged")
        return Outcome(status="failed", samples=team.samples, cause=cause)
    if team.select == "judge":
        return await _judged(run, question, team, different)
    votes = [vote for vote in drawn if vote is not None]
    alike = await run.similarity.of(question.node, question.answer, [vote.value for vote in votes])
    everyone = range(len(votes))
    taken = alike.medoid(everyone)
    figures = {"similarity": round(alike.to(taken, everyone), 6), "basis": alike.basis}
    return _taken(votes[taken], team, candidates=len(votes), **figures)


async def _first_that_passes(
    run: Execution, agent: Microagent, question: Question, team: Team, verify: Verify
) -> Outcome:
    """Draw one answer after another until one passes the check."""
    detail = "all samples were flagged"
    for index in range(team.samples):
        [vote] = await agent.candidates(question, range(index, index + 1))
        if vote is not None:
            verdict = await run.check(question.node, verify, vote.value)
            if verdict.passed:
                return _taken(vote, team, candidates=index + 1, detail=verdict.detail)
            detail = f"the last one: {verdict.detail}"
    cause = Cause(code="verify", message=f"none of {team.samples} answers passed the check; {detail}")
    return Outcome(status="failed", samples=team.samples, cause=cause)


async def _judged(run: Execution, question: Question, team: Team, different: Sequence[Vote]) -> Outcome:
    """Have the judge pick one of the answers that differ; it votes like any choice."""
    if len(different) == 1:
        return _taken(different[0], team, candidates=1, detail="all answers are the same")
    numbers = tuple(str(place) for place in range(1, len(different) + 1))
    node = f"<judge {question.node}>"
    choice = AnswerType("choice", choices=numbers)
    asked = Question(node=node, prompt=judge_prompt(node, question, [vote.value for vote in different]), answer=choice)
    judged = await run.put(asked, Team("vote", DEFAULT_K), run.terms("judge"))
    if judged.status == "cancelled":
        return Outcome(status="cancelled", samples=team.samples, cause=judged.cause)
    if judged.status != "ok":
        message = judged.cause.message if judged.cause else judged.status
        cause = Cause(code="judge", message=f"the judge did not pick an answer: {message}")
        return Outcome(status=judged.status, samples=team.samples, cause=cause)
    return _taken(different[int(judged.answer) - 1], team, candidates=len(different), votes=judged.votes)


def _taken(vote: Vote, team: Team, **figures: Json) -> Outcome:
    return Outcome(status="ok", answer=vote.value, samples=team.samples, selected={"by": team.select, **figures})
