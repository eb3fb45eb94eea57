"""The agent-scaling law: accuracy of one agent and of four teams from tools, single-agent accuracy and intelligence.

Source: *Towards a Science of Scaling Agent Systems*, arXiv 2512.08296 v2, equation 1, refitted to its 180 released
runs: ordinary least squares on standardised columns, of minimum norm because 20 columns have rank 17. It is
correlational, over single runs of four benchmarks, and hardly carries over to a fifth: every forecast has the error of
leaving a benchmark out beside it. `fit` does the same with runs of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np

from orchestra.budget._least_squares import LeastSquares, Standardised, Vector
from orchestra.budget.team_priors import ARCHITECTURES, TABLE_5, Architecture, CoordinationPrior
from orchestra.budget.team_range import FamilyRange, outside
from orchestra.budget.team_runs import (
    MOST_INTELLIGENCE,
    TeamRun,
    check_number,
    check_run,
    check_tools,
    published_runs,
    single_accuracies,
)
from orchestra.budget.team_terms import TERMS, Settings, Term
from orchestra.budget.team_validation import (
    NEAR,
    CrossValidation,
    LeftOut,
    cross_validate,
    leave_families_out,
)
from orchestra_agents.errors import InputError

CONFIDENCE = 0.95
"""Nominal probability that a new run lies within its prediction interval."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """What one column of the regression contributes: value * (x - centre) / scale."""

    name: str
    value: float
    """Change in accuracy per standard deviation of the column."""
    centre: float
    """Mean of the raw column over the fitted runs."""
    scale: float
    """Population standard deviation of the raw column; 1 where it is constant."""
    standard_error: float | None
    """None where the column depends on others, so that the value is one of many that fit equally well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predicted accuracy of one architecture, with the interval that a single new run lies in with 95 %.

    The interval is raw +- t sigma sqrt(1 + x (X'X)+ x'): scatter of a run and uncertainty of the coefficients. It takes
    the law to be right, which a new family of tasks need not: see `TeamForecast.left_out`.
    """

    accuracy: float
    """Clipped to [0, 1]."""
    low: float
    """Clipped, too; but an interval that no accuracy lies in says nothing, not 0 or 1 for sure: then 0 to 1."""
    high: float
    raw: float
    """As the regression gives it."""
    raw_low: float
    raw_high: float
    is_identified: bool
    """False where the fitted runs say nothing about this setting: the accuracy means nothing, the interval is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamForecast:
    """What a law says about one setting. Nothing in it was measured on the user's task."""

    tools: int
    single_accuracy: float
    intelligence: float | None
    """The index used; None where the law was fitted without any."""
    is_intelligence_assumed: bool
    """Whether the index is the mean of the fitted runs, as none was given."""
    predictions: Mapping[Architecture, Prediction]
    best: Architecture
    """The architecture of the highest raw prediction; never to be told without `near_best`."""
    near_best: tuple[Architecture, ...]
    """The best first, then by accuracy: all within 0.05 of it. Outside the data, all whose intervals overlap the
    best's, and at least two."""
    extrapolated: bool
    outside: tuple[str, ...]
    """In which respects the setting lies outside the fitted runs; empty within."""
    left_out: LeftOut | None
    """The error for a family of tasks that was not fitted; None where only one was."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeamLaw:
    """A fitted law; `fit` makes it."""

    runs: int
    architectures: tuple[Architecture, ...]
    """Those that the fitted runs have; no other is predicted."""
    mean_intelligence: float | None
    """Ibar, over the runs that have an index; None where none has."""
    intercept: float
    """The mean accuracy of the fitted runs."""
    coefficients: tuple[Coefficient, ...]
    r2: float
    mean_error: float
    """Mean absolute error on the fitted runs."""
    root_mean_square_error: float
    cross_validation: CrossValidation | None
    """None with fewer than ten runs."""
    left_out: LeftOut | None
    """None where the runs are of one family of tasks."""
    ranges: tuple[FamilyRange, ...]
    """What the runs of each family span."""
    fitted: Vector
    """The fitted accuracy of each run, in their order."""
    terms: tuple[Term, ...]
    priors: Mapping[Architecture, CoordinationPrior]
    columns: Standardised
    squares: LeastSquares

    @property
    def rank(self) -> int:
        """Number of independent columns, with the intercept: 17 of 20 for the published runs."""
        return self.squares.rank

    @property
    def sigma(self) -> float:
        """Residual standard deviation: sqrt(RSS / (runs - rank))."""
        return self.squares.sigma

    @property
    def aic(self) -> float:
        """Akaike's criterion: runs (ln(2 pi RSS / runs) + 1) + 2 rank."""
        return self.squares.aic

    @property
    def not_identified(self) -> tuple[str, ...]:
        """Names of the columns whose coefficients the runs cannot tell apart."""
        return tuple(found.name for found in self.coefficients if found.standard_error is None)

    def predict(self, tools: int, single_accuracy: float, intelligence: float | None = None) -> TeamForecast:
        """Return what is to be expected of each architecture.

        Args:
            tools: Number of tools that an agent has, 0 to 1000; the published runs have 3, 4, 5 and 16.
            single_accuracy: Accuracy of one agent on the task, 0 to 1.
            intelligence: Intelligence index of the model, 0 to 100; None takes the mean of the fitted runs.

        Raises:
            InputError: A value is outside its domain.

        >>> forecast = published_law().predict(4, 0.57)
        >>> forecast.best, round(forecast.predictions["solo"].accuracy, 3), forecast.extrapolated
        ('solo', 0.559, False)
        """
        check_tools("tools", tools)
        single_accuracy = check_number("single_accuracy", single_accuracy)
        if intelligence is not None:
            check_number("intelligence", intelligence, MOST_INTELLIGENCE)
            if self.mean_intelligence is None:
                raise InputError("intelligence", "must be left out: no fitted run has one")
        index = self.mean_intelligence if intelligence is None else float(intelligence)
        predictions = self._predictions(tools, single_accuracy, index)
        reasons = outside(self.ranges, tools, single_accuracy, index)
        ranked = sorted(predictions, key=lambda name: -predictions[name].raw)
        return TeamForecast(
            tools=tools,
            single_accuracy=single_accuracy,
            intelligence=index,
            is_intelligence_assumed=intelligence is None and index is not None,
            predictions=predictions,
            best=ranked[0],
            near_best=_near_best([(name, predictions[name]) for name in ranked], is_outside=bool(reasons)),
            extrapolated=bool(reasons),
            outside=reasons,
            left_out=self.left_out,
        )

    def _predictions(self, tools: int, single: float, index: float | None) -> dict[Architecture, Prediction]:
        ones = np.ones(len(self.architectures))
        settings = Settings.of(
            [self.priors[name] for name in self.architectures],
            intelligence=ones * ((index or 0.0) - (self.mean_intelligence or 0.0)),
            tools=ones * tools,
            single=ones * single,
        )
        design = self.columns.design(settings.columns(self.terms))
        raw, half = design @ self.squares.coefficients, self.squares.half_widths(design, CONFIDENCE)
        return {
            name: _prediction(float(value), float(width))
            for name, value, width in zip(self.architectures, raw, half, strict=True)
        }


def fit(
    runs: Sequence[TeamRun],
    *,
    terms: Sequence[Term] = TERMS,
    priors: Mapping[Architecture, CoordinationPrior] = TABLE_5,
) -> TeamLaw:
    """Return the law that fits runs best.

    The recipe is the study's (section 5.1): raw columns, products included, with the index less its mean; then each
    column standardised over all runs, before any split; then least squares without random effects. Runs of few families
    identify less: `rank`, `not_identified` and `Prediction.is_identified` tell.

    Args:
        runs: What was measured, of at least two architectures.
        terms: The columns; those of the study if not given.
        priors: Constants of each architecture; table 5 of the study if not given.

    Raises:
        InputError: A run has a value outside its domain, or the runs are too few or too alike.
    """
    for place, run in enumerate(runs):
        check_run(f"runs[{place}]", run)
    architectures = tuple(name for name in ARCHITECTURES if any(run.architecture == name for run in runs))
    if len(architectures) < 2:
        raise InputError("runs", f"must be of at least two architectures, got {', '.join(architectures) or 'no run'}")
    response = np.array([run.accuracy for run in runs])
    if np.ptp(response) == 0:
        raise InputError("runs", f"must differ in accuracy, got {response[0]:g} in all {len(runs)}")
    settings, mean = _settings(runs, priors)
    raw = settings.columns(terms)
    columns = Standardised.of(raw)
    design = columns.design(raw)
    squares = LeastSquares.of(design, response)
    if squares.freedom < 1:
        raise InputError("runs", f"must be more than the {squares.rank} coefficients they determine, got {len(runs)}")
    spread = float(((response - response.mean()) ** 2).sum())
    return TeamLaw(
        runs=len(runs),
        architectures=architectures,
        mean_intelligence=mean,
        intercept=float(squares.coefficients[0]),
        coefficients=_coefficients(terms, columns, squares),
        r2=1 - squares.squares / spread,
        mean_error=float(np.abs(squares.residuals).mean()),
        root_mean_square_error=sqrt(squares.squares / len(runs)),
        cross_validation=cross_validate(design, response),
        left_out=leave_families_out(runs, design, response),
        ranges=FamilyRange.of_runs(runs, settings.single),
        fitted=response - squares.residuals,
        terms=tuple(terms),
        priors=priors,
        columns=columns,
        squares=squares,
    )


@cache
def published_law() -> TeamLaw:
    """Return the law fitted to the 180 published runs."""
    return fit(published_runs())


def predict(tools: int, single_accuracy: float, intelligence: float | None = None) -> TeamForecast:
    """Return what the law of the 180 published runs says: `published_law().predict`."""
    return published_law().predict(tools, single_accuracy, intelligence)


def _settings(
    runs: Sequence[TeamRun], priors: Mapping[Architecture, CoordinationPrior]
) -> tuple[Settings, float | None]:
    """Return the settings of runs and the mean index, which stands in where a run has none."""
    known = [run.intelligence for run in runs if run.intelligence is not None]
    mean = sum(known) / len(known) if known else None
    indices = [run.intelligence if run.intelligence is not None else mean or 0.0 for run in runs]
    settings = Settings.of(
        [priors[run.architecture] for run in runs],
        intelligence=np.array(indices) - (mean or 0.0),
        tools=np.array([run.tools for run in runs], dtype=float),
        single=np.array(single_accuracies(runs)),
    )
    return settings, mean


def _coefficients(terms: Sequence[Term], columns: Standardised, squares: LeastSquares) -> tuple[Coefficient, ...]:
    identified, errors = squares.is_identified[1:], squares.standard_errors[1:]
    return tuple(
        Coefficient(
            name=term.name,
            value=float(squares.coefficients[place + 1]),
            centre=float(columns.centre[place]),
            scale=float(columns.scale[place]),
            standard_error=float(errors[place]) if identified[place] else None,
        )
        for place, term in enumerate(terms)
    )


def _prediction(raw: float, half_width: float) -> Prediction:
    low, high = raw - half_width, raw + half_width
    is_possible = low < 1 and high > 0
    return Prediction(
        accuracy=_clipped(raw),
        low=_clipped(low) if is_possible else 0.0,
        high=_clipped(high) if is_possible else 1.0,
        raw=raw,
        raw_low=low,
        raw_high=high,
        is_identified=np.isfinite(half_width).item(),
    )


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))


def _near_best(ranked: Sequence[tuple[Architecture, Prediction]], *, is_outside: bool) -> tuple[Architecture, ...]:
    """Return those that may be as good as the first one, which is among them."""
    best = ranked[0][1]
    if not is_outside:
        return tuple(name for name, one in ranked if best.accuracy - one.accuracy <= NEAR + _ROUNDING)
    overlapping = tuple(name for name, one in ranked if one.raw_high >= best.raw_low)
    return overlapping if len(overlapping) > 1 else tuple(name for name, _ in ranked[:2])
