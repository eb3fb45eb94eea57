"""What came out, in three to six sentences that are true of the document whatever it holds."""

from __future__ import annotations

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.laws import Forecast, ModelRegret
from orchestra_evals.report.parts import Detectable, Difference, Named, Row
from orchestra_evals.report.wording import (
    UNITS,
    caps,
    difference,
    listed,
    mean,
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
    return _by_model({model: _best_with(document, model) for model in document.models})


def _by_model(said: dict[str, str]) -> str:
    """Return what is said of each model, the model named where there are several."""
    if len(said) == 1:
        return "".join(said.values())
    return "; ".join(f"with {quoted(model)} {clause}" for model, clause in said.items())


def _best_with(document: ComparisonDocument, model: str) -> str:
    """Return the clause about the system with the highest score of one model."""
    rows, best = document.scored(model), document.best(model)
    if best is None:
        return "nothing was measured"
    few = "" if best.n == document.samples else f" on {best.n:,} of {plural(document.samples, 'sample')}"
    name, score = quoted(best.system), f"{mean(best)}{few}"
    if len(rows) == 1:
        return f"{name} alone has a score, {score}, so that there is nothing to compare it with"
    equals = sum(row.score == best.score for row in rows) - 1
    if best.system == document.baseline:
        others = f"; {plural(equals, 'other system')} scored the same" if equals else ""
        return f"no system scored above the baseline {name}, {score}{others}"
    also = f" (and {plural(equals, 'other')})" if equals else ""
    return f"{name}{also} scored highest, {score}; {_against_baseline(document, best, model)}"


def _against_baseline(document: ComparisonDocument, best: Row, model: str) -> str:
    name = f"the baseline {quoted(document.baseline)}"
    baseline, found = document.row(document.baseline, model), document.difference(best.system, model)
    if baseline is None or baseline.score is None:
        return f"{name} has no score, so that no difference can be told"
    if found is None or found.difference is None:
        return f"it was not compared with {name}, {share(baseline.score)}"
    pairs = f" on the {plural(found.pairs, 'sample')} that both have" if found.left_out else ""
    apart = f"{difference(found.difference)}, adjusted p {p_value(found.adjusted_p)}"
    of = f"the difference of {quoted(best.system)}"
    return f"{of} from {name}, {share(baseline.score)},{pairs} is {apart}: {_shows(found)}"


def _shows(found: Difference) -> str:
    """Return what a difference shows, and where it shows nothing, what could have been shown."""
    said = one_line(found.finding)
    if said in ("better", "worse"):
        return f"it is shown to be {said}"
    if "detectable" in said:
        return said
    if found.detectable is None:
        return f"{said}, as none would be on so few samples"
    return f"{said}; the minimum detectable effect is {share(found.detectable)}"


def _shown(document: ComparisonDocument) -> str:
    found = [one for one in document.differences if one.difference is not None]
    if not found:
        return ""
    better, worse = (sum(one.finding == word for one in found) for word in ("better", "worse"))
    family = " within each model" if len(document.models) > 1 else ""
    counts = (
        f"of {plural(len(found), 'comparison')} with the baseline, corrected by Holm's method{family}, {better} came "
        f"out better, {worse} worse, and {len(found) - better - worse} without a difference shown"
    )
    return counts if document.mde is None else f"{counts}; {_detectable(document.mde)}"


def _detectable(mde: Detectable) -> str:
    where = "" if mde.discordance is None else f", two systems differing on {mde.discordance:.0%} of them,"
    least = "no difference, however large," if mde.effect is None else f"a difference of {share(mde.effect)}"
    return f"on {plural(mde.n, 'independent sample')}{where} {least} is found with probability {mde.power:g}"


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
    mixed = " (interpolated)" if most.interpolated else ""
    return (
        f"at equal spend in {UNITS[matched.unit]}, {better} of {plural(len(told), 'comparison')} came out "
        f"better than self-consistency and {worse} worse; best beside it is {_who(document, most)}, "
        f"{difference(apart)}{mixed}, adjusted p {p_value(most.adjusted_p)}"
    )


def _who(document: ComparisonDocument, row: Named) -> str:
    return quoted(row.system) + (f" with {quoted(row.model)}" if len(document.models) > 1 else "")


def _regret(document: ComparisonDocument) -> str:
    if document.regret is None or not document.regret.models:
        return ""
    said = {one.model: _lost(one) for one in document.regret.models}
    return f"regret of the pick {quoted(document.regret.pick)}: {_by_model(said)}"


def _lost(found: ModelRegret) -> str:
    others = plural(found.alternatives, "other wiring")
    left = f"; {plural(found.left_out, 'sample')} left out, which not all have" if found.left_out else ""
    if found.without:
        left += f"; without {listed([quoted(one) for one in found.without])}, of which fewer samples were measured"
    if found.value <= 0:
        nobody = f"none of {others} scored" if found.alternatives > 1 else "the only other wiring did not score"
        return f"{nobody} above it (95 % interval {span(found)}){left}"
    value, best = f"{share(found.value)} (95 % interval {span(found)})", f"{quoted(found.best)}, the best of {others}"
    least = "" if found.split is None else f"; estimated by halves of the samples, {share(found.split)}"
    return f"{value} below {best}{least}{left}"


def _foretold(document: ComparisonDocument) -> str:
    return "nothing was foretold" if document.forecast is None else _accuracy(document, document.forecast)


def _accuracy(document: ComparisonDocument, forecast: Forecast) -> str:
    errors = [(abs(one.error), one) for one in forecast.rows if one.error is not None]
    if not errors:
        if any(one.predicted is not None for one in forecast.rows):
            return "of the accuracies that were foretold none was measured"
        return (forecast.profile is None and one_line(forecast.reason).rstrip(".")) or "no accuracy was foretold"
    inside = sum(error == 0 for error, _ in errors)
    mean = sum(error for error, _ in errors) / len(errors)
    largest, farthest = max(errors, key=lambda one: one[0])
    off = f", the largest {share(largest)}, that of {_who(document, farthest)}" if largest else ""
    return (
        f"{inside} of {plural(len(errors), 'accuracy', 'accuracies')} came out within what was "
        f"foretold; the mean distance to it is {share(mean)}{off}"
    )


def _paid(document: ComparisonDocument) -> str:
    asked = sum(sum(row.statuses.values()) for row in document.rows)
    if not asked:
        return "no sample was asked"
    unpaid = [(row, row.statuses["budget"]) for row in document.rows if row.statuses.get("budget")]
    total = f"{sum(count for _, count in unpaid):,} of {asked:,} answers"
    each = "for each system with each model" if len(document.models) > 1 else "for each system"
    if not document.cap:
        said = "there was no cap"
    elif not unpaid:
        said = f"the cap of {caps(document.cap)} {each} paid for all samples that were asked"
    else:
        names = listed([f"{quoted(row.system)} ({count:,})" for row, count in unpaid])
        said = f"the cap of {caps(document.cap)} {each} did not pay for {total}: {names}"
    lost = sum(row.statuses.get("infra_error", 0) for row in document.rows)
    missing = sum(row.statuses.get("missing", 0) for row in document.rows)
    more = [f"{lost:,} of {asked:,} answers were lost to errors"] if lost else []
    more += [f"{missing:,} of {asked:,} are not asked yet"] if missing else []
    return "; ".join([said, *more])
