"""Drive a process: vote, decide, record, advance, a million times, and stop only where a step ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass

from orchestra_agents.booking import worst_cost
from orchestra_agents.chains.bets import Bets
from orchestra_agents.chains.caller import Bill, Caller
from orchestra_agents.chains.chain import Chain, Question, Reading
from orchestra_agents.chains.ladder import Ladder
from orchestra_agents.chains.margins import Margins
from orchestra_agents.chains.policy import Crew, DrivePolicy, RecordLevel
from orchestra_agents.chains.poll import Ballot, Poll
from orchestra_agents.chains.sentinels import Sentinels
from orchestra_agents.errors import InputError, JournalError
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import Snapshot, StepDecided, StepObserved, StepStopped
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.ledger import Cost, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import Prompt
from orchestra_agents.payment import Tariff
from orchestra_agents.process import Action, State
from orchestra_agents.voting.margin import ASSUMED_STEPS
from orchestra_agents.voting.tally import Decided

SNAPSHOT_EVERY = 4_000
"""Steps between two snapshots: what a resumed run replays at most."""
_BREATHE_EVERY = 16
_BREATHE_S = 0.05

Ask = Callable[[Question, str], Awaitable[str | None]]
"""Asks a person for what votes could not decide, given the question and how they stand; None is no answer."""


@dataclass(slots=True)
class Decision:
    """What a step came to."""

    question: Question
    ballot: Ballot
    reading: Reading
    k: int
    """Margin that was asked for at last."""
    by: str | None = None
    """`person`, where votes did not decide."""
    lost: int = 0
    """Samples of bets that were lost on it."""


class Driver:
    """One attempt at a chain.

    Args:
        chain: The process.
        policy: How it is driven.
        crew: Who answers.
        journal: The run's writing end.
        state: The run's state without the steps after its latest snapshot; kept current by listening to the journal.
        ledger: The run's account.
        limit: Bounds the calls in flight.
        tariff: What calls cost.
        steps: Where to stop, if not at the process's own end.
        ask: Asks a person what votes cannot decide; None asks nobody.
    """

    def __init__(
        self,
        chain: Chain,
        policy: DrivePolicy,
        crew: Crew,
        *,
        journal: RunJournal,
        state: ChainState,
        ledger: Ledger,
        limit: CallLimit,
        tariff: Tariff,
        steps: int | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.chain, self.policy = chain, policy
        self.journal, self.state, self.ledger = journal, state, ledger
        self.at: State = chain.first
        self.stop_reason: str | None = None
        self._steps, self._person = steps, ask
        self._tariff = tariff
        self._told: list[Callable[[int, str], Awaitable[None] | None]] = []
        self.poll = Poll(
            chain,
            Caller(ledger=ledger, limit=limit, tariff=tariff),
            sampling=policy.sampling(chain),
            first_temperature=policy.first_temperature,
            roles=crew.roles,
        )
        self.margins = Margins(policy, crew.models, self.length, journal=journal, state=state)
        self.ladder = Ladder(chain, crew, journal=journal, state=state)
        self.sentinels = Sentinels(policy, self.poll, self.ladder, journal=journal, state=state, steps=self.length)
        may_bet = policy.speculate > 0 and chain.observe is None
        self._bets = Bets(self.poll, policy.speculate, width=limit.width, follow=self._follow) if may_bet else None
        self._loop = asyncio.get_running_loop()
        self._next_breath = 0.0
        self._is_between = False

    @property
    def length(self) -> int:
        """How many steps the run has, assumed where the process does not know."""
        return length_of(self.chain, self._steps)

    @property
    def is_over(self) -> bool:
        """Whether no further step is to be decided."""
        if self._steps is not None and self.state.steps >= self._steps:
            return True
        return bool(self.chain.process.is_done(self.at))

    def worst_call(self) -> Cost:
        """Return what one request of the chain takes at most, taken from its first question."""
        draw = self.poll.draw(self._question(0, self.chain.first), 0, self.ladder.now.models)
        return worst_cost(draw.prompt, draw.sampling, self._tariff.of(draw.model))

    def on_step(self, tell: Callable[[int, str], Awaitable[None] | None]) -> None:
        """Call `tell` with number and record text of each step after its commit; what it returns is awaited."""
        self._told.append(tell)

    async def run(self) -> bool:
        """Decide steps, after `restore`, until the run is over; False where it must not go on: `stop_reason` says why.

        Raises:
            ModelError: A model did not answer.
            BudgetExceeded: The next step could pass a cap.
            JournalError: A step could not be recorded; it was not acknowledged.
        """
        self.margins.open()
        try:
            while not self.is_over:
                if not await self._step():
                    return False
            return True
        except JournalError:
            self._is_between = True  # nothing more can be recorded; trying would wait for the same lock again
            raise
        finally:
            lost = None if self._bets is None else await self._bets.close()
            if lost is not None and not self._is_between:
                self._forfeit(lost)
            if not self._is_between:
                self.snapshot()

    async def restore(self) -> None:
        """Take up the chain where its journal ends: at the latest snapshot and the steps after it.

        An effect whose result is not recorded is run again with its old key: only the last step's can be.

        Raises:
            JournalError: A step does not read back as the process writes it.
        """
        journal, run_id = self.journal.journal, self.journal.run_id
        snapshot = journal.snapshot(run_id)
        if snapshot is not None:
            self.at = self.chain.state_of(snapshot.state)
        for row in journal.steps(run_id, first=self.state.steps):
            question = self._question(row.step, self.at)
            action = self.chain.action_of(row.record.action, row.record.state)
            self.state.steps += 1
            self.state.sums.add(row.record)
            self._recount(question, action, row.record)
            await self._advance(row.step, action)

    def snapshot(self) -> None:
        """Record the present state and all sums."""
        state = self.state
        if state.steps == state.snapshot_step:
            return
        snapshot = Snapshot(step=state.steps, state=self.chain.state_json(self.at), sums=state.sums.as_dict())
        self.journal.append_snapshot(snapshot)
        state.snapshot_step, state.final = state.steps, snapshot.state
        state.observed.clear()

    async def _step(self) -> bool:
        """Decide, record and take one step; False where the chain must not go on."""
        step = self.state.steps
        if step >= self.margins.next_review:
            self.margins.review(step, self.state.sums)
        if self.policy.sentinels:
            self.stop_reason = await self.sentinels.ask_due(step, self.at, self.margins.rule)
        decision = None if self.stop_reason else await self._decide(step)
        if decision is None:
            return False
        body = step_body(self.chain, decision, self.policy.record)
        pending = self.journal.append_step(step, body)
        if pending is not None:
            await pending
        await self._advance(step, self._count(decision))
        for tell in self._told:
            if (told := tell(step, body)) is not None:
                await told
        if not self.state.steps % SNAPSHOT_EVERY:
            self.snapshot()
        if not step % _BREATHE_EVERY or self._loop.time() >= self._next_breath:
            await self._breathe()
        return True

    async def _decide(self, step: int) -> Decision | None:
        """Put a step to the vote; one that stays undecided climbs the ladder, then asks a person, then is None."""
        stopped = self.state.stopped
        first = stopped.asked if stopped is not None and (stopped.step, stopped.code) == (step, "undecided") else 0
        rule, how_it_stands = self.margins.rule, ""
        for rung in self.ladder.ahead:
            question, ballot = self._question(step, self.at, varied=rung.varied), Ballot(first)
            used = self.poll.rule(rule, question)
            try:
                if self._bets is None:
                    verdict = await self.poll.decide(question, used, ballot, rung.models)
                else:
                    verdict = await self._bets.decide(step, question, rule, ballot, rung)
            except BaseException as error:
                self._stop(step, ballot, getattr(error, "code", "interrupted"), str(error) or "interrupted")
                raise
            if isinstance(verdict, Decided):
                decision = Decision(question, ballot, ballot.readings[verdict.answer], used.margin(ballot.tally))
                if self._bets is not None:
                    lost = self._bets.settle()
                    decision.lost = lost.samples
                    ballot.bill.merge(lost)
                return decision
            first, how_it_stands = ballot.asked, getattr(verdict, "reason", "")
            self._stop(step, ballot, "undecided", how_it_stands)
        self.stop_reason = f"step {step} is undecided: {how_it_stands}"
        reading = await self._ask(question, how_it_stands)
        return None if reading is None else Decision(question, Ballot(), reading, used.k, by="person")

    async def _ask(self, question: Question, how_it_stands: str) -> Reading | None:
        """Return what a person says, None where nobody is asked or the answer cannot be read."""
        text = None if self._person is None else await self._person(question, how_it_stands)
        reading = None if text is None else self.chain.read_text(text, question.state)
        return None if reading is None or reading.flag is not None else reading

    def _stop(self, step: int, ballot: Ballot, code: str, reason: str) -> None:
        """Record a vote that ended without a decision, and what it took."""
        spent, tally = ballot.bill.spent(), dict(ballot.tally.counts)
        record = StepStopped(step=step, code=code, reason=reason, tally=tally, asked=ballot.asked, spent=spent)
        self.journal.append(record)

    def _forfeit(self, lost: Bill) -> None:
        """Record what bets took that no step will pay for."""
        if lost.calls or lost.unknown or lost.attempts:
            ballot = Ballot()
            ballot.bill = lost
            self._stop(self.state.steps, ballot, "bet.lost", "begun ahead of a step that the run did not come to")

    def _follow(self, step: int, state: State) -> Question | None:
        """Return the question of a step that is begun ahead; None where there will be none."""
        if (self._steps is not None and step >= self._steps) or self.chain.process.is_done(state):
            return None
        return self._question(step, state, varied=self.ladder.now.varied)

    def _question(self, step: int, state: State, *, varied: bool = False) -> Question:
        return self.chain.question(state, f"{self.chain.name}|{step}", varied=varied)

    def _count(self, decision: Decision) -> Action:
        """Add a committed step to the sums, and return the action that leads on."""
        ballot, reading, sums = decision.ballot, decision.reading, self.state.sums
        tally, bill = ballot.tally, ballot.bill
        agreeing = tally.counts.get(reading.key, 0)
        sums.count(
            votes=tally.votes,
            agreeing=agreeing,
            flagged=tally.flagged,
            calls=bill.calls + bill.unknown,
            attempts=bill.attempts,
            input_tokens=bill.input_tokens,
            output_tokens=bill.output_tokens,
            estimated=bill.estimated,
            paid=bill.paid,
            lost=decision.lost,
            late=_late(decision) if agreeing < tally.votes - 1 else None,
        )
        self.state.steps += 1
        self._compare(decision.question, reading, agreeing, tally.votes, tally.counts)
        return decision.question.expected if reading.opaque is not None else reading.action

    def _recount(self, question: Question, action: Action, record: StepDecided) -> None:
        """Count what a recorded step says of its question and errors."""
        counts = record.tally or {}
        reading = Reading(record.opaque or self.chain.key(action), action, opaque=record.opaque)
        self._compare(question, reading, counts.get(reading.key, record.votes), record.votes, counts)

    def _compare(
        self, question: Question, reading: Reading, agreeing: int, votes: int, counts: Mapping[str, int]
    ) -> None:
        """Count the step's question, and its errors where the right action is known."""
        sums = self.state.sums
        question.count_in(sums.questions)
        if question.is_sampled:
            sums.sampled_votes += votes
            sums.sampled_agreeing += agreeing
        if not self.chain.is_checked:
            return
        if reading.opaque is None and reading.action == question.expected:
            sums.wrong_votes += votes - agreeing
            return
        expected = self.chain.key(question.expected)  # a canonical form of the user's own may hold unequal values equal
        if reading.opaque is None and reading.key == expected:
            sums.wrong_votes += votes - agreeing
        else:
            sums.wrong_decisions += 1
            sums.wrong_votes += votes - counts.get(expected, 0)

    async def _advance(self, step: int, action: Action) -> None:
        """Go to the next state, through the step's effect where the process has one and its result is not recorded."""
        self._is_between = True  # a committed step whose state is not reached yet: no snapshot now
        after, observe = self.chain.next(self.at, action), self.chain.observe
        if observe is not None:
            observed = self.state.observed.get(step)
            if observed is None:
                key = f"{self.journal.run_id}/{step}"
                observation = await observe(self.at, action, key)
                observed = StepObserved(step=step, key=key, observation=observation)
                self.journal.append(observed)
            after = self.chain.absorb(after, observed.observation)
        self.at = after
        self._is_between = False

    async def _breathe(self) -> None:
        """Let other tasks run, and notice a journal that was taken away."""
        self._next_breath = self._loop.time() + _BREATHE_S
        self.journal.journal.check_in_place()
        await asyncio.sleep(0)


def length_of(chain: Chain, steps: int | None) -> int:
    """Return how many steps a chain has that may be stopped after `steps`; assumed where the process does not know."""
    own = chain.length if chain.length is not None else ASSUMED_STEPS
    return own if steps is None else min(own, steps)


def step_body(chain: Chain, decision: Decision, level: RecordLevel) -> str:
    """Return the JSON text of a decision's `StepDecided`; made by hand, because it is a chain's hot path."""
    ballot, reading = decision.ballot, decision.reading
    tally, bill = ballot.tally, ballot.bill
    action, key = reading.action, reading.key
    if reading.opaque is not None:
        action = decision.question.expected
        key = chain.key(action)
    calls = bill.calls + bill.unknown
    body = f'{{{chain.action_fields(action, key)},"k":{decision.k},"votes":{tally.votes},"calls":{calls}'
    body += f',"input_tokens":{bill.input_tokens},"output_tokens":{bill.output_tokens}'
    if bill.estimated:
        body += ',"estimated":true'
    if bill.attempts != calls:
        body += f',"attempts":{bill.attempts}'
    if bill.paid:
        body += f',"paid":{json.dumps(asdict(bill.paid))}'
    if reading.opaque is not None:
        body += f',"opaque":{json.dumps(reading.opaque)}'
    if decision.by is not None:
        body += f',"by":{json.dumps(decision.by)}'
    if decision.lost:
        body += f',"lost":{decision.lost}'
    is_contested = len(tally.counts) > 1 or tally.flagged > 0
    if is_contested:
        body += _contested(decision)
    if level == "all" or (is_contested and level == "disagreements"):
        body += (
            f',"samples":[{",".join(vote.record().model_dump_json(exclude_defaults=True) for vote in ballot.votes)}]'
        )
    return body + "}"


def _contested(decision: Decision) -> str:
    """Return the fields of a step whose votes did not all agree."""
    tally = decision.ballot.tally
    body = f',"flagged":{tally.flagged}' if tally.flagged else ""
    if len(tally.counts) > 1:
        body += f',"tally":{json.dumps(tally.counts, ensure_ascii=False)}'
        late = _late(decision)
        body += "" if late is None else f',"late":[{late[0]},{late[1]}]'
    return body


def _late(decision: Decision) -> tuple[int, int] | None:
    """Return the votes after the second dissent; None of a jury that has each voter once: dissent is its purpose."""
    return decision.ballot.late(decision.reading.key) if decision.question.is_sampled else None


def check(chain: Chain, policy: DrivePolicy, crew: Crew) -> None:
    """Refuse, before anything is written, what cannot be driven so.

    Raises:
        InputError: Sentinels are wanted of a process that knows no right answers, or one model at temperature 0 would
            be asked one prompt several times, whose copies are no votes.
    """
    if policy.sentinels and not chain.is_checked:
        raise InputError("sentinels", f"{chain.name} knows no right answers: it has no reference(state)")
    question = chain.question(chain.first, "")
    is_copied = isinstance(question.asked, Prompt) and policy.sampling(chain).temperature == 0 and policy.k != 1
    if is_copied and len(crew.models) == 1 and crew.models[0].evidence == "real":
        told = "0 gives copies of one reply, not votes; use a temperature above 0, a jury of prompts, or --k 1"
        raise InputError("temperature", told)
