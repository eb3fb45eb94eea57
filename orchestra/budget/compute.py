"""What compute buys one agent: bias = min(1, kappa x^beta), fitted to accuracies at several levels of compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config
from scipy.special import xlogy

from orchestra.budget.estimates import STRICT, Estimate, Fit, checked, design_effect, fit
from orchestra_agents.errors import InputError
from orchestra_agents.voting.mixture import Grid

FEWEST_LEVELS = 4
"""Levels of compute that a fit needs (phase transition, B.8.1)."""
SMALL = 0.5
"""Bias up to which a level is in the small-signal range, where the law is meant to hold."""

_LOG_BIASES, _EXPONENTS = np.linspace(np.log(1e-4), 3.0, 91), np.linspace(-2.0, 4.0, 121)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComputeLevel:
    """Votes of the items at one level of compute."""

    compute: float
    """Tokens sampled, or any other measure x of compute, above 0."""
    counts: NDArray[np.integer]
    """Right valid votes and valid votes of each item, shape (items, 2)."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeLaw:
    """The fitted law."""

    beta: Estimate
    """Exponent, -2 to 4."""
    kappa: Estimate
    """Bias at x = 1, where the law goes that far, above 0."""
    choices: int
    """Number of answers C that chance was corrected for. Above 2 it is a heuristic outside the binary theorem."""
    levels: int
    """Levels that were used: those in the small-signal range, or all where fewer than three are in it."""
    least: float
    """Smallest compute that was used; the law is a guess outside."""
    most: float

    def bias(self, compute: float) -> float:
        """Return the bias min(1, kappa x^beta) of an agent with compute x, above 0."""
        if not compute > 0:
            raise InputError("compute", f"must be above 0, got {compute:g}")
        return float(min(1.0, self.kappa.value * compute**self.beta.value))


def compute_law(levels: Sequence[ComputeLevel], *, choices: int = 2) -> ComputeLaw:
    """Return beta and kappa by binomial likelihood, with profile likelihood intervals (phase transition, B.8.1).

    The likelihood is that of the counts, not of logarithms of noisy biases, so that levels at or below chance count for
    what they are worth. Accuracy is 1/C + (1 - 1/C) min(1, kappa x^beta). The votes of one item are alike: those of a
    level are divided by its design effect. The fit runs in the bias at the middle of the levels and beta, which are
    nearly independent; kappa follows.

    Args:
        levels: At least `FEWEST_LEVELS` different levels of compute.
        choices: Equally likely answers of a guess, C, at least 2.

    Raises:
        InputError: There are too few levels, one is not above 0, counts are malformed, or `choices` is below 2.
    """
    if choices < 2:
        raise InputError("choices", f"must be an integer of at least 2, got {choices}")
    if len({one.compute for one in levels}) < FEWEST_LEVELS:
        raise InputError("levels", f"must hold at least {FEWEST_LEVELS} different levels of compute")
    if any(not one.compute > 0 for one in levels):
        raise InputError("levels", "must be of compute above 0")
    used = _small(levels, choices)
    logs = np.log([one.compute for one in used])
    middle = float(logs.mean())
    found = _fit(np.array([_effective(one) for one in used]), logs - middle, choices)
    items = min(len(checked(one.counts)) for one in used)
    kappa = found.of(lambda biases, betas: np.exp(biases[:, None] - betas[None, :] * middle))
    beta = found.of_second()
    return ComputeLaw(
        beta=beta.estimate("profile likelihood", items),
        kappa=kappa.estimate("profile likelihood", items),
        choices=choices,
        levels=len(used),
        least=float(np.exp(logs.min())),
        most=float(np.exp(logs.max())),
    )


def _small(levels: Sequence[ComputeLevel], choices: int) -> list[ComputeLevel]:
    """Return the levels in the small-signal range, or all where fewer than three are in it."""
    small = [one for one in levels if _bias(one, choices) < SMALL]
    return small if len({one.compute for one in small}) > 2 else list(levels)


def _bias(level: ComputeLevel, choices: int) -> float:
    right, votes = checked(level.counts).sum(axis=0)
    return float((right / votes - 1 / choices) / (1 - 1 / choices))


def _effective(level: ComputeLevel) -> Grid:
    """Return right and wrong votes, divided by the design effect."""
    counts = checked(level.counts)
    right, votes = counts.sum(axis=0) / design_effect(counts)
    return np.array([right, votes - right])


def _fit(votes: Grid, logs: Grid, choices: int) -> Fit:
    """Fit the logarithm of the bias at the middle and beta to votes of shape (levels, 2), logs of shape (levels,)."""
    guess = 1 / choices

    def surface(biases: Grid, betas: Grid) -> Grid:
        total = np.zeros((len(biases), len(betas)))
        for (right, wrong), at in zip(votes, logs, strict=True):
            bias = np.exp(np.minimum(0.0, biases[:, None] + betas[None, :] * at))
            accuracy = np.minimum(guess + (1 - guess) * bias, 1 - 1e-12)
            total += xlogy(right, accuracy) + xlogy(wrong, 1 - accuracy)
        return total

    return fit(surface, _LOG_BIASES, _EXPONENTS)
