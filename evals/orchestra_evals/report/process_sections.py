"""How answers came about: forecast beside measured, coordination, graphs, survival of long chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestra_evals.report.blocks import NOTHING, Block, Bullets, Column, Paragraph, table
from orchestra_evals.report.columns import Spread, named, spread, who
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_forecast import Forecast, ForecastRow, ProfileUsed, SurvivalCurve, Survived
from orchestra_evals.report.document_rows import Coordination, Graphs, Row
from orchestra_evals.report.wording import (
    NO_PROFILE,
    amount,
    listed,
    one_line,
    plural,
    score_with_interval,
    share,
    signed,
    spelled,
)

_FORECAST: tuple[Column[ForecastRow], ...] = (
    Column("accuracy foretold", lambda row: _range(row), is_optional=True),
    Column("at its low end", lambda row: share(row.predicted.low if row.predicted else None), is_optional=True),
    Column("accuracy measured", lambda row: score_with_interval(row.measured, row.interval)),
    Column("distance", lambda row: signed(row.error), is_optional=True),
    Column("calls foretold", lambda row: amount(row.calls.predicted)),
    Column("calls measured", lambda row: amount(row.calls.measured)),
    Column("tokens foretold", lambda row: amount(row.tokens.predicted)),
    Column("tokens measured", lambda row: amount(row.tokens.measured)),
)
_GRAPHS: tuple[Column[Row], ...] = (
    Column("split up by", lambda row: one_line(row.graphs.source), is_number=False),
    Column("graphs", lambda row: f"{row.graphs.graphs:,}"),
    Column("of one subtask", lambda row: f"{row.graphs.degenerate:,}"),
    Column("mean subtasks", lambda row: amount(row.graphs.nodes), is_optional=True),
)
_PER_STEP: tuple[Column[SurvivalCurve], ...] = (
    Column("reliability of a step (95 % interval)", lambda curve: _step(curve)),
)


def forecast(document: ComparisonDocument) -> Iterator[Block]:
    """Yield what was foretold of each system beside what came out."""
    found = document.forecast
    if found is None or not found.rows:
        yield Paragraph("Nothing was foretold.")
        return
    yield Paragraph(_profiles(found))
    caption = "What the budget model foretold beside what was measured; calls and tokens are those of a sample"
    yield table(caption, document.evidence_of(), [*who(document), *_FORECAST], document.in_rank(found.rows))


def _profiles(found: Forecast) -> str:
    profiles = found.profiles or ((found.profile,) if found.profile is not None else ())
    if not profiles:
        return spelled(found.reason or NO_PROFILE)
    return " ".join(_profile(profile) for profile in profiles)


def _profile(profile: ProfileUsed) -> str:
    kind = "SIMULATED" if profile.evidence == "simulated" else one_line(profile.evidence) or "unknown"
    assumed = [one_line(name) for name in profile.assumed]
    rest = f"; not measured but assumed: {listed(assumed, len(assumed))}" if assumed else ""
    return f"By the profile of {one_line(profile.model)}, made {one_line(profile.date)} (evidence: {kind}){rest}."


def _range(row: ForecastRow) -> str:
    found = row.predicted
    if found is None:
        return NOTHING
    if found.pessimistic == found.optimistic:
        return share(found.pessimistic)
    return f"{share(found.pessimistic)} to {share(found.optimistic)}"


def coordination(document: ComparisonDocument) -> Iterator[Block]:
    """Yield what coordination cost, and what it brought."""
    rows = [row for row in document.ranked if row.coordination]
    if not rows:
        return
    caption = "What coordination cost and brought, beside one agent; means over runs"
    yield table(caption, document.evidence_of(), [*who(document), *_COORDINATION], rows)


def _figure(name: str, say: Callable[[Coordination], str]) -> Column[Row]:
    return Column(name, lambda row: NOTHING if row.coordination is None else say(row.coordination), is_optional=True)


_COORDINATION: tuple[Column[Row], ...] = (
    _figure("turns", lambda found: amount(found.turns)),
    _figure("messages", lambda found: amount(found.messages)),
    _figure("messages a turn", lambda found: amount(found.message_density)),
    _figure("overhead, %", lambda found: amount(found.overhead_percent)),
    _figure("efficiency", lambda found: share(found.efficiency)),
    _figure("redundancy", lambda found: share(found.redundancy)),
    _figure("unproductive share", lambda found: share(found.unproductive_share)),
    _figure("failures, times", lambda found: amount(found.failure_ratio)),
    _figure("runs", lambda found: f"{found.runs:,}"),
)


def graphs(document: ComparisonDocument) -> Iterator[Block]:
    """Yield who split samples up, how many graphs degenerated, and what runs followed."""
    yield Paragraph(_split(document.graphs, document.decompose))
    made = [row for row in document.ranked if row.graphs.graphs]
    if len({row.graphs for row in made}) > 1:
        yield table("Samples that were split up", document.evidence_of(), [*who(document), *_GRAPHS], made)
    chosen = [row for row in document.ranked if len(row.decided) > 1 or (row.decided and row.system == document.pick)]
    if chosen:
        yield Paragraph("What runs followed:")
        yield Bullets(tuple(_followed(document, row) for row in chosen))


def _split(found: Graphs, decompose: str) -> str:
    if not found.graphs:
        return f"No sample was split up (--decompose {one_line(decompose)})."
    alone = f"{found.degenerate:,} of these graphs had a single subtask" if found.degenerate else "none had one subtask"
    return f"Split up by {one_line(found.source)}: {plural(found.graphs, 'graph')}; {alone}."


def _followed(document: ComparisonDocument, row: Row) -> str:
    ways = [
        f"{one_line(way.topology or NOTHING)} x {one_line(way.team or NOTHING)} on {plural(way.samples, 'sample')}"
        for way in row.decided
    ]
    model = f" with {one_line(row.model)}" if len({one.model for one in document.rows}) > 1 else ""
    return f"{named(document, row.system)}{model}: {listed(ways, len(ways))}"


def survival(document: ComparisonDocument) -> Iterator[Block]:
    """Yield the share right by number of dependent steps, and the reliability of a step."""
    curves = document.in_rank(document.survival_curves)
    if document.survival is None or not curves:
        return
    unit = one_line(document.survival.unit)
    keys = {point.steps: f"{amount(point.steps)} {unit}" for curve in curves for point in curve.points}
    rows = [
        Spread(
            system=curve.system,
            model=curve.model,
            cells={keys[point.steps]: _survived(point) for point in curve.points},
        )
        for curve in curves
    ]
    caption = f"Share of samples that are right to the end, by dependent {unit}; 95 % intervals, numbers of samples"
    yield from spread(document, caption, rows, [keys[steps] for steps in sorted(keys)])
    caption = "Reliability of one step, where a chain of n steps is right with probability p^n"
    yield table(caption, document.evidence_of(), [*who(document), *_PER_STEP], [one for one in curves if one.per_step])


def _survived(point: Survived) -> str:
    return f"{score_with_interval(point.score, point)}, n {point.n:,}"


def _step(curve: SurvivalCurve) -> str:
    found = curve.per_step
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return f"{found.value:.5f}"
    return f"{found.value:.5f} ({found.low:.5f} to {found.high:.5f})"
