"""Survival of long chains: the share right by number of dependent steps, and the law p^n beyond what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.document_forecast import SurvivalCurve
from orchestra_evals.report.drawing import color_of, draw_spot, legend, log_axis, panels, saved, style
from orchestra_evals.report.labels import Spot, place_labels
from orchestra_evals.report.marks import GREY, INK, Mark, label, marks_of
from orchestra_evals.report.vector import Vector
from orchestra_evals.report.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEYOND = 4.0  # how many times the longest chain the law is drawn to
_WIDEST = 1.6  # ratio of the places of the last and the first of all systems at one number of steps
_MOST_TICKS = 18
_MOST_BARS = 60  # more intervals of systems without a label are left to the table
_POINTS = 60
_MARGIN = 0.03
_LAW: dict[str, Any] = {"color": INK, "linestyle": (0, (5, 2.5)), "linewidth": 1.2}
_LIMIT: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": 1.0}


def survival_figure(document: ComparisonDocument, name: str, title: str) -> Vector | None:
    """Return the share right by number of steps, None where no chains were measured.

    Systems with a role, and the best, also have the law that fits them; of very many points only they have intervals.

    Args:
        document: The comparison.
        name: Of the figure, for its parts.
        title: What it shows, in words.
    """
    curves = {model: _curves(document, model) for model in document.groups}
    models = [model for model, found in curves.items() if found]
    if not models or document.survival is None:
        return None
    with style():
        marks = marks_of(document)
        figure, axes = panels(document, models)
        spots = {panel: _draw(panel, document, model, marks) for model, [panel] in zip(models, axes, strict=True)}
        axes[-1][0].set_xlabel(f"dependent {one_line(document.survival.unit, 40)} (log scale)")
        drawn = {curve.system for model in models for curve in curves[model]}
        legend(
            figure, [mark for system, mark in marks.items() if system in drawn], [("p^n, with the p that fits", _LAW)]
        )
        place_labels(spots)
        return saved(figure, name, title)


def _curves(document: ComparisonDocument, model: str) -> list[SurvivalCurve]:
    curves = [curve for curve in document.survival_curves if min(point.steps for point in curve.points) > 0]
    return [curve for curve in curves if document.is_of(curve.model, model) and document.row(curve.system, model)]


def _draw(axes: Axes, document: ComparisonDocument, model: str, marks: Mapping[str, Mark]) -> list[Spot]:
    """Draw the curves of one model, systems beside each other at each number of steps; return what stands where."""
    best, curves = document.best(model), _curves(document, model)
    told = {curve.system: label(document, curve.system, model, marks[curve.system]) for curve in curves}
    steps = sorted({point.steps for curve in curves for point in curve.points})
    room, spots = _room(steps, len(curves)), []
    is_dense = sum(len(curve.points) for curve in curves if not told[curve.system]) > _MOST_BARS
    for curve, part in zip(_named_in_the_middle(curves, told), _parts(len(curves)), strict=True):
        mark, is_best = marks[curve.system], best is not None and best.system == curve.system
        found = _spots(curve, room**part, told[curve.system])
        for spot in found if told[curve.system] or not is_dense else map(_bare, found):
            draw_spot(axes, spot, mark, is_best=is_best)
        if told[curve.system]:
            found += _law(axes, curve, steps[-1], {"color": color_of(mark, is_best=is_best), "linestyle": mark.dash})
        spots += found
    _dress(axes, steps, room)
    return spots


def _bare(spot: Spot) -> Spot:
    """Return a point without its interval."""
    return Spot(x=spot.x, y=spot.y)


def _room(steps: Sequence[float], count: int) -> float:
    """Return the ratio of the last to the first place of so many systems at one number of steps."""
    apart = median([right / left for left, right in pairwise(steps)] or [_WIDEST])
    return float(min(_WIDEST, apart**0.7, 1.06 ** (count - 1)))


def _parts(count: int) -> list[float]:
    """Return places from -1/2 to 1/2, as many as there are systems."""
    return [0.0] if count == 1 else [place / (count - 1) - 0.5 for place in range(count)]


def _named_in_the_middle(curves: Sequence[SurvivalCurve], told: Mapping[str, str]) -> list[SurvivalCurve]:
    others = [curve for curve in curves if not told[curve.system]]
    half = len(others) // 2
    return [*others[:half], *(curve for curve in curves if told[curve.system]), *others[half:]]


def _dress(axes: Axes, steps: Sequence[float], room: float) -> None:
    """Draw the axes, with the numbers of steps that were measured, and where it is extrapolated."""
    log_axis(axes, "x", [steps[0], steps[-1] * _BEYOND])
    ticks: list[float] = []
    apart = max(1.12, (steps[-1] * _BEYOND / steps[0]) ** (1 / _MOST_TICKS))
    for one in [*steps, steps[-1] * 2, steps[-1] * _BEYOND]:
        if not ticks or one >= ticks[-1] * apart:
            ticks.append(one)
    axes.set_xticks(ticks)
    edge = steps[-1] * room**0.5 * 1.08
    axes.axvline(edge, **_LIMIT)
    place: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
    axes.annotate("extrapolated", (edge, 0), (5, 4), fontsize=8.5, **place)
    axes.set(ylim=(-_MARGIN, 1 + _MARGIN), ylabel="share right to the end, with 95 % interval")


def _spots(curve: SurvivalCurve, dodge: float, told: str) -> list[Spot]:
    """Return the points of a curve, the last with the label."""
    found = [Spot(x=one.steps * dodge, y=one.score, low=one.low, high=one.high) for one in curve.points]
    if told and curve.per_step is not None:
        told = f"{told}, p = {curve.per_step.value:.5g}"
    return [*found[:-1], replace(found[-1], label=told)]


def _law(axes: Axes, curve: SurvivalCurve, longest: float, looks: dict[str, Any]) -> list[Spot]:
    """Draw p^n from the shortest chain of a curve to beyond the longest of all, and return where it runs."""
    if curve.per_step is None:
        return []
    steps = np.geomspace(min(point.steps for point in curve.points), longest * _BEYOND, _POINTS).tolist()
    right = [curve.per_step.value**one for one in steps]
    axes.plot(steps, right, **(_LAW | looks))
    return [Spot(x=one, y=share) for one, share in zip(steps[::5], right[::5], strict=True)]
