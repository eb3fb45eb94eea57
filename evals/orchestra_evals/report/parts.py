"""What a comparison's document is made of: its rows, and what they say beside each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import Field

from orchestra_agents.models.contract import Evidence

Unit = Literal["tokens", "calls", "usd"]
"""In what spending is counted."""
SPENT: dict[str, str] = {"tokens": "tokens", "calls": "calls", "usd": "cost_usd"}
"""What spending is called in each unit."""
Figures: TypeAlias = dict[str, float | None]
"""Figures by name; None where nobody knows, as of a price, or where nothing was measured."""


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
    """An interval of level 95 %; an end is None where it is infinite or not known."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Interval):
    """A figure with its interval."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean score."""

    n: int
    score: float | None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDifficulty(Mean):
    """The mean score at one difficulty."""

    difficulty: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How good the confidences of a system are as probabilities."""

    brier: float
    skill: Estimate | None = None
    ece: float | None = None
    auc: float | None = None
    left_out: int = 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Mean):
    """What one system came to with one model."""

    system: str
    model: str
    kind: str = "wiring"
    without_retried: Mean | None = None
    retried: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    infeasible: int = 0
    by_difficulty: tuple[AtDifficulty, ...] = ()
    repeats: Figures = field(default_factory=dict)
    spent: Figures = field(default_factory=dict)
    spent_a_sample: Figures = field(default_factory=dict)
    cap: dict[str, float] = field(default_factory=dict)
    tokens_per_success: Estimate | None = None
    cost_per_success: Estimate | None = None
    e_cubed: Estimate | None = None
    confidence: Confidence | None = None
    coordination: Figures | None = None
    """Means over runs."""
    decided: tuple[Decided, ...] = ()
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A system compared with the baseline on the samples of both."""

    system: Annotated[str, Field(alias="first")]
    model: str
    pairs: int
    left_out: int = 0
    difference: Estimate | None
    wins: int = 0
    losses: int = 0
    test: str = ""
    p_value: float | None = None
    adjusted_p: float | None = None
    detectable: float | None = None
    finding: str
    """`better`, `worse`, or a text that begins by saying that no difference is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The least difference that would be found."""

    effect: float | None
    n: int
    discordance: float | None = None
    power: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Self-consistency cut after so many votes."""

    votes: int
    spend: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The cuts with one model, smallest first."""

    model: str
    points: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRow:
    """A system compared with self-consistency at the system's own spend."""

    system: str
    model: str
    spend: float
    score: float
    rival_score: float
    interpolated: bool = False
    from_spend: float | None = None
    to_spend: float | None = None
    pairs: int = 0
    difference: Estimate | None = None
    p_value: float | None = None
    adjusted_p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A system that cannot be compared at equal spend, or at all, and why."""

    system: str
    model: str = ""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What is compared at equal spend."""

    unit: Unit = "tokens"
    note: str = ""
    curves: tuple[Curve, ...] = ()
    rows: tuple[MatchedRow, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
