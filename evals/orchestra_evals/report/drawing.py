"""How every figure is drawn and saved: its style, a panel for each model, points with intervals, the legend.

matplotlib is an extra: `pip install 'orchestra-mas[plots]'`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from orchestra_agents.errors import InputError
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.labels import Spot
from orchestra_evals.report.marks import GREEN, GREY, PAPER, Mark
from orchestra_evals.report.vector import Vector, vector
from orchestra_evals.report.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "orchestra",
    "text.parse_math": False,
}
_UNDATED = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_LONGEST_MODEL = 60
_VOTES = "self-consistency"
_FAINT = 0.55
_ROOM = 1.3
_NARROW = 5.0


def require_matplotlib() -> None:
    """Refuse a report whose figures cannot be drawn, before anything is written.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401, PLC0415 - the extra is optional
    except ImportError as error:
        raise InputError("report", "needs matplotlib for its figures; install orchestra-mas[plots]") from error


@contextmanager
def style() -> Iterator[None]:
    """Draw as all figures are drawn; what names of users hold is shown as it is, and never read as a formula."""
    import matplotlib  # noqa: PLC0415 - the extra is optional

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a page has more fonts than matplotlib
        yield


def saved(figure: Figure, name: str, title: str) -> Vector:
    """Return a figure as SVG; equal figures are equal texts."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=_UNDATED)
    return vector(written.getvalue(), name, title)


def panels(document: ComparisonDocument, models: Sequence[str], *, columns: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a row of panels for each model, which is named with its evidence."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the extra is optional

    width = 9.2 if columns == 1 else 10.4
    figure = Figure(figsize=(width, 4.6 * len(models) + 0.2), layout="constrained")
    axes = figure.subplots(len(models), columns, squeeze=False)
    for model, row in zip(models, axes, strict=True):
        row[0].set_title(f"{one_line(model, _LONGEST_MODEL)} (evidence: {document.evidence_of(model)})")
        for panel in row:
            panel.grid(color=GREY, alpha=0.25, linewidth=0.6)
            panel.set_axisbelow(True)
    return figure, [list(row) for row in axes]


def draw_spot(axes: Axes, spot: Spot, mark: Mark, *, is_best: bool) -> None:
    """Draw a system at its place, with its intervals; more boldly where it has a role, or the highest score."""
    is_strong = is_best or bool(mark.role)
    color = color_of(mark, is_best=is_best)
    drawn = axes.errorbar(
        [spot.x],
        [spot.y],
        xerr=_ends(spot.x, spot.left, spot.right),
        yerr=_ends(spot.y, spot.low, spot.high),
        marker=mark.shape,
        markersize=8.5 if is_strong else 6.5,
        color=color,
        markerfacecolor=color if mark.is_filled else PAPER,
        markeredgewidth=1.4 if is_strong else 1.0,
        linewidth=0,
        elinewidth=1.3 if is_strong else 0.8,
        capsize=2.5 if is_strong else 0,
        zorder=4 if is_strong else 3,
    )
    if not is_strong:
        for bar in drawn[2]:
            bar.set_alpha(_FAINT)


def color_of(mark: Mark, *, is_best: bool) -> str:
    """Return the colour of a system in a panel where it may have the highest score."""
    return GREEN if is_best and not mark.role else mark.color


def _ends(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """Return the distances from a value to the ends of its interval, None without one."""
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def log_axis(axes: Axes, name: Literal["x", "y"], values: Sequence[float]) -> None:
    """Make an axis logarithmic, with a little room around values above 0 and figures that are written out."""
    from matplotlib import ticker  # noqa: PLC0415 - the extra is optional

    low, high = min(values, default=1.0), max(values, default=10.0)
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low / _ROOM, high * _ROOM)})
    axis = axes.xaxis if name == "x" else axes.yaxis
    is_narrow = high < _NARROW * low
    axis.set_major_locator(ticker.MaxNLocator(5) if is_narrow else ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(ticker.NullLocator())


def align(panels: Sequence[Axes]) -> None:
    """Give panels the same axes, so that they can be compared."""
    for name in ("xlim", "ylim"):
        limits = [getattr(axes, f"get_{name}")() for axes in panels]
        for axes in panels:
            axes.set(**{name: (min(low for low, _ in limits), max(high for _, high in limits))})


def legend(figure: Figure, marks: Iterable[Mark], others: Iterable[tuple[str, dict[str, Any]]] = ()) -> None:
    """Name the marks, and what else is drawn, beside the panels."""
    from matplotlib.lines import Line2D  # noqa: PLC0415 - the extra is optional

    told = [(_named(mark), _looks(mark)) for mark in marks] + list(others)
    handles = [Line2D([], [], **looks) for _, looks in told]
    drawn = figure.legend(handles, ["."] * len(told), loc="outside right upper", handlelength=2.2, labelspacing=0.45)
    for text, (name, _) in zip(drawn.get_texts(), told, strict=True):
        text.set_text(name)  # a label that begins with an underscore would be left out


def _named(mark: Mark) -> str:
    return mark.role if mark.role == _VOTES else f"{mark.name} ({mark.role})" if mark.role else mark.name


def _looks(mark: Mark) -> dict[str, Any]:
    return {
        "marker": mark.shape,
        "color": mark.color,
        "markerfacecolor": mark.color if mark.is_filled else PAPER,
        "linewidth": 0,
        "markersize": 7,
    }
