"""What scores cost: E^3, and tokens and money per success."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from orchestra.budget.domain import FloatArray
from orchestra.budget.estimates import Estimate, bca
from orchestra_evals.statistics.clusters import Clustered
from orchestra_evals.statistics.means import few_clusters
from orchestra_evals.statistics.runs import Repeats, Run


def e_cubed(samples: Iterable[Repeats], *, rng: np.random.Generator) -> Estimate | None:
    """Return E^3 = A^2 / T with its 95 % interval (Plan-and-Budget, arXiv 2505.16122).

    A is the mean score, 0 to 1 and no percentage, and T the mean output tokens of a run, both over samples of the mean
    over runs; the unit is 1/token. None where nothing was measured or no token came.

    Args:
        samples: With the runs of each.
        rng: Source of the bootstrap.
    """
    columns = _columns(samples, lambda run: run.output_tokens)
    if columns is None or columns.means[1] == 0:
        return None
    return _estimate(columns, lambda score, tokens: score**2 / tokens, rng)


def tokens_per_success(samples: Iterable[Repeats], *, rng: np.random.Generator) -> Estimate | None:
    """Return the input and output tokens of a run over the mean score, with its 95 % interval; None without success.

    Args:
        samples: With the runs of each. A score between 0 and 1 is that part of a success.
        rng: Source of the bootstrap.
    """
    return _per_success(samples, lambda run: run.input_tokens + run.output_tokens, rng)


def cost_per_success(samples: Iterable[Repeats], *, rng: np.random.Generator) -> Estimate | None:
    """Return the US dollars of a run over the mean score, with its 95 % interval.

    None without success, and where the cost of a run is not known: unknown is not free.

    Args:
        samples: With the runs of each. A score between 0 and 1 is that part of a success.
        rng: Source of the bootstrap.
    """
    return _per_success(samples, lambda run: run.cost_usd, rng)


def _per_success(
    samples: Iterable[Repeats], spend: Callable[[Run], float | None], rng: np.random.Generator
) -> Estimate | None:
    columns = _columns(samples, spend)
    if columns is None or columns.means[0] == 0:
        return None
    return _estimate(columns, lambda score, spent: spent / score, rng)


def _columns(samples: Iterable[Repeats], spend: Callable[[Run], float | None]) -> Clustered | None:
    """Return score and spend of samples by cluster, None where there is no run or a spend is not known."""
    held = [one for one in samples if one.runs]
    rows = [(_mean([run.score for run in one.runs]), _mean([spend(run) for run in one.runs])) for one in held]
    if not rows or any(spent is None for _, spent in rows):
        return None
    return Clustered.of(np.array(rows, dtype=np.float64), [one.cluster for one in held])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _estimate(
    columns: Clustered, figure: Callable[[FloatArray, FloatArray], FloatArray], rng: np.random.Generator
) -> Estimate:
    """Return a figure of mean score and mean spend; of few clusters only the score, not the spend, has an interval."""
    score, spend = columns.means
    if columns.is_few:
        found = few_clusters(columns, least=0)
        value, *ends = figure(np.array([score, found.low, found.high]), np.full(3, spend)).tolist()
        return Estimate(value=value, low=min(ends), high=max(ends), basis=f"{found.basis}, spend as seen", n=found.n)
    sums, sizes, counts = columns.cells()

    def statistic(weights: FloatArray) -> FloatArray:
        means = (weights @ sums) / (weights @ sizes)[:, None]
        return figure(means[:, 0], means[:, 1])

    return bca(statistic, counts, rng).estimate("bca by cluster", columns.count, least=0)
