"""From rows to scores: the mean with its interval, and the runs of each sample as statistics want them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestra_agents.json_schema import canonical_value
from orchestra_agents.models.contract import Json
from orchestra_agents.voting.intervals import Interval
from orchestra_evals.runner.rows import Row
from orchestra_evals.statistics.means import mean_interval
from orchestra_evals.statistics.runs import Repeats, Run, scores_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanScore:
    """A mean score with its interval."""

    n: int
    """Samples with a score."""
    score: float | None
    """Mean over samples of the mean over repeats, 0 to 1; None where nothing was measured."""
    interval: Interval

    def as_dict(self) -> dict[str, Json]:
        """Return it as JSON."""
        interval = {"low": self.interval.low, "high": self.interval.high, "method": self.interval.method}
        return {"n": self.n, "score": self.score, "interval": interval}


def mean_of(rows: Iterable[Row], seed: int) -> MeanScore:
    """Return the mean score of rows that have one, samples of one family being a cluster.

    Args:
        rows: Repeats of samples.
        seed: Of the bootstrap.
    """
    scores = scores_of(repeats_of(rows))
    mean = sum(one.score for one in scores) / len(scores) if scores else None
    return MeanScore(n=len(scores), score=mean, interval=mean_interval(scores, rng=rng_of(seed)))


def repeats_of(rows: Iterable[Row]) -> list[Repeats]:
    """Return the runs of each sample, repeats together; what was not measured is a sample without runs."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.sample_id, []).append(row)
    return [
        Repeats(sample=name, family=group[0].family, runs=tuple(run_of(row) for row in group if row.is_measured))
        for name, group in groups.items()
    ]


def run_of(row: Row) -> Run:
    """Return a row that was measured as a run of statistics."""
    return Run(
        score=row.score or 0.0,
        answer=None if row.output is None else canonical_value(row.output),
        confidence=row.confidence,
        input_tokens=row.usage.input,
        output_tokens=row.usage.output,
        cost_usd=row.cost,
    )


def rng_of(seed: int) -> np.random.Generator:
    """Return the source of bootstraps: equal seeds give equal intervals."""
    return np.random.default_rng(seed)
