"""On which terms a sample is answered: topology, team, margin, who makes the graph, and what it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inspect_ai.model import GenerateConfig

from orchestra.choices import Choices, made_of
from orchestra.planning import Plan
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json
from orchestra_evals.inspect_bridge.asking import Asked
from orchestra_evals.systems.questions import seed_of

_FROM_INSPECT = ("temperature", "max_tokens", "seed")
_MODEL = "model"
_INSTRUCTIONS = (_MODEL, "software")
DECOMPOSERS = ("none", "suite", *_INSTRUCTIONS)
"""Who makes a graph of a question: nobody, its suite, or the model, by the general or another instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms, checked before the first sample."""

    choices: Mapping[str, Json]
    """What the user chose, by the fields of `Choices`; the rest follows from Inspect's settings, then our defaults."""
    budget: Budget
    decomposer: str
    """One of `DECOMPOSERS`, or the path of a graph file."""
    answer: AnswerType | None
    """What kind of answer is wanted; None leaves it to the sample."""
    journal: Path | None
    """Journal of all runs; None keeps a temporary one for each."""

    @classmethod
    def of(
        cls,
        said: Mapping[str, Json],
        *,
        decomposer: str,
        budget: Mapping[str, Json] | None,
        answer: Json,
        journal: str | None,
    ) -> Self:
        """Return the terms that the options of a solver mean.

        Raises:
            InputError: An option is wrong.
        """
        made_of(Choices, dict(said), "choices")
        caps = made_of(Budget, dict(budget or {}), "budget")
        if caps.usd is not None:
            raise InputError("budget.usd", "is for prices that orchestra knows; cap money by Inspect's --cost-limit")
        if decomposer not in DECOMPOSERS and not Path(decomposer).is_file():
            raise InputError("decomposer", f"must be one of {', '.join(DECOMPOSERS)} or a file, got {decomposer!r}")
        return cls(
            choices=dict(said),
            budget=caps,
            decomposer=decomposer,
            answer=None if answer is None else AnswerType.parse(answer),
            journal=None if journal is None else Path(journal).absolute(),
        )

    def chosen(self, settings: GenerateConfig, *, epoch: int) -> Choices:
        """Return how a sample is answered.

        Args:
            settings: What Inspect was told; it counts where the user chose nothing here.
            epoch: Of the sample, from 1. Each has a seed of its own, or all would be copies of the first.

        Raises:
            InputError: A setting is outside what orchestra allows, or asks for several choices a call.
        """
        if settings.num_choices not in (None, 1):
            raise InputError("num_choices", "must be left out: votes are drawn by calls of their own")
        told = {name: getattr(settings, name) for name in _FROM_INSPECT}
        said = {**{name: value for name, value in told.items() if value is not None}, **self.choices}
        said["seed"] = seed_of(said.get("seed", 0), epoch - 1)
        return made_of(Choices, said, "choices")

    def plan(self, asked: Asked, choices: Choices) -> Plan:
        """Return what is to be done about a question.

        Raises:
            InputError: The graph cannot be answered as asked.
        """
        if self.decomposer == "none" or (self.decomposer == "suite" and asked.graph is None):
            return Plan(task=asked.task(), choices=choices, budget=self.budget)
        if self.decomposer == "suite" and asked.graph is not None:
            return Plan(task=asked.graph, choices=choices, budget=self.budget)
        who = None if self.decomposer == _MODEL else self.decomposer
        named = who if who is None or who in _INSTRUCTIONS else Path(who)
        return Plan(task=asked.words(), choices=choices, budget=self.budget, decomposer=named)
