"""A suite some of whose axes keep one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, Suite
from orchestra_topologies.graph import TaskGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The samples of another suite, by default at those difficulties only that have the pinned values."""

    suite: Suite
    name: str
    about: About

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return the sample that the suite itself has at this difficulty.

        Raises:
            InputError: The suite has no such difficulty.
        """
        return self.suite.sample(difficulty, index, split=split, seed=seed)

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what the suite itself says an answer is worth."""
        return self.suite.check(sample, answer)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return the suite's own graph of a sample."""
        return self.suite.graph(sample)


def pinned(suite: Suite, values: Mapping[str, Json]) -> Pinned:
    """Return `suite` with some axes kept at one value each, in those of its default difficulties that allow it.

    Raises:
        InputError: No default difficulty allows the values.
    """
    found: list[Difficulty] = []
    problem: InputError | None = None
    for default in suite.about.default:
        difficulty = {**default, **values}
        if difficulty in found:
            continue
        try:
            suite.sample(difficulty, 0, split="calibrate", seed=0)
        except InputError as error:
            problem = error
        else:
            found.append(difficulty)
    if not found and problem is not None:
        raise problem
    said = ",".join(f"{axis}={value}" for axis, value in values.items())
    name = f"{suite.name}{',' if ':' in suite.name else ':'}{said}"
    return Pinned(suite=suite, name=name, about=replace(suite.about, default=tuple(found)))
