"""The state of a chain, folded from its records, its latest snapshot and the steps after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from orchestra_agents.chains.distinct import Distinct
from orchestra_agents.errors import JournalError, UnknownRun
from orchestra_agents.journal.chain_records import (
    MarginChosen,
    RungChosen,
    SentinelAnswered,
    Spent,
    StepDecided,
    StepObserved,
    StepStopped,
)
from orchestra_agents.journal.records import EndpointProbed, Record, RunEnded, RunResumed, RunStarted
from orchestra_agents.journal.replay import ENDPOINTS, Usage
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Evidence, Json
from orchestra_agents.payment import Payment


@dataclass(slots=True)
class Sums:
    """What the decided steps of a chain add up to."""

    votes: int = 0
    agreeing: int = 0
    """Votes for what was decided."""
    flagged: int = 0
    calls: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    paid: Payment = field(default_factory=Payment)
    lost: int = 0
    """Samples of bets that were lost."""
    contested: int = 0
    """Steps in which two votes or more disagreed with the decision."""
    late_votes: int = 0
    """Votes of those steps after the second that disagreed."""
    late_agreeing: int = 0
    wrong_decisions: int = 0
    """Against the process's reference, where it has one."""
    wrong_votes: int = 0
    sampled_votes: int = 0
    """Votes on questions whose voters are sampled, not drawn from a jury that has each of them once."""
    sampled_agreeing: int = 0
    questions: Distinct = field(default_factory=Distinct)

    def count(
        self,
        *,
        votes: int,
        agreeing: int,
        flagged: int,
        calls: int,
        attempts: int,
        input_tokens: int,
        output_tokens: int,
        estimated: bool,
        paid: Payment | None,
        lost: int,
        late: tuple[int, int] | None,
    ) -> None:
        """Count a decided step."""
        self.votes += votes
        self.agreeing += agreeing
        self.flagged += flagged
        self.calls += calls
        self.attempts += attempts
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.estimated |= estimated
        if paid:
            self.paid.add(paid)
        self.lost += lost
        if late is not None:
            self.contested += 1
            self.late_votes += late[0]
            self.late_agreeing += late[1]

    def add(self, step: StepDecided) -> None:
        """Count a recorded step; what needs the process (`wrong_*`, `sampled_*`, `questions`) is not counted here."""
        self.count(
            votes=step.votes,
            agreeing=step.votes if step.tally is None else max(step.tally.values()),
            flagged=step.flagged,
            calls=step.calls,
            attempts=step.calls if step.attempts is None else step.attempts,
            input_tokens=step.input_tokens,
            output_tokens=step.output_tokens,
            estimated=step.estimated,
            paid=step.paid,
            lost=step.lost,
            late=step.late,
        )

    def as_dict(self) -> dict[str, Json]:
        """Return the sums as JSON."""
        sums = {name: getattr(self, name) for name in self.__slots__}
        return sums | {"questions": self.questions.hashes(), "paid": asdict(self.paid)}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Sums:
        """Return the sums that stand in a snapshot."""
        if unknown := values.keys() - set(cls.__slots__):
            raise JournalError("journal.newer", f"journal: sums of a newer orchestra: {', '.join(sorted(unknown))}")
        paid = Payment(**values.get("paid", {}))
        return cls(**values | {"questions": Distinct(values["questions"]), "paid": paid})


@dataclass(slots=True)
class ChainState:
    """Everything that the journal says about one chain."""

    started: RunStarted | None = None
    manifest: dict[str, Json] = field(default_factory=dict)
    budget: dict[str, Json] = field(default_factory=dict)
    """The caps of the latest attempt."""
    ended: RunEnded | None = None
    """How the latest attempt ended; None while one runs or after a kill."""
    seconds: float = 0.0
    steps: int = 0
    """Steps decided."""
    snapshot_step: int = -1
    """The step of the latest snapshot."""
    final: Json = None
    """The state at the latest snapshot."""
    sums: Sums = field(default_factory=Sums)
    margins: list[MarginChosen] = field(default_factory=list)
    rungs: list[RungChosen] = field(default_factory=list)
    sentinels: list[SentinelAnswered] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """How many sentinels were asked on each rung."""
    observed: dict[int, StepObserved] = field(default_factory=dict)
    """Effects of the steps after the latest snapshot, by step."""
    stopped: StepStopped | None = None
    """The latest vote that ended without a decision."""
    undecided: int = 0
    """Votes that ended without a decision at their cap."""
    other: Usage = field(default_factory=Usage)
    """What was spent on anything but decided steps."""
    evidences: set[Evidence] = field(default_factory=set)

    @classmethod
    def of(cls, journal: Journal, run_id: str) -> ChainState:
        """Return the state of a chain up to its latest snapshot; `count_tail` adds the steps after it."""
        state = cls()
        try:
            snapshot = journal.snapshot(run_id)
        except UnknownRun:
            return state
        if snapshot is not None:
            state.sums, state.steps, state.snapshot_step = Sums.of(snapshot.sums), snapshot.step, snapshot.step
            state.final = snapshot.state
        for entry in journal.entries(run_id):
            state.apply(entry.record)
        return state

    @classmethod
    def whole(cls, journal: Journal, run_id: str) -> ChainState:
        """Return the state of a chain with all its steps; `wrong_*`, `questions` and `final` are the snapshot's."""
        state = cls.of(journal, run_id)
        if state.started is not None:
            state.count_tail(journal, run_id)
        return state

    def count_tail(self, journal: Journal, run_id: str) -> None:
        """Count the steps after the latest snapshot, without what needs the process itself."""
        for row in journal.steps(run_id, first=self.steps):
            self.sums.add(row.record)
            self.steps += 1

    @property
    def evidence(self) -> Evidence:
        """What the chain's answers are based on: simulated as soon as any attempt was."""
        return "simulated" if "simulated" in self.evidences else "real"

    @property
    def k(self) -> int:
        """Margin at the present step."""
        return self.margins[-1].k if self.margins else 1

    @property
    def rung(self) -> str:
        """How questions are put at the present step."""
        return self.rungs[-1].rung if self.rungs else "plain"

    @property
    def usage(self) -> Usage:
        """What the chain took, over all its attempts."""
        sums, other = self.sums, self.other
        paid = replace(sums.paid)
        paid.add(other.paid)
        return Usage(
            calls=sums.calls + other.calls + other.unknown,
            samples=sums.votes + sums.flagged + sums.lost + other.samples,
            attempts=sums.attempts + other.attempts,
            unknown=other.unknown,
            flagged=sums.flagged + other.flagged,
            input_tokens=sums.input_tokens + other.input_tokens,
            output_tokens=sums.output_tokens + other.output_tokens,
            estimated=other.estimated or sums.estimated,
            paid=paid,
        )

    def apply(self, record: Record) -> None:
        """Take in the next record that is no step."""
        match record:
            case RunStarted():
                self.started, self.manifest, self.budget = record, dict(record.manifest), dict(record.budget)
                self.evidences.add(record.evidence)
            case RunResumed():
                self.manifest |= record.changed or {}
                self.budget = dict(record.budget)
                self.evidences.add(record.evidence)
                self.ended = None
                self.other.unknown += record.unknown
                self.other.paid.lose(1, record.lost_tokens, record.lost_usd)
            case EndpointProbed():
                self.manifest[ENDPOINTS] = self.manifest.get(ENDPOINTS, {}) | record.entry()
                self.other.calls += record.calls
                self.other.add_probe(record)
            case RunEnded():
                self.ended = record
                self.seconds += record.seconds
            case _:
                self._apply_step(record)

    def _apply_step(self, record: Record) -> None:
        match record:
            case MarginChosen():
                self.margins.append(record)
            case RungChosen():
                self.rungs.append(record)
            case SentinelAnswered():
                self.sentinels.append(record)
                self.asked[record.rung] += 1
                self._spend(record.spent)
            case StepObserved() if record.step >= self.snapshot_step:
                self.observed[record.step] = record
            case StepStopped():
                self.stopped = record
                self.undecided += record.code == "undecided"
                self._spend(record.spent)

    def _spend(self, spent: Spent) -> None:
        other = self.other
        for name in ("calls", "samples", "attempts", "unknown", "flagged", "input_tokens", "output_tokens"):
            setattr(other, name, getattr(other, name) + getattr(spent, name))
        other.estimated |= spent.estimated
        if spent.paid is not None:
            other.paid.add(spent.paid)
