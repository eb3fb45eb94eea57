"""AdaptOrch's performance-convergence score: does the topology matter more than the model (arXiv 2602.16873)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from orchestra.budget.domain import UNIT, FloatArray, refuse_outside
from orchestra.budget.estimates import FEW, LEVEL, Estimate
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.scores import SampleScore, align

DRAWS = 2000
"""Resamples behind the interval."""

_SMALL = 1e-15  # variances of systems that are the same, up to rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvergenceScore:
    """How much scores vary over topologies and how much over models. A score, which no theorem says anything about."""

    topologies: int
    models: int
    over_topologies: float
    """Variance of the mean score over topologies with one model, the mean over models; without the noise of samples."""
    over_models: float
    """Variance of the mean score over models with one topology, the mean over topologies; without that noise."""
    share: Estimate
    """over_topologies / (over_topologies + over_models), 0 to 1, with its 95 % interval by cluster; 1/2 if both are 0.

    The interval is from 0 to 1 where there are fewer than 30 clusters, or no variance is more than noise.
    """
    eps: float
    """Largest difference between the mean scores of two models over all topologies, with the noise of samples."""
    left_out: int
    """Samples that some system has and another has not."""

    @property
    def ratio(self) -> Estimate:
        """over_topologies / over_models with its 95 % interval, the share s as s / (1 - s); infinite where s is 1."""
        ends = [one / (1 - one) if one < 1 else inf for one in (self.share.value, self.share.low, self.share.high)]
        return Estimate(value=ends[0], low=ends[1], high=ends[2], basis=self.share.basis, n=self.share.n)


def convergence_score(
    systems: Mapping[tuple[str, str], Iterable[SampleScore]], *, rng: np.random.Generator
) -> ConvergenceScore | None:
    """Return the score of systems that are every topology with every model, None where they share no sample.

    From each variance of measured means that of their noise is subtracted, as equal systems would have it too, and what
    is below 0 is 0. Clusters are drawn with replacement, and the means of a resample, which have the noise twice, have
    it subtracted twice; the interval is that of the resamples' percentiles. Compare `ratio` with `convergence_bound`.

    Args:
        systems: One score a sample, by topology and model: all pairs of at least two of each.
        rng: Source of the bootstrap.

    Raises:
        InputError: A pair is missing, there are too few, or the scores cannot be aligned.
    """
    topologies, models = (sorted({pair[place] for pair in systems}) for place in (0, 1))
    pairs = [(topology, model) for topology in topologies for model in models]
    missing = [pair for pair in pairs if pair not in systems]
    if missing or min(len(topologies), len(models)) < 2:
        problem = f"{' with '.join(missing[0])} is missing" if missing else f"there are {len(pairs)} systems"
        raise InputError("systems", f"must be each topology with each model, two or more of both; {problem}")
    all_scores = align([systems[pair] for pair in pairs])
    if not all_scores.samples:
        return None
    clustered = Clustered.of(all_scores.scores, all_scores.clusters)
    table = clustered.means.reshape(1, len(topologies), len(models))
    noise = _noise(clustered, len(topologies), len(models))
    by_topology, by_model = _above_rounding(_variances(table)[:, 0] - noise).tolist()
    return ConvergenceScore(
        topologies=len(topologies),
        models=len(models),
        over_topologies=by_topology,
        over_models=by_model,
        share=_share(clustered, table, noise, rng),
        eps=float(np.ptp(table[0].mean(axis=0))),
        left_out=all_scores.left_out,
    )


def convergence_bound(*, width: float, coupling: float, subtasks: float, eps: float) -> float:
    """Return (omega - 1)^2 (1 - gamma)^2 / (4 eps^2 k), which the paper states `ratio` is at least; a heuristic.

    Its statements on the constant do not agree with each other, and it rests on an assumed inequality.

    Args:
        width: omega, the width of the task graph, or the mean over graphs, at least 1.
        coupling: gamma, the mean coupling of its edges, 0 to 1.
        subtasks: k, at least 1.
        eps: Largest difference between the scores of two models, 0 to 1; 0 makes it infinite, unless it is 0 anyway.

    >>> round(convergence_bound(width=3.4, coupling=0.35, subtasks=5, eps=0.05), 2)
    48.67
    """
    refuse_outside("width", width, least=1)
    refuse_outside("coupling", coupling, **UNIT)
    refuse_outside("subtasks", subtasks, least=1)
    refuse_outside("eps", eps, **UNIT)
    above = ((width - 1) * (1 - coupling)) ** 2
    below = 4 * eps**2 * subtasks
    if below == 0:
        return inf if above > 0 else 0.0
    return above / below


def _share(clustered: Clustered, table: FloatArray, noise: FloatArray, rng: np.random.Generator) -> Estimate:
    value = float(_part(_variances(table) - noise[:, None], unknown=0.5)[0])
    if clustered.count < FEW:
        return Estimate(value=value, low=0.0, high=1.0, basis="too few clusters", n=clustered.count)
    drawn = _variances(clustered.resampled(DRAWS, rng).reshape(-1, *table.shape[1:])) - 2 * noise[:, None]
    low = float(np.quantile(_part(drawn, unknown=0.0), (1 - LEVEL) / 2))
    high = float(np.quantile(_part(drawn, unknown=1.0), (1 + LEVEL) / 2))
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), basis="percentiles by cluster", n=clustered.count
    )


def _variances(tables: FloatArray) -> FloatArray:
    """Return the variances over topologies, and over models, of tables of shape (tables, topologies, models)."""
    return np.stack([tables.var(axis=1, ddof=1).mean(axis=1), tables.var(axis=2, ddof=1).mean(axis=1)])


def _noise(clustered: Clustered, topologies: int, models: int) -> FloatArray:
    """Return what the noise of means adds to the variances over topologies and over models, shape (2,)."""
    if clustered.count < 2:
        return np.zeros(2)
    shared = clustered.covariance.reshape(topologies, models, topologies, models)
    same_model, same_topology = np.einsum("tmum->mtu", shared), np.einsum("tmtn->tmn", shared)
    return np.array([_centred(same_model), _centred(same_topology)])


def _centred(covariances: FloatArray) -> float:
    """Return the mean variance among correlated values of mean 0, whose covariances have the shape (sets, n, n)."""
    n = covariances.shape[1]
    traces = np.trace(covariances, axis1=1, axis2=2)
    return float(np.mean((traces - covariances.sum(axis=(1, 2)) / n) / (n - 1)))


def _above_rounding(variances: FloatArray) -> FloatArray:
    return np.where(variances > _SMALL, variances, 0.0)


def _part(variances: FloatArray, *, unknown: float) -> FloatArray:
    """Return the first variance's part of both, shape (tables,); `unknown` where neither is above 0."""
    above = _above_rounding(variances)
    total = above.sum(axis=0)
    return np.asarray(np.divide(above[0], total, out=np.full(len(total), unknown), where=total > 0))
