"""What a sample's runs brought and cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestra.budget.domain import UNIT, refuse_outside
from orchestra_evals.statistics.scores import Cluster, SampleScore, by_sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one sample that ended with a score. A run lost to the infrastructure is none."""

    score: float
    """0 to 1; 1 is right."""
    answer: str | None = None
    """The answer in canonical form, by which runs agree; None is no answer."""
    confidence: float | None = None
    """0 to 1, that the answer is right; None is not known."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    """None is not known, and then no figure of money is."""

    def __post_init__(self) -> None:
        refuse_outside("score", self.score, **UNIT)
        refuse_outside("confidence", self.confidence or 0, **UNIT)
        refuse_outside("spend", (self.input_tokens, self.output_tokens, self.cost_usd or 0), least=0)

    @property
    def is_right(self) -> bool:
        """Whether it has the full score."""
        return self.score == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """The runs of one sample, in the order in which they were made."""

    sample: str
    runs: tuple[Run, ...]
    """Empty where the infrastructure lost all of them."""
    family: str = ""
    """Samples of one family are alike and count as one cluster; empty is the sample alone."""

    @property
    def cluster(self) -> Cluster:
        """The cluster it belongs to."""
        return (self.family, "") if self.family else ("", self.sample)


def scores_of(samples: Iterable[Repeats]) -> tuple[SampleScore, ...]:
    """Return the mean score over the runs of each sample that has a run, by the name of the sample.

    Raises:
        InputError: A sample comes twice.
    """
    means = (
        SampleScore(sample=one.sample, family=one.family, score=sum(run.score for run in one.runs) / len(one.runs))
        for one in samples
        if one.runs
    )
    return tuple(by_sample(means).values())
