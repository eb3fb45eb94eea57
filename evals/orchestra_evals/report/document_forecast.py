"""What a comparison's document says of the laws of its systems: the forecast, and the survival of long chains."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.models.contract import Evidence
from orchestra_evals.report.document_rows import Estimate, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The accuracy that was foretold."""

    pessimistic: float
    optimistic: float
    low: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A figure as it was predicted, and as it was measured."""

    predicted: float | None = None
    measured: float | None = None


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
    calls: Beside = Beside()
    tokens: Beside = Beside()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileUsed:
    """From what a forecast was made."""

    model: str = ""
    date: str = ""
    evidence: str = ""
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the budget model foretold."""

    profile: ProfileUsed | None = None
    profiles: tuple[ProfileUsed, ...] = ()
    """Of each model that has one."""
    reason: str = ""
    rows: tuple[ForecastRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survived:
    """Share right of the samples with so many dependent steps."""

    steps: float
    n: int
    score: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalCurve:
    """Share right by number of steps, of one system with one model."""

    system: str
    model: str
    evidence: Evidence
    points: tuple[Survived, ...] = ()
    per_step: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What is left of right answers as chains get longer."""

    unit: str = "steps"
    curves: tuple[SurvivalCurve, ...] = ()
