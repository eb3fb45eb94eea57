"""Values of samples, added up by cluster: what a bootstrap draws, and how much the clusters say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from orchestra.budget.domain import FloatArray
from orchestra.budget.estimates import FEW
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.scores import Cluster, SampleScore

_DIGITS = 9  # values that differ by less are equal up to rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clustered:
    """Values of samples, added up by cluster. Every sample weighs the same, so that large clusters weigh more."""

    sums: FloatArray
    """Sum of each value over the samples of each cluster, shape (clusters, values)."""
    sizes: FloatArray
    """Samples of each cluster, at least 1, shape (clusters,)."""

    @classmethod
    def of(cls, values: FloatArray, clusters: Sequence[Cluster]) -> Clustered:
        """Return the values of samples, shape (samples,) or (samples, values), by cluster."""
        rows = values if values.ndim == 2 else values[:, None]
        places = {cluster: place for place, cluster in enumerate(sorted(set(clusters)))}
        sums = np.zeros((len(places), rows.shape[1]))
        which = np.array([places[cluster] for cluster in clusters], dtype=np.int64)
        np.add.at(sums, which, rows)
        return cls(sums=sums, sizes=np.bincount(which, minlength=len(places)).astype(np.float64))

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.sizes)

    @property
    def means(self) -> FloatArray:
        """Mean of each value over samples, shape (values,); there must be a sample."""
        return np.asarray(self.sums.sum(axis=0) / self.sizes.sum())

    @property
    def effective(self) -> float:
        """Kish's effective number of clusters, (sum m)^2 / sum m^2; it is their number where they are equally large."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def telling(self) -> int:
        """Clusters whose mean of the first value is not the commonest one: of such, more may exist than were seen."""
        means = np.round(self.sums[:, 0] / self.sizes, _DIGITS)
        _, counts = np.unique(means, return_counts=True)
        return self.count - int(counts.max(initial=0))

    @property
    def is_few(self) -> bool:
        """Whether fewer than `FEW` clusters tell, so that resamples know too little."""
        return self.telling < FEW

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the means, from the spread between at least two clusters, shape (values, values)."""
        apart = (self.sums - self.sizes[:, None] * self.means) / self.sizes.sum()
        return np.asarray(self.count / (self.count - 1) * (apart.T @ apart))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean of the first value, from the spread between at least two clusters."""
        return sqrt(float(self.column(0).covariance[0, 0]))

    def column(self, place: int) -> Clustered:
        """Return one of the values alone."""
        return Clustered(sums=self.sums[:, place : place + 1], sizes=self.sizes)

    def cells(self) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        """Return the distinct clusters as sums, shape (cells, values), and sizes, and how many clusters are like each.

        They are sorted, so that nothing made of them depends on the order or the names of the samples.
        """
        rows = np.column_stack([self.sums, self.sizes]).round(_DIGITS)
        found, counts = np.unique(rows, axis=0, return_counts=True)
        return found[:, :-1], found[:, -1], counts.astype(np.int64)

    def resampled(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """Return the means of samples whose clusters are drawn with replacement, shape (draws, values)."""
        sums, sizes, counts = self.cells()
        weights = rng.multinomial(self.count, counts / self.count, size=draws).astype(np.float64)
        return np.asarray((weights @ sums) / (weights @ sizes)[:, None])


def design_effect(scores: Sequence[SampleScore]) -> float:
    """Return how many times larger families make the variance of the mean score, at least 1.

    It is the squared standard error by cluster over that of independent samples (Kish 1965), and what `mde` and
    `samples_for` take as `design_effect`. Where all scores are equal nothing tells, and a family counts as one sample.

    Args:
        scores: One score a sample, at least two clusters.

    Raises:
        InputError: There are fewer than two clusters.
    """
    values = np.array([one.score for one in scores])
    found = Clustered.of(values, [one.cluster for one in scores])
    if found.count < 2:
        raise InputError("scores", f"must have samples of at least two clusters, got {found.count}")
    alone = float(values.var(ddof=1)) / len(values)
    return max(1.0, found.standard_error**2 / alone) if alone > 0 else len(values) / found.count
