"""How far a team law can be trusted: what it says about runs that it was not fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.budget._least_squares import LeastSquares, Matrix, Vector
from orchestra.budget.team_runs import TeamRun

NEAR = 0.05
"""Two accuracies that differ by no more are as good as equal (the study's 87 % hold only with such a tolerance)."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """Shuffled folds. Every fold knows all families of tasks, so it says nothing about a new one."""

    folds: int
    seed: int
    r2: float | None
    """Mean over folds of the R2 on the fold; None where a fold has no spread. It depends on the order of the runs."""
    r2_deviation: float | None
    """Population standard deviation over folds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutFamily:
    """A family of tasks, predicted by a fit to the runs of the others."""

    family: str
    runs: int
    mean_error: float
    """Mean absolute error of the raw predictions."""
    r2: float | None
    """1 - squared errors over those of the family's own mean; below 0 a constant is better. None without spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What picking the architecture of the highest predicted accuracy was worth, over pairs of family and model."""

    cells: int
    """Pairs of family and model with runs of at least two architectures."""
    exact: float
    """Share of them whose best architecture was picked."""
    near: float
    """Share whose pick was within 0.05 of the best."""
    single_or_team: float
    """Share where one agent was picked if and only if one agent was best, if only as good as a team."""
    regret: float
    """Mean accuracy lost to the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Each family of tasks left out in turn: the honest error for a task that is not among the fitted families."""

    mean_error: float
    """Mean absolute error over all runs."""
    families: tuple[LeftOutFamily, ...]
    selection: Selection | None
    """None where no pair of family and model has two architectures."""


def cross_validate(design: Matrix, response: Vector, *, folds: int = 5, seed: int = 42) -> CrossValidation | None:
    """Return the shuffled cross-validation, as scikit-learn's KFold splits; None where a fold would be a single run."""
    if len(response) < 2 * folds:
        return None
    order = np.random.RandomState(seed).permutation(len(response))
    scores = [_r2(response[held], _predicted(design, response, held)) for held in np.array_split(order, folds)]
    known = [score for score in scores if score is not None]
    is_known = len(known) == folds
    return CrossValidation(
        folds=folds,
        seed=seed,
        r2=float(np.mean(known)) if is_known else None,
        r2_deviation=float(np.std(known)) if is_known else None,
    )


def leave_families_out(runs: Sequence[TeamRun], design: Matrix, response: Vector) -> LeftOut | None:
    """Return what becomes of each family of tasks when it is left out; None where there is only one."""
    families = np.array([run.family for run in runs])
    names = list(dict.fromkeys(run.family for run in runs))
    if len(names) < 2:
        return None
    predicted = np.zeros_like(response)
    told = []
    for name in names:
        held = np.flatnonzero(families == name)
        predicted[held] = _predicted(design, response, held)
        error = float(np.abs(response[held] - predicted[held]).mean())
        score = _r2(response[held], predicted[held])
        told.append(LeftOutFamily(family=name, runs=len(held), mean_error=error, r2=score))
    return LeftOut(
        mean_error=float(np.abs(response - predicted).mean()),
        families=tuple(told),
        selection=selection(runs, predicted),
    )


def selection(runs: Sequence[TeamRun], predicted: Vector) -> Selection | None:
    """Return what picking by predicted accuracies was worth on measured runs; None without anything to pick from.

    Args:
        runs: The runs; those of the same family, model and architecture count as one with their mean.
        predicted: A prediction for each.
    """
    picks = [_pick(measured, expected) for measured, expected in _cells(runs, predicted) if len(measured) > 1]
    if not picks:
        return None
    lost = np.array([pick.lost for pick in picks])
    return Selection(
        cells=len(picks),
        exact=float(np.mean(lost <= _ROUNDING)),
        near=float(np.mean(lost <= NEAR + _ROUNDING)),
        single_or_team=float(np.mean([pick.is_side_right for pick in picks])),
        regret=float(lost.mean()),
    )


@dataclass(frozen=True, slots=True)
class _Pick:
    lost: float
    is_side_right: bool


def _pick(measured: dict[str, float], expected: dict[str, float]) -> _Pick:
    picked = max(expected, key=expected.__getitem__)
    most = max(measured.values())
    is_single_best = most - measured.get("solo", -1.0) <= _ROUNDING
    return _Pick(most - measured[picked], (picked == "solo") == is_single_best)


def _cells(runs: Sequence[TeamRun], predicted: Vector) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Yield mean accuracies by architecture, measured and predicted, of each pair of family and model."""
    found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for run, expected in zip(runs, predicted, strict=True):
        cell = found.setdefault((run.family, run.model), {})
        cell.setdefault(run.architecture, []).append((run.accuracy, float(expected)))
    for cell in found.values():
        means = {architecture: np.mean(pairs, axis=0) for architecture, pairs in cell.items()}
        yield {name: float(mean[0]) for name, mean in means.items()}, {name: float(m[1]) for name, m in means.items()}


def _predicted(design: Matrix, response: Vector, held: NDArray[np.intp]) -> Vector:
    """Return the predictions of held-out rows by a fit to the others."""
    is_fitted = np.ones(len(response), dtype=bool)
    is_fitted[held] = False
    fitted = LeastSquares.of(design[is_fitted], response[is_fitted])
    return design[held] @ fitted.coefficients


def _r2(measured: Vector, predicted: Vector) -> float | None:
    spread = float(((measured - measured.mean()) ** 2).sum())
    return None if spread <= _ROUNDING**2 else 1 - float(((measured - predicted) ** 2).sum()) / spread
