"""One question to one decision: prompt, votes, verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestra_agents.answers import AnswerType
from orchestra_agents.booking import takes_several
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
    """The question as chat messages (or raw text), to be answered as `answer.constraint()` says."""
    answer: AnswerType
    pattern: Prompt | None = None
    """The same question as worked examples whose last line is to be completed, for models that are asked best so."""
    words: str = ""
    """The last words of the prompt, which say what to do; whatever else is to be read comes before them."""
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
    flag: str = ""
    """Why the last flagged sample was discarded, where nothing was decided."""


@dataclass(frozen=True, slots=True)
class Vote:
    """A reply that counts."""

    canonical: str
    """The answer's canonical form."""
    value: Json
    """The typed answer."""


@dataclass(frozen=True, slots=True)
class Microagent:
    """Asks until a rule decides, with red-flagged replies discarded.

    Args:
        sampler: Where samples come from.
        rule: When the vote is over.
        sampling: How samples are drawn; the answer's schema is added to it.
        red_flag: Further reasons to discard a reply, beside truncation and what the answer type cannot read.
        is_serial: Whether samples are drawn one after the other instead of as many at once as could decide.
    """

    sampler: Sampler
    rule: Rule
    sampling: Sampling
    red_flag: Check | None = None
    is_serial: bool = False

    async def decide(self, question: Question) -> Decision:
        """Vote on `question`: as many samples at once as could decide, counted in index order, until the rule ends it.

        The decision is the same whatever the order in which replies arrive.

        Raises:
            ModelError: A sample was not answered; the replies of its batch are recorded first.
            BudgetExceeded: A call could pass a cap; likewise.
            JournalError: A reply could not be recorded.
        """
        tally, drawn, flag = Tally(), 0, ""
        values: dict[str, Json] = {}
        while isinstance(verdict := self.rule(tally), Undecided):
            batch = await self._draw(question, range(drawn, drawn + verdict.shortfall))
            drawn += len(batch)
            for vote in batch:
                if isinstance(vote, str):
                    tally.flagged, flag = tally.flagged + 1, vote
                else:
                    values.setdefault(vote.canonical, vote.value)
                    tally.add(vote.canonical)
        _, margin = tally.leader()
        return Decision(
            answer=values[verdict.answer] if isinstance(verdict, Decided) else None,
            decided=isinstance(verdict, Decided),
            votes=tally.votes,
            samples=drawn,
            margin=margin,
            tally=tally.counts,
            reason=verdict.reason if isinstance(verdict, Capped) else "",
            flag="" if isinstance(verdict, Decided) else flag,
        )

    async def candidates(self, question: Question, indices: range) -> list[Vote | None]:
        """Draw the samples `indices` of `question` without counting them; None stands for a flagged one.

        Raises:
            ModelError, BudgetExceeded, JournalError: As in `decide`.
        """
        return [None if isinstance(vote, str) else vote for vote in await self._draw(question, indices)]

    async def _draw(self, question: Question, indices: range) -> list[Vote | str]:
        """Return the votes of a batch in index order; of a flagged reply, why it does not count."""
        if self.is_serial:
            return [vote for index in indices for vote in await self._votes(question, range(index, index + 1))]

        async def some(share: range) -> list[Vote | str] | OrchestraError:
            try:
                return await self._votes(question, share)
            except OrchestraError as error:
                return error  # as data, so that the batch's other replies arrive and are recorded

        shares = self._shares(question, indices)
        if len(shares) == 1:
            results = [await some(shares[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(some(share)) for share in shares]
            results = [task.result() for task in tasks]
        for result in results:
            if isinstance(result, OrchestraError):
                raise result
        return [vote for result in results if not isinstance(result, OrchestraError) for vote in result]

    def _shares(self, question: Question, indices: range) -> list[range]:
        """Return the indices that go in one call each: all of them where one model takes several in one request."""
        members = {id(self.sampler.member(question.offset + index)): index for index in indices}
        if len(members) == 1 and takes_several(self.sampler.member(question.offset + indices[0])):
            return [indices]
        return [range(index, index + 1) for index in indices]

    async def _votes(self, question: Question, indices: range) -> list[Vote | str]:
        """Draw the samples `indices` of one model, put to it in the form that suits it."""
        answer, index = question.answer, indices[0]
        prompt, read = question.prompt, answer.read
        sampling = replace(self.sampling, index=index, schema=answer.constraint())
        if question.pattern is not None and self.sampler.member(question.offset + index).form == "pattern":
            prompt, read = question.pattern, answer.read_line
            sampling = replace(self.sampling, index=index, grammar=answer.grammar(), stop=("\n",))
        flags = truncated() | unparsable(read)
        if self.red_flag is not None:
            flags = flags | self.red_flag
        samples = await self.sampler.draw(
            question.node, prompt, sampling, count=len(indices), offset=question.offset, red_flag=flags
        )

        def vote(sample: Sample) -> Vote | str:
            if sample.flag is not None:
                return sample.flag
            if sample.opaque is not None:
                return Vote(sample.opaque, sample.opaque)
            value = read(sample.text)
            return Vote(answer.canonical(value), value)

        return [vote(sample) for sample in samples]
