"""The state of a run, folded from its records: what resume, show, progress and results all read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from orchestra_agents.journal.records import (
    Approval,
    Asked,
    CallFailed,
    Condensed,
    Decomposed,
    Embedded,
    EndpointProbed,
    MessageSent,
    ProblemSolved,
    ProblemSplit,
    Record,
    Routed,
    RunEnded,
    RunResumed,
    RunStarted,
    Sampled,
    SubtaskEnded,
    SubtaskStarted,
    Synthesised,
    TeamEnded,
    ToolCalled,
    ToolObserved,
    Verified,
)
from orchestra_agents.journal.sqlite import Entry
from orchestra_agents.ledger import Cost
from orchestra_agents.models.contract import Evidence, Json
from orchestra_agents.payment import Payment

ENDPOINTS = "endpoints"
"""Entry of a run's manifest: what each model's server really does."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What a run took, over all its attempts."""

    calls: int = 0
    """Requests answered 2xx or of unknown outcome."""
    samples: int = 0
    """Completions paid for, flagged ones included."""
    attempts: int = 0
    """Requests sent, retries and failures included."""
    unknown: int = 0
    """Calls whose reply was never recorded: they may have been paid for."""
    flagged: int = 0
    """Samples discarded by a red flag."""
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    """True where some token figures are ours, not the server's."""
    paid: Payment = field(default_factory=Payment)
    """What it cost, and what of it was cached, unseen or lost."""

    def add_probe(self, probed: EndpointProbed) -> None:
        """Count what finding out about a server took, but for its calls."""
        self.attempts += probed.attempts
        self.samples += probed.samples
        self.input_tokens += probed.input_tokens
        self.output_tokens += probed.output_tokens
        self.estimated |= probed.estimated
        self.paid.usd += probed.cost_usd or 0.0
        self.paid.unpriced |= probed.cost_usd is None
        self.paid.lose(1, probed.lost_tokens, probed.lost_usd)

    @property
    def cost_usd(self) -> float | None:
        """US dollars; None where the price of some of it is not known."""
        return None if self.paid.unpriced else self.paid.usd

    def as_cost(self) -> Cost:
        """Return what the ledger counts of it, what may have been lost included."""
        paid = self.paid
        tokens = self.input_tokens + self.output_tokens + paid.lost_tokens
        return Cost(calls=self.calls, tokens=tokens, usd=paid.usd + paid.lost_usd)

    def as_dict(self) -> dict[str, Json]:
        """Return the figures as JSON."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "paid"}
        told |= {name: getattr(self.paid, name) for name in self.paid.__slots__ if name not in ("usd", "unpriced")}
        return told | {"cost_usd": self.cost_usd}


@dataclass(slots=True)
class RunState:
    """Everything known about one run; `apply` each record in order."""

    started: RunStarted | None = None
    manifest: dict[str, Json] = field(default_factory=dict)
    budget: dict[str, Json] = field(default_factory=dict)
    """The caps of the latest attempt."""
    decomposed: Decomposed | None = None
    routed: Routed | None = None
    """The latest route."""
    routes: dict[int, Routed] = field(default_factory=dict)
    """The route of each pass over the graph, by the re-routes before it."""
    passes: dict[int, Synthesised] = field(default_factory=dict)
    """What each pass over the graph came to, by the re-routes before it."""
    condensed: dict[str, Condensed] = field(default_factory=dict)
    """How the inputs of a node were made to fit, by node."""
    approval: Approval | None = None
    """How the question whether to spend stands; None where nobody is asked."""
    running: dict[str, SubtaskStarted] = field(default_factory=dict)
    """Subtasks at work, by id."""
    subtasks: dict[str, SubtaskEnded] = field(default_factory=dict)
    """The latest outcome of each subtask, by id."""
    verified: dict[str | None, Verified] = field(default_factory=dict)
    """What checks said, by identity."""
    calls: dict[str, ToolCalled] = field(default_factory=dict)
    """The latest record of each call of a tool that was begun, by key, in the order in which they were first begun."""
    observed: dict[str, ToolObserved] = field(default_factory=dict)
    """What came of actions, by key."""
    messages: dict[str | None, MessageSent] = field(default_factory=dict)
    """What agents of teams told others, by identity."""
    teams: dict[str, TeamEnded] = field(default_factory=dict)
    """How teams of several agents ended, by the question they worked on."""
    splits: dict[str, ProblemSplit] = field(default_factory=dict)
    """The problems of a recursive decomposition, by path."""
    solved: dict[str, ProblemSolved] = field(default_factory=dict)
    """The latest outcome of each of them, by path."""
    undecided: Counter[str] = field(default_factory=Counter)
    """How often each subtask's or problem's vote ended at its cap."""
    ended: RunEnded | None = None
    """How the latest attempt ended; None while one runs or after a kill."""
    seconds: float = 0.0
    """Wall-clock seconds of the attempts that ended."""
    _ok: dict[tuple[str, str | None], SubtaskEnded] = field(default_factory=dict)
    _replies: dict[str, Sampled] = field(default_factory=dict)
    _vectors: dict[str, Embedded] = field(default_factory=dict)
    _open: dict[str, list[Asked]] = field(default_factory=dict)
    """Calls whose end is not recorded, by sample."""
    _usage: Usage = field(default_factory=Usage)
    _answered: int = 0
    _unknown: int = 0
    _evidence: set[Evidence] = field(default_factory=set)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the state after `entries`."""
        state = cls()
        for entry in entries:
            state.apply(entry)
        return state

    def reply(self, sample: str) -> Sampled | None:
        """Return the recorded reply to a sample, by its identity."""
        return self._replies.get(sample)

    def samples(self) -> Iterable[Sampled]:
        """Return all replies that are recorded, in the order of their arrival."""
        return self._replies.values()

    def carried_out(self) -> list[tuple[str, Json]]:
        """Return the calls of tools that were carried out and seen to end, in that order: tool and arguments."""
        seen = [(one.tool, self.calls.get(key)) for key, one in self.observed.items()]
        return [(tool, called.arguments) for tool, called in seen if called is not None]

    def embedding(self, sample: str) -> Embedded | None:
        """Return the recorded embedding of some texts, by its identity."""
        return self._vectors.get(sample)

    def answered(self, node: str, asked: str) -> SubtaskEnded | None:
        """Return the good end of `node` when it was asked exactly this, by the digest of what was asked."""
        return self._ok.get((node, asked))

    @property
    def usage(self) -> Usage:
        """What the run took; calls still open count as unknown, and as lost."""
        is_open = [asked for several in self._open.values() for asked in several]
        unknown = self._unknown + len(is_open)
        paid = replace(self._usage.paid)
        for asked in is_open:
            paid.lose(1, asked.worst_tokens, asked.worst_usd)
        return replace(self._usage, unknown=unknown, calls=self._answered + unknown, paid=paid)

    @property
    def evidence(self) -> Evidence:
        """What the run's answers are based on: simulated as soon as any attempt was."""
        return "simulated" if "simulated" in self._evidence else "real"

    def apply(self, entry: Entry) -> None:
        """Take in the next record."""
        match entry.record:
            case RunStarted() as record:
                self.started, self.manifest, self.budget = record, dict(record.manifest), dict(record.budget)
                self._evidence.add(record.evidence)
            case RunResumed() as record:
                self._resume(record)
            case Decomposed() as record:
                self.decomposed = record
            case Routed() as record:
                self.routed = self.routes[record.reroutes] = record
            case SubtaskStarted() as record:
                self.running[record.node] = record
            case SubtaskEnded() as record:
                self._end_subtask(record)
            case RunEnded() as record:
                self.ended = record
                self.seconds += record.seconds
            case Asked() | Sampled() | CallFailed() | Embedded() as record:
                self._count(record)
            case EndpointProbed() as record:
                self.manifest[ENDPOINTS] = self.manifest.get(ENDPOINTS, {}) | record.entry()
                self._answered += record.calls
                self._usage.add_probe(record)
            case record:
                self._note(record)

    def _note(self, record: Record) -> None:
        match record:
            case Verified():
                self.verified[record.identity()] = record
            case Condensed():
                self.condensed[record.node] = record
            case Synthesised():
                self.passes[record.reroutes] = record
            case Approval():
                self.approval = record
            case ProblemSplit():
                self.splits[record.path] = record
            case ProblemSolved():
                self.solved[record.path] = record
                self.undecided[record.path] += not record.decided
            case _:
                self._note_team(record)

    def _note_team(self, record: Record) -> None:
        match record:
            case ToolCalled():
                self.calls[record.key] = record
            case ToolObserved():
                self.observed[record.key] = record
            case MessageSent():
                self.messages[record.identity()] = record
            case TeamEnded():
                self.teams[record.node] = record

    def _resume(self, record: RunResumed) -> None:
        changed = record.changed or {}
        if changed and self.approval is not None:
            self.approval = Approval(status="waiting")  # what was approved was another plan
        if "task" in changed and changed["task"] != self.manifest.get("task"):
            self.decomposed = self.routed = None  # they belong to the task before, as do its votes
            self.undecided.clear()
        if changed:
            for kept in (self.routes, self.passes, self.condensed):
                kept.clear()
        self.manifest |= changed
        self.budget = dict(record.budget)
        self._evidence.add(record.evidence)
        self.ended = None
        self.running.clear()

    def _end_subtask(self, record: SubtaskEnded) -> None:
        self.running.pop(record.node, None)
        self.subtasks[record.node] = record
        if record.status == "ok":
            self._ok[record.node, record.input] = record
        if record.status == "undecided":
            self.undecided[record.node] += 1

    def _count(self, record: Asked | Sampled | CallFailed | Embedded) -> None:
        sample, usage = record.sample(), self._usage
        match record:
            case Asked():
                self._open.setdefault(sample, []).append(record)
            case CallFailed():
                self._close(record)
                self._unknown += record.unknown
            case Embedded():
                self._close(record)
                self._vectors[sample] = record
                usage.input_tokens += record.input_tokens
                usage.estimated |= record.estimated
                self._pay(record)
            case Sampled():
                self._close(record)
                self._replies[sample] = record
                usage.samples += 1
                usage.flagged += record.flag is not None
                usage.input_tokens += record.input_tokens
                usage.output_tokens += record.output_tokens
                usage.estimated |= record.estimated
                usage.paid.cached_tokens += record.cached_tokens
                usage.paid.reasoning_tokens += record.reasoning_tokens
                self._pay(record)

    def _close(self, record: Sampled | CallFailed | Embedded) -> None:
        """Count the end of a call, or of one of several samples of one, which only the first of them ends."""
        if not isinstance(record, Sampled) or record.attempts:
            is_open = self._open.get(record.sample())
            if is_open:
                is_open.pop()
            if not is_open:
                self._open.pop(record.sample(), None)
        self._answered += record.calls
        self._usage.attempts += record.attempts
        self._usage.paid.lose(1, record.lost_tokens, record.lost_usd)

    def _pay(self, record: Sampled | Embedded) -> None:
        if record.cost_usd is None:
            self._usage.paid.unpriced = True
        else:
            self._usage.paid.usd += record.cost_usd
