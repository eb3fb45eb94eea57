"""What the samples are that systems compete on, and which systems they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.system import GraphSource
from orchestra_topologies.graph import TaskGraph

WHOLE = ("single", "auto")
"""Topologies that make sense where nobody splits samples up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembering(Pinned):
    """A suite that makes the graph of each sample once, however many systems are asked the sample."""

    _graphs: dict[str, TaskGraph | None] = field(default_factory=dict, compare=False, repr=False)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return the suite's own graph of a sample."""
        if sample.id not in self._graphs:
            self._graphs[sample.id] = self.suite.graph(sample)
        return self._graphs[sample.id]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Samples of a suite, and who splits them up."""

    suite: Suite
    samples: Sequence[Sample]
    decompose: GraphSource

    @classmethod
    def of(cls, suite: Suite, samples: Sequence[Sample], decompose: GraphSource) -> Ground:
        """Return the ground for samples of a suite, which makes no graph twice."""
        made = Remembering(suite=suite, name=suite.name, about=suite.about)
        return cls(suite=made, samples=samples, decompose=decompose)

    @cached_property
    def is_acted_in(self) -> bool:
        """Whether samples are environments to act in."""
        return any(environment_of(sample) is not None for sample in self.samples)

    @cached_property
    def graphs(self) -> tuple[TaskGraph, ...]:
        """The suite's graphs of the samples that it splits up."""
        return tuple(graph for sample in self.samples if (graph := self.suite.graph(sample)) is not None)

    @property
    def clusters(self) -> int:
        """Independent samples, families counting as one."""
        return len({(sample.family, "" if sample.family else sample.id) for sample in self.samples})

    def bars(self, topology: str) -> str | None:
        """Return why a topology makes no sense here, None where it does."""
        if topology in WHOLE:
            return None
        if self.is_acted_in:
            return "an environment is acted in by one team, which shares the work itself"
        if self.decompose == "none":
            return "nobody splits samples up (decompose=none)"
        return "the suite splits no sample up" if self.decompose == "suite" and not self.graphs else None

    def refuses(self, topology: str, team: str) -> str | None:
        """Return why a team would be another one here, None where it is what it says."""
        is_split_by_model = topology != "single" and self.decompose == "model"
        if team.partition(":")[0] != "vote" or self.is_acted_in or is_split_by_model:
            return None
        asked = [sample.answer for sample in self.samples]
        if topology != "single" and self.decompose == "suite":
            asked += [subtask.answer for graph in self.graphs for subtask in graph]
        if any(answer.votable for answer in asked):
            return None
        return f"a vote needs answers that can be counted, not {' or '.join(sorted({one.kind for one in asked}))}"
