"""How long chains of dependent steps survive: the share right by number of steps, and the reliability of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, expm1, inf, log

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri

from orchestra.budget.estimates import LEVEL, Estimate
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.statistics.proportions import wilson
from orchestra_evals.suites.suite import MOVES, SUBTASKS, Sample, Suite

MOST_POINTS = 12
"""Most points of a curve; of more numbers of steps neighbours share one."""
_BASIS = "profile likelihood of p^steps"
_LEAST_LOSS, _MOST_LOSS = log(1e-15), log(700.0)  # logarithms of -ln p between which a reliability is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What became of a sample of several dependent steps."""

    steps: int
    """Steps that depend on one another, at least 1."""
    right: float
    """Share of its runs that ended right, 0 to 1."""


def survival(cells: Sequence[CellScore]) -> dict[str, Json] | None:
    """Return for each cell the share right by number of dependent steps, None where no sample takes two of them.

    Args:
        cells: Cells of one suite. A sample is right where it has the full score; of several repeats the share counts.
    """
    unit = chain_unit(cells[0].cell.suite, cells[0].cell.samples) if cells else None
    if unit is None or all(steps_of(cells[0].cell.suite, one, unit) < 2 for one in cells[0].cell.samples):
        return None
    return {"unit": unit, "curves": [_curve(cell, unit) for cell in cells]}


def chain_unit(suite: Suite, samples: Iterable[Sample]) -> str | None:
    """Return what the dependent steps of a suite's samples are, None where nobody knows of any.

    It is what the suite says of itself, else `subtasks` where it has graphs.
    """
    if suite.about.steps is not None:
        return suite.about.steps
    return SUBTASKS if any(suite.graph(sample) is not None for sample in samples) else None


def steps_of(suite: Suite, sample: Sample, unit: str) -> int:
    """Return how many dependent steps a sample takes.

    Moves are the fewest of the instance, and one where a single move is asked for; subtasks are those on the longest
    path of the suite's graph; all else is the value of that axis.
    """
    if unit in suite.about.axes:
        return int(sample.difficulty[unit])
    if unit == MOVES:
        return 1 if sample.difficulty["mode"] == "stepwise" else int(sample.instance["fewest"])
    graph = suite.graph(sample)
    return 1 if graph is None else len(graph.layers)


def per_step(chains: Sequence[Chain]) -> Estimate | None:
    """Return the reliability p of a step where a chain of L steps is right with probability p^L, None without chains.

    It is the maximum of the likelihood, the product of p^(L r) (1 - p^L)^(1 - r) over the chains with r their share
    right, with the 95 % interval of the likelihood ratio. In -ln p the logarithm of the likelihood is concave, so that
    the maximum is the only one. Where all chains are right, or all wrong, it is at an end of the range.

    Raises:
        InputError: A chain has no steps, or its share is none.
    """
    for chain in chains:
        if chain.steps < 1 or not 0 <= chain.right <= 1:
            raise InputError("chains", f"must have at least 1 step and a share right from 0 to 1, got {chain}")
    if not chains:
        return None
    law = _Law.of(chains)
    best = law.best
    bar = law.height(best) - float(chdtri(1, 1 - LEVEL)) / 2

    def over(logarithm: float) -> float:
        return law.height(exp(logarithm)) - bar

    least = 0.0 if law.lost == 0 else exp(_root(over, _LEAST_LOSS, _log(best)))
    most = inf if law.kept == 0 else exp(_root(over, _log(best), _MOST_LOSS))
    return Estimate(value=exp(-best), low=exp(-most), high=exp(-least), basis=_BASIS, n=len(chains))


@dataclass(frozen=True, slots=True, eq=False)
class _Law:
    """The likelihood of chains as a function of the loss -ln p of a step."""

    steps: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Numbers of steps that chains which were lost have."""
    wrong: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Chains that were lost, by those numbers."""
    kept: float
    """Steps of the chains that were right, in total."""

    @classmethod
    def of(cls, chains: Sequence[Chain]) -> _Law:
        wrong: dict[int, float] = {}
        for chain in chains:
            if chain.right < 1:
                wrong[chain.steps] = wrong.get(chain.steps, 0.0) + 1 - chain.right
        kept = sum(chain.steps * chain.right for chain in chains)
        return cls(np.array(list(wrong), dtype=float), np.array(list(wrong.values()), dtype=float), kept)

    @property
    def lost(self) -> float:
        """Chains that were lost."""
        return float(self.wrong.sum())

    @property
    def best(self) -> float:
        """The likeliest loss."""
        if self.lost == 0:
            return 0.0
        return inf if self.kept == 0 else exp(_root(self._slope, _LEAST_LOSS, _MOST_LOSS))

    def height(self, loss: float) -> float:
        """Return the logarithm of the likelihood."""
        kept = -self.kept * loss if self.kept else 0.0
        if not self.lost:
            return kept
        return kept + float(self.wrong @ np.log(-np.expm1(-self.steps * loss)))

    def _slope(self, logarithm: float) -> float:
        loss = exp(logarithm)
        gains = self.steps / np.array([expm1(min(700.0, steps * loss)) for steps in self.steps])
        return float(self.wrong @ gains) - self.kept


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function crosses zero, or the end that is nearer to it where it does not."""
    below, above = function(low), function(high)
    if below * above > 0:
        return low if abs(below) < abs(above) else high
    return float(brentq(function, low, high, xtol=1e-10))


def _log(loss: float) -> float:
    return _LEAST_LOSS if loss == 0 else min(_MOST_LOSS, log(loss))


def _curve(cell: CellScore, unit: str) -> dict[str, Json]:
    chains = _chains(cell, unit)
    found = per_step(chains)
    return {
        "system": cell.system,
        "model": cell.cell.model_name,
        "evidence": cell.evidence,
        "points": [_point(group) for group in _grouped(chains)],
        "per_step": None if found is None else {"value": found.value, "low": found.low, "high": found.high},
    }


def _chains(cell: CellScore, unit: str) -> list[Chain]:
    """Return what became of each sample that was measured."""
    right: dict[str, list[bool]] = {}
    for row in cell.measured:
        right.setdefault(row.sample_id, []).append((row.score or 0.0) >= 1)
    return [
        Chain(steps=steps_of(cell.cell.suite, sample, unit), right=sum(right[sample.id]) / len(right[sample.id]))
        for sample in cell.cell.samples
        if sample.id in right
    ]


def _grouped(chains: Sequence[Chain]) -> list[list[Chain]]:
    """Return chains by number of steps, ascending; where there are too many, neighbours of about equal weight join."""
    by_steps: dict[int, list[Chain]] = {}
    for chain in sorted(chains, key=lambda chain: chain.steps):
        by_steps.setdefault(chain.steps, []).append(chain)
    if len(by_steps) <= MOST_POINTS:
        return list(by_steps.values())
    groups: list[list[Chain]] = [[]]
    for alike in by_steps.values():
        groups[-1] += alike
        if sum(map(len, groups)) * MOST_POINTS >= len(chains) * len(groups):
            groups.append([])
    return [group for group in groups if group]


def _point(group: Sequence[Chain]) -> dict[str, Json]:
    """Return one point of a curve; chains of several lengths stand at their mean."""
    count, right = len(group), sum(chain.right for chain in group)
    span = wilson(right, count)
    steps = round(sum(chain.steps for chain in group) / count)
    return {"steps": steps, "n": count, "score": right / count, "low": span.low, "high": span.high}
