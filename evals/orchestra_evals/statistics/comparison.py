"""Two systems, or many, compared on the samples that they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import ndtri

from orchestra.budget.estimates import Estimate
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.aims import LEVEL, POWER
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.detectable import mde
from orchestra_evals.statistics.holm import holm
from orchestra_evals.statistics.means import clustered_mean
from orchestra_evals.statistics.pair_tests import mcnemar_mid_p, sign_flip_mid_p
from orchestra_evals.statistics.scores import Aligned, SampleScore, align

PairTest = Literal["mcnemar mid-p", "sign flip mid-p"]
"""The first where samples are independent and scores 0 or 1, else the second, by cluster."""

_DIGITS = 12  # means over runs that differ by less are equal up to rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison of two systems says."""

    first: str
    second: str
    pairs: int
    """Samples of which both have a score."""
    left_out: int
    """Samples of which only one has: the other lost them to the infrastructure."""
    difference: Estimate | None
    """Mean score of the first less that of the second, -1 to 1, with its 95 % interval; None without pairs."""
    wins: int
    """Samples on which the first scores more."""
    losses: int
    """Samples on which it scores less."""
    test: PairTest
    p_value: float
    """Probability of as large a difference, or a larger one, if neither is better; two-sided."""
    adjusted_p: float
    """The p value of the family of comparisons that it is one of, by Holm's method."""
    detectable: float | None
    """Difference that such a comparison finds with probability .8 at level .05 of the family; None where none is."""


def compare(
    first: Iterable[SampleScore],
    second: Iterable[SampleScore],
    *,
    rng: np.random.Generator,
    names: tuple[str, str] = ("first", "second"),
) -> Comparison:
    """Return what the comparison of two systems says that nothing else is compared with.

    Args:
        first: One score a sample.
        second: The same of the other system; samples that only one of the systems has are left out and counted.
        rng: Source of the bootstrap and of the signs of a permutation test.
        names: What the two are called.

    Raises:
        InputError: A system has a sample twice, or the two put a sample into different families.
    """
    return _compared(align([first, second]), names, 1, rng)


def compare_all(
    systems: Mapping[str, Iterable[SampleScore]], *, rng: np.random.Generator, baseline: str | None = None
) -> tuple[Comparison, ...]:
    """Return the comparisons of systems as one family, p values adjusted by Holm's method.

    Args:
        systems: One score a sample, by the name of the system.
        rng: Source of the bootstraps and of the signs of permutation tests, the same for each comparison: systems whose
            scores are the same are told the same of.
        baseline: The system that every other is compared with, as the second; None compares every pair.

    Raises:
        InputError: There is no such baseline, or the scores of two systems cannot be aligned.
    """
    if baseline is not None and baseline not in systems:
        raise InputError("baseline", f"must be one of {', '.join(systems)}, got {baseline!r}")
    held = {name: tuple(scores) for name, scores in systems.items()}
    pairs = list(combinations(held, 2)) if baseline is None else [(name, baseline) for name in held if name != baseline]
    found = [_compared(align([held[name] for name in names]), names, len(pairs), deepcopy(rng)) for names in pairs]
    adjusted = holm([one.p_value for one in found])
    return tuple(replace(one, adjusted_p=p_value) for one, p_value in zip(found, adjusted, strict=True))


def _compared(pair: Aligned, names: tuple[str, str], comparisons: int, rng: np.random.Generator) -> Comparison:
    apart = np.round(pair.scores[:, 0] - pair.scores[:, 1], _DIGITS)
    clustered = Clustered.of(apart, pair.clusters)
    wins, losses = int((apart > 0).sum()), int((apart < 0).sum())
    is_plain = clustered.count == len(apart) and bool(np.isin(pair.scores, (0.0, 1.0)).all())
    p_value = mcnemar_mid_p(wins, losses) if is_plain else sign_flip_mid_p(clustered.sums[:, 0], rng=rng)
    return Comparison(
        first=names[0],
        second=names[1],
        pairs=len(apart),
        left_out=pair.left_out,
        difference=clustered_mean(clustered, least=-1, rng=rng),
        wins=wins,
        losses=losses,
        test="mcnemar mid-p" if is_plain else "sign flip mid-p",
        p_value=p_value,
        adjusted_p=p_value,
        detectable=_detectable(
            clustered, comparisons, (wins + losses) / len(apart) if is_plain and len(apart) else None
        ),
    )


def _detectable(clustered: Clustered, comparisons: int, discordance: float | None) -> float | None:
    """Return the detectable difference: exact for right and wrong answers, else by the standard error by cluster."""
    if discordance is not None:
        return mde(clustered.count, discordance, comparisons=comparisons)
    if clustered.count < 2 or clustered.standard_error == 0:
        return None
    reach = float(ndtri(1 - LEVEL / comparisons / 2) + ndtri(POWER)) * clustered.standard_error
    return reach if reach <= 1 else None
