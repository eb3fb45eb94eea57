"""A team of several agents at work on one question: what its rounds share, and how an agent of it is asked.

Each team is a LangGraph graph whose nodes are its rounds; LangGraph carries the number of the round, everything else
stands here and in the journal. A team that is taken up again starts over and is answered from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from langgraph.graph import StateGraph

from orchestra_agents.acting import OVER, Actor
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import BudgetExceeded
from orchestra_agents.journal.records import MessageSent, TeamEnded
from orchestra_agents.journal.sqlite import text_key
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Json, Truth
from orchestra_agents.sections import as_text
from orchestra_agents.tools import Situation, Turn
from orchestra_topologies.consistency import Alikeness
from orchestra_topologies.fitting import Reader, fitted
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.prompts import Given, extended, sections
from orchestra_topologies.teams.team import SOLO, Team
from orchestra_topologies.terms import Terms

if TYPE_CHECKING:
    from orchestra_topologies.execution import Execution

SUMMARY = "Your turns of this round are over. Say in short what you did, what you saw, and what follows from it."


class Rounds(TypedDict, total=False):
    """The state that LangGraph carries through a team."""

    round: int
    """The latest round, from 1."""


TeamGraph: TypeAlias = "StateGraph[Rounds, Assembly, Rounds, Rounds]"
"""A team before it is compiled: nodes get the `Assembly` as their runtime context."""


@dataclass(slots=True, eq=False, kw_only=True)
class Assembly:
    """One team at work on one question."""

    run: Execution
    question: Question
    """What the team is asked, with the words of its workers' role."""
    bare: Question
    """The same without them, for agents of other roles."""
    team: Team
    terms: Terms
    outputs: dict[int, Outcome] = field(default_factory=dict)
    """The latest output of each agent, by its number from 1."""
    turns: dict[int, tuple[Turn, ...]] = field(default_factory=dict)
    """What each agent with tools did and saw."""
    plan: list[dict[str, Json]] = field(default_factory=list)
    """What the lead wants of each agent, in teams that have one."""
    level: list[Given] = field(default_factory=list)
    """The answers of the latest level of a tree."""
    round: int = 0
    is_stopped: bool = False
    """Whether a lead has no further round."""
    samples: int = 0
    """Samples that its agents drew."""
    cut: Outcome | None = None
    """The end of the first of its agents that was kept from its work, as by a budget that is spent."""
    outcome: Outcome | None = None
    """What the team came to, once it has."""

    @property
    def numbers(self) -> range:
        """The numbers of the agents that work, those of a tree being its leaves."""
        team = self.team
        is_tree = team.name == "tree"
        return range(1, (team.option("fan_in") ** team.option("depth") if is_tree else team.option("agents")) + 1)

    @property
    def is_over(self) -> bool:
        """Whether no further round makes sense: the goal is reached, or the team is cut short."""
        return self.cut is not None or self.is_reached

    @property
    def is_reached(self) -> bool:
        """Whether the goal is reached, as the tools tell."""
        is_done = self.terms.tools.is_done
        return is_done is not None and is_done()

    def node(self, who: str) -> str:
        """Return the name under which an agent of this team is recorded."""
        return f"<{self.question.node} {who}>"

    async def each(self, work: Callable[[int], Coroutine[None, None, None]], numbers: Iterable[int]) -> None:
        """Have several agents work side by side, or one after the other where the run is serial."""
        if self.run.is_serial:
            for number in numbers:
                if self.cut is None:
                    await work(number)
        elif self.cut is None:
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(work(number))

    def count(self, outcome: Outcome) -> None:
        """Take in how the work of one agent ended."""
        self.samples += outcome.samples
        if outcome.status == "cancelled":
            self.cut = self.cut or outcome

    async def solve(
        self,
        number: int,
        material: Sequence[str] = (),
        *,
        given: Sequence[Given] = (),
        answer: AnswerType | None = None,
        truth: Truth | None = None,
        is_divided: bool = False,
    ) -> Outcome:
        """Have agent `number` work on the question in the present round, and keep what it says.

        Args:
            number: The agent, from 1.
            material: What it reads beside the question.
            given: What others said, made to fit its window.
            answer: The kind of answer wanted of it, if not the question's.
            truth: What a simulated agent may know.
            is_divided: Whether it works on a share of the goal.
        """
        node = self.node(f"agent {number} round {self.round}" if self.round > 1 else f"agent {number}")
        wanted, member = answer or self.question.answer, self._terms_of(number)

        def asks(given: Sequence[Given]) -> Question:
            read = [*sections(given), *material]
            return extended(self.question, node, read, answer=wanted, truth=truth)

        reader = Reader(node=node, purpose=self.question.words, terms=member, asks=asks)
        if not self.terms.tools:
            outcome = await self.run.read(reader, given, SOLO)
        else:
            seat = Situation(turns=(), member=number - 1, members=len(self.numbers), is_divided=is_divided)
            outcome = await self.run.as_outcome(self._act(number, reader, given, wanted, seat))
        self.count(outcome)
        if outcome.status == "ok" or number not in self.outputs:
            self.outputs[number] = outcome
        return outcome

    async def _act(
        self, number: int, reader: Reader, given: Sequence[Given], answer: AnswerType, seat: Situation
    ) -> Outcome:
        """Have an agent take its turns of this round, and say what it found where it is not done."""
        question = reader.asks(await fitted(self.run, reader, given))
        actor = self.run.actor(self.run.agent(question.node, SOLO, reader.terms), reader.terms)
        before, most = self.turns.get(number, ()), self.team.option("turns")

        def asks(material: Sequence[str], kind: AnswerType) -> Question:
            return extended(question, question.node, material, answer=kind, truth=question.prompt.truth)

        done = await actor.act(asks, answer, turns=most, before=before, seat=seat)
        self.turns[number] = done.turns
        if done.is_done:
            return Outcome(status="ok", answer=done.answer, samples=done.samples)
        words = OVER if answer.votable else SUMMARY
        said = Outcome.of(await actor.conclude(asks, answer, done.turns, words), k=None)
        return replace(said, samples=done.samples + said.samples)

    def send(self, number: int, receivers: Sequence[str]) -> None:
        """Record that agent `number` told others what it last said."""
        self.tell(self._given(number), *receivers)

    def tell(self, said: Given, *receivers: str) -> None:
        """Record that somebody's words were passed on; not those of who said nothing, nor any where the team is cut."""
        if said.is_missing or self.cut is not None:
            return
        record = MessageSent(
            node=self.question.node,
            round=self.round,
            sender=said.name,
            receivers=list(receivers),
            text=text_key(said.text),
        )
        if record.identity() not in self.run.state.messages:
            self.run.journal.append(record, text=said.text)

    def given(self, numbers: Iterable[int]) -> list[Given]:
        """Return what agents last said, as others are shown it; one that said nothing keeps its place."""
        return [self._given(number) for number in numbers]

    def _given(self, number: int) -> Given:
        said = self.outputs.get(number)
        if said is None or said.status != "ok":
            return Given(name=f"agent {number}", answer=None, is_right=False, is_missing=True)
        return Given(name=f"agent {number}", answer=said.answer, is_right=self.is_right(said.answer))

    def is_right(self, answer: Json) -> bool:
        """Whether an answer is the reference one, for simulated models only; what is not known counts as right."""
        truth, kind = self.question.prompt.truth, self.question.answer
        if truth is None or (self.terms.tools and not kind.votable):  # who acts tells of its work in words
            return True
        if kind.problem(answer):  # a finding, in words
            return bool(answer == as_text(truth.answer))
        return kind.canonical(answer) == kind.canonical(truth.answer)

    def truth(self, given: Sequence[Given], *, most: bool = False) -> Truth | None:
        """Return what a simulated agent may know that reads `given` beside what the question reads."""
        base = self.question.prompt.truth
        if base is None:
            return None
        read = tuple(one.is_right for one in given if not one.is_missing)
        if most:
            return replace(base, inputs=read, reads="most")
        return replace(base, inputs=(*base.inputs, *read))

    def failed(self) -> Outcome:
        """Return the outcome of a team none of whose agents gave an answer: the first agent's, in words."""
        first = self.outputs[min(self.outputs)] if self.outputs else None
        why = first.cause.message if first is not None and first.cause is not None else "nobody answered"
        code = first.cause.code if first is not None and first.cause is not None else "team"
        message = f"none of the {len(self.outputs)} agents gave an answer; the first: {why}"
        is_open = first is not None and first.status == "undecided"
        return Outcome(status="undecided" if is_open else "failed", cause=Cause(code=code, message=message))

    async def record(self) -> None:
        """Record how the team ended, with how alike the last outputs of its agents are."""
        node = self.question.node
        redundancy, basis = None, None
        try:
            alike = await self._alike()
        except BudgetExceeded as error:  # a figure is no reason to lose the answer
            self.run.notes.append(f"the agents of {node} were not compared: {error}")
        else:
            if alike is not None:
                redundancy, basis = round(alike.consistency(range(len(alike.matrix))), 6), alike.basis
        record = TeamEnded(
            node=node,
            team=str(self.team),
            agents=self.team.spec.agents,
            rounds=self.round,
            redundancy=redundancy,
            basis=basis,
        )
        if self.run.state.teams.get(node) != record:
            self.run.journal.append(record)

    async def _alike(self) -> Alikeness | None:
        """Return how alike the last outputs of its agents are; None with fewer than two."""
        said = [one for _, one in sorted(self.outputs.items()) if one.status == "ok"]
        if len(said) < 2:
            return None
        return await self.run.similarity.of_texts(self.node("agents compared"), [as_text(one.answer) for one in said])

    def seated(self, terms: Terms, place: int) -> Terms:
        """Return the terms of one agent of a role: the members of its panel take turns, by place from 0."""
        return replace(terms, models=(terms.models[(self.question.offset + place) % len(terms.models)],))

    def _terms_of(self, number: int) -> Terms:
        """Return the terms of an agent that works; its question holds the role's words already."""
        card = replace(self.terms.card, words="")
        terms = replace(self.terms, card=card, timeout_s=None, verify=None, repair=None)
        return self.seated(terms, number - 1)


async def acted(actor: Actor, question: Question, team: Team) -> Outcome:
    """Return what one agent with tools, or the votes on its actions, come to about `question`."""

    def asks(material: Sequence[str], kind: AnswerType) -> Question:
        return extended(question, question.node, material, answer=kind, truth=question.prompt.truth)

    done = await actor.act(asks, question.answer, turns=team.option("turns"))
    if done.is_done:
        return replace(Outcome.of(done.decision, k=team.k), answer=done.answer, samples=done.samples)
    if not done.decision.decided:
        return replace(Outcome.of(done.decision, k=team.k), samples=done.samples)
    words_counted = question.answer.votable or team.k is None
    actor = actor if words_counted else replace(actor, agent=_alone(actor.agent))
    said = Outcome.of(await actor.conclude(asks, question.answer, done.turns), k=team.k if words_counted else None)
    return replace(said, samples=done.samples + said.samples)


def _alone(agent: Microagent) -> Microagent:
    return replace(agent, rule=SOLO.rule())
