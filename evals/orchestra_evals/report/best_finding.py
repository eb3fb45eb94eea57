"""Which system scored highest, and whether it is shown to differ from the baseline."""

from __future__ import annotations

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_findings import Difference
from orchestra_evals.report.document_rows import Row
from orchestra_evals.report.wording import (
    difference_with_interval,
    one_line,
    p_value,
    plural,
    quoted,
    score_with_interval,
    share,
)


def best_with(document: ComparisonDocument, model: str) -> str:
    """Return the clause about the system with the highest score of one model."""
    rows, best = document.scored(model), document.best(model)
    if best is None:
        return "nothing was measured"
    name, score = quoted(best.system), score_with_interval(best.score, best.interval)
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
    apart = f"{difference_with_interval(found.difference)}, adjusted p {p_value(found.adjusted_p)}"
    of = f"the difference of {quoted(best.system)}"
    return f"{of} from {name}, {share(baseline.score)},{pairs} is {apart}: {_shows(found)}"


def _shows(found: Difference) -> str:
    """Return what a difference shows, and where it shows nothing, what could have been shown."""
    said = one_line(found.finding)
    if found.is_better or found.is_worse:
        return f"it is shown to be {said}"
    if "detectable" in said:
        return said
    if found.detectable is None:
        return f"{said}, as none would be on so few samples"
    return f"{said}; the minimum detectable effect is {share(found.detectable)}"
