"""One question to one decision: prompt, votes, verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import OrchestraError
from orchestra_agents.flags import Check, truncated, unparsable
from orchestra_agents.models.contract import Json, Prompt, Sampling
from orchestra_agents.sampler import Sample, Sampler
from orchestra_agents.voting.tally import Capped, Decided, Rule, Tally, Undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, on whose behalf, and what kind of answer counts."""

    node: str
    """Id of the subtask (or phase of one) that asks; part of every sample's identity."""
    prompt: Prompt
    answer: AnswerType
    offset: int = 0
    """Where in the panel the first sample goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a question ended."""

    answer: Json
    """The typed answer; None where the vote was not decided."""
    decided: bool
    votes: int
    """Valid votes counted."""
    samples: int
    """Samples drawn, flagged ones included."""
    margin: int
    """Votes ahead of the runner-up."""
    tally: Mapping[str, int]
    """Votes by canonical answer."""
    reason: str = ""
    """Why it was not decided."""


@dataclass(frozen=True, slots=True)
class Microagent:
    """Asks until a rule decides, with red-flagged replies discarded.

    Args:
        sampler: Where samples come from.
        rule: When the vote is over.
        sampling: How samples are drawn; the answer's schema is added to it.
        red_flag: Further reasons to discard a reply, beside truncation and what the answer type cannot read.
    """

    sampler: Sampler
    rule: Rule
    sampling: Sampling
    red_flag: Check | None = None

    async def decide(self, question: Question) -> Decision:
        """Vote on `question`: as many samples at once as could decide, counted in index order, until the rule ends it.

        The decision is the same whatever the order in which replies arrive.

        Raises:
            ModelError: A sample was not answered; the replies of its batch are recorded first.
            BudgetExceeded: A call could pass a cap; likewise.
            JournalError: A reply could not be recorded.
        """
        read = _Reader(question.answer)
        flags = truncated() | unparsable(question.answer.read)
        if self.red_flag is not None:
            flags = flags | self.red_flag
        sampling = replace(self.sampling, schema=question.answer.constraint())
        tally, drawn = Tally(), 0
        while isinstance(verdict := self.rule(tally), Undecided):
            batch = await self._draw(question, sampling, range(drawn, drawn + verdict.shortfall), flags)
            drawn += len(batch)
            for sample in batch:
                if sample.flag is None:
                    tally.add(read(sample))
                else:
                    tally.flagged += 1
        _, margin = tally.leader()
        return Decision(
            answer=read.values[verdict.answer] if isinstance(verdict, Decided) else None,
            decided=isinstance(verdict, Decided),
            votes=tally.votes,
            samples=drawn,
            margin=margin,
            tally=tally.counts,
            reason=verdict.reason if isinstance(verdict, Capped) else "",
        )

    async def _draw(self, question: Question, sampling: Sampling, indices: range, flags: Check) -> list[Sample]:
        async def one(index: int) -> Sample | OrchestraError:
            try:
                return await self.sampler.draw(
                    question.node,
                    question.prompt,
                    replace(sampling, index=index),
                    offset=question.offset,
                    red_flag=flags,
                )
            except OrchestraError as error:
                return error  # as data, so that the batch's other replies arrive and are recorded

        if len(indices) == 1:
            results = [await one(indices[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(index)) for index in indices]
            results = [task.result() for task in tasks]
        for result in results:
            if not isinstance(result, Sample):
                raise result
        return [result for result in results if isinstance(result, Sample)]


class _Reader:
    """Turns a sample into its canonical answer and remembers the value behind each."""

    def __init__(self, answer: AnswerType) -> None:
        self._answer = answer
        self.values: dict[str, Json] = {}

    def __call__(self, sample: Sample) -> str:
        if sample.opaque is not None:
            self.values.setdefault(sample.opaque, sample.opaque)
            return sample.opaque
        value = self._answer.read(sample.text)
        canonical = self._answer.canonical(value)
        self.values.setdefault(canonical, value)
        return canonical
