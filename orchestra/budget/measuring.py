"""Carrying out a pilot: who is asked what, how replies are counted, and the profile they make."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestra.budget.compute import ComputeLaw, ComputeLevel
from orchestra.budget.estimates import Estimate
from orchestra.budget.items import Item, chained
from orchestra.budget.pilot_questions import Asking
from orchestra.budget.polls import THOUGHT_AXIS, ItemVotes, Poll, law, law_of_votes, size_profile, vote_confidence
from orchestra.budget.profile import AnswerProfile, Profile, VotableKind
from orchestra.budget.relays import RelayCount, channel_curve, channels, spoil
from orchestra_agents.errors import OrchestraError
from orchestra_agents.microagent import Microagent, Question, Vote
from orchestra_agents.models.contract import Completion, Evidence, Sampling
from orchestra_agents.sampler import Sampler
from orchestra_agents.voting.ahead import AheadByK

T = TypeVar("T")
Kind: TypeAlias = "tuple[VotableKind, int | None]"
"""A type of answer: its kind, and of a choice the number of options."""

AT_ONCE = 16
"""Items at work at the same time; how many calls are in flight is the session's to say."""
SPOIL_VOTES = 3
"""Most votes of an item that is asked in another form than alone, to be compared with it misled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a pilot measures."""

    items: tuple[Item, ...]
    asking: Asking
    panel: int
    messages: tuple[int, ...]
    """Lengths of messages, ascending."""
    chain: int
    """Items asked at once for the second size."""
    thoughts: tuple[int, ...]
    """Levels of compute, ascending; none takes votes."""
    sampling: Sampling

    @property
    def is_known(self) -> bool:
        """Whether the right answers are known."""
        return self.items[0].target is not None

    @property
    def kinds(self) -> dict[Kind, list[tuple[Asking, list[Item]]]]:
        """The items by type of answer, the one that most have first, and by size, each with how they are asked."""
        groups: dict[Kind, list[Item]] = {}
        for item in self.items:
            groups.setdefault(kind_of(item), []).append(item)
        ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
        return {kind: self._by_size(items) for kind, items in ordered}

    def _by_size(self, items: Sequence[Item]) -> list[tuple[Asking, list[Item]]]:
        """Return items by size, ascending; of one size, they are chained for another."""
        sizes = sorted({item.size for item in items})
        found = [(self.asking, [item for item in items if item.size == size]) for size in sizes]
        if len(found) == 1 and 1 < self.chain <= len(items):
            found.append((self.asking.joined(self.chain), chained(items, self.chain)))
        return found


@dataclass(frozen=True, slots=True)
class Measuring:
    """A pilot at work."""

    scope: Scope
    sampler: Sampler

    async def profile(self, *, model: str, date: str, evidence: Evidence) -> Profile:
        """Return what was measured, recorded replies included."""
        scope = self.scope
        kinds = scope.kinds
        polls = {kind: [await self._poll(*each_size) for each_size in sizes] for kind, sizes in kinds.items()}
        rng = np.random.default_rng(scope.sampling.seed)
        first = next(iter(kinds))
        base, (poll, *_), (_, options) = kinds[first][0][1], polls[first], first
        relays = [relay for tokens in scope.messages for relay in await self._relays(base, tokens)]
        confidence = vote_confidence(poll, rng=rng)
        return Profile(
            model=model,
            date=date,
            evidence=evidence,
            answers=tuple(
                AnswerProfile(kind=kind, options=count, sizes=tuple(size_profile(one, rng=rng) for one in sizes))
                for (kind, count), sizes in polls.items()
            ),
            channels=channels(relays) if relays else (),
            curve=channel_curve(relays) if relays else None,
            spoil=await self._spoil(base) if scope.is_known else None,
            compute=await self._compute(base, poll, options or 2),
            confidences=(confidence,) if confidence is not None else (),
        )

    async def _poll(self, asking: Asking, items: Sequence[Item]) -> Poll:
        """Return a panel of votes on each item."""
        asked = [(item, asking.alone(item)) for item in items]
        counted = await each([self._votes_on(item, question, self.scope.panel) for item, question in asked])
        nodes = {question.node for _, question in asked}
        samples = [one for one in self.sampler.state.samples() if one.node in nodes]
        size = sum(item.size for item in items) / len(items)
        return Poll(
            size=size,
            panel=self.scope.panel,
            items=tuple(counted),
            input_tokens=float(np.mean([one.input_tokens for one in samples])),
            output_tokens=float(np.mean([one.output_tokens for one in samples])),
        )

    def _votes_on(self, item: Item, question: Question, votes: int) -> Callable[[], Awaitable[ItemVotes]]:
        async def counted() -> ItemVotes:
            return item_votes(item, await self._asked(question, votes))

        return counted

    async def _relays(self, items: Sequence[Item], tokens: int) -> list[RelayCount]:
        """Return how true and false reports were read from messages of so many tokens."""
        bits = balanced(items, self.scope.sampling.seed or 0)

        def relayed(item: Item, was_true: bool) -> Callable[[], Awaitable[bool | None]]:
            return lambda: self._relay(item, was_true, tokens)

        read = await each([relayed(item, bit) for item, bit in zip(items, bits, strict=True)])
        counts = []
        for was_true in (True, False):
            seen = [one for one, bit in zip(read, bits, strict=True) if bit is was_true and one is not None]
            if seen:
                counts.append(RelayCount(tokens=tokens, was_true=was_true, asked=len(seen), read_true=sum(seen)))
        return counts

    async def _relay(self, item: Item, was_true: bool, tokens: int) -> bool | None:
        """Return whether a message about an item was read as true; None where the reader's reply does not count.

        A message that runs into its length is read as far as it goes: that is what messages of that length are.
        """
        asking = self.scope.asking
        [written] = await self.sampler.draw(
            f"{item.name} written",
            asking.writer(item, was_true=was_true, tokens=tokens),
            replace(self.scope.sampling, max_tokens=tokens),
            red_flag=_nothing,
        )
        reader = asking.reader(item, written.text, was_true=was_true, tokens=tokens)
        [vote] = await self._asked(reader, 1)
        right = reader.prompt.truth
        assert right is not None
        return None if vote is None else vote.canonical == right.answer

    async def _spoil(self, items: Sequence[Item]) -> Estimate | None:
        """Return how often a wrong answer of another agent makes an otherwise right answer wrong."""
        scope = self.scope
        if self.sampler.member(0).form == "pattern" and scope.asking.examples:  # with more to read it is asked by chat
            votes = min(scope.panel, SPOIL_VOTES)
            alone = await each([self._votes_on(item, scope.asking.by_chat(item), votes) for item in items])
        else:
            alone = await each([self._votes_on(item, scope.asking.alone(item), scope.panel) for item in items])
        told_wrong = await each([self._votes_on(item, scope.asking.misled(item), 1) for item in items])
        pairs = [(a, b) for a, b in zip(alone, told_wrong, strict=True) if a.votes and b.votes]
        if not sum(a.right_votes for a, _ in pairs):
            return None
        return spoil(_counts([a for a, _ in pairs]), _counts([b for _, b in pairs]))

    async def _compute(self, items: Sequence[Item], poll: Poll, choices: int) -> ComputeLaw | None:
        """Return the law of compute: over tokens of thought where levels are given, else over votes."""
        if not self.scope.thoughts:
            return law_of_votes(poll, choices=choices)
        levels = []
        for tokens in self.scope.thoughts:

            def thought(item: Item, tokens: int = tokens) -> Callable[[], Awaitable[ItemVotes]]:
                return lambda: self._after_thought(item, tokens)

            counts = _counts(await each([thought(item) for item in items]))
            if not counts[:, 1].any():
                return None
            levels.append(ComputeLevel(compute=tokens, counts=counts))
        return law(levels, choices, THOUGHT_AXIS)

    async def _after_thought(self, item: Item, tokens: int) -> ItemVotes:
        asking, sampling = self.scope.asking, replace(self.scope.sampling, max_tokens=tokens)
        thinking = asking.thought(item)
        [thoughts] = await self.sampler.draw(thinking.node, thinking.prompt, sampling, red_flag=_nothing)
        agent = Microagent(self.sampler, AheadByK(1), sampling)
        return item_votes(item, await agent.candidates(asking.after(item, thoughts.text), range(1)))

    async def _asked(self, question: Question, votes: int) -> list[Vote | None]:
        return await Microagent(self.sampler, AheadByK(1), self.scope.sampling).candidates(question, range(votes))


async def each(work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do several things, `AT_ONCE` at a time; after a failure nothing new is begun and what was begun ends.

    Raises:
        OrchestraError: The first failure.
    """
    found: dict[int, T] = {}
    failed: list[OrchestraError] = []
    waiting = iter(enumerate(work))

    async def worker() -> None:
        for place, one in waiting:
            if failed:
                return
            try:
                found[place] = await one()
            except OrchestraError as error:
                failed.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(work))):
            group.create_task(worker())
    if failed:
        raise failed[0]
    return [found[place] for place in range(len(work))]


def balanced(items: Sequence[Item], seed: int) -> list[bool]:
    """Return a bit for each item, true and false in turns among the items of one target, drawn by the seed."""
    order = random.Random(seed).sample(range(len(items)), len(items))
    order.sort(key=lambda place: str(items[place].target))
    bits = [False] * len(items)
    for turn, place in enumerate(order):
        bits[place] = turn % 2 == 0
    return bits


def item_votes(item: Item, votes: Sequence[Vote | None]) -> ItemVotes:
    """Return the valid votes on an item, counted; all right answers count as the target."""
    right = None if item.target is None else item.answer.canonical(item.target)

    def said(vote: Vote) -> str:
        is_other = right is not None and item.check is not None and vote.canonical != right and item.check(vote.value)
        return right if is_other and right is not None else vote.canonical

    return ItemVotes(tally=Counter(said(vote) for vote in votes if vote is not None), right=right)


def kind_of(item: Item) -> Kind:
    """Return the kind of an item's answer as a profile names it, and the number of its options."""
    if item.answer.choices:
        return "choice", len(item.answer.choices)
    return ("number" if item.answer.kind == "number" else "json"), None


def _counts(items: Sequence[ItemVotes]) -> NDArray[np.int64]:
    return np.array([(item.right_votes, item.votes) for item in items], dtype=np.int64).reshape(-1, 2)


def _nothing(_: Completion) -> str | None:
    """Flag no reply: a message is what arrives of it."""
    return None
