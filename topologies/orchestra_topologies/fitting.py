"""Making what a node reads fit its context window: by aggregators below it, or by cutting what matters least.

Prompts are rendered and counted before anything is sent. Where they are too long, `sequential` cuts the upstream texts,
the weakly coupled ones first (AdaptOrch, section 2.4); everywhere else a tree of aggregators condenses them, each
reading no more than its own window holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import ContextExceeded
from orchestra_agents.journal.records import Condensed
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Model, Prompt
from orchestra_agents.models.window import count_tokens, most_tokens
from orchestra_agents.sections import cut
from orchestra_topologies.panel import SUMMARISER
from orchestra_topologies.prompts import Given, condense_prompt
from orchestra_topologies.teams.team import SOLO
from orchestra_topologies.terms import Terms

if TYPE_CHECKING:
    from orchestra_topologies.execution import Execution

_LEAST = 32  # tokens below which an input says nothing
_A_SECTION = 16  # tokens that delimit an input, about
_DELIMITERS = 32  # characters of the same
_MOST_NAMED = 4
_TO = " to "
_MARGIN = 0.95  # texts are cut by characters, counted in tokens
_WORDS_A_TOKEN = 0.6
_MOST_LEVELS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who reads upstream answers."""

    node: str
    """Who it is."""
    purpose: str
    """What it will do with them, for those who condense them."""
    terms: Terms
    """On which terms."""
    asks: Callable[[Sequence[Given]], Question]
    """Its question with these answers."""

    def prompts(self, given: Sequence[Given]) -> list[tuple[Model, Prompt]]:
        """Return what each of its models would be sent."""
        question = self.terms.told(self.asks(given))
        pattern = question.pattern
        return [
            (model, pattern if pattern is not None and model.form == "pattern" else question.prompt)
            for model in self.terms.models
        ]

    async def tokens(self, given: Sequence[Given]) -> int:
        """Return the tokens of the longest of those prompts."""
        return max([await count_tokens(model, prompt) for model, prompt in self.prompts(given)])


async def fitted(run: Execution, reader: Reader, given: Sequence[Given]) -> list[Given]:
    """Return `given` as it may be shown to `reader`: as it is where its prompt fits its window.

    Raises:
        ContextExceeded: Not even the reader's own words fit.
        BudgetExceeded: An aggregator's call could pass a cap.
    """
    most = max(most_tokens(prompt) for _, prompt in reader.prompts(given)) + reader.terms.sampling.max_tokens
    window = await run.window_of(reader.terms.models, most)
    if window is None or most <= window:
        return list(given)
    room = window - reader.terms.sampling.max_tokens
    tokens = await reader.tokens(given)
    if tokens <= room:
        return list(given)
    bare = await reader.tokens([])
    if not given or room - bare < _LEAST + _A_SECTION:
        limits = f"a window of {window:,} and {reader.terms.sampling.max_tokens:,} for the reply"
        raise ContextExceeded(
            f"{reader.node} takes {bare:,} tokens without what it depends on; {limits} leave {room:,}"
        )
    size = sum(map(_size, given))
    rate = max(0.01, (tokens - bare) / max(1, size))
    work = _Work(run, reader, tokens=tokens, room=room, left=room - bare, rate=rate)
    is_tight = work.left < 2 * (_LEAST + _A_SECTION)
    shown, record = await (work.truncated(given) if run.is_serial or is_tight else work.aggregated(given))
    run.note_condensed(record)
    return shown


@dataclass(frozen=True, slots=True)
class _Work:
    """One reader whose inputs are too long."""

    run: Execution
    reader: Reader
    tokens: int
    """Tokens that the prompt would take."""
    room: int
    """Tokens for the whole prompt."""
    left: int
    """Tokens for the inputs."""
    rate: float
    """Tokens a character of the inputs takes."""

    async def truncated(self, given: Sequence[Given]) -> tuple[list[Given], Condensed]:
        """Keep as many inputs as can say something, the strongly coupled and then the latest first, and cut those."""
        most = max(1, self.left // (_A_SECTION + _LEAST))
        ranked = sorted(range(len(given)), key=lambda place: (-given[place].coupling, -place))
        kept = [given[place] for place in sorted(ranked[:most])]
        texts = [one.text for one in kept]
        characters, shown = (self.left - _A_SECTION * len(kept)) / self.rate * _MARGIN, kept
        for _ in range(_MOST_LEVELS):
            parts = shares([len(text) for text in texts], [one.coupling for one in kept], int(characters))
            shown = [replace(one, answer=cut(text, part)) for one, text, part in zip(kept, texts, parts, strict=True)]
            if await self.reader.tokens(shown) <= self.room:
                break
            characters *= 0.8
        left_out = f", and {len(given) - len(kept)} of them left out" if len(kept) < len(given) else ""
        reason = f"they were cut, the weakly coupled ones most{left_out}"
        return shown, self._record("truncated", len(given), reason)

    async def aggregated(self, given: Sequence[Given]) -> tuple[list[Given], Condensed]:
        """Have aggregators condense the inputs, level by level, until they fit."""
        terms = self.run.terms(SUMMARISER, sampler=self.reader.terms.sampler)
        models = terms.models
        window = await self.run.window_of(models, self.room) or self.room
        message = max(_LEAST, min(self.reader.terms.sampling.max_tokens, self.left // 2, window // 4))
        bare = await self._aggregator(terms, message, "").tokens([])
        characters = int((window - message - bare) / self.rate * _MARGIN)
        if characters < 2 * message:
            told = f"a window of {window:,} tokens leaves an aggregator no room"
            raise ContextExceeded(f"{self.reader.node} reads more than fits, and {told}")
        sections, levels, agents, fan_in = list(given), 0, 0, 0
        before = self.tokens + 1
        while (tokens := await self.reader.tokens(sections)) > self.room:
            if levels and (len(sections) == 1 or tokens >= before):  # messages are longer than was asked for
                sections, _ = await self.truncated(sections)
                break
            before = tokens
            levels += 1
            groups = list(grouped(sections, characters))
            fan_in, agents = max(fan_in, *map(len, groups)), agents + len(groups)
            async with asyncio.TaskGroup() as tasks:
                made = [
                    tasks.create_task(self._condense(group, self._aggregator(terms, message, f"{levels}.{place}")))
                    for place, group in enumerate(groups, 1)
                ]
            sections = [task.result() for task in made]
        tree = f"{agents} aggregators on {levels} level{'s' * (levels > 1)}, of at most {fan_in} answers each"
        is_cut = tokens > self.room
        reason = f"{tree}, condense them first{', and what they say was cut' if is_cut else ''}"
        record = self._record("aggregated", len(given), reason)
        return sections, record.model_copy(update={"fan_in": fan_in, "levels": levels, "agents": agents})

    def _aggregator(self, terms: Terms, message: int, place: str) -> Reader:
        node = f"<condense {self.reader.node} {place}>"
        words = max(10, int(message * _WORDS_A_TOKEN))

        def asks(given: Sequence[Given]) -> Question:
            prompt = condense_prompt(node, self.run.graph, given, purpose=self.reader.purpose, words=words)
            return Question(node=node, prompt=prompt, answer=AnswerType("text"))

        terms = replace(terms, sampling=replace(terms.sampling, max_tokens=message))
        return Reader(node=node, purpose=self.reader.purpose, terms=terms, asks=asks)

    async def _condense(self, group: Sequence[Given], aggregator: Reader) -> Given:
        """Return one answer that stands for the group's; where the aggregator fails, their beginnings and ends do."""
        outcome = await self.run.ask(aggregator.asks(group), SOLO, aggregator.terms)
        text = outcome.answer
        if outcome.status != "ok":
            share = int(aggregator.terms.sampling.max_tokens / self.rate * _MARGIN) // len(group)
            text = "\n".join(cut(one.text, share) for one in group)
        return Given(
            name=_span([one.name for one in group]),
            answer=text,
            is_right=all(one.is_right for one in group),
            coupling=max(one.coupling for one in group),
        )

    def _record(self, how: Literal["aggregated", "truncated"], inputs: int, what: str) -> Condensed:
        read = f"{self.reader.node} reads {inputs} answers, {self.tokens:,} tokens with its own words"
        return Condensed(
            node=self.reader.node,
            how=how,
            inputs=inputs,
            tokens=self.tokens,
            window=self.room,
            reason=f"{read}, and its window leaves {self.room:,}: {what}",
        )


def shares(sizes: Sequence[int], weights: Sequence[float], room: int) -> list[int]:
    """Return how much of each size is kept: in proportion to its weight, and what one does not need goes to the others.

    Args:
        sizes: What each would take.
        weights: At least 0; weight 0 gets only what all others leave.
        room: What there is for all.

    >>> shares([10, 100, 100], [1.0, 1.0, 0.0], 90)
    [10, 80, 0]
    """
    kept = [0] * len(sizes)
    for weighted in (True, False):
        open_ = [place for place, weight in enumerate(weights) if (weight > 0) is weighted]
        while open_ and room > 0:
            total = sum(weights[place] for place in open_) if weighted else len(open_)
            parts = {place: int(room * (weights[place] if weighted else 1) / total) for place in open_}
            full = [place for place in open_ if sizes[place] <= parts[place]]
            for place in full or open_:
                kept[place] = min(sizes[place], parts[place])
                room -= kept[place]
            open_ = [place for place in open_ if place not in full] if full else []
    return kept


def grouped(given: Sequence[Given], room: int) -> Iterator[list[Given]]:
    """Yield the answers in groups of at most `room` characters, delimiters included, in order.

    One that is longer is cut into parts.
    """
    group: list[Given] = []
    filled = 0
    for one in given:
        text, step = one.text, max(1, room - _size(replace(one, answer="")))
        for start in range(0, max(1, len(text)), step):
            part = replace(one, answer=text[start : start + step])
            if group and filled + _size(part) > room:
                yield group
                group, filled = [], 0
            group.append(part)
            filled += _size(part)
    if group:
        yield group


def _size(given: Given) -> int:
    """Return the characters that an answer takes in a prompt, about."""
    return len(given.text) + len(given.name) + _DELIMITERS


def _span(names: Sequence[str]) -> str:
    """Return a short name for several answers, themselves perhaps spans of such."""
    different = list(dict.fromkeys(names))
    if len(different) <= _MOST_NAMED and not any(_TO in name for name in different):
        return ", ".join(different)
    return f"{different[0].split(_TO)[0].split(', ')[0]}{_TO}{different[-1].split(_TO)[-1].split(', ')[-1]}"
