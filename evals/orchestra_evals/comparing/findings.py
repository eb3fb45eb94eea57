"""What the cells of a contest say beside each other: differences, what could have been found, regret, convergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from statistics import fmean, median_low

import numpy as np

from orchestra_agents.models.contract import Json
from orchestra_evals.comparing.contest import Contest
from orchestra_evals.comparing.ground import Ground
from orchestra_evals.comparing.lineup import BASELINE
from orchestra_evals.comparing.telling import Family, estimate_dict
from orchestra_evals.runner.estimates import DISCORDANCE, Detectable
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.scores import repeats_of, rng_of
from orchestra_evals.statistics.aims import LEVEL
from orchestra_evals.statistics.comparison import Comparison, compare_all
from orchestra_evals.statistics.convergence import convergence_bound, convergence_score
from orchestra_evals.statistics.regret import regret_of
from orchestra_evals.statistics.runs import scores_of
from orchestra_evals.statistics.scores import SampleScore, align
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.shape import shape_of


def differences(family: Family) -> tuple[Comparison, ...]:
    """Return every system beside the baseline, as one family."""
    scores = {cell.system: _scores(cell) for cell in family.cells}
    return compare_all(scores, rng=_rng(family), baseline=BASELINE)


def difference_dict(found: Comparison, model: str) -> dict[str, Json]:
    """Return a difference as JSON, with what it says in words."""
    told = {name: getattr(found, name) for name in found.__slots__}
    return told | {"model": model, "difference": estimate_dict(found.difference), "finding": finding(found)}


def finding(found: Comparison) -> str:
    """Return what a difference says in words."""
    told = "no difference shown"
    if found.difference is None:
        return told
    if found.adjusted_p < LEVEL:
        return "better" if found.difference.value > 0 else "worse"
    if found.detectable is not None and abs(found.difference.value) < found.detectable:
        return f"{told}; below the minimum detectable effect of {found.detectable:.3f}"
    return told


def discordance(families: Sequence[Family]) -> float:
    """Return the share of samples on which systems were seen to differ, or what is assumed before anything is known.

    Scores between 0 and 1 that differ by d count as d^2 of a sample, as in the variance of a difference.
    """
    shares = []
    for family in families:
        base = _scores(family.baseline)
        pairs = [align([_scores(cell), base]).scores for cell in family.others]
        shares += [float(np.square(both[:, 0] - both[:, 1]).mean()) for both in pairs if len(both)]
    return fmean(shares) if shares else DISCORDANCE


def detectable(contest: Contest, families: Sequence[Family], found: Sequence[Comparison]) -> Detectable:
    """Return the least difference that half of the comparisons would find; before there are any, as assumed."""
    made = [one for one in found if one.difference is not None]
    if not made:
        return contest.detectable()
    effects = [one.detectable for one in made if one.detectable is not None]
    counts = [one.difference.n for one in made if one.difference is not None]
    assumed = contest.detectable(discordance(families), median_low(counts))
    return replace(assumed, effect=median_low(effects) if 2 * len(effects) > len(made) else None)


def regret_dict(pick: str | None, families: Sequence[Family]) -> dict[str, Json] | None:
    """Return what the pick lost against the best wiring, model by model; None where there is no pick.

    Wirings of which fewer samples were measured than of the pick are no alternatives, and named: on the samples that
    all have in common little would be left to tell.
    """
    if pick is None:
        return None
    models = []
    for family in families:
        wired = [cell for cell in family.cells if isinstance(cell.cell.system, Wiring)]
        counts = {cell.system: cell.mean.n for cell in wired}
        short = [system for system, count in counts.items() if count < counts.get(pick, 0)]
        systems = {cell.system: _scores(cell) for cell in wired if cell.system not in short}
        if not counts.get(pick) or len(systems) < 2:
            continue
        found = regret_of(pick, systems, rng=_rng(family))
        if found is not None:
            told = {"best": found.best, "alternatives": found.alternatives, "left_out": found.left_out}
            told["without"] = short
            measured = estimate_dict(found.measured) or {}
            models.append({"model": family.baseline.cell.model_name, **told, **measured, "split": found.split})
    return {"pick": pick, "models": models}


def convergence_dict(families: Sequence[Family], ground: Ground) -> dict[str, Json] | None:
    """Return whether scores vary over topologies or over models, by the team that was measured with most topologies.

    None below two models, and where no team was measured with two topologies and all models.
    """
    by_team: dict[str, dict[str, dict[str, CellScore]]] = {}
    for family in families:
        for cell in family.cells:
            system = cell.cell.system
            if isinstance(system, Wiring) and system.choices.topology != "auto" and cell.measured:
                held = by_team.setdefault(system.choices.team, {}).setdefault(system.choices.topology, {})
                held.setdefault(family.baseline.cell.model_name, cell)
    complete = {
        team: {topology: cells for topology, cells in held.items() if len(cells) == len(families)}
        for team, held in by_team.items()
    }
    team = max(complete, key=lambda one: len(complete[one]), default=None)
    if team is None or len(families) < 2 or len(complete[team]) < 2:
        return None
    systems = {
        (topology, model): _scores(cell) for topology, cells in complete[team].items() for model, cell in cells.items()
    }
    found = convergence_score(systems, rng=_rng(families[0]))
    if found is None:
        return None
    told = {name: getattr(found, name) for name in ("topologies", "models", "over_topologies", "over_models", "eps")}
    ratios = {"share": estimate_dict(found.share), "ratio": estimate_dict(found.ratio)}
    return told | ratios | {"team": team, "bound": _bound(ground, found.eps), "note": "a score, no theorem"}


def graphs_dict(cells: Sequence[CellScore]) -> dict[str, Json]:
    """Return who split samples up, how many, and how many of the graphs have one subtask: of the cell with most."""
    told = max((cell.graphs for cell in cells), key=lambda graphs: int(graphs["graphs"]))
    if not told["graphs"]:
        return {"source": "none", "graphs": 0, "degenerate": 0}
    return {name: told[name] for name in ("source", "graphs", "degenerate")}


def _bound(ground: Ground, eps: float) -> float | None:
    """Return what the paper states the ratio is at least, None without graphs, and where it is no finite number."""
    shapes = [shape_of(graph) for graph in ground.graphs]
    if not shapes:
        return None
    found = convergence_bound(
        width=fmean(shape.width for shape in shapes),
        coupling=fmean(shape.coupling for shape in shapes),
        subtasks=fmean(shape.subtasks for shape in shapes),
        eps=eps,
    )
    return found if isfinite(found) else None


def _scores(cell: CellScore) -> tuple[SampleScore, ...]:
    return scores_of(repeats_of(cell.rows))


def _rng(family: Family) -> np.random.Generator:
    return rng_of(family.baseline.cell.selection.seed)
