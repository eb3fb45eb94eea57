"""The rows of a comparison's document: what each system came to with each model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orchestra_agents.models.contract import Evidence

Unit = Literal["tokens", "calls", "usd"]
"""In what spending is counted."""


class Named(Protocol):
    """What is about a system with a model."""

    @property
    def system(self) -> str:
        """Name of the system."""

    @property
    def model(self) -> str:
        """Name of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval, of level 95 %."""

    low: float
    high: float
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval, whose ends are None where they are infinite or not known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanScore:
    """A mean score, of all samples or of some."""

    n: int
    score: float | None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDifficulty:
    """The mean score at one difficulty."""

    difficulty: dict[str, Any]
    n: int
    score: float | None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverRepeats:
    """Scores over the repeats of each sample."""

    count: int = 1
    worst_of_n: float | None = None
    majority: float | None = None
    best_of_n: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What was taken; None where nobody knows, as of a price, or where nothing was measured."""

    tokens: float | None = None
    calls: float | None = None
    cost_usd: float | None = None

    def of(self, unit: Unit) -> float | None:
        """Return what was taken in a unit."""
        return {"tokens": self.tokens, "calls": self.calls, "usd": self.cost_usd}[unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How good the confidences of a system are as probabilities."""

    brier: float
    skill: Estimate | None = None
    ece: float | None = None
    auc: float | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordination:
    """What coordination cost, the mean over runs."""

    turns: float | None = None
    messages: float | None = None
    message_density: float | None = None
    overhead_percent: float | None = None
    efficiency: float | None = None
    redundancy: float | None = None
    unproductive_share: float | None = None
    failure_ratio: float | None = None
    runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What some of the runs followed."""

    topology: str | None
    team: str | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """Who split samples up, how many were, and how many of those graphs had a single subtask."""

    source: str = "none"
    graphs: int = 0
    degenerate: int = 0
    nodes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one system came to with one model."""

    system: str
    model: str
    kind: str = "wiring"
    n: int
    score: float | None
    interval: Interval | None = None
    without_retried: MeanScore | None = None
    retried: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    infeasible: int = 0
    by_difficulty: tuple[AtDifficulty, ...] = ()
    repeats: OverRepeats = OverRepeats()
    spent: Spending = Spending()
    spent_a_sample: Spending = Spending()
    cap: dict[str, float] = field(default_factory=dict)
    tokens_per_success: Estimate | None = None
    cost_per_success: Estimate | None = None
    e_cubed: Estimate | None = None
    confidence: Confidence | None = None
    coordination: Coordination | None = None
    decided: tuple[Decided, ...] = ()
    graphs: Graphs = Graphs()
    seconds: float | None = None
    evidence: Evidence
