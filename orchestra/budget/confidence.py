"""Calibration of confidences: maps from a raw confidence to a probability that the answer is right.

A confidence is a number from 0 to 1 that came with an answer (mean token probability, verbalised, share of votes), its
label whether the answer was right. Source: our notes on test-time scaling, section 3, which name the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from pydantic import with_config
from scipy.special import expit, logit

from orchestra.budget.estimates import STRICT
from orchestra.budget.skill import labelled, mass_edges
from orchestra_agents.errors import InputError
from orchestra_agents.voting.mixture import Grid

WHOLE = 200
"""Points below which scaling-binning uses one set for all three of its steps."""

_CLIP, _STEPS, _RIDGE = 1e-6, 60, 1e-9


class Calibrator(Protocol):
    """What turns raw confidences into probabilities."""

    def __call__(self, confidences: ArrayLike) -> Grid:
        """Return the probability that each answer is right, same shape; the order of confidences is kept."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Platt:
    """p' = sigma(slope logit(p) + intercept) (Platt scaling, arXiv 2402.02047)."""

    slope: float
    """At least 0; 0 where larger confidences do not mean more right answers, and only the base rate is left."""
    intercept: float

    def __call__(self, confidences: ArrayLike) -> Grid:
        """Return the probability of each confidence; those of 0 and 1 are clipped by 1e-6."""
        return np.asarray(expit(self.slope * _logits(confidences) + self.intercept))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingBinning:
    """A scaler whose output is one of a few values, so that its error can be measured (arXiv 1909.10155)."""

    scaler: Platt
    edges: tuple[float, ...]
    """Ends between bins of scaled confidences, ascending; a confidence on an end is in the bin above it."""
    values: tuple[float, ...]
    """The probability of each bin, ascending, one more than there are ends."""

    def __call__(self, confidences: ArrayLike) -> Grid:
        """Return the value of each confidence's bin."""
        return np.array(self.values)[np.searchsorted(np.array(self.edges), self.scaler(confidences), side="right")]


def fit_platt(confidences: ArrayLike, labels: ArrayLike) -> Platt:
    """Return the likeliest Platt scaling whose slope is at least 0, by Newton's method.

    Labels are softened as Platt did, (R + 1)/(R + 2) for R right and 1/(W + 2) for W wrong answers, so that the maximum
    is finite where a threshold separates them. Equal confidences, or equal labels, leave the base rate.

    Args:
        confidences: Raw confidences, 0 to 1, shape (n,).
        labels: Whether the answers are right, shape (n,).
    """
    raw, right = labelled(confidences, labels)
    scores = _logits(raw)
    total = float(right.sum())
    targets = np.where(right > 0, (total + 1) / (total + 2), 1 / (len(right) - total + 2))
    base = Platt(slope=0.0, intercept=float(logit(targets.mean())))
    spread = float(scores.std())
    if spread < 1e-9 or total in (0, len(right)):
        return base
    centre = float(scores.mean())
    level, slope = _newton((scores - centre) / spread, targets)
    return Platt(slope=slope / spread, intercept=level - slope * centre / spread) if slope > 0 else base


def cross_fitted(
    confidences: ArrayLike, labels: ArrayLike, sources: ArrayLike, *, rng: np.random.Generator, folds: int = 5
) -> Grid:
    """Return each point's Platt-scaled probability by a fit that saw no point of its fold, shape (n,).

    Args:
        confidences: Raw confidences, 0 to 1, shape (n,).
        labels: Whether the answers are right, shape (n,).
        sources: What each point is from, shape (n,); points of one source are in one fold.
        rng: Assigns sources to folds.
        folds: At least 2 and at most the number of sources.

    Raises:
        InputError: There are too many folds or too few, or shapes differ.
    """
    raw, right = labelled(confidences, labels)
    names, which = np.unique(np.asarray(sources), return_inverse=True)
    if which.shape != raw.shape:
        raise InputError("sources", f"must have one for each of the {len(raw)} confidences")
    if not 2 <= folds <= len(names):
        raise InputError("folds", f"must be from 2 to the number of sources ({len(names)}), got {folds}")
    fold = rng.permutation(np.arange(len(names)) % folds)[which]
    found = np.empty(len(raw))
    for number in range(folds):
        out = fold == number
        found[out] = fit_platt(raw[~out], right[~out])(raw[out])
    return found


def fit_scaling_binning(
    confidences: ArrayLike, labels: ArrayLike, *, rng: np.random.Generator, bins: int = 10
) -> ScalingBinning:
    """Return a scaling-binning calibrator: a Platt scaling, bins of equal mass, and the mean scaled value in each.

    The three steps use a third of the points each, or with fewer than `WHOLE` all of them. A bin's value is the mean of
    the scaled confidences in it, not of the labels; a bin that the third part misses takes the second part's mean.

    Args:
        confidences: Raw confidences, 0 to 1, shape (n,).
        labels: Whether the answers are right, shape (n,).
        rng: Splits the points.
        bins: At least 1; ties make them fewer.
    """
    raw, right = labelled(confidences, labels)
    if bins < 1:
        raise InputError("bins", f"must be an integer of at least 1, got {bins}")
    parts = [np.arange(len(raw))] * 3 if len(raw) < WHOLE else np.array_split(rng.permutation(len(raw)), 3)
    scaler = fit_platt(raw[parts[0]], right[parts[0]])
    binned, valued = scaler(raw[parts[1]]), scaler(raw[parts[2]])
    edges = mass_edges(binned, bins)
    values = [
        float(np.mean(here if len(here := _inside(valued, edges, place)) else _inside(binned, edges, place)))
        for place in range(len(edges) + 1)
    ]
    return ScalingBinning(scaler=scaler, edges=tuple(edges.tolist()), values=tuple(values))


def _logits(confidences: ArrayLike) -> Grid:
    return np.asarray(logit(np.clip(np.asarray(confidences, dtype=np.float64), _CLIP, 1 - _CLIP)))


def _newton(scores: Grid, targets: Grid) -> tuple[float, float]:
    """Return level and slope of the logistic regression of targets strictly between 0 and 1; its maximum is finite."""
    columns = np.stack([np.ones_like(scores), scores], axis=1)
    at = np.zeros(2)
    for _ in range(_STEPS):
        found = expit(columns @ at)
        weights = np.maximum(found * (1 - found), _RIDGE)
        step = np.linalg.solve(columns.T @ (weights[:, None] * columns), columns.T @ (targets - found))
        # A step of more than 2 is cut: far from the maximum Newton's method overshoots where outcomes are separable.
        at = at + step / max(1.0, float(np.abs(step).max()) / 2)
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(at[0]), float(at[1])


def _inside(values: Grid, edges: Grid, place: int) -> Grid:
    return np.asarray(values[np.searchsorted(edges, values, side="right") == place])
