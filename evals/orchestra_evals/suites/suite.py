"""What a suite is: samples made from a seed, difficulty axes, an exact checker, and perhaps a graph of each sample."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, canonical_json, digest
from orchestra_topologies.graph import TaskGraph

Split = Literal["calibrate", "test", "held_out"]
"""Which samples: those to calibrate with, those to report, and those that nobody looks at before a claim is made."""
Difficulty: TypeAlias = Mapping[str, Json]
"""One value for each of a suite's axes."""
Outcome = Literal["right", "wrong", "malformed"]
"""What an answer is worth in words; `malformed` is an answer of another shape than was asked for."""

MOVES = "moves"
"""The dependent steps of a puzzle: the fewest moves of the instance."""
SUBTASKS = "subtasks"
"""Those of a suite with graphs: the subtasks on the longest path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question with all that it takes to check an answer."""

    id: str
    """Name within the suite: equal for equal parameters, split and seed."""
    question: str
    """The question in words, all that somebody has to know who answers it."""
    answer: AnswerType
    """What kind of answer is wanted."""
    target: Json
    """An answer that the checker accepts; there may be others."""
    wrong: tuple[Json, ...] = ()
    """Answers of the right shape that the checker refuses, for simulated models to err by."""
    difficulty: Difficulty = field(default_factory=lambda: MappingProxyType({}))
    """The sample's place on each axis."""
    family: str = ""
    """Samples of one family are alike: statistics take a family for one cluster. Empty is the sample alone."""
    instance: Json = None
    """The instance itself as JSON, from which the checker works; its digest tells samples apart."""

    def digest(self) -> str:
        """Return the digest of the instance and the question: equal for the same sample, in any process."""
        return digest([self.question, self.answer.spec(), self.instance])


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What an answer is worth."""

    value: float
    """From 0 to 1; 1 is right."""
    outcome: Outcome
    detail: str = ""
    """What the first mistake is, as one sentence; empty where there is none."""
    parts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Further measures by name, for example the share of legal moves before the first illegal one."""


class Suite(Protocol):
    """Samples of one kind, made from a seed."""

    @property
    def name(self) -> str:
        """Name by which it is asked for, with the parameters that are not the default."""

    @property
    def about(self) -> About:
        """What it measures, how it is scored, and whose data it is."""

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return sample `index` of one difficulty; equal arguments give an equal sample, in any process.

        Raises:
            InputError: The suite has no such difficulty.
        """

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what `answer` is worth: whatever JSON it is, and None where there is no answer."""

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return the sample as a graph of subtasks, whose answer is the sample's; None where it is one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a suite is, for those who choose one."""

    summary: str
    """One sentence: what is asked."""
    scoring: str
    """One sentence: when an answer is right."""
    licence: str
    """The licence of its data."""
    axes: Mapping[str, tuple[Json, ...]]
    """The difficulty axes and the values offered on each, from easy to hard."""
    default: tuple[Mapping[str, Json], ...]
    """The difficulties that a run covers where nobody chooses, from easy to hard."""
    version: int = 1
    """Raised whenever equal seeds begin to give other samples."""
    size: int | None = None
    """Samples there are; None where they are made without end."""
    steps: str | None = None
    """What counts the dependent steps of a sample: an axis, `moves` or `subtasks`; None where there are no chains."""


def rng_of(suite: str, version: int, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> random.Random:
    """Return the random numbers of one sample: others for each suite, version, difficulty, split, seed and index."""
    return random.Random(canonical_json([suite, version, dict(difficulty), split, seed, index]))


def sample_id(difficulty: Difficulty, index: int, *, split: Split, seed: int) -> str:
    """Return the name of a sample.

    >>> sample_id({"disks": 3}, 7, split="test", seed=0)
    'disks=3/test-0-7'
    """
    place = ",".join(f"{axis}={value}" for axis, value in difficulty.items())
    return f"{place or 'all'}/{split}-{seed}-{index}"


def check_difficulty(about: About, difficulty: Difficulty, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Refuse a difficulty that is none of the suite's.

    Args:
        about: The suite.
        difficulty: What is asked for.
        ranges: For axes of integers, the lowest and highest allowed; others take one of the values offered.

    Raises:
        InputError: An axis is unknown or missing, or its value is not allowed.
    """
    for axis in {**about.axes, **difficulty}:
        if axis not in about.axes or axis not in difficulty:
            problem = "is no axis" if axis not in about.axes else "is missing"
            raise InputError(f"difficulty.{axis}", f"{problem}; the axes are {', '.join(about.axes)}")
        value = difficulty[axis]
        if axis in ranges:
            low, high = ranges[axis]
            if type(value) is not int or not low <= value <= high:
                raise InputError(f"difficulty.{axis}", f"must be an integer from {low} to {high}, got {shown(value)}")
        elif value not in about.axes[axis]:
            offered = ", ".join(map(str, about.axes[axis]))
            raise InputError(f"difficulty.{axis}", f"must be one of {offered}, got {shown(value)}")
