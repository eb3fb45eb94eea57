"""The figures of a report on one system: scores over repeats, and how tokens spread (Eureka, arXiv 2504.00294)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from orchestra.budget.estimates import Estimate
from orchestra_agents.voting.tally import Tally
from orchestra_evals.statistics.means import mean_estimate
from orchestra_evals.statistics.runs import Repeats, Run
from orchestra_evals.statistics.scores import SampleScore


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSpread:
    """Output tokens of a run."""

    mean: float
    """Over samples of the mean over the runs of each."""
    sd_within: float | None
    """Standard deviation over repeats of one sample, pooled; None where no sample has two runs."""
    sd_between: float | None
    """Standard deviation over samples of their means, with the noise of those; None below two samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Scores of one system: means over samples with their 95 % intervals by cluster, None where nothing is measured."""

    samples: int
    """Samples with a run."""
    lost: int
    """Samples whose runs were all lost to the infrastructure, and which no figure counts."""
    fewest_runs: int
    """Of a sample with a run; worst and best are over fewer runs there."""
    most_runs: int
    average: Estimate | None
    """Of the mean over runs."""
    worst_of_n: Estimate | None
    """Of the least score of the runs."""
    majority: Estimate | None
    """Of the score of the answer that most runs gave, of equals the first seen; None if no run tells its answer."""
    best_of_n: Estimate | None
    """Of the largest score of the runs: what a perfect verifier would get, an upper bound and never a result."""
    output_tokens: TokenSpread | None


def figures_of(samples: Sequence[Repeats], *, rng: np.random.Generator) -> Figures:
    """Return the figures of one system.

    Args:
        samples: With the runs of each, repeats of one sample together.
        rng: Source of the bootstraps.

    Raises:
        InputError: A sample comes twice.
    """
    held = [one for one in samples if one.runs]
    numbers = [len(one.runs) for one in held]
    tells = any(run.answer is not None for one in held for run in one.runs)
    return Figures(
        samples=len(held),
        lost=len(samples) - len(held),
        fewest_runs=min(numbers, default=0),
        most_runs=max(numbers, default=0),
        average=_mean(held, lambda runs: sum(run.score for run in runs) / len(runs), rng),
        worst_of_n=_mean(held, lambda runs: min(run.score for run in runs), rng),
        majority=_mean(held, majority_score, rng) if tells else None,
        best_of_n=_mean(held, lambda runs: max(run.score for run in runs), rng),
        output_tokens=_token_spread(held) if held else None,
    )


def majority_score(runs: Sequence[Run]) -> float:
    """Return the score of the answer that most runs gave, of equals the first seen; 0 where no run gave one."""
    tally = Tally()
    for run in runs:
        if run.answer is not None:
            tally.add(run.answer)
    if not tally.votes:
        return 0.0
    leader, _ = tally.leader()
    return next(run.score for run in runs if run.answer == leader)


def _mean(
    held: Sequence[Repeats], score: Callable[[Sequence[Run]], float], rng: np.random.Generator
) -> Estimate | None:
    return mean_estimate(
        [SampleScore(sample=one.sample, family=one.family, score=score(one.runs)) for one in held], rng=rng
    )


def _token_spread(held: Sequence[Repeats]) -> TokenSpread:
    tokens = [np.array([run.output_tokens for run in one.runs], dtype=np.float64) for one in held]
    means = np.array([each.mean() for each in tokens])
    freedom = sum(len(each) - 1 for each in tokens)
    squares = float(sum(((each - each.mean()) ** 2).sum() for each in tokens))
    return TokenSpread(
        mean=float(means.mean()),
        sd_within=sqrt(squares / freedom) if freedom else None,
        sd_between=float(means.std(ddof=1)) if len(means) > 1 else None,
    )
