"""Scores and runs for tests, made from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from orchestra_evals.statistics.runs import Repeats, Run
from orchestra_evals.statistics.scores import SampleScore


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores(values: ArrayLike, families: Sequence[object] | None = None) -> list[SampleScore]:
    """One score a sample: s0000, s0001, ..."""
    given = np.asarray(values, dtype=float).tolist()
    names = families or [""] * len(given)
    return [
        SampleScore(sample=f"s{place:04}", score=value, family=str(family))
        for place, (value, family) in enumerate(zip(given, names, strict=True))
    ]


def repeats(
    table: Iterable[Sequence[float]], families: Sequence[object] | None = None, tokens: int = 0
) -> list[Repeats]:
    """The runs of samples, by their scores."""
    rows = [tuple(row) for row in table]
    names = families or [""] * len(rows)
    return [
        Repeats(
            sample=f"s{place:04}",
            family=str(family),
            runs=tuple(Run(score=float(score), output_tokens=tokens) for score in row),
        )
        for place, (row, family) in enumerate(zip(rows, names, strict=True))
    ]
