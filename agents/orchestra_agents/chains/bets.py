"""Speculation: begin the next steps from the present leader while its vote is still open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestra_agents.chains.caller import Bill
from orchestra_agents.chains.chain import Question, Reading
from orchestra_agents.chains.ladder import Rung
from orchestra_agents.chains.poll import Ballot, Poll, Vote
from orchestra_agents.process import State
from orchestra_agents.voting.ahead import AheadByK
from orchestra_agents.voting.tally import Decided, Undecided, Verdict

Open = Callable[[int, State], Question | None]
"""Makes the question of a step that begins in a state; None where the chain is over there."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A step whose vote is open: the first one is being decided, the others are bets on it."""

    step: int
    question: Question
    rule: AheadByK
    ballot: Ballot
    basis: str = ""
    """The answer of the step before that this one assumes."""
    batch: list[asyncio.Task[Vote]] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Undecided(1))

    @property
    def is_drawn(self) -> bool:
        """Whether all replies of the present batch are in."""
        return all(task.done() for task in self.batch)

    def count(self) -> None:
        """Count the batch in index order, and judge.

        Raises:
            ModelError: A sample was not answered.
        """
        batch, self.batch = self.batch, []
        for task in batch:
            self.ballot.count(task.result())
        self.verdict = self.rule(self.ballot.tally)

    def leader(self) -> Reading | None:
        """Return the answer that leads among the replies that are in, None before the first valid one."""
        answer, _ = self.ballot.tally.leader()
        if answer:
            return self.ballot.readings[answer]
        for task in self.batch:
            if task.done() and not task.cancelled() and task.exception() is None:
                reading = task.result().reading
                if reading.flag is None:
                    return reading
        return None


class Bets:
    """Decides steps as `Poll.decide` does, by the same votes, while up to `depth` steps after are voted on already.

    What a bet asks is what its step would have asked, so a bet that is won costs nothing; one that is lost is cancelled
    and paid for. Bets take only what the open vote leaves free of `width`, and give it back when it is wanted.

    Args:
        poll: What asks.
        depth: Most steps begun ahead, at least 1.
        width: Calls in flight at once.
        follow: Makes the questions of the steps ahead.
    """

    def __init__(self, poll: Poll, depth: int, *, width: int, follow: Open) -> None:
        self._poll, self._depth, self._width, self._follow = poll, depth, width, follow
        self._slots: deque[_Slot] = deque()
        self._rung: Rung | None = None
        self._rule = AheadByK()
        self._wake = asyncio.Event()
        self._live: set[asyncio.Task[Vote]] = set()
        self._lost: list[_Slot] = []

    async def decide(self, step: int, question: Question, rule: AheadByK, ballot: Ballot, rung: Rung) -> Verdict:
        """Vote on `question` until `rule`, with what its jury asks for, has its verdict; what was voted ahead counts.

        Raises:
            ModelError: A sample was not answered.
            BudgetExceeded: The next samples could pass a cap.
        """
        head = self._slots[0] if self._slots else None
        if head is None or self._rung != rung or head.step != step or head.question.state != question.state:
            self._drop(0)
            head = _Slot(step, question, self._poll.rule(rule, question), ballot)
            self._slots.append(head)
        else:
            ballot.take(head.ballot)
            head.ballot, head.rule = ballot, self._poll.rule(rule, question)
        self._rung, self._rule = rung, rule
        try:
            while True:
                self._wake.clear()
                self._pump(head)
                if not isinstance(head.verdict, Undecided) and not head.batch:
                    break
                await self._wake.wait()
        except BaseException:
            self._drop(1)
            self._slots.clear()  # the head's bill is its ballot's, which the caller records: not one of a lost bet
            await _cancelled(head.batch)
            raise
        self._slots.popleft()
        if not isinstance(head.verdict, Decided):
            self._drop(0)
        return head.verdict

    def settle(self) -> Bill:
        """Return what bets lost so far took, and forget it; those whose calls are still being cancelled come later."""
        bill, waiting = Bill(), []
        for slot in self._lost:
            if slot.is_drawn:
                bill.merge(slot.ballot.bill)
            else:
                waiting.append(slot)
        self._lost = waiting
        return bill

    async def close(self) -> Bill:
        """Cancel all bets and return what they took."""
        self._drop(0)
        await _cancelled([task for slot in self._lost for task in slot.batch])
        return self.settle()

    def _pump(self, head: _Slot) -> None:
        """Count what is in, ask what is missing, and bet on what leads, from the head on."""
        place = 0
        while place < len(self._slots):
            slot = self._slots[place]
            if slot.is_drawn and (slot.batch or slot is head or isinstance(slot.verdict, Undecided)):
                self._judge(slot, is_head=slot is head)
            ahead = self._slots[place + 1] if place + 1 < len(self._slots) else None
            if ahead and isinstance(slot.verdict, Decided) and slot.verdict.answer != ahead.basis:
                self._drop(place + 1)
            if place + 1 == len(self._slots) and place < self._depth:
                self._bet(slot)
            place += 1

    def _judge(self, slot: _Slot, *, is_head: bool) -> None:
        """Count a slot's batch; draw the next one where it is not decided and there is room."""
        try:
            slot.count()
        except Exception:
            if is_head:
                raise
            self._drop(self._slots.index(slot))  # its turn will come, and ask again
            return
        if isinstance(slot.verdict, Undecided):
            self._draw(slot, slot.verdict.shortfall, is_head=is_head)

    def _bet(self, slot: _Slot) -> None:
        """Begin the step after `slot` from its present leader."""
        leader = slot.leader()
        if leader is None or len(self._live) + self._rule.k > self._width:
            return
        chain, state = self._poll.chain, slot.question.state
        action = leader.action if leader.opaque is None else slot.question.expected
        question = self._follow(slot.step + 1, chain.next(state, action))
        if question is not None:
            rule = self._poll.rule(self._rule, question)
            self._slots.append(_Slot(slot.step + 1, question, rule, Ballot(), basis=leader.key))

    def _draw(self, slot: _Slot, count: int, *, is_head: bool) -> None:
        assert self._rung is not None
        if is_head:
            while len(self._live) + count > self._width and len(self._slots) > 1:
                self._drop(len(self._slots) - 1)
        elif len(self._live) + count > self._width:
            return
        first = slot.ballot.asked
        for index in range(first, first + count):
            draw = self._poll.draw(slot.question, index, self._rung.models)
            task = asyncio.create_task(self._poll.ask(slot.question, draw, slot.ballot.bill))
            task.add_done_callback(self._done)
            slot.batch.append(task)
            self._live.add(task)

    def _done(self, task: asyncio.Task[Vote]) -> None:
        self._live.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here, raised where its slot is counted
        self._wake.set()

    def _drop(self, first: int) -> None:
        """Give up the slots from place `first` on."""
        while len(self._slots) > first:
            slot = self._slots.pop()
            for task in slot.batch:
                task.cancel()
                self._live.discard(task)
            self._lost.append(slot)


async def _cancelled(tasks: Sequence[asyncio.Task[Vote]]) -> None:
    """Cancel tasks and wait until they are through, so that what they took is on their bills."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
