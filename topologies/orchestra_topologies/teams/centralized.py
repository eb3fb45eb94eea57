"""Centralized: a lead divides the goal, agents work on their parts in rounds, the lead makes the answer of it.

The lead plans, then reads what the agents found after each round and either goes on, with guidance for each of them, or
stops; it is not believed after the first round, and not before the third where nothing was found. The last word is a
synthesis by the lead (agent-scaling study, section 2). `peers` is the same with the agents' findings passed among them,
too: the study's *hybrid*.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Prompt, Truth
from orchestra_topologies.fitting import Reader
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.prompts import Given, extended, repair_line, sections
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.prompts import (
    ASPECT,
    COORDINATE,
    FINDING,
    PLAN,
    SYNTHESISE,
    coordination_answer,
    finding_material,
    plan_answer,
)
from orchestra_topologies.teams.team import SOLO

_TEXT = AnswerType()
_BELIEVED_FROM, _EMPTY_UNTIL = 2, 3  # rounds


def build() -> TeamGraph:
    """Return the graph: plan, then work and coordinate in turns, then synthesise."""
    return _build(exchanges=False)


def build_peers() -> TeamGraph:
    """Return the graph of `peers`: the same, with an exchange among the agents after their work."""
    return _build(exchanges=True)


def _build(*, exchanges: bool) -> TeamGraph:
    graph: TeamGraph = StateGraph(Rounds, context_schema=Assembly)
    graph.add_node("plan", _plan)
    graph.add_node("work", partial(_work, reads_peers=exchanges))
    graph.add_node("coordinate", _coordinate)
    graph.add_node("synthesise", _synthesise)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "work")
    if exchanges:
        graph.add_node("exchange", _exchange)
        graph.add_edge("work", "exchange")
        graph.add_edge("exchange", "coordinate")
    else:
        graph.add_edge("work", "coordinate")
    graph.add_conditional_edges("coordinate", _next, {"continue": "work", "stop": "synthesise"})
    graph.add_edge("synthesise", END)
    return graph


async def _plan(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    count = len(team.numbers)
    said = await _lead(team, "lead", PLAN.format(count=count), plan_answer(count))
    if said.status == "ok":
        team.plan = list(said.answer["subtasks"])
    else:
        team.plan = [{"objective": ASPECT.format(number=number, count=count), "focus": ""} for number in team.numbers]
        team.run.notes.append(f"the lead of {team.question.node} gave no usable plan; each agent took an aspect")
    return {"round": 0}


async def _work(state: Rounds, runtime: Runtime[Assembly], *, reads_peers: bool) -> Rounds:
    team = runtime.context
    team.round = state["round"] + 1
    last = dict(zip(team.numbers, team.given(team.numbers), strict=True)) if team.round > 1 else {}

    async def one(number: int) -> None:
        peers = [last[other] for other in last if other != number] if reads_peers else []
        told = finding_material(team.plan[number - 1], last.get(number), team.round)
        objective = Given(name="lead", answer="")  # an input that may be misread, like a peer's finding
        truth = team.truth([objective, *peers])
        wanted = team.question.answer if team.terms.tools and team.question.answer.votable else _TEXT
        await team.solve(number, [*told, FINDING], given=peers, answer=wanted, truth=truth, is_divided=True)

    await team.each(one, team.numbers)
    for number in team.numbers:
        team.send(number, ["lead"])
    return {"round": team.round}


async def _exchange(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    for number in team.numbers:
        team.send(number, [f"agent {other}" for other in team.numbers if other != number])
    return {}


async def _coordinate(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.is_stopped = team.is_over or team.round >= team.team.option("rounds")
    if team.is_stopped:
        return {}
    given = team.given(team.numbers)
    node = f"lead coordinates {team.round}"
    said = await _lead(team, node, COORDINATE, coordination_answer(len(given)), given=given)
    if said.status != "ok":
        team.is_stopped = True
        team.run.notes.append(f"the lead of {team.question.node} did not read the findings; they stand as they are")
        return {}
    found = any(not one.is_missing for one in given)
    may_stop = team.round >= (_BELIEVED_FROM if found else _EMPTY_UNTIL)
    team.is_stopped = may_stop and said.answer["verdict"] == "STOP"
    for place, guidance in enumerate(said.answer["guidance"][: len(team.plan)]):
        team.plan[place] = {**team.plan[place], "guidance": guidance}
    return {}


async def _next(state: Rounds, runtime: Runtime[Assembly]) -> Literal["continue", "stop"]:
    return "stop" if runtime.context.is_stopped else "continue"


async def _synthesise(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    given = team.given(team.numbers)
    if all(one.is_missing for one in given):
        return {}
    if team.is_over and not team.question.answer.votable:  # the goal is reached: what the agents say of it stands
        text = "\n\n".join(one.text for one in given if not one.is_missing)
        team.outcome = Outcome(status="ok", answer=text, selected={"by": "goal reached"})
        return {}
    answer = team.question.answer
    team.outcome = await _lead(team, "lead synthesises", SYNTHESISE, answer, given=given, truth=team.truth(given))
    return {}


async def _lead(
    team: Assembly,
    who: str,
    words: str,
    answer: AnswerType,
    *,
    given: Sequence[Given] = (),
    truth: Truth | None = None,
) -> Outcome:
    """Return what the lead says; a reply that cannot be used is asked for again twice."""
    node, is_last = team.node(who), answer == team.question.answer
    terms = team.run.terms("lead", sampler=team.terms.sampler)

    def asked(given: Sequence[Given], problem: str = "") -> Question:
        read = [*sections(given), *repair_line(problem), words]
        return extended(team.bare, node, read, answer=answer, truth=truth)

    def prompt(given: Sequence[Given], problem: str) -> Prompt:
        return asked(given, problem).prompt

    reader = Reader(node=node, purpose=words, terms=terms, asks=asked)
    if is_last:
        outcome = await team.run.read(reader, given, SOLO)
    else:
        outcome = await team.run.read_until_usable(reader, given, answer, prompt)
    team.samples += outcome.samples
    return outcome
