"""A comparison as the sections of its report, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestra_evals.report.blocks import Block, Bullets, Heading, Picture
from orchestra_evals.report.comparison_sections import convergence, differences, equal_spend, regret
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.findings import findings
from orchestra_evals.report.header import header
from orchestra_evals.report.process_sections import coordination, forecast, graphs, survival
from orchestra_evals.report.reading import how_to_read
from orchestra_evals.report.score_sections import by_difficulty, scores
from orchestra_evals.report.wording import one_line


def sections(document: ComparisonDocument, pictures: Mapping[str, Picture], *, level: int = 2) -> Iterator[Block]:
    """Yield what a report says of a comparison, without its title.

    Args:
        document: The comparison.
        pictures: Its figures by name: spend, forecast and survival, as far as there are such.
        level: Of the headings.
    """
    yield from header(document)
    for heading, content in _contents(document, pictures):
        held = list(content)
        if held:
            yield Heading(heading, level)
            yield from held


def _contents(document: ComparisonDocument, pictures: Mapping[str, Picture]) -> Iterator[tuple[str, Iterable[Block]]]:
    """Yield the headings of the sections and what stands below each; those with nothing are left out."""
    drawn = {name: [picture] for name, picture in pictures.items()}
    yield "What came out", [Bullets(findings(document)), *drawn.get("spend", [])]
    yield "Scores and spending", scores(document)
    yield "Differences from the baseline", differences(document)
    yield "Regret of the pick", regret(document)
    yield "Topologies beside models", convergence(document)
    yield "At equal spend", equal_spend(document)
    yield "Forecast beside measured", [*forecast(document), *drawn.get("forecast", [])]
    yield "Coordination", coordination(document)
    yield "Graphs", graphs(document)
    yield "By difficulty", by_difficulty(document)
    yield "Survival of long chains", [*survival(document), *drawn.get("survival", [])]
    yield "Systems that did not compete", _skipped(document)
    yield "How to read this", [Bullets(how_to_read(document))]


def _skipped(document: ComparisonDocument) -> Iterator[Block]:
    if document.skipped:
        yield Bullets(tuple(f"{one_line(one.system)}: {one_line(one.reason)}" for one in document.skipped))
