"""A jury: several ways to put one question, so that errors which one prompt would repeat are outvoted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestra_agents.models.contract import Prompt, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Juror:
    """One way to put a question; jurors differ in prompt (paraphrase, order of operands), sampling or model."""

    prompt: Prompt
    sampling: Sampling | None = None
    """How this juror is sampled; None is as the run says."""
    role: str | None = None
    """Role of the panel's model that answers; None is whoever's turn it is."""


@dataclass(frozen=True)
class Jury:
    """The members of a vote, drawn in an order of its own for every step.

    A juror at temperature 0 would repeat itself, so it is drawn once; the others are drawn again and again, each time
    as another sample. Measured on a small model, changing the prompt decorrelates errors where temperature does not.

    Args:
        jurors: The members, at least one.
        k: Least margin that this question needs, at least 1; a run with a larger k uses that.
    """

    jurors: tuple[Juror, ...]
    k: int = 1

    def __post_init__(self) -> None:
        if not self.jurors or self.k < 1:
            raise ValueError(f"a jury has at least one juror and a margin of at least 1, got k={self.k}")

    @classmethod
    def of(cls, prompts: Sequence[Prompt], sampling: Sampling | None = None, *, k: int = 1) -> Jury:
        """Return a jury whose members differ in prompt only."""
        return cls(tuple(Juror(prompt=prompt, sampling=sampling) for prompt in prompts), k)

    @cached_property
    def size(self) -> int | None:
        """How many votes the jury has: as many as members where all are deterministic, else None, without end."""
        return None if self._sampled else len(self.jurors)

    @cached_property
    def _sampled(self) -> tuple[int, ...]:
        return tuple(place for place, juror in enumerate(self.jurors) if not _is_deterministic(juror))

    def order(self, key: str) -> list[int]:
        """Return the places of the jurors in the order in which `key` (seed and step) draws them."""
        return random.Random(key).sample(range(len(self.jurors)), len(self.jurors))

    def place(self, order: Sequence[int], index: int) -> int:
        """Return the place of the juror who casts vote `index`: everybody once, then the sampled ones round and round.

        Raises:
            IndexError: All have voted, and none of them can be sampled again.
        """
        if index < len(order):
            return order[index]
        if not self._sampled:
            raise IndexError(f"vote {index} of a jury of {len(order)}")
        return self._sampled[(index - len(order)) % len(self._sampled)]


def _is_deterministic(juror: Juror) -> bool:
    return juror.sampling is not None and juror.sampling.temperature == 0
