"""What the budget model foretells of a cell: how often it will be right by a profile, and what a sample will take."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from orchestra.budget.abilities import abilities_of
from orchestra.budget.forecast import accuracy_of
from orchestra.budget.team_spending import Spending
from orchestra.designing import Design
from orchestra_evals.runner.cells import Cell
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.questions import question_graph
from orchestra_evals.systems.system import GraphSource
from orchestra_evals.systems.wiring import Wiring, taken
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What is foretold of a cell; what nobody can tell is None."""

    accuracy: dict[str, float] | None
    """`pessimistic`, `optimistic`, and `low`, the pessimistic end at the pessimistic ends of the profile: means over
    the samples. None without a profile, and where no wiring answers."""
    calls: float | None
    """Mean of a sample, asked once."""
    tokens: float | None
    """Likewise, input and output."""


async def foretold(cell: Cell) -> Foretold:
    """Return what the budget model foretells of a cell; nothing is asked.

    One agent, or one team, with the whole question is as good as the profile says of tasks of that size, which is the
    number of subtasks that the suite makes of the sample.

    Raises:
        InputError: Its system cannot answer a sample.
    """
    system = cell.system
    if isinstance(system, Wiring) and not any(environment_of(sample) is not None for sample in cell.samples):
        ways = _Ways(system, cell.suite)
        known = [ways.of(sample) for sample in cell.samples]
        accuracies = [one.accuracy for one in known if one is not None and one.accuracy is not None]
        return _mean([None if one is None else one.spending for one in known], accuracies)
    return _mean([await system.spending(sample, cell.suite, cell.share) for sample in cell.samples], [])


def _mean(spent: Sequence[Spending | None], accuracies: Sequence[dict[str, float]]) -> Foretold:
    """Return the means over samples of what is known of all of them."""
    known, count = [one for one in spent if one is not None], len(spent)
    is_known, is_told = len(known) == count, len(accuracies) == count
    total = sum(known, Spending())
    return Foretold(
        accuracy={end: sum(one[end] for one in accuracies) / count for end in accuracies[0]} if is_told else None,
        calls=total.calls / count if is_known else None,
        tokens=total.tokens / count if is_known else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a sample is answered, and what is foretold of it."""

    spending: Spending
    accuracy: dict[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """How samples are answered whose graphs differ in their words alone."""

    source: GraphSource
    design: Design
    accuracy: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class _Ways:
    """How a wiring answers the samples of a suite, decided once for all that are alike."""

    system: Wiring
    suite: Suite
    _decided: dict[Hashable, _Decided | None] = field(default_factory=dict)

    def of(self, sample: Sample) -> _Way | None:
        """Return how a sample is answered, None where a model decides it."""
        split, alone = self.suite.graph(sample), question_graph(sample)
        likeness = _likeness(split or alone)
        if likeness not in self._decided:
            self._decided[likeness] = self._decide(sample, split)
        found = self._decided[likeness]
        if found is None:
            return None
        graph = split if found.source == "suite" and split is not None else alone
        return _Way(spending=taken(sample, graph, found.design, found.source), accuracy=found.accuracy)

    def _decide(self, sample: Sample, split: TaskGraph | None) -> _Decided | None:
        plan, source = self.system.plan(sample, self.suite)
        if not isinstance(plan.task, TaskGraph):
            return None
        made, measured = plan.design, abilities_of(self.system.profile)
        if source == "none" and split is not None and len(split) > 1:
            [team] = made.teams.values()
            accuracy = accuracy_of(split, "single", {WHOLE: team}, measured)
        else:
            accuracy = accuracy_of(plan.task, made.topology, made.teams, measured)
        return _Decided(source=source, design=made, accuracy=accuracy)


def _likeness(graph: TaskGraph) -> Hashable:
    """Return what decides how a graph is answered and how well, and nothing of its words."""
    return tuple(
        (one.id, one.answer.kind, one.depends_on, one.join, one.final, one.answers, one.team, one.k, one.select)
        for one in graph.subtasks
    )
