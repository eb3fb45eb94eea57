"""Where the runs of a team law lie, and in which respects a setting lies outside of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.budget._least_squares import Vector
from orchestra.budget.team_runs import TeamRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From the least to the greatest value seen."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return the range of values, at least one."""
        return cls(low=min(values), high=max(values))

    def __contains__(self, value: float) -> bool:
        return self.low - 1e-9 <= value <= self.high + 1e-9

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRange:
    """What the runs of one family of tasks span."""

    family: str
    tools: frozenset[int]
    single: Range
    """Single-agent accuracies."""
    intelligence: Range | None
    """None where no run of the family has an index."""

    @classmethod
    def of_runs(cls, runs: Sequence[TeamRun], singles: Vector) -> tuple[FamilyRange, ...]:
        """Return the range of each family, in their order.

        Args:
            runs: The runs.
            singles: The single-agent accuracy of each.
        """
        grouped: dict[str, list[tuple[TeamRun, float]]] = {}
        for run, single in zip(runs, singles, strict=True):
            grouped.setdefault(run.family, []).append((run, float(single)))
        return tuple(cls._of_family(family, pairs) for family, pairs in grouped.items())

    @classmethod
    def _of_family(cls, family: str, pairs: Sequence[tuple[TeamRun, float]]) -> FamilyRange:
        known = [run.intelligence for run, _ in pairs if run.intelligence is not None]
        return cls(
            family=family,
            tools=frozenset(run.tools for run, _ in pairs),
            single=Range.of([single for _, single in pairs]),
            intelligence=Range.of(known) if known else None,
        )


def outside(
    ranges: Sequence[FamilyRange], tools: int, single_accuracy: float, intelligence: float | None
) -> tuple[str, ...]:
    """Return in which respects a setting lies outside the runs, as phrases; none if a family spans it.

    A number of tools that was seen is judged by the families that have it: the runs of other families say little there.
    """
    seen = sorted(frozenset[int]().union(*(one.tools for one in ranges)))
    alike = [one for one in ranges if tools in one.tools]
    reasons = [] if alike else [f"tools {tools} is none of {', '.join(map(str, seen))}"]
    judged = alike or ranges
    whose = f" ({', '.join(one.family for one in alike)}, {tools} tools)" if alike else ""
    told = (
        ("single accuracy", single_accuracy, [one.single for one in judged]),
        ("intelligence", intelligence, [one.intelligence for one in judged if one.intelligence is not None]),
    )
    for name, value, spans in told:
        if value is not None and spans and not any(value in span for span in spans):
            within = Range(low=min(span.low for span in spans), high=max(span.high for span in spans))
            reasons.append(f"{name} {value:.4g} is outside {within}{whose}")
    return tuple(reasons)
