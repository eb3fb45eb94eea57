"""One question of a chain, put to the vote: draw, read, count, until a rule has its verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra_agents.chains.caller import Bill, Caller
from orchestra_agents.chains.chain import Chain, Question, Reading
from orchestra_agents.errors import OrchestraError
from orchestra_agents.journal.chain_records import VoteRecord
from orchestra_agents.models.contract import Completion, Model, Prompt, Sampling
from orchestra_agents.voting.ahead import AheadByK
from orchestra_agents.voting.jury import Jury
from orchestra_agents.voting.tally import Tally, Undecided, Verdict

_TRUNCATED = Reading(flag="truncated")


class Ballot:
    """The vote on one question while it is under way, and what it took.

    Args:
        first: Index of its first sample: above 0 where an earlier vote on the same question ended undecided.
    """

    __slots__ = ("bill", "first", "readings", "tally", "votes")

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.tally, self.bill = Tally(), Bill()
        self.readings: dict[str, Reading] = {}
        """The first reading of each answer."""
        self.votes: list[Vote] = []
        """Every reply, in index order."""

    @property
    def asked(self) -> int:
        """Index of the next sample."""
        return self.first + self.tally.votes + self.tally.flagged

    def take(self, other: Ballot) -> None:
        """Go on with another ballot on the same question: both are one from now on."""
        self.first, self.tally, self.bill = other.first, other.tally, other.bill
        self.readings, self.votes = other.readings, other.votes

    def count(self, vote: Vote) -> None:
        """Count a reply."""
        reading = vote.reading
        self.votes.append(vote)
        if reading.flag is not None:
            self.tally.flagged += 1
            self.bill.flagged += 1
            return
        self.tally.add(reading.key)
        if reading.key not in self.readings:
            self.readings[reading.key] = reading

    def late(self, winner: str) -> tuple[int, int] | None:
        """Return how many votes came after the second that disagreed with the winner, and how many of them agreed."""
        if self.tally.votes - self.tally.counts[winner] < 2:
            return None
        keys = [vote.reading.key for vote in self.votes if vote.reading.flag is None]
        dissent = [place for place, key in enumerate(keys) if key != winner]
        late = keys[dissent[1] + 1 :]
        return len(late), late.count(winner)


@dataclass(slots=True)
class Vote:
    """One reply and what it stands for; not frozen, because that triples the cost of what every reply needs."""

    text: str
    reading: Reading
    model: str | None = None
    """Who answered, where several could."""
    juror: int | None = None

    def record(self) -> VoteRecord:
        """Return it as it stands in a step's record."""
        return VoteRecord(text=self.text, flag=self.reading.flag, model=self.model, juror=self.juror)


class Poll:
    """Puts questions of a chain to a panel.

    Args:
        chain: What reads the replies.
        caller: What reaches the models.
        sampling: How votes are drawn where a juror does not say.
        first_temperature: Temperature of a question's sample 0 alone, so that a flagged first reply is not asked for
            again at temperature 0 (section 4.5 of our notes on MAKER); None is `sampling`'s.
        roles: Models that jurors ask for by role.
    """

    def __init__(
        self,
        chain: Chain,
        caller: Caller,
        *,
        sampling: Sampling,
        first_temperature: float | None = None,
        roles: Mapping[str, tuple[Model, ...]] | None = None,
    ) -> None:
        self.chain, self.caller = chain, caller
        self._roles = roles or {}
        self._sampling = sampling
        first = sampling if first_temperature is None else replace(sampling, temperature=first_temperature)
        self._is_uniform = first == sampling
        self._samplings = [replace(first, index=0)]
        self._opened: tuple[AheadByK | None, Verdict] = (None, Undecided(1))

    def sampling(self, index: int) -> Sampling:
        """Return how sample `index` is drawn."""
        while index >= len(self._samplings):
            self._samplings.append(replace(self._sampling, index=len(self._samplings)))
        return self._samplings[index]

    def rule(self, rule: AheadByK, question: Question) -> AheadByK:
        """Return `rule` with what the question's jury asks for."""
        jury = question.asked
        if not isinstance(jury, Jury):
            return rule
        k, size = max(rule.k, jury.k), jury.size
        cap = rule.max_votes if rule.max_votes is None else max(rule.max_votes, k)
        return AheadByK(k, cap, wary=rule.wary and size is None, electorate=size)

    async def decide(self, question: Question, rule: AheadByK, ballot: Ballot, models: Sequence[Model]) -> Verdict:
        """Vote on `question` until `rule` has its verdict; `ballot` holds the votes and their bill, also after errors.

        As many samples are drawn at once as could decide, and counted in index order: the verdict is the same whatever
        the order in which replies arrive.

        Raises:
            ModelError: A sample was not answered.
            BudgetExceeded: The next samples could pass a cap.
        """
        tally, verdict = ballot.tally, self._opening(rule)
        while isinstance(verdict, Undecided):
            await self._draw(question, ballot, verdict.shortfall, models)
            verdict = rule(tally)
        return verdict

    def _opening(self, rule: AheadByK) -> Verdict:
        """Return what `rule` says before the first vote, which is the same step after step."""
        if rule is not self._opened[0]:
            self._opened = (rule, rule(Tally()))
        return self._opened[1]

    async def _draw(self, question: Question, ballot: Ballot, count: int, models: Sequence[Model]) -> None:
        """Draw and count the next `count` samples."""
        asked, first = question.asked, ballot.asked
        if isinstance(asked, Prompt) and len(models) == 1 and (self._is_uniform or first > 0 or count == 1):
            self.sampling(first + count - 1)
            samplings = self._samplings[first : first + count]
            completions = await self.caller.request(models[0], asked, samplings, ballot.bill)
            self._count(question, ballot, completions)
            return
        drawn = [self.draw(question, index, models) for index in range(first, first + count)]
        for vote in await self._gather(question, drawn, ballot.bill):
            ballot.count(vote)

    def draw(self, question: Question, index: int, models: Sequence[Model]) -> Draw:
        """Return who is asked for sample `index` of a question, and how."""
        asked, model = question.asked, models[index % len(models)]
        if isinstance(asked, Prompt):
            return Draw(model, asked, self.sampling(index), model.name if len(models) > 1 else None)
        place = asked.place(asked.order(f"{self._sampling.seed}|{question.step}"), index)
        juror = asked.jurors[place]
        if juror.role is not None:
            members = self._roles.get(juror.role, models)
            model = members[index % len(members)]
        sampling = replace(juror.sampling or self._sampling, index=index, seed=self._sampling.seed)
        return Draw(model, juror.prompt, sampling, model.name if len(models) > 1 else None, place)

    async def ask(self, question: Question, draw: Draw, bill: Bill) -> Vote:
        """Draw one sample."""
        [completion] = await self.caller.request(draw.model, draw.prompt, [draw.sampling], bill)
        return Vote(completion.text, self._read(completion, question, draw.sampling), draw.name, draw.juror)

    async def _gather(self, question: Question, drawn: Sequence[Draw], bill: Bill) -> list[Vote]:
        """Draw samples that differ in more than their index, at the same time, as many as the models take."""

        async def one(draw: Draw) -> Vote | OrchestraError:
            try:
                return await self.ask(question, draw, bill)
            except OrchestraError as error:
                return error  # as data, so that the batch's other replies arrive and are billed

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(draw)) for draw in drawn]
        results = [task.result() for task in tasks]
        for result in results:
            if isinstance(result, OrchestraError):
                raise result
        return [result for result in results if isinstance(result, Vote)]

    def _count(self, question: Question, ballot: Ballot, completions: Sequence[Completion]) -> None:
        """Count completions of one prompt; equal ones are read once."""
        last: Completion | None = None
        vote: Vote | None = None
        for completion in completions:
            if vote is None or completion is not last:
                last, vote = completion, Vote(completion.text, self._read(completion, question, self._sampling))
            ballot.count(vote)

    def _read(self, completion: Completion, question: Question, sampling: Sampling) -> Reading:
        if completion.finish_reason == "length" and sampling.max_tokens > 1:  # a single token is asked for as such
            return _TRUNCATED
        return self.chain.read(completion, question.state)


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to be drawn."""

    model: Model
    prompt: Prompt
    sampling: Sampling
    name: str | None = None
    """Name of the model, where several could answer."""
    juror: int | None = None
