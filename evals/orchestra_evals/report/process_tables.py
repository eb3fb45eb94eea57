"""How answers came about: forecast beside measured, coordination, graphs, difficulty and length of chains."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra_evals.report.blocks import NOTHING, Block, Bullets, Column, Table, Text, table
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.laws import Forecast, ForecastRow, ProfileUsed, SurvivalCurve
from orchestra_evals.report.parts import AtDifficulty, Row
from orchestra_evals.report.score_tables import who
from orchestra_evals.report.wording import (
    amount,
    estimate,
    listed,
    mean,
    one_line,
    plural,
    quoted,
    share,
    share_with_interval,
    signed,
    spelled,
)


def forecast(document: ComparisonDocument) -> Iterator[Block]:
    """Yield what was foretold of each system beside what came out."""
    found = document.forecast
    if found is None or not found.rows:
        yield Text("Nothing was foretold.")
        return
    yield Text(_profiles(found))
    rows = [row for row in document.in_rank(found.rows) if row.predicted or row.tokens.get("predicted")]
    if rows:
        caption = "What the budget model foretold beside what was measured; calls and tokens are those of a sample"
        is_foretold = any(row.predicted for row in rows)
        columns = _FORECAST if is_foretold else [one for one in _FORECAST if "accuracy" not in one.name]
        yield table(caption, document.evidence_of(), [*who(document), *columns], rows)


def _profiles(found: Forecast) -> str:
    profiles = found.profiles or ((found.profile,) if found.profile is not None else ())
    return " ".join(map(_profile, profiles)) or spelled(found.reason or "no accuracy was foretold")


def _profile(profile: ProfileUsed) -> str:
    kind = "SIMULATED" if profile.evidence == "simulated" else one_line(profile.evidence) or "unknown"
    assumed = [one_line(name) for name in profile.assumed]
    rest = f"; not measured but assumed: {listed(assumed, len(assumed))}" if assumed else ""
    took = [f"{amount((profile.took or {}).get(unit))} {unit}" for unit in ("calls", "tokens")]
    cost = f"; measuring it took {' and '.join(took)} beside the caps" if profile.took else ""
    return f"By the profile of {one_line(profile.model)}, made {one_line(profile.date)} (evidence: {kind}){rest}{cost}."


def _range(row: ForecastRow) -> str:
    if row.predicted is None:
        return NOTHING
    ends = dict.fromkeys((share(row.predicted.pessimistic), share(row.predicted.optimistic)))
    return " to ".join(ends)


_FORECAST: tuple[Column[ForecastRow], ...] = (
    Column("accuracy foretold", _range),
    Column("at its low end", lambda row: share(row.predicted.low if row.predicted else None)),
    Column("accuracy measured", lambda row: share_with_interval(row.measured, row.interval)),
    Column("distance", lambda row: signed(row.error)),
    Column("calls foretold", lambda row: amount(row.calls.get("predicted"))),
    Column("calls measured", lambda row: amount(row.calls.get("measured"))),
    Column("tokens foretold", lambda row: amount(row.tokens.get("predicted"))),
    Column("tokens measured", lambda row: amount(row.tokens.get("measured"))),
)


def coordination(document: ComparisonDocument) -> Iterator[Table]:
    """Yield what coordination cost, and what it brought; figures that are 0 of all systems are left out."""
    rows = [row for row in document.ranked if row.coordination]
    names = [name for name in _COORDINATION if any((row.coordination or {}).get(name) for row in rows)]
    if names:
        columns: list[Column[Row]] = [
            *who(document),
            *map(_figure, names),
            Column(_E3, lambda row: estimate(row.e_cubed)),
        ]
        caption = "What coordination cost and brought, beside one agent; means over runs"
        yield table(caption, document.evidence_of(), columns, rows)


_E3 = "E3, score² per output token"
_COORDINATION: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "turns": ("turns", amount),
    "messages": ("messages", amount),
    "message_density": ("messages a turn", amount),
    "overhead_percent": ("overhead, %", amount),
    "efficiency": ("efficiency", share),
    "redundancy": ("redundancy", share),
    "unproductive_share": ("unproductive share", share),
    "failure_ratio": ("failures, times", amount),
}


def _figure(name: str) -> Column[Row]:
    told, write = _COORDINATION[name]
    return Column(told, lambda row: write((row.coordination or {}).get(name)))


def graphs(document: ComparisonDocument) -> Iterator[Block]:
    """Yield who split samples up, how many graphs degenerated, and what the pick's runs followed."""
    found = document.graphs
    alone = f"{found.degenerate:,} of these graphs had a single subtask" if found.degenerate else "none had one subtask"
    yield Text(
        f"Split up by {one_line(found.source)}: {plural(found.graphs, 'graph')}; {alone}."
        if found.graphs
        else f"No sample was split up (--decompose {one_line(document.decompose)})."
    )
    followed = [row for row in document.ranked if row.system == document.pick and row.decided]
    if followed:
        yield Bullets(tuple(_followed(document, row) for row in followed))


def _followed(document: ComparisonDocument, row: Row) -> str:
    ways = [
        f"{one_line(way.topology or NOTHING)} x {one_line(way.team or NOTHING)} on {plural(way.samples, 'sample')}"
        for way in row.decided
    ]
    model = f" with {quoted(row.model)}" if len(document.models) > 1 else ""
    return f"The pick {quoted(row.system)}{model} followed {listed(ways, len(ways))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """A row whose cells are found by the names of their columns."""

    system: str
    model: str
    cells: Mapping[str, str]


def _spread(document: ComparisonDocument, caption: str, rows: Sequence[_Spread], names: Sequence[str]) -> Table:
    columns: list[Column[_Spread]] = [*who(document), *map(_column, names)]
    return table(f"{caption}, with 95 % intervals and numbers of samples", document.evidence_of(), columns, rows)


def _column(name: str) -> Column[_Spread]:
    return Column(name, lambda row: row.cells.get(name, NOTHING))


def by_difficulty(document: ComparisonDocument) -> Iterator[Table]:
    """Yield the scores at each difficulty, where there are several, and no chains that tell the same."""
    names = list(dict.fromkeys(_place(at) for row in document.rows for at in row.by_difficulty))
    told = [[(at.n, at.score) for at in row.by_difficulty] for row in document.ranked if row.by_difficulty]
    chains = [[(one.n, one.score) for one in curve.points] for curve in document.survival_curves]
    if len(names) > 1 and [Counter(one) for one in told] != [Counter(one) for one in chains]:
        cells = [{_place(at): f"{mean(at)}, n {at.n:,}" for at in row.by_difficulty} for row in document.ranked]
        rows = [
            _Spread(system=row.system, model=row.model, cells=told)
            for row, told in zip(document.ranked, cells, strict=True)
        ]
        yield _spread(document, "Scores by difficulty", rows, names)


def _place(at: AtDifficulty) -> str:
    said = {axis: value if isinstance(value, str) else json.dumps(value) for axis, value in at.difficulty.items()}
    return one_line(", ".join(f"{axis}={value}" for axis, value in said.items())) or "all of one kind"


def survival(document: ComparisonDocument) -> Iterator[Table]:
    """Yield the reliability of a step, and the share right by number of dependent steps."""
    if document.survival is None or not document.survival_curves:
        return
    unit = one_line(document.survival.unit)
    steps = sorted({point.steps for curve in document.survival_curves for point in curve.points})
    rows = [
        _Spread(system=curve.system, model=curve.model, cells=_cells(curve, unit)) for curve in document.survival_curves
    ]
    caption = f"Share of samples that are right to the end, by dependent {unit}"
    yield _spread(document, caption, rows, [_STEP, *(f"{amount(one)} {unit}" for one in steps)])


_STEP = "reliability of a step"


def _cells(curve: SurvivalCurve, unit: str) -> dict[str, str]:
    found, told = curve.per_step, {}
    if found is not None:
        ends = "" if found.low is None or found.high is None else f" ({found.low:.5f} to {found.high:.5f})"
        told[_STEP] = f"{found.value:.5f}{ends}"
    points = {f"{amount(one.steps)} {unit}": one for one in curve.points}
    return told | {name: f"{share_with_interval(one.score, one)}, n {one.n:,}" for name, one in points.items()}
