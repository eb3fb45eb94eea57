"""Tree: many agents answer apart, and their answers are joined level by level, by code or by a model.

With fan-in b and depth L there are b^L leaves and (b^(L+1) - 1)/(b - 1) agents in all. Code joins by counting and loses
nothing; a model reads messages of at most m tokens and says what most of them come to, and what it misreads is lost
(phase transition, sections A.1 and B.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.microagent import Question
from orchestra_topologies.fitting import Reader
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.panel import SUMMARISER
from orchestra_topologies.prompts import Given, extended, sections
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.counting import most_given
from orchestra_topologies.teams.prompts import JOIN
from orchestra_topologies.teams.team import SOLO
from orchestra_topologies.terms import Terms


def build() -> TeamGraph:
    """Return the graph: leaves, then join level by level."""
    graph: TeamGraph = StateGraph(Rounds, context_schema=Assembly)
    graph.add_node("leaves", _leaves)
    graph.add_node("join", _join)
    graph.add_edge(START, "leaves")
    graph.add_edge("leaves", "join")
    graph.add_conditional_edges("join", _next, {"next level": "join", "root": END})
    return graph


async def _leaves(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round = 1
    team.terms = _short(team, team.terms)

    async def one(number: int) -> None:
        await team.solve(number, truth=team.question.prompt.truth)

    await team.each(one, team.numbers)
    team.level = team.given(team.numbers)
    return {"round": 1}


async def _join(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round, fan_in = state["round"] + 1, team.team.option("fan_in")
    groups = [team.level[start : start + fan_in] for start in range(0, len(team.level), fan_in)]
    joined: list[Outcome | None] = [None] * len(groups)

    async def one(place: int) -> None:
        joined[place] = await _joined(team, groups, place)

    await team.each(one, range(len(groups)))
    team.level = [_given(team, place, outcome) for place, outcome in enumerate(joined)]
    if len(groups) == 1 or all(one.is_missing for one in team.level):
        team.outcome, team.level = next(filter(None, joined), None), []
    return {"round": team.round}


async def _next(state: Rounds, runtime: Runtime[Assembly]) -> Literal["next level", "root"]:
    return "next level" if runtime.context.level else "root"


async def _joined(team: Assembly, groups: Sequence[Sequence[Given]], place: int) -> Outcome | None:
    """Return what the answers of one of a level's groups come to, None where there is none."""
    said = [one for one in groups[place] if not one.is_missing]
    if not said:
        return None
    if team.team.join == "code":
        answer, tally = most_given(team.question.answer, [one.answer for one in said])
        return Outcome(status="ok", answer=answer, selected={"by": "majority", "tally": dict(tally)})
    who = f"level {team.round - 1} agent {place + 1}"
    node, truth = team.node(who), team.truth(said, most=True)
    for one in said:
        team.tell(one, who)

    def asks(given: Sequence[Given]) -> Question:
        return extended(team.bare, node, [*sections(given), JOIN], truth=truth)

    terms = team.seated(team.run.terms(SUMMARISER, sampler=team.terms.sampler), place)
    terms = terms if len(groups) == 1 else _short(team, terms)  # the root's answer is nobody's message
    outcome = await team.run.read(Reader(node=node, purpose=team.question.words, terms=terms, asks=asks), said, SOLO)
    team.count(outcome)
    return outcome


def _given(team: Assembly, place: int, outcome: Outcome | None) -> Given:
    """Return what one agent of a level says to the next level."""
    if outcome is None or outcome.status != "ok":
        return Given(name=f"agent {place + 1}", answer=None, is_right=False, is_missing=True)
    return Given(name=f"agent {place + 1}", answer=outcome.answer, is_right=team.is_right(outcome.answer))


def _short(team: Assembly, terms: Terms) -> Terms:
    """Return the terms of an agent whose answer is a message, of no more tokens than the tree's messages have."""
    sampling, tokens = terms.sampling, team.team.option("tokens")
    most = min(sampling.max_tokens, tokens) if tokens else sampling.max_tokens
    return replace(terms, sampling=replace(sampling, max_tokens=most))
