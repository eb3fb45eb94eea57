"""What came out, in three to six sentences that are true of the document whatever it holds."""

from __future__ import annotations

from orchestra_evals.report.best_finding import best_with
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_findings import Detectable, MatchedRow, ModelRegret
from orchestra_evals.report.document_forecast import Forecast, ForecastRow
from orchestra_evals.report.wording import (
    NO_PROFILE,
    UNITS,
    amount,
    caps,
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
from orchestra_evals.statistics.aims import LEVEL


def findings(document: ComparisonDocument) -> tuple[str, ...]:
    """Return what was best, what was shown at all and at equal spend, and what came of pick, forecast and cap."""
    makers = (_best, _shown, _at_equal_spend, _regret, _foretold, _paid)
    return tuple(spelled(said) for make in makers if (said := make(document)))


def _best(document: ComparisonDocument) -> str:
    if all(row.score is None for row in document.rows):
        return "nothing was measured: no system has a score"
    return _by_model({model: best_with(document, model) for model in document.groups})


def _by_model(said: dict[str, str]) -> str:
    """Return what is said of each model, the model named where there are several."""
    if len(said) == 1:
        return "".join(said.values())
    return "; ".join(f"with {quoted(model)} {clause}" for model, clause in said.items())


def _shown(document: ComparisonDocument) -> str:
    found = [one for one in document.differences if one.difference is not None]
    if not found:
        return ""
    better, worse = sum(one.is_better for one in found), sum(one.is_worse for one in found)
    family = " within each model" if len(document.groups) > 1 else ""
    counts = (
        f"of {plural(len(found), 'comparison')} with the baseline, corrected by Holm's method{family}, {better} came "
        f"out better, {worse} worse, and {len(found) - better - worse} without a difference shown"
    )
    return counts if document.mde is None else f"{counts}; {_detectable(document.mde)}"


def _detectable(mde: Detectable) -> str:
    where = "" if mde.discordance is None else f" of which two systems differ on {mde.discordance:.0%}"
    on = f"on {plural(mde.n, 'independent sample')}{where}"
    if mde.effect is None:
        return f"{on}, no difference is found with probability {mde.power:g}, however large"
    return f"{on}, a difference of {share(mde.effect)} is found with probability {mde.power:g}"


def _at_equal_spend(document: ComparisonDocument) -> str:
    matched = document.matched
    if matched is None or not (matched.rows or matched.unmatched):
        return ""
    told = [(one, one.difference) for one in matched.rows if one.difference is not None]
    if not told:
        return "no system could be compared with self-consistency at equal spend"
    shown = [apart.value for one, apart in told if one.adjusted_p is not None and one.adjusted_p < LEVEL]
    better, worse = sum(value > 0 for value in shown), sum(value < 0 for value in shown)
    most, apart = max(told, key=lambda one: one[1].value)
    return (
        f"at equal spend in {UNITS[matched.unit]}, {better} of {plural(len(told), 'comparison')} came out "
        f"better than self-consistency and {worse} worse; the largest difference is that of {_who(document, most)}, "
        f"{difference_with_interval(apart)}, adjusted p {p_value(most.adjusted_p)}"
    )


def _who(document: ComparisonDocument, row: MatchedRow | ForecastRow) -> str:
    return quoted(row.system) + (f" with {quoted(row.model)}" if len(document.groups) > 1 else "")


def _regret(document: ComparisonDocument) -> str:
    if document.regret is None or not document.regret.models:
        return ""
    said = {one.model: _lost(one) for one in document.regret.models}
    return f"regret of the pick {quoted(document.regret.pick)}: {_by_model(said)}"


def _lost(found: ModelRegret) -> str:
    others = plural(found.alternatives, "other wiring")
    if found.value <= 0:
        nobody = f"none of {others} scored" if found.alternatives > 1 else "the only other wiring did not score"
        return f"{nobody} above it (95 % interval {span(found)})"
    least = "" if found.split is None else f"; estimated by halves of the samples, {share(found.split)}"
    return f"{share(found.value)} (95 % interval {span(found)}) below {quoted(found.best)}, the best of {others}{least}"


def _foretold(document: ComparisonDocument) -> str:
    forecast = document.forecast
    if forecast is None:
        return "nothing was foretold"
    return "; ".join(filter(None, (_accuracy(document, forecast), _tokens(forecast))))


def _accuracy(document: ComparisonDocument, forecast: Forecast) -> str:
    errors = [(abs(one.error), one) for one in forecast.rows if one.error is not None]
    if not errors:
        if any(one.predicted is not None for one in forecast.rows):
            return "of the accuracies that were foretold none was measured"
        return (
            one_line(forecast.reason).rstrip(".") or NO_PROFILE
            if forecast.profile is None
            else "no accuracy was foretold"
        )
    inside = sum(error == 0 for error, _ in errors)
    mean = sum(error for error, _ in errors) / len(errors)
    largest, farthest = max(errors, key=lambda one: one[0])
    off = f", the largest {share(largest)}, that of {_who(document, farthest)}" if largest else ""
    return (
        f"{inside} of {plural(len(errors), 'accuracy', 'accuracies')} came out within what was "
        f"foretold; the mean distance to it is {share(mean)}{off}"
    )


def _tokens(forecast: Forecast) -> str:
    ratios = sorted(ratio for one in forecast.rows if (ratio := _ratio(one)) is not None)
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"the tokens of a sample were {amount(ratios[0])} times those foretold"
    return f"the tokens of a sample were {amount(ratios[0])} to {amount(ratios[-1])} times those foretold"


def _ratio(row: ForecastRow) -> float | None:
    predicted, measured = row.tokens.predicted, row.tokens.measured
    return measured / predicted if predicted and measured is not None else None


def _paid(document: ComparisonDocument) -> str:
    asked = sum(sum(row.statuses.values()) for row in document.rows)
    if not asked:
        return "no sample was asked"
    unpaid = [(row, row.statuses["budget"]) for row in document.rows if row.statuses.get("budget")]
    total = f"{sum(count for _, count in unpaid):,} of {asked:,} answers"
    if not document.cap:
        said = "there was no cap"
    elif not unpaid:
        said = f"the cap of {caps(document.cap)} for each system paid for all samples that were asked"
    else:
        names = listed([f"{quoted(row.system)} ({count:,})" for row, count in unpaid])
        said = f"the cap of {caps(document.cap)} for each system did not pay for {total}: {names}"
    lost = sum(row.statuses.get("infra_error", 0) for row in document.rows)
    missing = sum(row.statuses.get("missing", 0) for row in document.rows)
    more = [f"{lost:,} of {asked:,} answers were lost to errors"] if lost else []
    more += [f"{missing:,} of {asked:,} are not asked yet"] if missing else []
    return "; ".join([said, *more])
