"""What one subtask of a task graph is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType
from typing import Literal

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json, Truth
from orchestra_agents.verification import Verify, named
from orchestra_topologies.teams.team import Select

Coupling = Literal["none", "weak", "strong", "critical"]
"""How much of its context a subtask shares with one it depends on (AdaptOrch, section 2.2)."""

COUPLING: Mapping[Coupling, float] = MappingProxyType({"none": 0.0, "weak": 0.3, "strong": 0.7, "critical": 1.0})
"""Coupling strength by label, in [0, 1] (AdaptOrch, section 2.2)."""

_TEXT = AnswerType()

JoinPolicy = Literal["all", "any", "quorum", "best-effort"]
"""When a subtask whose inputs are settled may start; nothing starts before all its inputs are settled."""


@dataclass(frozen=True, slots=True)
class Join:
    """How many of a subtask's inputs must have ended ok for it to start; it is shown those that have."""

    policy: JoinPolicy = "all"
    quorum: int = 0
    """Inputs that must be ok, with the policy `quorum`."""

    def needed(self, inputs: int) -> int:
        """Return how many of `inputs` must be ok."""
        return {"all": inputs, "any": min(1, inputs), "quorum": self.quorum, "best-effort": 0}[self.policy]

    def spec(self) -> Json:
        """Return what a graph file says for it."""
        return {"quorum": self.quorum} if self.policy == "quorum" else self.policy


_ALL = Join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Who mends an answer that did not pass its check, told what the check said."""

    role: str = "debugger"
    times: int = 3
    """Most repairs, 1 to 20; AgentMesh's bound is 3."""

    def spec(self) -> Json:
        """Return what a graph file says for it."""
        return {"role": self.role, "times": self.times}


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example that is shown to the model."""

    input: str
    """What is asked."""
    answer: Json
    """The right answer, of the subtask's answer type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """One question of a task graph. A `TaskGraph` checks its values; this class only holds them."""

    id: str
    """Name in the graph: 1 to 100 characters without control characters, quotes, < or >."""
    description: str
    """What is to be done; the last words of the prompt."""
    answer: AnswerType = _TEXT
    """Type of the answer."""
    depends_on: tuple[tuple[str, Coupling], ...] = ()
    """The subtasks whose answers it reads, each with the coupling of that edge."""
    join: Join = _ALL
    """How many of those must have ended ok."""
    final: bool = False
    """Whether its answer belongs to the task's answer although another subtask reads it."""
    context: str | None = None
    """Text it may read in place of the graph's context; None reads that."""
    estimated_tokens: float = 1
    """Cost w(v) in tokens, above 0."""
    role: str | None = None
    """Role card of whoever answers."""
    model: str | None = None
    """Model that answers; None leaves it to the run."""
    team: str | None = None
    """Team that answers, with its options: `vote`, `decentralized:agents=5`; None leaves it to the run."""
    k: int | None = None
    """Margin of the vote, at least 1; None leaves it to the run."""
    tools: tuple[str, ...] = ()
    """Names of the tools it may use."""
    verify: Verify | None = None
    """How its answer is checked: a command line, run without a shell, or a Python callable (see `verification`)."""
    repair: Repair | None = None
    """Who mends an answer that does not pass its check; None lets it fail."""
    select: Select | None = None
    """Who picks one of `samples` answers; None takes the first."""
    samples: int = 1
    """Answers drawn to pick from, 1 to 100; above 1 with `select` only."""
    timeout_s: float | None = None
    """Seconds until it fails, above 0; None is no limit of its own."""
    answers: str | None = None
    """Id of the question it answers; subtasks with the same one are compared with one another."""
    examples: tuple[Example, ...] = ()
    """Worked examples, in the order shown."""
    truth: Truth | None = None
    """Known answer, for tests and simulated models only; never shown."""
    latency_ms: float | None = None
    """Median time a simulated model takes for it, at least 0."""

    def to_dict(self) -> dict[str, Json]:
        """Return the subtask by the keys of a graph file, defaults left out."""
        said = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.default is MISSING
        }
        return said | {name: write(said[name]) for name, write in _WRITERS.items() if name in said}


def _truth_dict(truth: Truth) -> dict[str, Json]:
    said: dict[str, Json] = {"answer": truth.answer}
    if truth.wrong:
        said["wrong"] = list(truth.distractors())
    return said if truth.difficulty is None else said | {"difficulty": truth.difficulty}


OWN_KEYS = ("model", "role", "team", "k", "timeout_s", "examples", "verify", "repair", "select", "join", "tools")
"""Keys by which a subtask says who answers it, how, and with what."""


def own_keys(subtask: Subtask) -> list[str]:
    """Return those of `OWN_KEYS` in which a subtask says anything."""
    plain = Subtask(id=subtask.id, description=subtask.description)
    return [name for name in OWN_KEYS if getattr(subtask, name) != getattr(plain, name)]


_WRITERS: dict[str, Json] = {
    "answer": AnswerType.spec,
    "depends_on": dict,
    "join": Join.spec,
    "tools": list,
    "verify": named,
    "repair": Repair.spec,
    "examples": lambda examples: [{"input": one.input, "answer": one.answer} for one in examples],
    "truth": _truth_dict,
}
