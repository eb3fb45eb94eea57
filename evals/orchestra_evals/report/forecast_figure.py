"""Predicted against measured: the accuracy of each system where there is a profile, and the tokens of a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_forecast import ForecastRow
from orchestra_evals.report.drawing import draw_spot, legend, log_axis, panels, saved, style
from orchestra_evals.report.labels import Spot, place_labels
from orchestra_evals.report.marks import GREY, Mark, label, marks_of
from orchestra_evals.report.vector import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIAGONAL: dict[str, Any] = {"color": GREY, "linestyle": (0, (5, 3)), "linewidth": 1.0, "zorder": 1}
_MARGIN = 0.03


def forecast_figure(document: ComparisonDocument, name: str, title: str) -> Vector | None:
    """Return what was predicted against what was measured, None where there is nothing of both.

    Args:
        document: The comparison.
        name: Of the figure, for its parts.
        title: What it shows, in words.
    """
    kinds = [kind for kind in _KINDS if any(_spots(document, model, kind) for model in document.groups)]
    models = [model for model in document.groups if any(_spots(document, model, kind) for kind in kinds)]
    if not models:
        return None
    with style():
        marks, spots = marks_of(document), {}
        figure, axes = panels(document, models, columns=len(kinds))
        for model, row in zip(models, axes, strict=True):
            for kind, panel in zip(kinds, row, strict=True):
                spots[panel] = _draw(panel, document, model, _spots(document, model, kind), marks)
                kind.dress(panel, spots[panel])
        drawn = {system for model in models for kind in kinds for system in _spots(document, model, kind)}
        legend(figure, [mark for system, mark in marks.items() if system in drawn], [("as foretold", _DIAGONAL)])
        place_labels(spots)
        return saved(figure, name, title)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is foretold."""

    spot: Callable[[ForecastRow], Spot | None]
    """Returns where a row stands, None where it was not foretold, or not measured."""
    dress: Callable[[Axes, Sequence[Spot]], None]
    """Draws the axes and the diagonal."""


def _spots(document: ComparisonDocument, model: str, kind: _Kind) -> dict[str, Spot]:
    """Return where the systems of one model stand."""
    rows = () if document.forecast is None else document.forecast.rows
    known = [row for row in rows if document.is_of(row.model, model) and document.row(row.system, model)]
    return {row.system: spot for row in known if (spot := kind.spot(row)) is not None}


def _draw(
    axes: Axes, document: ComparisonDocument, model: str, spots: Mapping[str, Spot], marks: Mapping[str, Mark]
) -> list[Spot]:
    """Draw the systems of one model, and return them with their labels."""
    best, told = document.best(model), []
    for system, spot in spots.items():
        draw_spot(axes, spot, marks[system], is_best=best is not None and best.system == system)
        told.append(replace(spot, label=label(document, system, model, marks[system])))
    return told


def _accuracy(row: ForecastRow) -> Spot | None:
    """Return a predicted accuracy, its bar from the pessimistic to the optimistic end, and the measured one."""
    if row.predicted is None or row.measured is None:
        return None
    left, right = sorted((row.predicted.pessimistic, row.predicted.optimistic))
    low, high = (None, None) if row.interval is None else (row.interval.low, row.interval.high)
    return Spot(x=(left + right) / 2, y=row.measured, low=low, high=high, left=left, right=right)


def _tokens(row: ForecastRow) -> Spot | None:
    """Return the predicted and the measured tokens of a sample."""
    predicted, measured = row.tokens.predicted, row.tokens.measured
    return Spot(x=predicted, y=measured) if predicted and measured else None


def _dress_accuracies(axes: Axes, spots: Sequence[Spot]) -> None:
    axes.axline((0, 0), slope=1, **_DIAGONAL)
    ends = [end for spot in spots for end in (spot.x, spot.y, spot.left, spot.right, spot.low, spot.high)]
    known = [end for end in ends if end is not None] or [0.0, 1.0]
    limits = (min(known) - _MARGIN, max(known) + _MARGIN)
    axes.set(xlim=limits, ylim=limits, xlabel=_RANGE, ylabel="score measured, with 95 % interval")


def _dress_tokens(axes: Axes, spots: Sequence[Spot]) -> None:
    axes.axline((1, 1), (2, 2), **_DIAGONAL)
    known = [end for spot in spots for end in (spot.x, spot.y)]
    log_axis(axes, "x", known)
    log_axis(axes, "y", known)
    axes.set(xlabel="tokens a sample foretold (log scale)", ylabel="tokens a sample measured (log scale)")


_RANGE = "accuracy foretold (bar: pessimistic to optimistic)"
_KINDS = (_Kind(_accuracy, _dress_accuracies), _Kind(_tokens, _dress_tokens))
