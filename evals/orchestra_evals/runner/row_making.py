"""From the run of a sample to its row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestra.result import RunResult
from orchestra_agents.journal.replay import RunState, Usage
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Cost
from orchestra_agents.models.contract import Evidence
from orchestra_evals.runner.cells import Cell, Item, caps
from orchestra_evals.runner.endings import Fault
from orchestra_evals.runner.rows import Row, Taken
from orchestra_evals.runner.scoring import JUDGE, Scored
from orchestra_evals.suites.puzzle_suite import budget_infeasible
from orchestra_evals.suites.suite import Sample, Score
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import Answered, GraphUsed, Reported, UsageSource
from orchestra_evals.systems.wiring import Wiring

_NO_GRAPH = GraphUsed(nodes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """The run of a sample."""

    result: RunResult
    at: str
    """When it was first begun."""
    is_retried: bool
    others: tuple[Usage, ...] = ()
    """What runs took that the system made beside it."""

    @property
    def usages(self) -> list[Usage]:
        """What all of these runs took."""
        return [self.result.usage, *self.others]

    @property
    def taken(self) -> Taken:
        """What all of these runs took together."""
        return sum(map(Taken.of, self.usages), Taken())


def row_of_run(cell: Cell, item: Item, ran: Ran, scored: Scored, answered: Answered) -> Row:
    """Return the row of a sample whose run has come to an end.

    Args:
        cell: Its cell.
        item: The sample and its repeat.
        ran: Its run.
        scored: What came of it.
        answered: What its system says.
    """
    source = _source(cell, ran, answered)
    is_ours = not isinstance(cell.system, Own) or ran.taken.calls > 0
    return Row(
        **_asked(cell, item),
        **_ran(ran, answered.usage),
        **_score(scored.score),
        **_judge(scored.judged),
        graph=answered.graph,
        status=scored.status,
        outcome=scored.outcome,
        error=scored.error,
        output=answered.answer,
        confidence=answered.confidence,
        usage_source=source,
        infeasible=_is_infeasible(cell, item.sample, answered),
        evidence=ran.result.evidence if is_ours else "real",
    )


def row_unpaid(cell: Cell, item: Item, ran: Ran | None, evidence: Evidence) -> Row:
    """Return the row of a sample for which nothing is left of the caps, whether it was begun or not."""
    fault = Fault(code="budget", message="what is left of the cell's caps pays for no further sample")
    return Row(
        **_asked(cell, item),
        **({} if ran is None else _ran(ran, None)),
        **_score(None),
        graph=_NO_GRAPH,
        status="budget",
        outcome=None,
        error=fault,
        usage_source="none" if isinstance(cell.system, Own) else "client",
        evidence=evidence,
    )


def others_of(journal: Journal, run_id: str) -> tuple[Usage, ...]:
    """Return what runs took that a system made beside the run of its sample; judges are none of them."""
    names = [name for name in journal.run_ids() if name.startswith(f"{run_id}.") and JUDGE not in name]
    return tuple(RunState.of(journal.entries(name)).usage for name in names)


def _asked(cell: Cell, item: Item) -> dict[str, Any]:
    """Return what is known of a sample before it is asked."""
    sample = item.sample
    return {
        "run_id": item.run_id,
        "cell": cell.id,
        "suite": cell.suite.name,
        "version": cell.suite.about.version,
        "split": cell.selection.split,
        "sample_id": sample.id,
        "epoch": item.repeat,
        "difficulty": dict(sample.difficulty),
        "family": sample.family,
        "instance": sample.instance,
        "input_hash": sample.digest(),
        "system": cell.called,
        "model": cell.model_name,
        "seed": item.seed,
        "cap": caps(cell.budget),
    }


def _ran(ran: Ran, reported: Reported | None) -> dict[str, Any]:
    """Return what a run says of itself, and what it took with what the system tells."""
    told = reported or Reported()
    spent = sum((usage.as_cost() for usage in ran.usages), Cost())
    tokens = told.input_tokens + told.output_tokens
    return {
        "topology": ran.result.topology,
        "team": ran.result.team,
        "usage": ran.taken.with_reported(told),
        "cost": _sum([*(usage.cost_usd for usage in ran.usages), told.cost_usd]),
        "estimated": any(usage.estimated for usage in ran.usages),
        "spent": spent + Cost(calls=told.calls, tokens=tokens, usd=told.cost_usd or 0.0),
        "attempts": sum(usage.attempts for usage in ran.usages),
        "latency_s": ran.result.seconds,
        "retried": ran.is_retried,
        "started_at": ran.at,
    }


def _score(score: Score | None) -> dict[str, Any]:
    if score is None:
        return {"score": None}
    return {"score": score.value, "detail": score.detail, "parts": dict(score.parts)}


def _judge(judged: RunResult | None) -> dict[str, Any]:
    return {} if judged is None else {"judge": Taken.of(judged.usage), "judge_cost": judged.usage.cost_usd}


def _source(cell: Cell, ran: Ran, answered: Answered) -> UsageSource:
    if not isinstance(cell.system, Own):
        return "client"
    if answered.usage is not None:
        return "self"
    return "client" if ran.taken.calls else "none"


def _is_infeasible(cell: Cell, sample: Sample, answered: Answered) -> bool:
    """Return whether no reply is long enough for the answer to a puzzle that is asked as one question."""
    is_puzzle = isinstance(sample.instance, dict) and "fewest" in sample.instance and "mode" in sample.difficulty
    if not is_puzzle or answered.graph.nodes > 1 or not isinstance(cell.system, Wiring | SelfConsistency):
        return False
    return budget_infeasible(sample, cell.system.choices.max_tokens)


def _sum(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
