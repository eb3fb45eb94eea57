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
from orchestra_topologies.prompts import Given, extended, sections
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.counting import most_given
from orchestra_topologies.teams.prompts import JOIN
from orchestra_topologies.teams.team import SOLO


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
    _shorten(team)

    async def one(number: int) -> None:
        await team.solve(number, truth=team.question.prompt.truth)

    leaves = range(1, team.team.option("fan_in") ** team.team.option("depth") + 1)
    await team.each(one, leaves)
    team.level = team.given(leaves)
    return {"round": 1}


async def _join(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round, fan_in = state["round"] + 1, team.team.option("fan_in")
    groups = [team.level[start : start + fan_in] for start in range(0, len(team.level), fan_in)]
    joined: dict[int, Given] = {}
    is_root = len(groups) == 1

    async def one(place: int) -> None:
        outcome = await _joined(team, groups[place], f"level {state['round']} agent {place + 1}")
        if is_root:
            team.outcome = outcome
        elif outcome is None or outcome.status != "ok":
            joined[place] = Given(name=f"agent {place + 1}", answer=None, is_right=False, is_missing=True)
        else:
            right = team.is_right(outcome.answer)
            joined[place] = Given(name=f"agent {place + 1}", answer=outcome.answer, is_right=right)

    await team.each(one, range(len(groups)))
    team.level = [joined[place] for place in sorted(joined)]
    return {"round": team.round}


async def _next(state: Rounds, runtime: Runtime[Assembly]) -> Literal["next level", "root"]:
    return "next level" if runtime.context.level else "root"


async def _joined(team: Assembly, given: Sequence[Given], who: str) -> Outcome | None:
    """Return what the answers of one group come to, None where there is none."""
    said = [one for one in given if not one.is_missing]
    if not said:
        return None
    if team.team.join == "code":
        answer, tally = most_given(team.question.answer, [one.answer for one in said])
        return Outcome(status="ok", answer=answer, selected={"by": "majority", "tally": dict(tally)})
    node, truth = team.node(who), team.truth(said, most=True)
    for one in said:
        team.tell(one, who)

    def asks(given: Sequence[Given]) -> Question:
        return extended(team.bare, node, [*sections(given), JOIN], truth=truth)

    terms = team.run.terms("summariser", sampler=team.terms.sampler)
    terms = replace(terms, sampling=team.terms.sampling)
    outcome = await team.run.read(Reader(node=node, purpose=team.question.words, terms=terms, asks=asks), said, SOLO)
    team.samples += outcome.samples
    return outcome


def _shorten(team: Assembly) -> None:
    """Hold every message of the tree to its number of tokens."""
    tokens = team.team.option("tokens")
    if tokens and team.team.join == "model":
        team.terms = replace(team.terms, sampling=replace(team.terms.sampling, max_tokens=tokens))
