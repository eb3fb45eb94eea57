"""Decentralized: agents answer apart, then read one another's answers and defend, refine or replace their own.

All rounds are run; then the answer that most agents gave stands, the first of equals (agent-scaling study, section 2).
"""

from __future__ import annotations

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.counting import plurality
from orchestra_topologies.teams.prompts import HINTS, reconsider


def build() -> TeamGraph:
    """Return the graph: answer, exchange again and again, then vote."""
    graph: TeamGraph = StateGraph(Rounds, context_schema=Assembly)
    graph.add_node("answer", _answer)
    graph.add_node("exchange", _exchange)
    graph.add_node("vote", _vote)
    graph.add_edge(START, "answer")
    graph.add_conditional_edges("answer", _next, {"next round": "exchange", "last round": "vote"})
    graph.add_conditional_edges("exchange", _next, {"next round": "exchange", "last round": "vote"})
    graph.add_edge("vote", END)
    return graph


async def _answer(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round = 1

    async def one(number: int) -> None:
        await team.solve(number, [HINTS[(number - 1) % len(HINTS)]], truth=team.question.prompt.truth)

    await team.each(one, team.numbers)
    _tell(team)
    return {"round": 1}


async def _exchange(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round = state["round"] + 1
    said = dict(zip(team.numbers, team.given(team.numbers), strict=True))

    async def one(number: int) -> None:
        peers = [said[other] for other in team.numbers if other != number]
        truth = team.truth([said[number], *peers], most=not team.terms.tools)
        await team.solve(number, reconsider(said[number]), given=peers, truth=truth)

    await team.each(one, team.numbers)
    _tell(team)
    return {"round": team.round}


async def _vote(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.outcome = plurality(team, team.numbers)
    return {}


async def _next(state: Rounds, runtime: Runtime[Assembly]) -> Literal["next round", "last round"]:
    team = runtime.context
    is_over = team.round >= team.team.option("rounds") or team.is_over
    return "last round" if is_over else "next round"


def _tell(team: Assembly) -> None:
    for number in team.numbers:
        team.send(number, [f"agent {other}" for other in team.numbers if other != number])
