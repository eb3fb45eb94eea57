"""A cell: one system with one model on the samples of a suite, under one budget; and the names of its runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from orchestra.panel import ModelSpec, default_model
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, Model, digest
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.questions import repeated, seed_of
from orchestra_evals.systems.system import System
from orchestra_topologies.prompts import VERSION

_FORMAT = 1  # rises with any change of what is asked
_SLUG = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One repeat of one sample."""

    sample: Sample
    repeat: int
    """From 0."""
    run_id: str
    model: ModelSpec | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One system with one model on some samples, under one budget."""

    suite: Suite
    samples: Sequence[Sample]
    selection: Selection
    called: str
    """Name of the system in this evaluation."""
    system: System
    model: ModelSpec | None
    """None is the default model, or nobody for a system of a user's own."""
    budget: Budget
    """Caps on all of it together."""
    name: str = ""
    """Name of the evaluation; under another one everything is asked anew."""

    @cached_property
    def model_name(self) -> str:
        """The model, or all of them, in one text."""
        if self.model is None:
            return f"own:{self.called}" if self.is_without_model else default_model()
        return model_name(self.model)

    @property
    def is_without_model(self) -> bool:
        """Whether none of our models is asked: a system of a user's own for which none was named."""
        return self.model is None and isinstance(self.system, Own)

    @cached_property
    def share(self) -> Budget:
        """An equal share of the caps for each repeat of each sample; seconds are not shared out."""
        count = len(self.samples) * self.selection.repeats
        calls, tokens, usd = self.budget.calls, self.budget.tokens, self.budget.usd
        return Budget(
            calls=None if calls is None else max(1, calls // count),
            tokens=None if tokens is None else max(1, tokens // count),
            usd=None if usd is None else usd / count,
        )

    @cached_property
    def id(self) -> str:
        """Digest of all that decides the answers, in 12 hexadecimal digits."""
        share = caps(self.share) if self.system.keeps_to_share else {}
        about = [self.suite.name, self.suite.about.version, self.selection.seed]
        return digest([_FORMAT, VERSION, self.name, about, self.called, self.system.spec(), self.model_name, share])[
            :12
        ]

    @cached_property
    def slug(self) -> str:
        """The suite's name and the digest, as they begin the names of runs."""
        words = re.sub("[^A-Za-z0-9]+", "-", self.suite.name).strip("-")[:_SLUG].strip("-") or "suite"
        return f"{words}-{self.id}"

    def items(self) -> Iterator[Item]:
        """Yield what is to be asked: all samples, then all again for the next repeat."""
        for repeat in range(self.selection.repeats):
            for sample in self.samples:
                key = digest([sample.id, sample.digest()])[:12]
                yield Item(
                    sample=sample,
                    repeat=repeat,
                    run_id=f"{self.slug}-{key}-{repeat}",
                    model=repeated(self.model, repeat),
                    seed=seed_of(self.selection.seed, repeat),
                )


def caps(budget: Budget) -> dict[str, Json]:
    """Return the caps that there are, by unit."""
    return {item.name: value for item in fields(budget) if (value := getattr(budget, item.name)) is not None}


def model_name(model: ModelSpec) -> str:
    """Return one model by its name, several joined by `+`, and roles as `role=model`."""
    if isinstance(model, str):
        return model
    if isinstance(model, Mapping):
        said = {role: model_name(models) for role, models in model.items()}
        return said["worker"] if set(said) == {"worker"} else " ".join(f"{role}={name}" for role, name in said.items())
    if isinstance(model, Sequence):
        return "+".join(map(model_name, model))
    named: Model = model
    return named.name
