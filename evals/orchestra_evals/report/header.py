"""The head of a report: what was compared, on what, and under which cap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from orchestra_evals.report.blocks import Block, Bullets, Code, Notice, Paragraph
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.wording import caps, listed, one_line, plural, quoted

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


def header(document: ComparisonDocument) -> Iterator[Block]:
    """Yield the evidence, and what was compared."""
    yield Notice(_EVIDENCE[document.evidence_of()])
    yield Bullets(tuple(_facts(document)))
    if document.command:
        yield Paragraph("Made by:")
        yield Code(one_line(document.command, _LONGEST_COMMAND))


def _facts(document: ComparisonDocument) -> Iterator[str]:
    suite, split = one_line(document.suite), one_line(document.split)
    yield f"Suite: {suite}, version {document.version}, split {split}, seed {document.seed}"
    repeats = "" if document.repeats == 1 else f", each asked {document.repeats:,} times"
    yield f"Samples: {document.samples:,}{repeats}"
    models = [f"{one_line(model)} ({document.evidence_of(model, is_without_own=True)})" for model in document.groups]
    yield f"{'Model' if len(models) == 1 else 'Models'}: {', '.join(models) or 'none'}"
    pick = "" if document.pick is None else f"; pick: {quoted(document.pick)}"
    yield f"Systems: {plural(len(document.names), 'system')}; baseline: {quoted(document.baseline)}{pick}"
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
