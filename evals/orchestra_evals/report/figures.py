"""The figures of a report: accuracy against spend, predicted against measured, survival of long chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from orchestra_evals.report.blocks import Picture
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.drawing import Places, Spot, draw_systems, log_axis, panels, saved, style
from orchestra_evals.report.laws import ForecastRow
from orchestra_evals.report.marks import BLUE, GREY, INK, Legend, Looks, looks, marks_of
from orchestra_evals.report.parts import SPENT, Cut, Row
from orchestra_evals.report.wording import UNITS, amount, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVE: Looks = {"color": BLUE, "linestyle": "-", "linewidth": 1.2, "marker": ".", "markersize": 5}
_CAP: Looks = {"color": INK, "linestyle": (0, (5, 3)), "linewidth": 1.1}
_UNCOUNTED: Looks = {"linestyle": ":", "linewidth": 1.2, "color": GREY}
_DIAGONAL: Looks = {"color": GREY, "linestyle": (0, (5, 3)), "linewidth": 1.0, "zorder": 1}
_LIMIT: Looks = {"color": GREY, "linestyle": ":", "linewidth": 1.0}
_BEYOND = 4.0  # how many times the longest chain the law is drawn to
_WIDEST = 1.6  # ratio of the places of the last and the first of all systems at one number of steps
_MOST_TICKS = 18
_MARGIN = 0.03


def pictures(document: ComparisonDocument, slug: str) -> dict[str, Picture]:
    """Return the figures that there is something for, by name: spend, forecast and survival."""
    suite, evidence = one_line(document.suite, 60), document.evidence_of()
    captions = {
        "spend": f"Score against spend on {suite}, in {UNITS[document.unit]} a sample",
        "forecast": f"Foretold against measured on {suite}; the nearer to the diagonal, the better",
        "survival": f"Share right by number of dependent steps on {suite}; p^n is extrapolated",
    }
    found = {}
    for kind, draw in {"spend": _spend_figure, "forecast": _forecast_figure, "survival": _survival_figure}.items():
        with style():
            drawn = draw(document)
            if drawn is not None:
                caption, name = captions[kind], f"{slug}-{kind}"
                svg = saved(*drawn, name, f"{caption} (evidence: {evidence})")
                found[kind] = Picture(file=f"{name}.svg", caption=caption, evidence=evidence, svg=svg)
    return found


def _spend_figure(document: ComparisonDocument) -> tuple[Figure, Legend] | None:
    """Draw a point a system, self-consistency's curve of cuts, and the cap."""
    models = [model for model in document.models if document.scored(model)]
    if not models:
        return None
    marks, (figure, rows) = marks_of(document), panels(document, models)
    axes = dict(zip(models, (row[0] for row in rows), strict=True))
    places = {axes[model]: _spent(document, model) for model in models}
    told: Legend = draw_systems(marks, places)
    more: dict[str, Looks] = {}
    spends = [spot.x for panel in places.values() for spots in panel.values() for spot in spots]
    cap = document.cap_a_sample
    for model, panel in axes.items():
        cuts = _cuts(document, model)
        if cuts:
            panel.plot([cut.spend for cut in cuts], [cut.score for cut in cuts], **_CURVE)
            more["self-consistency after m votes"] = _CURVE
            spends += [cut.spend for cut in cuts]
        if cap:
            panel.axvline(cap, **_CAP)
            more[f"cap: {amount(cap)} a sample"] = _CAP
        for row in document.scored(model):
            if not row.spent_a_sample.get(SPENT[document.unit]):
                line = looks(marks[row.system]) | _UNCOUNTED | {"clip_on": False}
                panel.axhline(row.score or 0.0, **line)
                more[f"{marks[row.system].name}: spend not counted"] = line
    for panel in axes.values():
        log_axis(panel, "x", [*spends, *([cap] if cap else [])])
        panel.set(ylim=(-_MARGIN, 1 + _MARGIN), ylabel="score, with 95 % interval")
    panel.set_xlabel(f"{UNITS[document.unit]} a sample (log scale)")
    return figure, [*told, *more.items()]


def _spent(document: ComparisonDocument, model: str) -> Places:
    return {row.system: [spot] for row in document.scored(model) if (spot := _at_spend(document, row))}


def _at_spend(document: ComparisonDocument, row: Row) -> Spot | None:
    """Return where a row stands, None where what it spent is not known, or nothing that could be counted."""
    spend, interval = row.spent_a_sample.get(SPENT[document.unit]), row.interval
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Spot(x=spend, y=row.score or 0.0, low=low, high=high) if spend else None


def _cuts(document: ComparisonDocument, model: str) -> list[Cut]:
    curves = () if document.matched is None else document.matched.curves
    return [cut for curve in curves if curve.model == model for cut in curve.points if cut.spend > 0]


def _forecast_figure(document: ComparisonDocument) -> tuple[Figure, Legend] | None:
    """Draw the accuracy of each system where there is a profile, and the tokens of a sample."""
    kinds = {
        kind: dress for kind, dress in _KINDS.items() if any(_foretold(document, m, kind) for m in document.models)
    }
    models = [model for model in document.models if any(_foretold(document, model, kind) for kind in kinds)]
    if not models:
        return None
    figure, axes = panels(document, models, len(kinds))
    places = {}
    for model, row in zip(models, axes, strict=True):
        for (kind, dress), panel in zip(kinds.items(), row, strict=True):
            places[panel] = _foretold(document, model, kind)
            dress(panel, [spot for spots in places[panel].values() for spot in spots])
    return figure, [*draw_systems(marks_of(document), places), ("as foretold", _DIAGONAL)]


def _foretold(document: ComparisonDocument, model: str, kind: Callable[[ForecastRow], Spot | None]) -> Places:
    """Return where the systems of one model stand."""
    rows = () if document.forecast is None else document.forecast.rows
    known = [row for row in rows if row.model == model and document.row(row.system, model)]
    return {row.system: [spot] for row in known if (spot := kind(row)) is not None}


def _accuracy(row: ForecastRow) -> Spot | None:
    """Return a predicted accuracy, its bar from the pessimistic to the optimistic end, and the measured one."""
    if row.predicted is None or row.measured is None:
        return None
    left, right = sorted((row.predicted.pessimistic, row.predicted.optimistic))
    low, high = (None, None) if row.interval is None else (row.interval.low, row.interval.high)
    return Spot(x=(left + right) / 2, y=row.measured, low=low, high=high, left=left, right=right)


def _tokens(row: ForecastRow) -> Spot | None:
    """Return the predicted and the measured tokens of a sample."""
    predicted, measured = row.tokens.get("predicted"), row.tokens.get("measured")
    return Spot(x=predicted, y=measured) if predicted and measured else None


def _dress_accuracies(axes: Axes, _: Sequence[Spot]) -> None:
    axes.axline((0, 0), slope=1, **_DIAGONAL)
    limits = (-_MARGIN, 1 + _MARGIN)
    foretold = "accuracy foretold (bar: pessimistic to optimistic)"
    axes.set(xlim=limits, ylim=limits, xlabel=foretold, ylabel="score measured, with 95 % interval")


def _dress_tokens(axes: Axes, spots: Sequence[Spot]) -> None:
    axes.axline((1, 1), (2, 2), **_DIAGONAL)
    known = [end for spot in spots for end in (spot.x, spot.y)]
    log_axis(axes, "x", known)
    log_axis(axes, "y", known)
    axes.set(xlabel="tokens a sample foretold (log scale)", ylabel="tokens a sample measured (log scale)")


_KINDS = {_accuracy: _dress_accuracies, _tokens: _dress_tokens}


def _survival_figure(document: ComparisonDocument) -> tuple[Figure, Legend] | None:
    """Draw the share right by number of steps; systems with a role have intervals, and the law that fits them."""
    steps = sorted({point.steps for curve in document.survival_curves for point in curve.points if point.steps > 0})
    models = [model for model in document.models if _survived(document, model)]
    if not models or document.survival is None:
        return None
    marks, (figure, rows) = marks_of(document), panels(document, models)
    axes = dict(zip(models, (row[0] for row in rows), strict=True))
    room = min(_WIDEST, median(right / left for left, right in pairwise(steps)) ** 0.7)
    told = draw_systems(marks, {axes[model]: _survived(document, model) for model in models}, room)
    laws: dict[str, Looks] = {}
    for model, panel in axes.items():
        for curve in document.survival_curves:
            mark = marks[curve.system]
            if curve.model == model and mark.is_strong and mark.name in dict(told) and curve.per_step:
                along = np.geomspace(steps[0], steps[-1] * _BEYOND, 60)
                law: Looks = {"color": mark.color, "linestyle": mark.dash, "linewidth": 1.2}
                panel.plot(along, curve.per_step.value**along, **law)
                laws[f"p^n of {one_line(curve.system, 34)}"] = law
        _dress_steps(panel, steps, room)
    panel.set_xlabel(f"dependent {one_line(document.survival.unit, 40)} (log scale)")
    return figure, [*told, *laws.items()]


def _survived(document: ComparisonDocument, model: str) -> Places:
    """Return the points of the curves of one model, with intervals where the system has a role."""
    marks, found = marks_of(document), {}
    for curve in document.survival_curves:
        if curve.model == model:
            points = [point for point in curve.points if point.steps > 0]
            ends = [(one.low, one.high) if marks[curve.system].is_strong else (None, None) for one in points]
            spots = zip(points, ends, strict=True)
            found[curve.system] = [Spot(x=one.steps, y=one.score, low=low, high=high) for one, (low, high) in spots]
    return found


def _dress_steps(axes: Axes, steps: Sequence[float], room: float) -> None:
    """Draw the axes, with the numbers of steps that were measured, and where it is extrapolated."""
    log_axis(axes, "x", [steps[0] / room**0.5, steps[-1] * _BEYOND])
    ticks: list[float] = []
    apart = max(1.12, (steps[-1] * _BEYOND / steps[0]) ** (1 / _MOST_TICKS))
    for one in [*steps, steps[-1] * 2, steps[-1] * _BEYOND]:
        if not ticks or one >= ticks[-1] * apart:
            ticks.append(one)
    axes.set_xticks(ticks)
    edge = steps[-1] * room**0.5 * 1.08
    axes.axvline(edge, **_LIMIT)
    axes.annotate(
        "extrapolated", (edge, 0), (5, 4), fontsize=8.5, xycoords=axes.get_xaxis_transform(), textcoords="offset points"
    )
    axes.set(ylim=(-_MARGIN, 1 + _MARGIN), ylabel="share right to the end, with 95 % interval")
