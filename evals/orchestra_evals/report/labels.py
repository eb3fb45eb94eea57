"""Labels beside points, each where it covers least of points, of their intervals and of other labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

_DIRECTIONS = ((1, 0.7), (-1, 0.7), (1, -0.7), (-1, -0.7), (0, 1.1), (0, -1.1))
_OFFSETS = [(x * reach, y * reach) for reach in (9.0, 20.0, 34.0, 50.0, 70.0, 95.0) for x, y in _DIRECTIONS]
"""Where a label may stand, in points from its own, the best first."""
_SIZE = 8.5
_LEADER = 15.0  # distance from which on a line leads to the point
_MARK, _BAR = 8.0, 2.0  # half widths in points
_COVERED, _OTHER, _EDGE = 3.0, 20.0, 20.0  # how much worse than a bar: to cover a point, a label, to leave the panel
_LINE = {"arrowstyle": "-", "linewidth": 0.7, "color": "#7a7a7a", "shrinkA": 0, "shrinkB": 5}
_FARTHER = 20  # pixels that one place further down the list must cover less
_HALO = {"facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point of a panel with its interval, and what it is labelled with, if at all."""

    x: float
    y: float
    low: float | None = None
    """Lower end of the bar that is drawn upright through it."""
    high: float | None = None
    left: float | None = None
    """Lower end of the bar that is drawn across."""
    right: float | None = None
    label: str = ""


class _Box(NamedTuple):
    """A part of a figure, in pixels."""

    left: float
    low: float
    right: float
    high: float

    def shared(self, other: _Box) -> float:
        """Return the area that it has in common with another."""
        width = min(self.right, other.right) - max(self.left, other.left)
        return max(0.0, width) * max(0.0, min(self.high, other.high) - max(self.low, other.low))


def place_labels(panels: Mapping[Axes, Sequence[Spot]]) -> None:
    """Write the labels of a figure's panels, once these hold all else that decides its layout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the extra is optional

    figure = next(iter(panels)).figure.figure
    canvas: Any = FigureCanvasAgg(figure)
    renderer: RendererBase = canvas.get_renderer()
    figure.draw_without_rendering()
    for axes, spots in panels.items():
        taken = [box for spot in spots for box in _boxes(axes, spot)]
        for spot in spots:
            if spot.label:
                offset, box = _best(axes, spot, taken, renderer)
                taken.append((box, _OTHER))
                _write(axes, spot, offset)


def _best(
    axes: Axes, spot: Spot, taken: Sequence[tuple[_Box, float]], renderer: RendererBase
) -> tuple[tuple[float, float], _Box]:
    """Return the offset at which the label of a spot covers least, and what it covers."""
    text = axes.text(0, 0, spot.label, fontsize=_SIZE)
    extent = text.get_window_extent(renderer)
    text.remove()
    places = [(offset, _box(axes, spot, offset, extent.width, extent.height)) for offset in _OFFSETS]
    costs = [round(_cost(axes, box, taken)) + _FARTHER * rank for rank, (_, box) in enumerate(places)]
    return places[costs.index(min(costs))]


def _box(axes: Axes, spot: Spot, offset: tuple[float, float], width: float, height: float) -> _Box:
    """Return where a label stands that is written at an offset, as `_write` aligns it."""
    scale = axes.figure.figure.dpi / 72
    x, y = axes.transData.transform((spot.x, spot.y))
    across, up = offset
    x += across * scale - (0 if across > 0 else width if across < 0 else width / 2)
    y += up * scale - (0 if up > 0 else height)
    return _Box(x, y, x + width, y + height)


def _write(axes: Axes, spot: Spot, offset: tuple[float, float]) -> None:
    across, up = offset
    axes.annotate(
        spot.label,
        (spot.x, spot.y),
        offset,
        textcoords="offset points",
        ha="left" if across > 0 else "right" if across < 0 else "center",
        va="bottom" if up > 0 else "top",
        fontsize=_SIZE,
        bbox=_HALO,
        arrowprops=_LINE if max(map(abs, offset)) > _LEADER else None,
        annotation_clip=False,
        in_layout=False,
        zorder=6,
    )


def _cost(axes: Axes, box: _Box, taken: Iterable[tuple[_Box, float]]) -> float:
    """Return the area in pixels that a label covers of what is taken, and what of it leaves the panel, much more."""
    outside = box.shared(box) - box.shared(_Box(*axes.bbox.extents))
    return sum(weight * box.shared(other) for other, weight in taken) + _EDGE * outside


def _boxes(axes: Axes, spot: Spot) -> list[tuple[_Box, float]]:
    """Return what a spot takes of its panel, in pixels, and how bad it is to cover it."""
    scale = axes.figure.figure.dpi / 72
    x, y = axes.transData.transform((spot.x, spot.y))
    mark, bar = _MARK * scale, _BAR * scale
    found = [(_Box(x - mark, y - mark, x + mark, y + mark), _COVERED)]
    if spot.low is not None and spot.high is not None:
        low, high = (axes.transData.transform((spot.x, end))[1] for end in (spot.low, spot.high))
        found.append((_Box(x - bar, low, x + bar, high), 1.0))
    if spot.left is not None and spot.right is not None:
        left, right = (axes.transData.transform((end, spot.y))[0] for end in (spot.left, spot.right))
        found.append((_Box(left, y - bar, right, y + bar), 1.0))
    return found
