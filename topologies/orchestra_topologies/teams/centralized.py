"""Centralized: a lead divides the goal, agents work on their parts in rounds, the lead makes the answer of it.

The lead plans, then reads what the agents found after each round and either goes on, with guidance for each of them, or
stops; it is not believed after the first round, and not before the third where nothing was found. The last word is a
synthesis by the lead (agent-scaling study, section 2). `peers` is the same with the agents' findings passed among them,
too: the study's *hybrid*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Prompt, Truth
from orchestra_agents.models.window import most_tokens
from orchestra_topologies.fitting import Reader
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.prompts import Given, extended, repair_line, sections
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.prompts import (
    ASPECT,
    COORDINATE,
    FINDING,
    NOTE_CHARACTERS,
    PLAN,
    SYNTHESISE,
    coordination_answer,
    finding_material,
    plan_answer,
)
from orchestra_topologies.teams.team import BELIEVED_FROM, SOLO
from orchestra_topologies.terms import Terms

_TEXT = AnswerType()
_EMPTY_UNTIL = 3  # the first round after which a lead is believed where nothing was found


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
    said = await _lead(team, "lead", PLAN.format(count=count), plan_answer(count), notes=1 + 2 * count)
    if said.status == "ok":
        team.plan = list(said.answer["subtasks"])
    else:
        team.plan = [{"objective": ASPECT.format(number=number, count=count), "focus": ""} for number in team.numbers]
        _note(team, "gave no usable plan", said, "each agent took an aspect")
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
    said = await _lead(team, node, COORDINATE, coordination_answer(len(given)), given=given, notes=len(given))
    if said.status != "ok":
        team.is_stopped = True
        _note(team, "did not read the findings", said, "they stand as they are")
        return {}
    found = any(not one.is_missing for one in given)
    may_stop = team.round >= (BELIEVED_FROM if found else _EMPTY_UNTIL)
    team.is_stopped = may_stop and said.answer["verdict"] == "STOP"
    for place, guidance in enumerate(said.answer["guidance"][: len(team.plan)]):
        team.plan[place] = {**team.plan[place], "guidance": guidance}
    return {}


async def _next(state: Rounds, runtime: Runtime[Assembly]) -> Literal["continue", "stop"]:
    return "stop" if runtime.context.is_stopped else "continue"


async def _synthesise(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    given = team.given(team.numbers)
    if team.cut is not None or all(one.is_missing for one in given):
        return {}
    if team.is_reached and team.question.answer.kind == "text":  # what the agents say of it stands
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
    notes: int = 0,
) -> Outcome:
    """Return what the lead says; a reply that cannot be used, but for its last one, is asked for again twice.

    Args:
        team: Whose lead it is.
        who: Its name at this place.
        words: What it is to do.
        answer: The kind of answer wanted.
        given: What it reads.
        truth: What a simulated lead may know.
        notes: Notes in its reply, each of which needs room; 0 for its last reply, which is the question's answer.
    """
    node = team.node(who)
    terms = team.seated(team.run.terms("lead", sampler=team.terms.sampler), 0)

    def asked(given: Sequence[Given], problem: str = "") -> Question:
        read = [*sections(given), *repair_line(problem), words]
        return extended(team.bare, node, read, answer=answer, truth=truth)

    def prompt(given: Sequence[Given], problem: str) -> Prompt:
        return asked(given, problem).prompt

    if notes:
        terms = await _roomy(team, terms, prompt(given, ""), notes * NOTE_CHARACTERS // 2)
    reader = Reader(node=node, purpose=words, terms=terms, asks=asked)
    if notes:
        outcome = await team.run.read_until_usable(reader, given, answer, prompt)
    else:
        outcome = await team.run.read(reader, given, SOLO)
    team.count(outcome)
    return outcome


async def _roomy(team: Assembly, terms: Terms, prompt: Prompt, tokens: int) -> Terms:
    """Return the terms of a lead whose reply has room for `tokens`, or half its window."""
    window = await team.run.window_of(terms.models, most_tokens(prompt) + tokens)
    room = tokens if window is None else min(tokens, window // 2)
    return replace(terms, sampling=replace(terms.sampling, max_tokens=max(terms.sampling.max_tokens, room)))


def _note(team: Assembly, what: str, said: Outcome, instead: str) -> None:
    """Tell the user that the lead was of no use, and what was done instead; a team cut short goes on without."""
    if team.cut is None:
        why = f" ({said.cause.message})" if said.cause is not None else ""
        team.run.notes.append(f"the lead of {team.question.node} {what}{why}; {instead}")
