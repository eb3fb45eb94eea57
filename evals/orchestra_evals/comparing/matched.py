"""Systems beside self-consistency at the same spend: what the same money buys in votes of one agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from orchestra.budget.estimates import Estimate
from orchestra_agents.ledger import Unit
from orchestra_agents.models.contract import Json
from orchestra_evals.comparing.cuts import Cut
from orchestra_evals.comparing.lineup import RIVAL
from orchestra_evals.comparing.spends import mean_spend, unit_of
from orchestra_evals.comparing.telling import Family, estimate_dict
from orchestra_evals.runner.cells import caps
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.scores import repeats_of, rng_of
from orchestra_evals.statistics.comparison import compare
from orchestra_evals.statistics.holm import holm
from orchestra_evals.statistics.matched import bracket, samples_at
from orchestra_evals.statistics.runs import scores_of
from orchestra_evals.statistics.scores import align


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A system beside self-consistency at the system's own spend."""

    system: str
    model: str
    spend: float
    """Mean on a sample, over those that both have, as are the score and all that is told of the rival."""
    score: float
    rival_score: float
    interpolated: bool
    """Whether the rival was not cut at this spend, and its score is a mix of the two cuts around it."""
    from_spend: float
    to_spend: float
    pairs: int
    difference: Estimate
    p_value: float
    adjusted_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A system that self-consistency was not measured beside."""

    system: str
    model: str
    reason: str


def matched_dict(
    families: Sequence[Family], cuts: Mapping[str, Sequence[Cut]], *, uncut: str = ""
) -> dict[str, Json] | None:
    """Return the table at matched spend as JSON, None where self-consistency does not compete.

    Args:
        families: The cells of each model.
        cuts: Of the cells of self-consistency, by their ids.
        uncut: Why there are none.
    """
    rivals = [cell for family in families for cell in family.cells if cell.system == RIVAL]
    if not rivals:
        return None
    unit, note = _unit(rivals[0], [cut for one in cuts.values() for cut in one])
    curves, rows, unmatched = [], [], []
    for family in families:
        for rival in family.cells:
            if rival.system != RIVAL or not cuts.get(rival.cell.id):
                continue
            cut = cuts[rival.cell.id]
            told = [{"votes": one.votes, "spend": at, "score": one.score} for at, one in points_of(cut, unit).items()]
            curves.append({"model": rival.cell.model_name, "points": told})
            others = [cell for cell in family.cells if cell is not rival]
            found = matches(others, cut, unit)
            rows += [_row(one) for one in found if isinstance(one, Match)]
            unmatched += [asdict(one) for one in found if isinstance(one, Unmatched)]
    note = uncut or (note if curves else "no vote was measured")
    return {"unit": unit, "note": note, "curves": curves, "rows": rows, "unmatched": unmatched}


def _unit(rival: CellScore, cuts: Sequence[Cut]) -> tuple[Unit, str]:
    """Return the unit in which spends are matched, and how to read the table."""
    unit = unit_of(caps(rival.cell.budget))
    note = "Self-consistency is cut after so many votes on each sample, by what the journal holds. Spend is a sample's"
    if unit == "usd" and not any(cut.spend.usd for cut in cuts):
        return "tokens", f"{note} mean in tokens, as what votes cost is not known, or nothing."
    return unit, f"{note} mean in {unit}."


def _row(found: Match) -> dict[str, Json]:
    told = {name: getattr(found, name) for name in found.__slots__}
    return told | {"rival": RIVAL, "difference": estimate_dict(found.difference)}


def matches(cells: Sequence[CellScore], cuts: Sequence[Cut], unit: Unit) -> list[Match | Unmatched]:
    """Return systems of one model beside self-consistency, their tests being one family by Holm's method.

    Args:
        cells: The systems, without self-consistency.
        cuts: Of self-consistency with the same model, at least one.
        unit: In which spends are matched.
    """
    found = [_match(cell, cuts, unit, rng_of(cell.cell.selection.seed)) for cell in cells]
    adjusted = iter(holm([one.p_value for one in found if isinstance(one, Match)]))
    return [replace(one, adjusted_p=next(adjusted)) if isinstance(one, Match) else one for one in found]


def points_of(cuts: Sequence[Cut], unit: Unit) -> dict[float, Cut]:
    """Return cuts by their spend; of several that took the same, the one with the most votes."""
    known = [(cut.spend.amount(unit), cut) for cut in cuts]
    return {spend: cut for spend, cut in known if spend is not None}


def _match(cell: CellScore, cuts: Sequence[Cut], unit: Unit, rng: np.random.Generator) -> Match | Unmatched:
    def unmatched(reason: str) -> Unmatched:
        return Unmatched(system=cell.system, model=cell.cell.model_name, reason=reason)

    if not cell.measured:
        return unmatched("was measured on no sample")
    both = {row.sample_id for row in cell.measured} & {one.sample for one in cuts[0].scores}
    if not both:
        return unmatched("was measured on no sample that self-consistency was")
    rows = [row for row in cell.rows if row.sample_id in both]
    spend = mean_spend([row for row in rows if row.is_measured])
    amount = None if spend is None else spend.amount(unit)
    points = points_of([cut.on(both) for cut in cuts], unit)
    if amount is None or not points:
        return unmatched("took nobody knows how much")
    rival = samples_at([(at, cut.scores) for at, cut in points.items()], amount)
    around = bracket(list(points), amount)
    if rival is None or around is None:
        is_less = amount < min(points)
        return unmatched("spends less than one vote" if is_less else "spends more than self-consistency did")
    own = scores_of(repeats_of(rows))
    told = compare(own, rival.scores, rng=rng, names=(cell.system, RIVAL))
    assert told.difference is not None
    ends, (score, rival_score) = list(points), align([own, rival.scores]).scores.mean(axis=0).tolist()
    return Match(
        system=cell.system,
        model=cell.cell.model_name,
        spend=amount,
        score=score,
        rival_score=rival_score,
        interpolated=rival.is_interpolated,
        from_spend=ends[around.below],
        to_spend=ends[around.above],
        pairs=told.pairs,
        difference=told.difference,
        p_value=told.p_value,
        adjusted_p=told.adjusted_p,
    )
