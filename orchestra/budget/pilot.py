"""The pilot: a model is asked items with known answers, and what comes back becomes its profile.

Four things are asked, each through the ordinary sampler, so that all is recorded, budgeted and never asked twice: every
item a panel of times; items chained, for a second size; the report of an item written into a message and read from it,
for gamma; and items with a wrong answer before them, for spoil.
"""

from __future__ import annotations

import asyncio
import datetime
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass

from orchestra.budget.items import Item, Row, ready_items
from orchestra.budget.measuring import Measuring, Scope
from orchestra.budget.pilot_questions import Asking
from orchestra.budget.profile import Profile
from orchestra.manifest import differences
from orchestra.panel import ModelSpec
from orchestra.session import Session, new_run_id
from orchestra_agents.errors import (
    BudgetExceeded,
    InputError,
    ManifestChanged,
    ModelError,
    ModelUnavailable,
)
from orchestra_agents.journal.records import Record, RunEnded, RunResumed, RunStarted, RunStatus
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Entry, RunJournal, check_run_id
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, Sampling, digest
from orchestra_agents.sampler import Sampler
from orchestra_topologies.panel import Panel
from orchestra_topologies.prompts import VERSION

MESSAGES = (32, 128, 512)
"""Lengths of messages, in tokens, that are measured unless others are asked for."""
LARGEST_PANEL = 1000
"""Most votes of an item."""
TEMPERATURE = 0.3
"""As in a run."""
MOST_TOKENS = Sampling().max_tokens
"""Likewise."""
_FORMAT = 1  # rises with any change of what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotDesign:
    """How a pilot is carried out.

    Raises:
        InputError: A value is outside its range.
    """

    question: str = ""
    """What is asked of every input; empty where the input says it itself."""
    items: int | None = None
    """Most items measured, drawn at random; None measures all."""
    examples: int = 0
    """Worked examples shown with every item, taken from rows that are not measured."""
    chain: int = 2
    """Items asked at once for the second size, 1 measures none."""
    thoughts: tuple[int, ...] = ()
    """Levels of compute: most tokens of free thought before an answer; none takes the number of votes as compute."""
    seed: int = 0
    temperature: float = TEMPERATURE
    max_tokens: int = MOST_TOKENS
    """Most tokens of one reply, messages and thoughts excepted."""

    def __post_init__(self) -> None:
        least = {"items": 2, "examples": 0, "chain": 1, "seed": 0, "max_tokens": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(name, f"must be an integer of at least {low}, got {value}")
        if not 0 <= self.temperature <= 2:
            raise InputError("temperature", f"must be a number in [0, 2], got {self.temperature:g}")
        if self.thoughts and (len(set(self.thoughts)) < 4 or min(self.thoughts) < 1):
            raise InputError("thoughts", "must be at least 4 different numbers of tokens, each at least 1")


async def calibrate(
    items: Sequence[Row | Mapping[str, Json] | Item],
    *,
    model: ModelSpec | None = None,
    panel: int = 5,
    messages: Sequence[int] = MESSAGES,
    choices: Sequence[str] = (),
    design: PilotDesign = PilotDesign(),
    budget: Budget | None = None,
    session: Session | None = None,
    run_id: str | None = None,
    watch: Callable[[Record], None] | None = None,
) -> Profile:
    """Ask a model some items and return what was measured of it.

    An existing `run_id` is gone on with: nothing that is recorded is asked again, and one that is finished asks
    nothing. Without targets only agreement, red flags and tokens are measured.

    Args:
        items: Rows `{input, target, choices?, size?}`, or items that are ready; of several sizes, each is measured and
            nothing is chained.
        model: Who is measured; None is the session's model.
        panel: Votes asked of each item, 1 to `LARGEST_PANEL`.
        messages: Lengths of messages in tokens, each at least 1; none measures no gamma.
        choices: The allowed answers, for rows that name none.
        design: Everything else that decides what is asked.
        budget: Caps; each replaces the one that the run had before.
        session: Owner of models, ledger and journal; None makes one.
        run_id: Name of the run; None makes a new name.
        watch: Is told every record of the run.

    Raises:
        InputError: A row, the model's name or an option is wrong; nothing was asked.
        BudgetExceeded: The budget does not pay for the rest; what was asked is recorded.
        ModelError: The model did not answer; likewise.
        ManifestChanged: `run_id` was started with other items, another model or other options.
        RunOwned: Another live process is working on `run_id`.
    """
    if not 1 <= panel <= LARGEST_PANEL:
        raise InputError("panel", f"must be an integer from 1 to {LARGEST_PANEL}, got {panel}")
    if any(one < 1 for one in messages):
        raise InputError("messages", f"must be numbers of tokens of at least 1, got {list(messages)}")
    scope = scope_of(ready_items(items, choices), panel, sorted(set(messages)), design)
    owner: AbstractAsyncContextManager[Session] = Session() if session is None else nullcontext(session)
    async with owner as own:
        models = own.panel(model)
        if len(models.everyone()) > 1:
            raise InputError("model", "must be one model: a profile is of one")
        caps = budget or Budget()
        own.check_prices(caps, models)
        name = run_id or new_run_id()
        check_run_id(name)
        with own.journal.own(name) as journal:
            attempt = _Attempt(scope, own, models, journal, RunState.of(journal.entries()), caps)
            is_new = attempt.begin(watch)
            return await (attempt.perform() if is_new else attempt.measured())


def scope_of(items: Sequence[Item], panel: int, messages: Sequence[int], design: PilotDesign) -> Scope:
    """Return what is measured; which items are, and which are shown as examples, is drawn by the seed."""
    rng = random.Random(design.seed)
    order = rng.sample(range(len(items)), len(items))
    known = items[0].target is not None
    if design.examples and not known:
        raise InputError("examples", "need targets, and the items have none")
    shown = _taking_turns(items, order)[: design.examples]
    rest = [place for place in order if place not in set(shown)]
    measured = sorted(rest if design.items is None else rest[: design.items])
    if len(measured) < max(2, design.items or 0):
        told = f"{design.examples} examples leave {len(rest)} of {len(items)} rows; at least 2 must be, or as many as"
        raise InputError("items", f"{told} are asked for")
    rng.shuffle(shown)
    examples = [items[place] for place in shown]
    if any(one.answer != items[0].answer for one in examples):
        raise InputError("examples", "need the same choices in every row")
    return Scope(
        items=tuple(items[place] for place in measured),
        asking=Asking(question=design.question, examples=tuple(examples)),
        panel=panel,
        messages=tuple(messages) if known else (),
        chain=design.chain,
        thoughts=tuple(sorted(set(design.thoughts))) if known else (),
        sampling=Sampling(temperature=design.temperature, seed=design.seed, max_tokens=design.max_tokens),
    )


def _taking_turns(items: Sequence[Item], order: Sequence[int]) -> list[int]:
    """Return places of items so that targets take turns: a few examples then show every answer alike."""
    seen: Counter[str] = Counter()
    ranked = []
    for place in order:
        key = str(items[place].target) if items[place].answer.choices else ""
        ranked.append((seen[key], place))
        seen[key] += 1
    return [place for _, place in sorted(ranked, key=lambda one: one[0])]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a pilot: the first, or a resumed one."""

    scope: Scope
    session: Session
    panel: Panel
    journal: RunJournal
    state: RunState
    budget: Budget

    def begin(self, watch: Callable[[Record], None] | None) -> bool:
        """Record that the attempt begins; False if the run is finished already."""
        state, journal, started = self.state, self.journal, self.state.started
        if started is not None and started.what != "calibrate":
            raise InputError("run_id", f"run {journal.run_id!r} is a {started.what} run; name another")
        manifest = self._manifest()
        if started is not None and (changes := differences(state.manifest, manifest)):
            raise ManifestChanged(journal.run_id, changes)
        if state.ended is not None and state.ended.status == "ok":
            return False
        self.session.check_prices(self._caps(), self.panel)

        def told(entry: Entry) -> None:
            state.apply(entry)
            if watch is not None:
                watch(entry.record)

        journal.listen(told)
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        evidence, caps = self.panel.evidence, asdict(self._caps())
        if started is None:
            journal.append(RunStarted(what="calibrate", manifest=manifest, evidence=evidence, budget=caps, at=at))
        else:
            journal.append(RunResumed(at=at, evidence=evidence, budget=caps))
        return True

    async def perform(self) -> Profile:
        """Measure, and record how the attempt ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()

        def end(status: RunStatus, reason: str | None = None) -> None:
            self.journal.append(RunEnded(status=status, reason=reason, seconds=round(loop.time() - began, 6)))

        try:
            profile = await self.measured()
        except asyncio.CancelledError:
            end("interrupted", "interrupted")
            raise
        except (ModelError, ModelUnavailable) as error:
            end("failed", f"{error.code}: {error}")
            raise
        except BudgetExceeded as error:
            end("budget", str(error))
            raise
        end("ok")
        return profile

    async def measured(self) -> Profile:
        """Return the profile; what is recorded is not asked again."""
        ledger = self.session.ledger(self._caps(), self.state.usage.as_cost())
        ledger.start()
        sampler = Sampler(
            self.panel.default,
            journal=self.journal,
            state=self.state,
            ledger=ledger,
            limit=self.session.limit,
            tariff=self.session.tariff,
            probing=self.session.probing,
        )
        sampler.expect(len(self.scope.items) * self.scope.panel)
        assert self.state.started is not None
        measuring = Measuring(self.scope, sampler)
        return await measuring.profile(
            model=self.panel.default[0].name, date=self.state.started.at[:10], evidence=self.panel.evidence
        )

    def _caps(self) -> Budget:
        return self.budget.or_else(Budget(**self.state.budget))

    def _manifest(self) -> dict[str, Json]:
        scope = self.scope
        first, asking = scope.items[0].answer, scope.asking
        most = scope.sampling.max_tokens
        return {
            "task": f"calibrate {len(scope.items)} items: {first.kind}",
            "items": digest([_said(one) for one in scope.items]),
            "examples": digest([[one.input, one.target] for one in asking.examples]),
            "question": asking.question,
            "models": {"worker": [model.name for model in self.panel.default]},
            "panel": scope.panel,
            "messages": list(scope.messages),
            "chain": scope.chain,
            "thoughts": list(scope.thoughts),
            "temperature": scope.sampling.temperature,
            "seed": scope.sampling.seed,
            "prompts": [VERSION, _FORMAT],
            **({} if most == MOST_TOKENS else {"max_tokens": most}),
        }


def _said(item: Item) -> list[Json]:
    """Return what an item asks, and its right answer."""
    beside: list[Json] = [text for text in (item.goal, item.context) if text]
    beside += [[one.input, one.answer] for one in item.examples]
    return [item.name, item.input, item.target, item.answer.spec(), item.size, *beside]
