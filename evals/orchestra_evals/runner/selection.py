"""Which samples of a suite are asked, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.pinned import pinned
from orchestra_evals.suites.suite import Difficulty, Sample, Split, Suite

SAMPLES = 100
"""Samples of a suite without end, unless another number is asked for."""
_OVER = ("index", "split")  # fields of the errors by which a suite says that it has no more samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which samples are asked, and how often.

    Raises:
        InputError: A value is not allowed.
    """

    limit: int | None = None
    """Most samples; None takes all there are, of a suite without end 100."""
    seed: int = 0
    """Which samples are made, and the seed of their runs; at least 0."""
    split: Split = "test"
    difficulty: Mapping[str, Json] = field(default_factory=dict)
    """Axes that keep one value."""
    repeats: int = 1
    """How often each sample is asked, at least 1."""

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("seed", 0), ("repeats", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(name, f"must be an integer of at least {least}, got {value!r}")
        if self.split not in get_args(Split):
            raise InputError("split", f"must be one of {', '.join(get_args(Split))}, got {self.split!r}")

    def narrowed(self, suite: Suite) -> Suite:
        """Return the suite with the axes that keep one value.

        Raises:
            InputError: It has no such axis or value.
        """
        if not self.difficulty:
            return suite
        for axis in self.difficulty:
            if axis not in suite.about.axes:
                known = ", ".join(suite.about.axes) or "none"
                raise InputError(f"difficulty.{axis}", f"is no axis of {suite.name}; its axes are {known}")
        return pinned(suite, self.difficulty)

    def samples(self, suite: Suite) -> tuple[Sample, ...]:
        """Return the samples, the default difficulties of the suite by turns.

        Raises:
            InputError: There is none.
        """
        most = self.limit if self.limit is not None else SAMPLES if suite.about.size is None else suite.about.size
        found: dict[str, Sample] = {}
        left: list[Difficulty] = list(suite.about.default)
        index, problem = 0, InputError("suite", f"{suite.name} has no difficulty to draw samples of")
        while left and len(found) < most:
            for difficulty in tuple(left):
                try:
                    sample = suite.sample(difficulty, index, split=self.split, seed=self.seed)
                except InputError as error:
                    if error.field not in _OVER:
                        raise
                    left.remove(difficulty)
                    problem = error
                    continue
                if sample.id in found:
                    raise InputError("suite", f"{suite.name} has two samples called {sample.id!r}")
                found[sample.id] = sample
                if len(found) == most:
                    break
            index += 1
        if not found:
            raise problem
        return tuple(found.values())
