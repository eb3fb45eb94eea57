"""What a comparison's document says beyond its rows: regret, convergence, the forecast, and the survival of chains."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestra_evals.report.parts import Estimate, Figures, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegret(Estimate):
    """What the pick lost with one model."""

    model: str
    best: str
    alternatives: int
    split: float | None = None
    left_out: int = 0
    without: tuple[str, ...] = ()
    """Wirings of which fewer samples were measured, and that are no alternatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What the pick lost against the best of the others."""

    pick: str
    models: tuple[ModelRegret, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How much scores vary over topologies and how much over models."""

    topologies: int
    models: int
    over_topologies: float
    over_models: float
    share: Estimate | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The accuracy that was foretold."""

    pessimistic: float
    optimistic: float
    low: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRow:
    """What was foretold of a system with a model, beside what came out."""

    system: str
    model: str
    predicted: Predicted | None = None
    measured: float | None = None
    interval: Interval | None = None
    error: float | None = None
    """Measured less the nearer end of what was predicted; 0 inside."""
    calls: Figures = field(default_factory=dict)
    """As predicted, and as measured."""
    tokens: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileUsed:
    """From what a forecast was made."""

    model: str = ""
    date: str = ""
    evidence: str = ""
    assumed: tuple[str, ...] = ()
    took: Figures | None = None
    """Where it was measured for the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the budget model foretold."""

    profile: ProfileUsed | None = None
    profiles: tuple[ProfileUsed, ...] = ()
    """Of each model that has one."""
    reason: str = ""
    rows: tuple[ForecastRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survived(Interval):
    """Share right of the samples with so many dependent steps."""

    steps: float
    n: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalCurve:
    """Share right by number of steps, of one system with one model."""

    system: str
    model: str
    points: tuple[Survived, ...] = ()
    per_step: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What is left of right answers as chains get longer."""

    unit: str = "steps"
    curves: tuple[SurvivalCurve, ...] = ()
