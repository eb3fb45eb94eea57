"""The cells of a contest as rows of its document, and figures as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestra.budget.estimates import Estimate
from orchestra_agents.models.contract import Json
from orchestra_evals.comparing.coordinating import Runs, coordination_dict
from orchestra_evals.comparing.lineup import BASELINE
from orchestra_evals.comparing.spends import Spend, is_told, mean_spend
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.scores import repeats_of, rng_of
from orchestra_evals.statistics.confidences import confidence_figures
from orchestra_evals.statistics.efficiency import cost_per_success, e_cubed, tokens_per_success
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.wiring import Wiring

_AS_TOLD = (
    *("n", "score", "interval", "without_retried", "retried", "statuses", "outcomes", "infeasible", "by_difficulty"),
    *("repeats", "cap", "usage", "judge", "graphs", "seconds", "evidence"),
)  # what a row says in the words of `eval run`


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All systems with one model, which are compared with each other."""

    cells: tuple[CellScore, ...]

    @property
    def baseline(self) -> CellScore:
        """What all others are compared with."""
        return next(cell for cell in self.cells if cell.system == BASELINE)

    @property
    def others(self) -> tuple[CellScore, ...]:
        """Those that are compared with it."""
        return tuple(cell for cell in self.cells if cell.system != BASELINE)


def families_of(cells: Sequence[CellScore]) -> list[Family]:
    """Return cells by the model that they were given, in the order in which models were named."""
    models = [cell.cell.model for cell in cells if cell.system == BASELINE]
    return [Family(cells=tuple(cell for cell in cells if cell.cell.model is model)) for model in models]


def row_dict(cell: CellScore, runs: Runs, single: Runs) -> dict[str, Json]:
    """Return a cell as a row of the document.

    Args:
        cell: What it came to.
        runs: The figures of its runs.
        single: Those of the baseline with the same model.
    """
    told, system, samples = cell.as_dict(), cell.cell.system, repeats_of(cell.rows)
    choices = system.choices if isinstance(system, Wiring) else None
    seed, is_known = cell.cell.selection.seed, is_told(cell.measured) or not cell.measured
    paid = samples if is_known else []  # what nobody told is not free
    return {
        "system": cell.system,
        "topology": choices and choices.topology,
        "team": choices and choices.team,
        "kind": _kind(cell),
        "model": cell.cell.model_name,
        "cell": cell.cell.id,
        **{name: told[name] for name in _AS_TOLD},
        "spent": _spend_dict(sum(map(Spend.of, cell.rows), Spend()) if is_known else None),
        "spent_a_sample": _spend_dict(mean_spend(cell.measured)),
        "tokens_per_success": estimate_dict(tokens_per_success(paid, rng=rng_of(seed))),
        "cost_per_success": estimate_dict(cost_per_success(paid, rng=rng_of(seed))),
        "e_cubed": estimate_dict(e_cubed(paid, rng=rng_of(seed))),
        "confidence": _confidence(cell),
        "coordination": coordination_dict(runs, single),
        "decided": _decided(cell),
    }


def estimate_dict(found: Estimate | None) -> dict[str, Json] | None:
    """Return a figure with its interval as JSON."""
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}


def plain(value: Json) -> Json:
    """Return a document in which nothing is infinite or no number: such a figure is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _kind(cell: CellScore) -> str:
    system = cell.cell.system
    if isinstance(system, Wiring):
        return "wiring"
    return "selfconsistency" if isinstance(system, SelfConsistency) else "own"


def _spend_dict(spend: Spend | None) -> dict[str, Json]:
    if spend is None:
        return dict.fromkeys(("tokens", "calls", "cost_usd"))
    return {"tokens": spend.tokens, "calls": spend.calls, "cost_usd": spend.usd}


def _confidence(cell: CellScore) -> dict[str, Json] | None:
    found = confidence_figures(repeats_of(cell.rows), rng=rng_of(cell.cell.selection.seed))
    if found is None:
        return None
    quality = found.quality
    figures = {"brier": quality.brier, "skill": estimate_dict(found.skill), "ece": quality.ece, "auc": quality.auc}
    return figures | {"left_out": found.left_out}


def _decided(cell: CellScore) -> list[dict[str, Json]]:
    """Return what the runs followed, the commonest first."""
    found = Counter((row.topology, row.team) for row in cell.rows if row.topology is not None)
    return [
        {"topology": topology, "team": team, "samples": count}
        for (topology, team), count in sorted(found.items(), key=lambda one: (-one[1], str(one[0])))
    ]
