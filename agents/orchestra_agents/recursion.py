"""One hard problem, solved by splitting it: decompose, solve and compose, each decided by vote (MAKER, appendix F)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol, cast, get_args

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.journal.records import Failure, How, ProblemSolved, ProblemSplit
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.microagent import Decision, Microagent, Question
from orchestra_agents.models.contract import Json, Prompt, Sampling, digest
from orchestra_agents.sampler import Sampler
from orchestra_agents.splits import Split, split_type
from orchestra_agents.voting.ahead import AheadByK

ROOT = "1"
"""Path of the whole problem; its parts are 1.1 and 1.2."""
LARGEST_DEPTH = 16
"""Most levels of splits: 65,536 atomic problems."""
DEPTH = 5
"""Levels of splits unless something else is asked, the paper's."""
RULE = AheadByK(2)
"""When a vote is over unless something else is asked; k is the paper's."""
SAMPLING = Sampling(temperature=0.5)
"""How samples are drawn unless something else is asked; the temperature is the paper's."""


class Roles(Protocol):
    """What the three roles are asked about a problem, and which splits are refused.

    A prompt's `truth` is the right reply, where it is known: for the simulated model, and for the failure classes of
    miscalculation. That of a composition is what follows from the answers it is given.
    """

    @property
    def answer(self) -> AnswerType:
        """The kind of answer that the problem and all its parts have: one whose equal answers can be counted."""

    def decomposition(self, problem: str) -> Prompt:
        """Return what the decomposer is asked; it replies with an object as `split_type()` says."""

    def solution(self, problem: str) -> Prompt:
        """Return what the solver of an atomic problem is asked."""

    def composition(self, problem: str, split: Split, answers: tuple[Json, ...]) -> Prompt:
        """Return what the composer is asked, given the parts' answers in order."""

    def fault(self, problem: str, split: Split) -> str | None:
        """Return the failure class of a split that must not be used, or None; an unlisted class counts as unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a problem came to."""

    answer: Json
    """None where a vote was not decided."""
    how: How
    undecided: str | None = None
    """Path of the first problem whose vote was not decided, None where the answer stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recursion:
    """Splits a problem as long as votes say so, solves the parts side by side and composes their answers.

    Every decision is first-to-ahead-by-k with a cap, never a plurality. A split that is not decided, or faulty, is not
    used: the problem is atomic then. Votes are journaled, booked and replayed by the sampler, under the node
    `<problem> PATH`.

    Raises:
        InputError: The depth is out of its range, or equal answers of the roles' type cannot be counted.
    """

    sampler: Sampler
    journal: RunJournal
    """The run's writing end, the sampler's own."""
    roles: Roles
    rule: AheadByK = RULE
    sampling: Sampling = SAMPLING
    depth: int = DEPTH
    """Levels of splits, 0 to 16; a problem that deep is atomic without being asked."""

    def __post_init__(self) -> None:
        check_recursion(self.roles, self.depth)

    async def solve(self, problem: str) -> Solution:
        """Return the problem's answer, or the path of the vote that was not decided.

        Raises:
            ModelError: A sample was not answered; what the other parts could do without it is recorded first.
            BudgetExceeded: A call could pass a cap; likewise.
            JournalError: Something could not be recorded.
        """
        return await self._solve(problem, ROOT)

    async def _solve(self, problem: str, path: str) -> Solution:
        split = await self._split(problem, path)
        if split is None:
            return await self._answer(path, self.roles.solution(problem), "atomic")
        parts = await self._solve_parts(split, path)
        undecided = next((part.undecided for part in parts if part.undecided is not None), None)
        if undecided is not None:
            return Solution(answer=None, how="composed", undecided=undecided)
        answers = tuple(part.answer for part in parts)
        return await self._answer(path, self.roles.composition(problem, split, answers), "composed")

    async def _solve_parts(self, split: Split, path: str) -> list[Solution]:
        """Return the parts' solutions; an error of one is raised when the others have come as far as they can."""

        async def one(place: int, part: str) -> Solution | Exception:
            try:
                return await self._solve(part, f"{path}.{place}")
            except Exception as error:  # noqa: BLE001 - a task's boundary: the other part's work is paid for, too
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(place, part)) for place, part in enumerate(split.parts, 1)]
        results = [task.result() for task in tasks]
        for result in results:
            if isinstance(result, Exception):
                raise result
        return [result for result in results if not isinstance(result, Exception)]

    async def _split(self, problem: str, path: str) -> Split | None:
        """Return how a problem is split, None where it is atomic, and record which."""
        split, failure, decision = None, None, None
        if path.count(".") < self.depth:
            decision = await self._decide(path, self.roles.decomposition(problem), split_type(), self.rule)
            split, failure = self._judged(problem, decision)
        record = ProblemSplit(
            path=path,
            problem=problem,
            split=None if split is None else {"parts": list(split.parts), "compose": split.compose},
            votes=decision.votes if decision else 0,
            outvoted=_outvoted(decision) if decision else 0,
            failure=failure,
        )
        if self.sampler.state.splits.get(path) != record:
            self.journal.append(record)
        return split

    def _judged(self, problem: str, decision: Decision) -> tuple[Split | None, Failure | None]:
        """Return the split that was decided, if it may be used, and its failure class, if it may not."""
        if not decision.decided:
            return None, _no_decision(decision)
        said = decision.answer
        if not isinstance(said, dict):  # a simulated reply that stands for anything wrong
            return None, "malformed_final"
        if said["atomic"]:
            return None, None
        if len(said["parts"]) != 2:
            return None, "malformed_final"
        split = Split(tuple(said["parts"]), said["compose"])
        fault = self.roles.fault(problem, split)
        if fault is None:
            return split, None
        return None, cast(Failure, fault) if fault in get_args(Failure) else "unknown"

    async def _answer(self, path: str, prompt: Prompt, how: How) -> Solution:
        """Vote on a problem's answer and record it; what ended at the cap before may go as far again."""
        state, answer = self.sampler.state, self.roles.answer
        rounds = 1 + state.undecided[path]
        decision = await self._decide(path, prompt, answer, replace(self.rule, max_votes=rounds * self.rule.cap))
        record = ProblemSolved(
            path=path,
            answer=decision.answer,
            how=how,
            decided=decision.decided,
            votes=decision.votes,
            outvoted=_outvoted(decision),
            failure=self._miscalculation(decision, prompt, how) if decision.decided else _no_decision(decision),
        )
        if not decision.decided or state.solved.get(path) != record:
            self.journal.append(record)
        return Solution(answer=decision.answer, how=how, undecided=None if decision.decided else path)

    def _miscalculation(self, decision: Decision, prompt: Prompt, how: How) -> Failure | None:
        """Return the failure class of a decided answer; None where it is right, or what is right is not known."""
        truth, answer = prompt.truth, self.roles.answer
        if truth is None or answer.canonical(decision.answer) == answer.canonical(truth.answer):
            return None
        if not all(truth.inputs):
            return "unknown"  # what it was made of was wrong already
        return "atomic_miscalc" if how == "atomic" else "composed_miscalc"

    async def _decide(self, path: str, prompt: Prompt, answer: AnswerType, rule: AheadByK) -> Decision:
        node = f"<problem> {path}"
        # An equal question in another place draws of its own: its votes must not repeat the errors made here.
        prompt = replace(prompt, step=prompt.step or f"{node}|{digest(prompt.rendered())}")
        return await Microagent(self.sampler, rule, self.sampling).decide(
            Question(node=node, prompt=prompt, answer=answer)
        )


def check_recursion(roles: Roles, depth: int) -> None:
    """Refuse what no recursion can be made of.

    Raises:
        InputError: The depth is out of its range, or equal answers of the roles' type cannot be counted.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= LARGEST_DEPTH:
        raise InputError("depth", f"must be an integer from 0 to {LARGEST_DEPTH}, got {depth!r}")
    if not roles.answer.votable:
        told = f"must be number, a choice or json, because votes count equal answers; got {roles.answer.kind}"
        raise InputError("roles.answer", told)


def _outvoted(decision: Decision) -> int:
    """Return the votes for anything but what was decided; 0 where nothing was."""
    return decision.votes - max(decision.tally.values(), default=0) if decision.decided else 0


def _no_decision(decision: Decision) -> Failure:
    """Return why a vote was not decided: no reply could be read, or the readable ones did not agree."""
    return "unknown" if decision.votes else "malformed_final"
