"""What coordination cost a cell and what it brought: the figures of its runs, taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from orchestra.coordination import Coordination
from orchestra_agents.models.contract import Json

Runs: TypeAlias = "Mapping[tuple[str, int], Coordination]"
"""The figures of the runs of one cell, by sample and repeat."""


def coordination_dict(runs: Runs, single: Runs) -> dict[str, Json] | None:
    """Return the figures of a cell as JSON, None where no run of it is known.

    Ratios are those of the sums over runs, not means of ratios, which say nothing of a single agent that is right or
    wrong. What compares with one agent is over the samples that both were measured on.

    Args:
        runs: Of the cell.
        single: Of the cell of one agent with the same model.
    """
    if not runs:
        return None
    both = [key for key in runs if key in single]
    whole, count = _together(list(runs.values())), len(runs)
    beside = _together([runs[key] for key in both]).beside(_together([single[key] for key in both])) if both else whole
    return {
        "turns": whole.turns / count,
        "messages": whole.messages / count,
        "message_density": whole.message_density,
        "overhead_percent": beside.overhead_percent,
        "efficiency": beside.efficiency,
        "redundancy": whole.redundancy,
        "unproductive_share": whole.unproductive_share,
        "failure_ratio": beside.failure_ratio,
        "runs": count,
    }


def _together(runs: Sequence[Coordination]) -> Coordination:
    """Return the figures of at least one run as if they were one: sums of what is counted, means of the rest."""
    turns, messages = sum(run.turns for run in runs), sum(run.messages for run in runs)
    tokens, unproductive = sum(run.tokens for run in runs), sum(run.unproductive_tokens for run in runs)
    alike = [run.redundancy for run in runs if run.redundancy is not None]
    scores = [run.success for run in runs if run.success is not None]
    return Coordination(
        turns=turns,
        messages=messages,
        message_density=messages / turns if turns else None,
        redundancy=fmean(alike) if alike else None,
        redundancy_basis=", ".join(sorted({run.redundancy_basis for run in runs if run.redundancy_basis})) or None,
        tokens=tokens,
        unproductive_tokens=unproductive,
        unproductive_share=unproductive / tokens if tokens else None,
        actions=dict(sum((Counter(run.actions) for run in runs), Counter())),
        success=fmean(scores) if scores else None,
        error_rate=None,
    )
