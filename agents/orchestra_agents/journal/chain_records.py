"""Records of chains: what each step decided, and everything that changed the way of deciding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from orchestra_agents.journal.records import Record
from orchestra_agents.models.contract import Json
from orchestra_agents.payment import Payment


class VoteRecord(BaseModel):
    """One reply of a step."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str
    flag: str | None = None
    """Why it was discarded, or None where it counts."""
    model: str | None = None
    """Who answered, where the panel has several members."""
    juror: int | None = None
    """Place in the jury, where there is one."""


class Spent(BaseModel):
    """What a piece of work took."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    calls: int = 0
    samples: int = 0
    attempts: int = 0
    unknown: int = 0
    """Calls that may have been served although no answer arrived."""
    flagged: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    paid: Payment | None = None
    """What it cost beyond that, where it did."""


class StepDecided(Record):
    """One step of a chain. Its place is its number; it stands in a table of its own, a row a step."""

    kind = "step.decided"
    action: Json
    """What was decided."""
    state: Json = None
    """The next state, where the model predicted it; else it follows from the action."""
    opaque: str | None = None
    """Name of a simulated wrong answer that won: it stands for no action, so `action` is the right one."""
    k: int
    """Margin that was asked for at last."""
    votes: int
    """Valid votes counted."""
    flagged: int = 0
    """Replies discarded."""
    tally: dict[str, int] | None = None
    """Valid votes by canonical answer; None where all agreed."""
    late: tuple[int, int] | None = None
    """Votes after the second that disagreed, and those of them for the winner: how contested the step was."""
    calls: int
    attempts: int | None = None
    """Requests sent, where they were not as many as the calls."""
    input_tokens: int
    output_tokens: int
    estimated: bool = False
    """Whether the token figures are ours, not the server's."""
    paid: Payment | None = None
    """What it cost beyond tokens, where it did."""
    lost: int = 0
    """Samples of bets on this step that were lost."""
    by: str | None = None
    """`person`, where votes did not decide."""
    samples: list[VoteRecord] | None = None
    """The single votes, where the run's record level asks for them."""


class StepStopped(Record):
    """A vote ended without a decision: at its cap, at a failure, at the end of the budget, or interrupted."""

    kind = "step.stopped"
    step: int
    code: str
    """`undecided`, or the code of what ended it."""
    reason: str
    tally: dict[str, int]
    asked: int
    """Samples drawn so far for this step: where an undecided vote goes on."""
    spent: Spent


class MarginChosen(Record):
    """From this step on votes need a lead of k."""

    kind = "margin.chosen"
    step: int
    k: int
    reason: str


class RungChosen(Record):
    """From this step on questions are put in another way, or to another model, because votes erred together."""

    kind = "rung.chosen"
    step: int
    rung: str
    reason: str


class SentinelAnswered(Record):
    """A question with a known answer went through the same vote, outside the chain."""

    kind = "sentinel.answered"
    number: int
    """Which sentinel, from 0."""
    step: int
    """The step before which it was asked."""
    rung: str
    """How it was put."""
    right: int
    """Votes for the known answer."""
    wrong: int
    """Valid votes for other answers."""
    copies: bool
    """Whether all valid votes were for one answer."""
    spent: Spent


class StepObserved(Record):
    """The effect of a step happened, and this is what it returned."""

    kind = "step.observed"
    step: int
    key: str
    """Idempotency key that the effect was given."""
    observation: Json

    def identity(self) -> str:
        """A step is observed once."""
        return str(self.step)


class Snapshot(Record):
    """The state of a chain before a step, and all its sums; the two latest are kept."""

    kind = "chain.snapshot"
    step: int
    state: Json
    sums: dict[str, Json]
