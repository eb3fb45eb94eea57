"""What a system is: whoever answers a sample, in a run of its own that the journal records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from orchestra.budget.team_spending import Spending
from orchestra.panel import ModelSpec
from orchestra.result import RunResult
from orchestra.session import Session
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.suite import Sample, Suite

GraphSource = Literal["suite", "model", "none"]
"""Who made a graph of a sample: its suite, a model, or nobody, where the sample was asked as the one question it is."""
UsageSource = Literal["client", "self", "none"]
"""Who says what an answer took: our own client, the system itself, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphUsed:
    """As how many subtasks a sample was answered."""

    source: GraphSource = "none"
    nodes: int = 1
    """Subtasks; 0 where the run stopped before there were any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a system says itself that an answer took."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a system says of a sample."""

    answer: Json
    """None where it has none."""
    usage: Reported | None = None
    """What it took beside the calls of our client, where the system tells."""
    confidence: float | None = None
    """Probability, from 0 to 1, that the answer is right; None is not known."""
    graph: GraphUsed = field(default_factory=GraphUsed)
    """How the sample was split up; what systems of a user's own say here is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system works on one sample: the session of its cell, and what belongs to this repeat of the sample."""

    suite: Suite
    session: Session
    run_id: str
    """Name of the run that is the sample's; a run of this name that was stopped is gone on with."""
    model: ModelSpec | None
    seed: int
    """Seed of the run's samples."""
    share: Budget
    """An equal share of the cell's caps, for systems that keep to it."""


@runtime_checkable
class System(Protocol):
    """Whoever answers samples."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def keeps_to_share(self) -> bool:
        """Whether it spends an equal share of the cell's caps on every sample; its answers then depend on the caps."""

    def spec(self) -> Json:
        """Return all that decides its answers beside sample, model and seed: a change of it asks everything anew."""

    async def spending(self, sample: Sample, suite: Suite, share: Budget) -> Spending | None:
        """Return about what a sample will take, None where nobody can tell; nothing is asked."""

    async def perform(self, sample: Sample, place: Place) -> RunResult:
        """Carry the run of a sample to an end.

        Raises:
            InputError, ManifestChanged, RunOwned: As `orchestra.run`.
        """

    async def read(self, sample: Sample, suite: Suite, result: RunResult, journal: Journal) -> Answered:
        """Return what a run that came to an end says of its sample, from what the journal holds; nothing is asked."""
