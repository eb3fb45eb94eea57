"""The figures of a report: accuracy against spend, predicted against measured, survival of long chains."""

from __future__ import annotations

from orchestra_evals.report.blocks import Picture
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.forecast_figure import forecast_figure
from orchestra_evals.report.spend_figure import spend_figure
from orchestra_evals.report.survival_figure import survival_figure
from orchestra_evals.report.wording import UNITS, one_line


def pictures(document: ComparisonDocument, slug: str) -> dict[str, Picture]:
    """Return the figures that there is something for, by name.

    Args:
        document: The comparison.
        slug: Begins their names: letters, digits and hyphens.
    """
    suite = one_line(document.suite, 60)
    unit = UNITS[document.unit]
    kinds = {
        "spend": (spend_figure, f"Score against spend on {suite}, in {unit} a sample"),
        "forecast": (forecast_figure, f"Foretold against measured on {suite}; the nearer to the diagonal, the better"),
        "survival": (survival_figure, f"Share right by number of dependent steps on {suite}; p^n is extrapolated"),
    }
    found = {}
    for kind, (draw, caption) in kinds.items():
        name, evidence = f"{slug}-{kind}", document.evidence_of()
        drawn = draw(document, name, f"{caption} (evidence: {evidence})")
        if drawn is not None:
            found[kind] = Picture(
                file=f"{name}.svg", caption=caption, evidence=evidence, svg=drawn.file, inline=drawn.element
            )
    return found
