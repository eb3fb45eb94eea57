"""What systems scored and spent, and what they came to beside the baseline and at equal spend."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestra_evals.report.blocks import NOTHING, Block, Bullets, Column, Text, table
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.parts import SPENT, Confidence, Cut, Difference, MatchedRow, Named, Row
from orchestra_evals.report.wording import (
    UNITS,
    amount,
    difference,
    estimate,
    listed,
    mean,
    one_line,
    p_value,
    plural,
    quoted,
    share,
    span,
    spelled,
    tally,
)


def who(document: ComparisonDocument) -> tuple[Column[Named], ...]:
    """Return the columns by which a table tells its rows: system, and model and evidence where these differ."""
    found: list[Column[Named]] = [Column("system", lambda row: _marked(document, row.system), is_number=False)]
    if len(document.models) > 1:
        found.append(Column("model", lambda row: one_line(row.model), is_number=False))
    if document.evidence_of() == "real and SIMULATED":
        found.append(Column("evidence", lambda row: _evidence(document, row), is_number=False))
    return tuple(found)


def _marked(document: ComparisonDocument, system: str) -> str:
    marks = {document.baseline: " (baseline)", document.pick: " (pick)"}
    return f"{one_line(system)}{marks.get(system, '')}"


def _evidence(document: ComparisonDocument, named: Named) -> str:
    rows = [row for row in document.rows if (row.system, row.model) == (named.system, named.model)]
    return document.evidence_of(rows) if any(row.score is not None for row in rows) else NOTHING


def scores(document: ComparisonDocument) -> Iterator[Block]:
    """Yield the rows, and what is told of repeats and confidences where these say something."""
    names, evidence, rows = who(document), document.evidence_of(), document.ranked
    yield table("Scores, the highest first, with 95 % intervals", evidence, [*names, *_SCORES], rows)
    if document.repeats > 1:
        yield table("Scores over the repeats of each sample", evidence, [*names, *_REPEATS], rows)
    if any(row.confidence and row.confidence.auc is not None for row in rows):
        caption = "Confidences as probabilities of a right answer"
        confident = [row for row in rows if row.confidence]
        yield table(caption, evidence, [*names, *_CONFIDENCES], confident)


def _is_uncounted(row: Row) -> bool:
    """Return whether nobody knows what a system of a user's own spent, as it asked no model of ours."""
    return row.kind == "own" and not row.spent.get("calls")


def _spent(row: Row) -> str:
    """Return what a row spent beside its cap, in the units of the cap; in tokens where it has none of these."""
    if _is_uncounted(row):
        return "not counted"
    found = {unit: row.spent.get(name) for unit, name in SPENT.items() if unit in row.cap}
    told = [
        f"{'unknown' if spent is None else amount(spent)} of {amount(row.cap[unit])} {UNITS[unit]}"
        for unit, spent in found.items()
    ]
    return "; ".join(told) or f"{amount(row.spent.get('tokens'))} tokens, no cap"


def _priced(row: Row, told: str) -> str:
    """Return what is said of a row's cost, nothing where it cost nothing, as with a local or simulated model."""
    return told if row.spent.get("cost_usd") else NOTHING


_SCORES: tuple[Column[Row], ...] = (
    Column("score", mean),
    Column("n", lambda row: f"{row.n:,}"),
    Column("spent, of the cap", _spent),
    Column("tokens a sample", lambda row: amount(None if _is_uncounted(row) else row.spent_a_sample.get("tokens"))),
    Column("calls a sample", lambda row: amount(None if _is_uncounted(row) else row.spent_a_sample.get("calls"))),
    Column("USD a sample", lambda row: _priced(row, amount(row.spent_a_sample.get("cost_usd")))),
    Column("tokens per success", lambda row: estimate(row.tokens_per_success)),
    Column("USD per success", lambda row: _priced(row, estimate(row.cost_per_success))),
    Column("malformed", lambda row: tally(row.outcomes.get("malformed", 0))),
    Column("failed", lambda row: tally(row.outcomes.get("failed", 0))),
    Column("asked again", lambda row: tally(row.retried)),
    Column("score without those", lambda row: mean(row.without_retried) if row.retried else NOTHING),
    Column("unpaid", lambda row: tally(row.statuses.get("budget", 0))),
    Column("lost", lambda row: tally(row.statuses.get("infra_error", 0))),
    Column("not asked", lambda row: tally(row.statuses.get("missing", 0))),
    Column("answer too long for a reply", lambda row: tally(row.infeasible)),
)
_REPEATS: tuple[Column[Row], ...] = (
    Column("repeats", lambda row: amount(row.repeats.get("count"))),
    Column("worst", lambda row: share(row.repeats.get("worst_of_n"))),
    Column("mean", lambda row: share(row.score)),
    Column("majority", lambda row: share(row.repeats.get("majority"))),
    Column("best, an upper bound", lambda row: share(row.repeats.get("best_of_n"))),
)


def _confidence(name: str, say: Callable[[Confidence], str]) -> Column[Row]:
    return Column(name, lambda row: NOTHING if row.confidence is None else say(row.confidence))


_CONFIDENCES = (
    _confidence("Brier score", lambda found: share(found.brier)),
    _confidence("Brier skill", lambda found: estimate(found.skill)),
    _confidence("calibration error (ECE)", lambda found: share(found.ece)),
    _confidence("AUC", lambda found: share(found.auc)),
    _confidence("runs without one", lambda found: tally(found.left_out)),
)


def differences(document: ComparisonDocument) -> Iterator[Block]:
    """Yield how each system compares with the baseline, and whether topologies matter more than models."""
    if not document.differences:
        yield Text("There is no other system to compare with the baseline.")
        return
    caption = f"Each system less the baseline {one_line(document.baseline)}, on the samples of both"
    ranked = sorted(document.differences, key=lambda one: 2.0 if one.difference is None else -one.difference.value)
    tests = len({one.test for one in ranked}) > 1
    columns = [column for column in _DIFFERENCES if tests or column.name != "test"]
    yield table(caption, document.evidence_of(), [*who(document), *columns], ranked)
    found = document.convergence
    if found is not None:
        told = (
            "" if found.share is None else f" {share(found.share.value)} of both (95 % interval {span(found.share)}),"
        )
        yield Text(
            f"Over {plural(found.topologies, 'topology', 'topologies')} with one model scores have the variance "
            f"{amount(found.over_topologies)},{told} over {plural(found.models, 'model')} with one topology "
            f"{amount(found.over_models)}{f': {one_line(found.note)}' if found.note else ''}."
        )


_DIFFERENCES: tuple[Column[Difference], ...] = (
    Column("difference (95 % interval)", lambda found: difference(found.difference)),
    Column("pairs", lambda found: f"{found.pairs:,}"),
    Column("left out", lambda found: tally(found.left_out)),
    Column("wins", lambda found: f"{found.wins:,}"),
    Column("losses", lambda found: f"{found.losses:,}"),
    Column("test", lambda found: one_line(found.test) or NOTHING, is_number=False),
    Column("p", lambda found: p_value(found.p_value)),
    Column("adjusted p", lambda found: p_value(found.adjusted_p)),
    Column("detectable", lambda found: share(found.detectable)),
    Column("finding", lambda found: one_line(found.finding.partition(";")[0]), is_number=False),
)


def equal_spend(document: ComparisonDocument) -> Iterator[Block]:
    """Yield how systems compare with self-consistency at what each of them spends."""
    matched = document.matched
    if matched is None:
        yield Text("Nothing is compared at equal spend: there are no votes of self-consistency to cut.")
        return
    if matched.note:
        yield Text(spelled(matched.note))
    evidence, unit = document.evidence_of(), UNITS[matched.unit]
    if matched.rows:
        caption = f"Each system beside self-consistency that spends as much, in {unit} a sample"
        yield table(caption, evidence, [*who(document), *_MATCHED], document.in_rank(matched.rows))
    cuts = [(curve.model, cut) for curve in matched.curves for cut in curve.points]
    if cuts:
        caption = f"Self-consistency cut after so many votes on each sample, in {unit} a sample"
        yield table(caption, evidence, _CUTS if len(matched.curves) > 1 else _CUTS[1:], cuts)
    reasons: dict[str, list[str]] = {}
    for one in matched.unmatched:
        model = f" with {quoted(one.model)}" if len(document.models) > 1 else ""
        reasons.setdefault(one_line(one.reason), []).append(f"{quoted(one.system)}{model}")
    if reasons:
        yield Text("Not compared at equal spend:")
        yield Bullets(tuple(f"{reason}: {listed(names, len(names))}" for reason, names in reasons.items()))


def _interpolated(row: MatchedRow) -> str:
    return f"between {amount(row.from_spend)} and {amount(row.to_spend)}" if row.interpolated else "no"


_MATCHED: tuple[Column[MatchedRow], ...] = (
    Column("spend a sample", lambda row: amount(row.spend)),
    Column("score", lambda row: share(row.score)),
    Column("self-consistency", lambda row: share(row.rival_score)),
    Column("interpolated", _interpolated, is_number=False),
    Column("difference (95 % interval)", lambda row: difference(row.difference)),
    Column("pairs", lambda row: f"{row.pairs:,}"),
    Column("p", lambda row: p_value(row.p_value)),
    Column("adjusted p", lambda row: p_value(row.adjusted_p)),
)
_CUTS: tuple[Column[tuple[str, Cut]], ...] = (
    Column("model", lambda found: one_line(found[0]), is_number=False),
    Column("votes", lambda found: f"{found[1].votes:,}"),
    Column("spend a sample", lambda found: amount(found[1].spend)),
    Column("score", lambda found: share(found[1].score)),
)
