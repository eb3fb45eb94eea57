"""What systems came to beside each other: differences, regret of the pick, equal spend, topologies beside models."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra_evals.report.blocks import NOTHING, Block, Bullets, Column, Paragraph, table
from orchestra_evals.report.columns import who
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_findings import Cut, Difference, Matched, MatchedRow, ModelRegret
from orchestra_evals.report.wording import (
    UNITS,
    amount,
    difference_with_interval,
    listed,
    one_line,
    p_value,
    plural,
    quoted,
    share,
    span,
    spelled,
)

_DIFFERENCES: tuple[Column[Difference], ...] = (
    Column("difference (95 % interval)", lambda found: difference_with_interval(found.difference)),
    Column("pairs", lambda found: f"{found.pairs:,}"),
    Column("left out", lambda found: f"{found.left_out:,}" if found.left_out else NOTHING, is_optional=True),
    Column("wins", lambda found: f"{found.wins:,}"),
    Column("losses", lambda found: f"{found.losses:,}"),
    Column("test", lambda found: one_line(found.test) or NOTHING, is_number=False),
    Column("p", lambda found: p_value(found.p_value)),
    Column("adjusted p", lambda found: p_value(found.adjusted_p)),
    Column("detectable", lambda found: share(found.detectable)),
    Column("finding", lambda found: one_line(found.finding), is_number=False),
)
_MATCHED: tuple[Column[MatchedRow], ...] = (
    Column("spend a sample", lambda row: amount(row.spend)),
    Column("score", lambda row: share(row.score)),
    Column("self-consistency", lambda row: share(row.rival_score)),
    Column("interpolated", lambda row: _interpolated(row), is_number=False),
    Column("difference (95 % interval)", lambda row: difference_with_interval(row.difference)),
    Column("pairs", lambda row: f"{row.pairs:,}"),
    Column("p", lambda row: p_value(row.p_value)),
    Column("adjusted p", lambda row: p_value(row.adjusted_p)),
)
_REGRET: tuple[Column[ModelRegret], ...] = (
    Column("model", lambda found: one_line(found.model), is_number=False),
    Column("best", lambda found: one_line(found.best), is_number=False),
    Column("alternatives", lambda found: f"{found.alternatives:,}"),
    Column("regret, upper end", lambda found: share(found.value)),
    Column("95 % interval", span),
    Column("regret, lower end", lambda found: share(found.split)),
    Column("left out", lambda found: f"{found.left_out:,}" if found.left_out else NOTHING, is_optional=True),
)
_CUTS: tuple[Column[tuple[str, Cut]], ...] = (
    Column("model", lambda found: one_line(found[0]), is_number=False),
    Column("votes", lambda found: f"{found[1].votes:,}"),
    Column("spend a sample", lambda found: amount(found[1].spend)),
    Column("score", lambda found: share(found[1].score)),
)


def differences(document: ComparisonDocument) -> Iterator[Block]:
    """Yield how each system compares with the baseline."""
    if not document.differences:
        yield Paragraph("There is no other system to compare with the baseline.")
        return
    caption = f"Each system less the baseline {one_line(document.baseline)}, on the samples of both"
    ranked = sorted(document.differences, key=lambda one: -2.0 if one.difference is None else -one.difference.value)
    yield table(caption, document.evidence_of(), [*who(document), *_DIFFERENCES], ranked)


def regret(document: ComparisonDocument) -> Iterator[Block]:
    """Yield what the pick lost."""
    if document.regret is not None and document.regret.models:
        caption = f"What {one_line(document.regret.pick)} lost against the best of the other wirings"
        yield table(caption, document.evidence_of(), _REGRET, document.regret.models)


def convergence(document: ComparisonDocument) -> Iterator[Block]:
    """Yield whether topologies matter more than models, where there are several of both."""
    found = document.convergence
    if found is None:
        return
    parts = [
        f"Over {plural(found.topologies, 'topology', 'topologies')} with one model scores have the variance "
        f"{amount(found.over_topologies)}, over {plural(found.models, 'model')} with one topology "
        f"{amount(found.over_models)}."
    ]
    if found.share is not None:
        parts.append(f"Topologies have {share(found.share.value)} of both (95 % interval {span(found.share)}).")
    if found.note:
        parts.append(f"This is {one_line(found.note)}.")
    yield Paragraph(" ".join(parts))


def equal_spend(document: ComparisonDocument) -> Iterator[Block]:
    """Yield how systems compare with self-consistency at what each of them spends."""
    matched = document.matched
    if matched is None:
        yield Paragraph("Nothing is compared at equal spend: there are no votes of self-consistency to cut.")
        return
    if matched.note:
        yield Paragraph(spelled(matched.note))
    evidence, unit = document.evidence_of(), UNITS[matched.unit]
    if matched.rows:
        caption = f"Each system beside self-consistency that spends as much, in {unit} a sample"
        yield table(caption, evidence, [*who(document), *_MATCHED], document.in_rank(matched.rows))
    cuts = [(curve.model, cut) for curve in matched.curves for cut in curve.points]
    if cuts:
        caption = f"Self-consistency cut after so many votes on each sample, in {unit} a sample"
        columns = [column for column in _CUTS if column.name != "model" or len(matched.curves) > 1]
        yield table(caption, evidence, columns, cuts)
    reasons = dict.fromkeys(one.reason for one in matched.unmatched)
    if reasons:
        yield Paragraph("Not compared at equal spend:")
        yield Bullets(tuple(_unmatched(document, matched, reason) for reason in reasons))


def _unmatched(document: ComparisonDocument, matched: Matched, reason: str) -> str:
    found = [one for one in matched.unmatched if one.reason == reason]
    with_model = len({row.model for row in document.rows}) > 1
    names = [quoted(one.system) + (f" with {quoted(one.model)}" if with_model else "") for one in found]
    return f"{one_line(reason)}: {listed(names, len(names))}"


def _interpolated(row: MatchedRow) -> str:
    if not row.interpolated:
        return "no"
    return f"between {amount(row.from_spend)} and {amount(row.to_spend)}"
