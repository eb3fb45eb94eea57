"""What the user decides of how a task is answered; the rest follows from the task's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar, get_args

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, Sampling
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_topologies.conduct import Conduct, Context
from orchestra_topologies.router import Thresholds, Topology
from orchestra_topologies.teams.team import TeamSpec

MOST_REROUTES = 5
"""Most re-routes of one run (AdaptOrch, proposition 2)."""

T = TypeVar("T", bound=object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides; the rest follows from the task's shape."""

    topology: Topology | Literal["auto"] = "auto"
    team: str = "auto"
    """Name of a team, with options where its defaults do not do: `decentralized:agents=5,rounds=2`."""
    k: int | Literal["auto"] | None = None
    """Margin of the votable subtasks, at least 1; None is 3. `auto` is what a profile of the model says is worth its
    price, and 3 without one."""
    context: Context = "declared"
    """What a subtask is shown: its declared inputs, all that those depend on, too, or (hybrid) all earlier layers."""
    fail_fast: bool = False
    """Whether the first subtask that does not end ok cancels all others."""
    timeout_s: float | None = None
    """Seconds, from its first call on, until a subtask that says nothing else has failed, above 0."""
    window: int | None = None
    """Tokens that a prompt and its reply may take together, where the models do not say less; at least 64."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Where the router draws its lines."""
    consistency: float = 0.7
    """Similarity, in [0, 1], from which on answers to one question count as consistent."""
    embedding: str | None = None
    """Model that makes texts comparable, as `provider:model`; None compares their words."""
    reroutes: int = MOST_REROUTES
    """Further passes after answers that contradict each other, 0 to 5; the last one is hierarchical and stands."""
    seed: int = 0
    """Seed of the run's samples, at least 0."""
    temperature: float = 0.3
    """Sampling temperature, in [0, 2]; small models err much more often at higher ones."""
    max_tokens: int = 512
    """Most tokens of one reply, at least 1."""

    def __post_init__(self) -> None:
        allowed = ("auto", *get_args(Topology))
        if self.topology not in allowed:
            raise InputError("topology", f"must be one of {', '.join(allowed)}, got {self.topology!r}")
        object.__setattr__(self, "team", str(TeamSpec.parse(self.team, "team") or "auto"))
        if self.context not in get_args(Context):
            raise InputError("context", f"must be one of {', '.join(get_args(Context))}, got {self.context!r}")
        if self.k not in (None, "auto"):
            _check_number("k", self.k, 1, LARGEST_K)
        _check_number("seed", self.seed, 0, 2**63 - 1)
        _check_number("max_tokens", self.max_tokens, 1, 2**31 - 1)
        _check_number("temperature", self.temperature, 0, 2, kind=(int, float))
        _check_number("consistency", self.consistency, 0, 1, kind=(int, float))
        _check_number("reroutes", self.reroutes, 0, MOST_REROUTES)
        if self.window is not None:
            _check_number("window", self.window, 64, 2**31 - 1)
        if self.timeout_s is not None and not (_is_number(self.timeout_s) and 0 < self.timeout_s < math.inf):
            raise InputError("timeout_s", f"must be a number of seconds above 0, got {self.timeout_s!r}")
        if not isinstance(self.fail_fast, bool):
            raise InputError("fail_fast", f"must be true or false, got {self.fail_fast!r}")
        if self.embedding is not None and not (isinstance(self.embedding, str) and self.embedding.strip()):
            raise InputError("embedding", f"must be a model's name, got {self.embedding!r}")
        if not isinstance(self.thresholds, Thresholds):
            object.__setattr__(self, "thresholds", _thresholds(self.thresholds))

    @property
    def margin(self) -> int | None:
        """The margin that is said, None where it is to be found or left at its default."""
        return self.k if isinstance(self.k, int) else None

    def sampling(self) -> Sampling:
        """Return how samples are drawn."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)

    def conduct(self) -> Conduct:
        """Return how a graph is carried out."""
        return Conduct(
            context=self.context,
            fail_fast=self.fail_fast,
            timeout_s=self.timeout_s,
            window=self.window,
            consistency=self.consistency,
        )


def _thresholds(said: Json) -> Thresholds:
    return made_of(Thresholds, said, "thresholds")


def made_of(kind: type[T], said: Json, field: str) -> T:
    """Return a settings value made of the mapping that a file or manifest holds."""
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]  # settings are dataclasses
    if not isinstance(said, dict) or not set(said) <= set(known):
        raise InputError(field, f"must be a mapping with the keys {', '.join(known)}, got {said!r}")
    return kind(**said)


def _check_number(name: str, value: object, low: int, high: int, *, kind: type | tuple[type, ...] = int) -> None:
    """Refuse what is not a number of the kind, from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:  # type: ignore[operator]
        wanted = "an integer" if kind is int else "a number"
        raise InputError(name, f"must be {wanted} from {low} to {high}, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
