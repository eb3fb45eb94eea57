"""What was foretold of each cell beside what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestra.budget.abilities import abilities_of
from orchestra.budget.profile import Profile
from orchestra_agents.journal.replay import Usage
from orchestra_agents.models.contract import Json
from orchestra_evals.comparing.foretelling import Foretold
from orchestra_evals.comparing.spends import mean_spend
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.scores import mean_of
from orchestra_evals.systems.wiring import Wiring

_UNKNOWN = "there is no profile of the model, so no accuracy is foretold; --calibrate measures one first"


def forecast_dict(
    cells: Sequence[CellScore], foretold: Mapping[str, Foretold], took: Mapping[str, Usage]
) -> dict[str, Json]:
    """Return what was foretold of cells, by their ids, beside what they came to.

    Args:
        cells: What was measured.
        foretold: What was foretold, by cell.
        took: What measuring a profile first took, by model, where that was done.
    """
    profiles: dict[str, Profile] = {}
    for cell in cells:
        if isinstance(cell.cell.system, Wiring) and cell.cell.system.profile is not None:
            profiles.setdefault(cell.cell.model_name, cell.cell.system.profile)
    told = [_profile_dict(profile, took.get(model)) | {"of": model} for model, profile in profiles.items()]
    named = ", ".join(dict.fromkeys(f"{one.model} of {one.date}" for one in profiles.values()))
    return {
        "profile": told[0] if told else None,
        "profiles": told,
        "reason": f"by the profile of {named}" if told else _UNKNOWN,
        "rows": [_row(cell, foretold[cell.cell.id]) for cell in cells if cell.cell.id in foretold],
    }


def error_of(measured: float | None, predicted: Mapping[str, float] | None) -> float | None:
    """Return a score less the nearer end of what was foretold, 0 between the ends; None where one is not known.

    >>> error_of(0.75, {"pessimistic": 0.5, "optimistic": 0.5})
    0.25
    """
    if measured is None or predicted is None:
        return None
    low, high = sorted((predicted["pessimistic"], predicted["optimistic"]))
    return measured - min(max(measured, low), high)


def _row(cell: CellScore, foretold: Foretold) -> dict[str, Json]:
    """Return one cell's row; what is foretold is the share of answers that are right, and no score of parts."""
    took, right = mean_spend(cell.measured), [replace(row, score=float((row.score or 0) >= 1)) for row in cell.measured]
    mean = mean_of(right, cell.cell.selection.seed)
    interval = None if mean.score is None else {"low": mean.interval.low, "high": mean.interval.high}
    return {
        "system": cell.system,
        "model": cell.cell.model_name,
        "predicted": foretold.accuracy,
        "measured": mean.score,
        "interval": interval,
        "error": error_of(mean.score, foretold.accuracy),
        "calls": {"predicted": foretold.calls, "measured": None if took is None else took.calls},
        "tokens": {"predicted": foretold.tokens, "measured": None if took is None else took.tokens},
    }


def _profile_dict(profile: Profile, usage: Usage | None) -> dict[str, Json]:
    told = {name: getattr(profile, name) for name in ("model", "date", "evidence")}
    items = sum(size.items for answer in profile.answers for size in answer.sizes)
    return told | {
        "assumed": list(abilities_of(profile).middle.assumed),
        "items": items,
        "took": None if usage is None else spent_dict(usage),
    }


def spent_dict(usage: Usage) -> dict[str, Json]:
    """Return what a run took, in calls, tokens and dollars."""
    tokens = usage.input_tokens + usage.output_tokens
    return {"calls": usage.calls, "tokens": tokens, "cost_usd": usage.cost_usd}
