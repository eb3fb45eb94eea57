"""Accuracy against spend: one point a system, self-consistency's curve of cuts, and the cap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_findings import Cut
from orchestra_evals.report.document_rows import Row
from orchestra_evals.report.drawing import align, draw_spot, legend, log_axis, panels, saved, style
from orchestra_evals.report.labels import Spot, place_labels
from orchestra_evals.report.marks import BLUE, GREY, INK, Mark, label, marks_of
from orchestra_evals.report.vector import Vector
from orchestra_evals.report.wording import UNITS, amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVE: dict[str, Any] = {"color": BLUE, "linestyle": "-", "linewidth": 1.2, "marker": ".", "markersize": 5}
_CAP: dict[str, Any] = {"color": INK, "linestyle": (0, (5, 3)), "linewidth": 1.1}
_UNCOUNTED: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": 1.2}


def spend_figure(document: ComparisonDocument, name: str, title: str) -> Vector | None:
    """Return accuracy against spend a sample, None where nothing was measured.

    Args:
        document: The comparison.
        name: Of the figure, for its parts.
        title: What it shows, in words.
    """
    models = [model for model in document.groups if document.scored(model)]
    if not models:
        return None
    with style():
        marks = marks_of(document)
        figure, axes = panels(document, models)
        spots = {panel: _draw(panel, document, model, marks) for model, [panel] in zip(models, axes, strict=True)}
        align([panel for [panel] in axes])
        axes[-1][0].set_xlabel(f"{UNITS[document.unit]} a sample (log scale)")
        drawn = {row.system for model in models for row in document.scored(model) if _spend(document, row)}
        legend(figure, [mark for system, mark in marks.items() if system in drawn], _others(document, models))
        for model, panel in zip(models, spots, strict=True):
            spots[panel] += _uncounted(panel, document, model, marks)
        place_labels(spots)
        return saved(figure, name, title)


def _draw(axes: Axes, document: ComparisonDocument, model: str, marks: Mapping[str, Mark]) -> list[Spot]:
    """Draw the systems of one model, and return what stands where."""
    best, cuts = document.best(model), _cuts(document, model)
    if cuts:
        axes.plot([cut.spend for cut in cuts], [cut.score for cut in cuts], **_CURVE)
    spots = [Spot(x=cut.spend, y=cut.score) for cut in cuts]
    for row in document.scored(model):
        mark, told = marks[row.system], label(document, row.system, model, marks[row.system])
        spot = _spot(document, row, told)
        if spot is None:
            axes.axhline(row.score or 0.0, **_UNCOUNTED)
        else:
            draw_spot(axes, spot, mark, is_best=row is best)
            spots.append(spot)
    cap = document.cap_a_sample
    if cap:
        axes.axvline(cap, **_CAP)
    log_axis(axes, "x", [*(spot.x for spot in spots), *([cap] if cap else [])])
    axes.set_ylabel("score, with 95 % interval")
    return spots


def _uncounted(axes: Axes, document: ComparisonDocument, model: str, marks: Mapping[str, Mark]) -> Iterator[Spot]:
    """Yield the left ends of the lines of systems whose spend nobody counted."""
    for row in document.scored(model):
        if not _spend(document, row):
            mark = marks[row.system]
            told = label(document, row.system, model, mark) or mark.name
            yield Spot(x=axes.get_xlim()[0], y=row.score or 0.0, label=told)


def _spot(document: ComparisonDocument, row: Row, told: str) -> Spot | None:
    """Return where a row stands, None where what it spent is not known, or nothing that could be counted."""
    spend, interval = _spend(document, row), row.interval
    if not spend:
        return None
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Spot(x=spend, y=row.score or 0.0, low=low, high=high, label=told)


def _spend(document: ComparisonDocument, row: Row) -> float | None:
    return row.spent_a_sample.of(document.unit)


def _cuts(document: ComparisonDocument, model: str) -> list[Cut]:
    curves = () if document.matched is None else document.matched.curves
    cuts = [cut for curve in curves if curve.model == model for cut in curve.points if cut.spend > 0]
    return sorted(cuts, key=lambda cut: cut.spend)


def _others(document: ComparisonDocument, models: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what else the legend names."""
    if any(_cuts(document, model) for model in models):
        yield "self-consistency after m votes", _CURVE
    if document.cap_a_sample:
        yield f"cap: {amount(document.cap_a_sample)} a sample", _CAP
    if not all(_spend(document, row) for model in models for row in document.scored(model)):
        yield "spend not counted", _UNCOUNTED
