"""How a report is to be read: what its intervals, tests and ends mean."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra_evals.report.document import ComparisonDocument

_INTERVALS = (
    "Intervals are of level 95 %, over samples, those of one family counting as one: a bootstrap, or exact where "
    "few samples differ."
)
_SCORED = (
    "Only what was measured is scored: what the cap did not pay for, or errors lost, is not counted as wrong. The "
    "highest of several scores is too high on average."
)
_CAP = (
    "The cap is the most that a system may spend, the same for all. Self-consistency spends it on votes, others "
    "stop when they are done: compare at equal spend, not at equal cap."
)
_DIFFERENCES = (
    "A difference is that of two systems on the same samples. Its p value (McNemar's test where scores are 0 or "
    "1, else random signs; mid-p) is adjusted by Holm's method over all systems beside the baseline. Where no "
    "difference is shown there may still be one, below the minimum detectable effect."
)
_EQUAL_SPEND = (
    "At equal spend a system stands beside self-consistency cut after so many votes that it spends the same. An "
    "interpolated score mixes those of the two cuts around; nothing is extrapolated."
)
_REGRET = (
    "Regret is how far the pick stayed below the best wiring. The upper end takes the best by the samples it is "
    "measured on, which is too much on average; the lower end takes the best of one half and measures it on the "
    "other, which is too little on average."
)
_FORECAST = (
    "A forecast of accuracy has two ends: pessimistic, where a wrong result spoils all that rests on it, and "
    "optimistic, where it does so no more often than was measured. The distance is the measured score less the "
    "nearer end, 0 between them. At its low end also the profile is taken at its pessimistic ends."
)
_SURVIVAL = (
    "The reliability of a step is the p for which p^n fits best, as if all steps failed alike and on their own. "
    "Beyond the longest chain the figure is extrapolated, not measured."
)


def how_to_read(document: ComparisonDocument) -> tuple[str, ...]:
    """Return what a reader must know of the figures that there are."""
    return tuple(_notes(document))


def _notes(document: ComparisonDocument) -> Iterator[str]:
    yield from (_INTERVALS, _SCORED, _CAP)
    if document.differences:
        yield _DIFFERENCES
    if document.matched is not None and document.matched.rows:
        yield _EQUAL_SPEND
    if document.regret is not None and document.regret.models:
        yield _REGRET
    if document.forecast is not None and any(row.predicted for row in document.forecast.rows):
        yield _FORECAST
    if document.survival_curves:
        yield _SURVIVAL
