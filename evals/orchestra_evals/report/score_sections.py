"""What each system scored and spent: the sections of a report that look at one row at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from orchestra_evals.report.blocks import NOTHING, Block, Column, Table, table
from orchestra_evals.report.columns import Spread, spread, who
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_rows import AtDifficulty, Confidence, Row
from orchestra_evals.report.wording import (
    UNITS,
    amount,
    estimate,
    one_line,
    score_with_interval,
    share,
    span,
    tally,
)

_SPENDING: tuple[Column[Row], ...] = (
    Column("tokens per success", lambda row: estimate(row.tokens_per_success)),
    Column("USD per success", lambda row: estimate(row.cost_per_success), is_optional=True),
    Column("E3, score² per output token", lambda row: estimate(row.e_cubed), is_optional=True),
    Column("calls a sample", lambda row: amount(row.spent_a_sample.calls)),
    Column("USD a sample", lambda row: amount(row.spent_a_sample.cost_usd), is_optional=True),
    Column("seconds of all runs", lambda row: amount(row.seconds), is_optional=True),
)
_REPEATS: tuple[Column[Row], ...] = (
    Column("repeats", lambda row: str(row.repeats.count)),
    Column("worst", lambda row: share(row.repeats.worst_of_n)),
    Column("mean", lambda row: share(row.score)),
    Column("majority", lambda row: share(row.repeats.majority)),
    Column("best, an upper bound", lambda row: share(row.repeats.best_of_n)),
)


def scores(document: ComparisonDocument) -> Iterator[Table]:
    """Yield the table of rows, and what is told of them in more detail."""
    yield _scores(document)
    kinds = dict.fromkeys(kind for row in document.ranked for kind in row.outcomes)
    if kinds:
        yield _detail(document, "What came of the answers that were measured", [_outcome(kind) for kind in kinds])
    yield _detail(document, "Spending in detail, with 95 % intervals", _SPENDING)
    if any(row.repeats.count > 1 for row in document.rows):
        yield _detail(document, "Scores over the repeats of each sample", _REPEATS)
    with_confidence = [row for row in document.ranked if row.confidence]
    if with_confidence:
        caption = "Confidences as probabilities of a right answer"
        yield table(caption, document.evidence_of(), [*who(document), *_CONFIDENCE], with_confidence)


def _scores(document: ComparisonDocument) -> Table:
    columns: list[Column[Row]] = [
        Column("score", lambda row: share(row.score)),
        Column("95 % interval", lambda row: NOTHING if row.score is None else span(row.interval)),
        Column("n", lambda row: f"{row.n:,}"),
        Column("spent, of the cap", _spent),
        Column("tokens a sample", lambda row: amount(row.spent_a_sample.tokens)),
        Column(
            "tokens per success", lambda row: amount(row.tokens_per_success.value if row.tokens_per_success else None)
        ),
        Column("asked again", lambda row: tally(row.retried), is_optional=True),
        Column("score without those", _without_retried, is_optional=True),
        Column("unpaid", lambda row: tally(row.statuses.get("budget", 0)), is_optional=True),
        Column("lost", lambda row: tally(row.statuses.get("infra_error", 0)), is_optional=True),
        Column("not asked", lambda row: tally(row.statuses.get("missing", 0)), is_optional=True),
        Column("answer too long for a reply", lambda row: tally(row.infeasible), is_optional=True),
    ]
    return _detail(document, "Scores, the highest first", columns)


def _detail(document: ComparisonDocument, caption: str, columns: Sequence[Column[Row]]) -> Table:
    return table(caption, document.evidence_of(), [*who(document), *columns], document.ranked)


def _outcome(kind: str) -> Column[Row]:
    return Column(one_line(kind), lambda row: str(row.outcomes.get(kind, 0)))


def _confidence(name: str, say: Callable[[Confidence], str]) -> Column[Row]:
    return Column(name, lambda row: NOTHING if row.confidence is None else say(row.confidence), is_optional=True)


_CONFIDENCE: tuple[Column[Row], ...] = (
    _confidence("Brier score", lambda found: share(found.brier)),
    _confidence("Brier skill", lambda found: estimate(found.skill)),
    _confidence("calibration error (ECE)", lambda found: share(found.ece)),
    _confidence("AUC", lambda found: share(found.auc)),
    _confidence("runs without one", lambda found: f"{found.left_out:,}"),
)


def _spent(row: Row) -> str:
    """Return what a row spent beside its cap, in the units of the cap; in tokens where it has none of these."""
    found = {"tokens": row.spent.tokens, "calls": row.spent.calls, "usd": row.spent.cost_usd}
    told = [
        f"{'unknown' if found[unit] is None else amount(found[unit])} of {amount(row.cap[unit])} {word}"
        for unit, word in UNITS.items()
        if unit in row.cap
    ]
    return "; ".join(told) or f"{amount(row.spent.tokens)} tokens, no cap"


def _without_retried(row: Row) -> str:
    found = row.without_retried
    return NOTHING if not row.retried or found is None else score_with_interval(found.score, found.interval)


def by_difficulty(document: ComparisonDocument) -> Iterator[Block]:
    """Yield the scores at each difficulty, where there are several."""
    labels = list(dict.fromkeys(_place(at) for row in document.rows for at in row.by_difficulty))
    if len(labels) < 2:
        return
    rows = [
        Spread(system=row.system, model=row.model, cells={_place(at): _at(at) for at in row.by_difficulty})
        for row in document.ranked
    ]
    yield from spread(document, "Scores by difficulty, with 95 % intervals and numbers of samples", rows, labels)


def _place(at: AtDifficulty) -> str:
    said = ", ".join(f"{axis}={_value(value)}" for axis, value in at.difficulty.items())
    return one_line(said) or "all of one kind"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _at(at: AtDifficulty) -> str:
    return NOTHING if at.score is None else f"{score_with_interval(at.score, at.interval)}, n {at.n:,}"
