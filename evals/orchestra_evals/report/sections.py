"""A comparison as the sections of its report, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Literal

from orchestra_evals.report.blocks import Block, Bullets, Picture, Text
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.findings import findings
from orchestra_evals.report.process_tables import by_difficulty, coordination, forecast, graphs, survival
from orchestra_evals.report.score_tables import differences, equal_spend, scores
from orchestra_evals.report.wording import caps, listed, one_line, quoted

_LONGEST_COMMAND = 4000
_EVIDENCE = {
    "real": "Evidence: real.",
    "SIMULATED": "Evidence: SIMULATED. The answers came from a simulated model: the figures show how systems behave by "
    "construction, and say nothing of a real model.",
    "real and SIMULATED": "Evidence: real and SIMULATED. Rows marked SIMULATED came from a simulated model: they show "
    "how systems behave by construction, and say nothing of a real model.",
}
_CAP_SOURCES = {
    "given": ", as it was given",
    "estimated": ", estimated from what the dearest fixed system was taken to need",
    "none": "",
}


def title(document: ComparisonDocument) -> str:
    """Return the title of a comparison."""
    return f"Comparison of systems on {one_line(document.suite)}"


def sections(
    document: ComparisonDocument, pictures: Mapping[str, Picture], *, level: Literal["h2", "h3"] = "h2"
) -> Iterator[Block]:
    """Yield what a report says of a comparison, without its title."""
    yield from _header(document)
    for heading, content in _contents(document, pictures):
        held = list(content)
        if held:
            yield Text(heading, level)
            yield from held


def _contents(document: ComparisonDocument, pictures: Mapping[str, Picture]) -> Iterator[tuple[str, Iterable[Block]]]:
    """Yield the headings of the sections and what stands below each; those with nothing are left out."""
    drawn = {name: [picture] for name, picture in pictures.items()}
    yield "What came out", [Bullets(findings(document)), *drawn.get("spend", [])]
    yield "Scores and spending", scores(document)
    yield "Differences from the baseline", differences(document)
    yield "At equal spend", equal_spend(document)
    yield "Forecast beside measured", [*forecast(document), *drawn.get("forecast", [])]
    yield "Coordination", coordination(document)
    yield "Graphs", graphs(document)
    yield "By difficulty", by_difficulty(document)
    yield "Survival of long chains", [*survival(document), *drawn.get("survival", [])]
    yield "Systems that did not compete", _skipped(document)
    yield "How to read this", [Bullets(tuple(_how_to_read(document)))]


def _skipped(document: ComparisonDocument) -> Iterator[Block]:
    reasons: dict[str, list[str]] = {}
    for one in document.skipped:
        reasons.setdefault(one_line(one.reason), []).append(quoted(one.system))
    if reasons:
        yield Bullets(tuple(f"{listed(names, len(names))}: {reason}" for reason, names in reasons.items()))


def _header(document: ComparisonDocument) -> Iterator[Block]:
    """Yield the evidence, and what was compared."""
    yield Text(_EVIDENCE[document.evidence_of()], "notice")
    yield Bullets(tuple(_facts(document)))
    if document.command:
        yield Text("Made by:")
        yield Text(one_line(document.command, _LONGEST_COMMAND), "code")


def _facts(document: ComparisonDocument) -> Iterator[str]:
    suite, split = one_line(document.suite), one_line(document.split)
    yield f"Suite: {suite}, version {document.version}, split {split}, seed {document.seed}"
    repeats = "" if document.repeats == 1 else f", each asked {document.repeats:,} times"
    yield f"Samples: {document.samples:,}{repeats}"
    asked = {model: [row for row in document.rows_of(model) if row.kind != "own"] for model in document.models}
    models = [f"{one_line(model)} ({document.evidence_of(rows)})" for model, rows in asked.items()]
    yield f"{'Model' if len(models) == 1 else 'Models'}: {', '.join(models) or 'none'}"
    pick = "" if document.pick is None else f"; pick: {quoted(document.pick)}"
    yield f"Systems: {len(document.names):,}; baseline: {quoted(document.baseline)}{pick}"
    source = _CAP_SOURCES[document.cap_source] if document.cap else ""
    yield f"Cap of each system: {caps(document.cap)}{source}"
    yield from _origin(document)


def _origin(document: ComparisonDocument) -> Iterator[str]:
    """Yield when and by what it was made, and the names of its files, without the folders of the machine."""
    day = f" on {one_line(document.made)}" if document.made else ""
    program = f" by orchestra {one_line(document.orchestra)}" if document.orchestra else ""
    if day or program:
        yield f"Made{day}{program}"
    files = [one_line(PurePath(path).name) for path in (document.samples_file, document.journal) if path]
    if files:
        yield f"Rows and records: {listed(files)}"


def _how_to_read(document: ComparisonDocument) -> Iterator[str]:
    """Yield what a reader must know of the figures that there are."""
    yield "Systems whose figures are all alike share a row of a table, and each came to these figures."
    yield (
        "Intervals are of level 95 %, over samples, those of one family counting as one: a bootstrap, or exact where "
        "few samples differ."
    )
    yield (
        "Only what was measured is scored: what the cap did not pay for, or errors lost, is not counted as wrong. The "
        "highest of several scores is too high on average."
    )
    if document.cap:
        yield (
            "The cap is the most that a system may spend, the same for all. Self-consistency spends it on votes, "
            "others stop when they are done: compare at equal spend, not at equal cap. What went into samples that the "
            "cap did not pay to their end stands in what was spent, and in no figure a sample."
        )
    if document.differences:
        yield (
            "A difference is that of two systems on the same samples. Its p value (McNemar's test where scores are 0 "
            "or 1, else random signs; mid-p) is adjusted by Holm's method over all systems beside the baseline. Where "
            "no difference is shown there may still be one; the least that would be found is told as detectable."
        )
    if document.matched is not None and document.matched.rows:
        yield (
            "At equal spend a system stands beside self-consistency cut after so many votes that it spends the same. "
            "An interpolated score mixes those of the two cuts around; nothing is extrapolated."
        )
    if document.regret is not None and document.regret.models:
        yield (
            "Regret is how far the pick stayed below the best wiring. That takes the best by the samples it is "
            "measured on, which is too much on average; by halves the best of one half is measured on the other, "
            "which is too little."
        )
    if document.forecast is not None and any(row.predicted for row in document.forecast.rows):
        yield (
            "A forecast of accuracy has two ends: pessimistic, where a wrong result spoils all that rests on it, and "
            "optimistic, where it does so no more often than was measured. The distance is the measured score less "
            "the nearer end, 0 between them. At its low end also the profile is taken at its pessimistic ends."
        )
    if document.survival_curves:
        yield (
            "The reliability of a step is the p for which p^n fits best, as if all steps failed alike and on their "
            "own. Beyond the longest chain the figure is extrapolated, not measured."
        )
