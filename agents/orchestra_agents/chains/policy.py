"""How a chain is driven, and who answers: what the user decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from orchestra_agents.chains.chain import Chain
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Model, Sampling
from orchestra_agents.voting.ahead import LARGEST_K

RecordLevel = Literal["decisions", "disagreements", "all"]
"""Which single votes are recorded beside the decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivePolicy:
    """How a chain is driven."""

    k: int | None = None
    """Margin, 1 to 1,000; None chooses it by the law."""
    target: float = 0.95
    """Probability wanted for the whole chain being right, in (0, 1)."""
    adaptive: bool = True
    """Whether hard steps raise the margin."""
    max_votes: int | None = None
    """Most valid votes of a step, at least k; None is ten times k."""
    p: float | None = None
    """Accuracy of a vote where it is known, in (0, 1]."""
    rho: float = 0.0
    """Share of steps whose votes all err together that k allows for, in [0, 1]."""
    record: RecordLevel = "decisions"
    """What is recorded beside decisions: single votes of contested steps, or of all."""
    sentinels: float = 0.0
    """Sentinel questions a step, in [0, 1]."""
    speculate: int = 0
    """How many steps ahead of the open vote may be begun, 0 to 64; 0 is none."""
    seed: int = 0
    temperature: float | None = None
    """In [0, 2]; None is what the process says."""
    first_temperature: float | None = None
    """Temperature of each step's first sample alone; None is as the others."""
    max_tokens: int | None = None
    """Most tokens of a reply; None is what the process says."""

    def __post_init__(self) -> None:
        _check("k", self.k, 1, LARGEST_K, kind=int)
        _check("max_votes", self.max_votes, self.k or 1, 1_000_000, kind=int)
        _check("speculate", self.speculate, 0, 64, kind=int)
        _check("seed", self.seed, 0, 2**63 - 1, kind=int)
        _check("max_tokens", self.max_tokens, 1, 2**31 - 1, kind=int)
        for name, low, high in (("rho", 0, 1), ("sentinels", 0, 1), ("temperature", 0, 2), ("first_temperature", 0, 2)):
            _check(name, getattr(self, name), low, high)
        for name in ("target", "p"):
            value = getattr(self, name)
            _check(name, value, 0, 1)
            if value == 0 or (name == "target" and value == 1):
                raise InputError(name, f"must be a number above 0 {'and below' if name == 'target' else 'up to'} 1")
        if self.record not in get_args(RecordLevel):
            raise InputError("record", f"must be one of {', '.join(get_args(RecordLevel))}, got {self.record!r}")

    def sampling(self, chain: Chain) -> Sampling:
        """Return how votes are drawn: the process's own way where the user does not say."""
        own = chain.sampling or Sampling(temperature=0.3)
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        return replace(own, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _check(name: str, value: Any, low: float, high: float, *, kind: Any = (int, float)) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        wanted = "an integer" if kind is int else "a number"
        raise InputError(name, f"must be {wanted} from {low:g} to {high:g}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who answers: the panel whose members take turns, who steps in when they fail, and whom jurors ask for by role."""

    models: tuple[Model, ...]
    reserve: tuple[Model, ...] = ()
    roles: Mapping[str, tuple[Model, ...]] = field(default_factory=dict)
