"""Several answers to one question become one: the gate of the Adaptive Synthesis Protocol (AdaptOrch, Algorithm 2).

Answers of different questions are never compared (hole 4). Within a question, consistent answers are merged, or counted
where they can be; answers that contradict each other go to an arbiter, and the figure that decides and the one that
remains stand in the journal. Agreement is not correctness: where an answer passed a check, the check decides (hole 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Json, Prompt
from orchestra_topologies.execution import Execution, roomy
from orchestra_topologies.fitting import Reader
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.prompts import Given, arbiter_answer, arbiter_prompt, merge_prompt
from orchestra_topologies.synthesis import Operator, Resolution, final_questions
from orchestra_topologies.teams.team import SOLO

_ROOM = 1024


async def resolve_all(run: Execution, *, role: str) -> dict[str, Resolution]:
    """Return what becomes of each question of the answer that several subtasks answer; `role` merges and arbitrates.

    Raises:
        JournalError: A decision could not be recorded.
        BudgetExceeded: Embeddings could pass a cap.
    """
    return {name: await _resolve(run, name, members, role) for name, members in final_questions(run.graph).items()}


async def _resolve(run: Execution, question: str, members: Sequence[str], role: str) -> Resolution:
    ok = tuple(one for one in members if run.outcomes[one].status == "ok")
    answers = [run.outcomes[one].answer for one in ok]
    if not ok:
        return Resolution(question=question, members=(), operator="none", problem="no subtask that answers it ended ok")
    if run.topology == "sequential":  # each has read what it depends on, so the last one stands
        return Resolution(question=question, members=ok, operator="last", answer=answers[-1])
    checked = [place for place, one in enumerate(ok) if run.graph[one].verify is not None]
    if checked:
        return Resolution(question=question, members=ok, operator="verified", answer=answers[checked[0]])
    if len(ok) == 1:
        return Resolution(question=question, members=ok, operator="only", answer=answers[0])
    return await _Compared(run, question, ok, answers, role).resolve()


@dataclass(frozen=True, slots=True)
class _Compared:
    """One question with at least two answers."""

    run: Execution
    question: str
    members: tuple[str, ...]
    answers: list[Json]
    role: str

    async def resolve(self) -> Resolution:
        kind, everyone = self.kind, range(len(self.answers))
        alike = await self.run.similarity.of(f"<compare {self.question}>", kind, self.answers)
        threshold, consistency = self.run.conduct.consistency, round(alike.consistency(everyone), 6)
        middle = self.answers[alike.medoid(everyone)]
        figures = {"consistency": consistency, "threshold": threshold, "basis": alike.basis}
        if consistency < threshold:
            return await self._arbitrate(figures)
        if len({kind.canonical(answer) for answer in self.answers}) == 1:
            return self._resolution("same", middle, **figures)
        if kind.kind != "text":
            return self._resolution("vote" if kind.kind in ("choice", "number") else "medoid", middle, **figures)
        merged = await self._read("merge", AnswerType("text"))
        if merged.status == "ok":
            return self._resolution("merge", merged.answer, **figures)
        problem = f"merging failed: {merged.cause.message if merged.cause else merged.status}"
        return self._resolution("medoid", middle, problem=problem, **figures)

    @property
    def kind(self) -> AnswerType:
        """The type of all its answers."""
        return self.run.graph[self.members[0]].answer

    async def _arbitrate(self, figures: dict[str, Json]) -> Resolution:
        verdict = await self._read("arbitrate", arbiter_answer(self.kind))
        said = verdict.answer if verdict.status == "ok" else None
        problem = self.kind.problem(said["choice"]) if said else verdict.cause.message if verdict.cause else "undecided"
        if said is None or problem:
            told = f"the arbiter gave no usable choice: {problem}"
            return self._resolution("arbitrate", None, is_settled=False, problem=told, **figures)
        choice = said["choice"]
        alike = await self.run.similarity.of(f"<compare {self.question}>", self.kind, [*self.answers, choice])
        after = round(alike.to(len(self.answers), range(len(self.answers))), 6)
        return self._resolution(
            "arbitrate",
            choice,
            is_settled=after >= self.run.conduct.consistency,
            after=after,
            conflicts=tuple(said["conflicts"]),
            evidence=said["evidence"],
            **figures,
        )

    async def _read(self, task: Literal["merge", "arbitrate"], answer: AnswerType) -> Outcome:
        """Have an agent read all the answers, made to fit its window, and say what they come to."""
        run, node = self.run, f"<{task} {self.question}>"
        asked = " / ".join(dict.fromkeys(run.graph[one].description for one in self.members))

        def prompt(given: Sequence[Given], problem: str = "") -> Prompt:
            if task == "merge":
                return merge_prompt(node, run.graph, given, question=asked)
            return arbiter_prompt(node, run.graph, given, question=asked, answer=self.kind, problem=problem)

        def asks(given: Sequence[Given]) -> Question:
            return Question(node=node, prompt=prompt(given), answer=answer)

        terms = run.terms(self.role)  # whoever arbitrates, a lead included, is told what an arbiter is told
        terms = replace(terms, card=run.terms("arbiter").card, sampling=roomy(terms.sampling, _ROOM))
        reader = Reader(node=node, purpose=asked, terms=terms, asks=asks)
        given = [run.given(one) for one in self.members]
        if task == "merge":
            return await run.read(reader, given, SOLO)
        return await run.read_until_usable(reader, given, answer, prompt)

    def _resolution(self, operator: Operator, answer: Json, **figures: Json) -> Resolution:
        return Resolution(question=self.question, members=self.members, operator=operator, answer=answer, **figures)
