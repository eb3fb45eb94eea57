"""What the rows of a comparison's document say beside each other: differences, equal spend, regret, convergence."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_evals.report.document_rows import Estimate, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A system compared with the baseline on the samples of both."""

    first: str
    second: str
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
    """`better`, `worse`, or a text that says that no difference is shown."""

    @property
    def system(self) -> str:
        """The system that is compared with the baseline."""
        return self.first

    @property
    def is_better(self) -> bool:
        """Whether the system is shown to be better than the baseline."""
        return self.finding == "better"

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse."""
        return self.finding == "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The least difference that would be found."""

    effect: float | None
    n: int
    comparisons: int = 1
    discordance: float | None = None
    level: float = 0.05
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
    rival: str = "selfconsistency"
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
    """A system that cannot be compared at equal spend, and why."""

    system: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What is compared at equal spend."""

    unit: Unit = "tokens"
    note: str = ""
    curves: tuple[Curve, ...] = ()
    rows: tuple[MatchedRow, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegret:
    """What the pick lost with one model."""

    model: str
    best: str
    alternatives: int
    value: float
    low: float | None = None
    high: float | None = None
    split: float | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What the pick lost against the best of the others."""

    pick: str
    models: tuple[ModelRegret, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio with its interval; None is infinite."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How much scores vary over topologies and how much over models."""

    topologies: int
    models: int
    over_topologies: float
    over_models: float
    share: Estimate | None = None
    ratio: Ratio | None = None
    eps: float | None = None
    bound: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A system that did not compete."""

    system: str
    reason: str
