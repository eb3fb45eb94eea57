"""The row of a sample: one JSON line that says what was asked, what came of it and what it took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config

from orchestra_agents.journal.replay import Usage
from orchestra_agents.ledger import Cost
from orchestra_agents.models.contract import Evidence
from orchestra_evals.runner.endings import Fault, Outcome, Status
from orchestra_evals.suites.suite import Split
from orchestra_evals.systems.system import GraphUsed, Reported, UsageSource

SCHEMA_VERSION = 1
"""Version of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was asked for a sample, over all attempts, as far as anybody told."""

    calls: int = 0
    """Requests answered 2xx or of unknown outcome."""
    samples: int = 0
    """Completions paid for."""
    flagged: int = 0
    """Completions among them that were discarded."""
    unknown: int = 0
    """Calls whose reply was never recorded."""
    input: int = 0
    output: int = 0
    cached: int = 0
    """Tokens among the input that were read from a prompt cache."""
    reasoning: int = 0
    """Tokens among the output that nobody is shown."""
    lost: int = 0
    """Tokens at most of calls whose reply was never recorded."""

    @classmethod
    def of(cls, usage: Usage) -> Taken:
        """Return what a run took."""
        paid = usage.paid
        return cls(
            calls=usage.calls,
            samples=usage.samples,
            flagged=usage.flagged,
            unknown=usage.unknown,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=paid.cached_tokens,
            reasoning=paid.reasoning_tokens,
            lost=paid.lost_tokens,
        )

    def __add__(self, other: Taken) -> Taken:
        return Taken(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    def with_reported(self, reported: Reported) -> Taken:
        """Return this with what a system says itself."""
        more = Taken(calls=reported.calls, input=reported.input_tokens, output=reported.output_tokens)
        return self + more


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one repeat of one sample."""

    run_id: str
    """Its run in the journal, and what tells it from all other rows."""
    cell: str
    """Digest of suite, system, model and all else that decides answers."""
    suite: str
    version: int
    """Of the suite's generator."""
    split: Split
    sample_id: str
    epoch: int
    """Which repeat, from 0."""
    difficulty: dict[str, Any]
    family: str
    instance: Any
    """From which the sample can be made and checked again."""
    input_hash: str
    """Digest of question and instance."""
    system: str
    topology: str | None = None
    """What the run followed; None where there was none."""
    team: str | None = None
    model: str
    seed: int
    graph: GraphUsed
    status: Status
    outcome: Outcome | None
    """None where nothing was measured."""
    score: float | None
    """From 0 to 1; None where nothing was measured."""
    detail: str = ""
    """What is wrong with the answer."""
    parts: dict[str, float] = field(default_factory=dict)
    """Further measures by name."""
    error: Fault | None = None
    """Why there is no answer."""
    output: Any = None
    """The answer, or the state that was left behind."""
    confidence: float | None = None
    """What the system itself says, from 0 to 1; of a vote, the share that agrees."""
    usage: Taken = field(default_factory=Taken)
    usage_source: UsageSource = "client"
    cost: float | None = 0.0
    """US dollars, None where a price is not known."""
    estimated: bool = False
    """Whether some of the tokens are our estimate."""
    cap: dict[str, float] = field(default_factory=dict)
    """Caps of the whole cell."""
    spent: Cost = field(default_factory=Cost)
    """What of the caps this sample took, what may have been lost included."""
    judge: Taken = field(default_factory=Taken)
    """What the model took that judged the answer; no part of the system's usage."""
    judge_cost: float | None = 0.0
    attempts: int = 0
    """Requests sent, retries included."""
    latency_s: float = 0.0
    """Wall-clock seconds, over all attempts at the run."""
    retried: bool = False
    """Whether it was asked again after it had failed."""
    infeasible: bool = False
    """Whether the shortest right answer takes more tokens than a reply may have."""
    evidence: Evidence = "real"
    started_at: str = ""
    """UTC, ISO 8601; empty where nothing was begun."""
    schema_version: int = SCHEMA_VERSION

    @property
    def is_measured(self) -> bool:
        """Whether it has a score."""
        return self.status == "ok"

    def to_line(self) -> str:
        """Return the row as a line of JSON, with its end; keys keep their order."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


_ADAPTER = TypeAdapter(Row)


def row_of(line: str | bytes) -> Row:
    """Return the row that a line says.

    Raises:
        ValueError: It says none.
    """
    return _ADAPTER.validate_json(line)
