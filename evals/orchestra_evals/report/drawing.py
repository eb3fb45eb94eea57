"""How every figure is drawn and saved: a panel for each model, systems told apart by shape, and a legend.

matplotlib is an extra: `pip install 'orchestra-mas[plots]'`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

from orchestra_agents.errors import InputError
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.marks import GREY, Legend, Mark, looks
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
_ROOM = 1.3  # around the values of a logarithmic axis
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a system stands in a panel, with its intervals."""

    x: float
    y: float
    low: float | None = None
    """Lower end of the bar that is drawn upright through it."""
    high: float | None = None
    left: float | None = None
    """Lower end of the bar that is drawn across."""
    right: float | None = None

    def is_at(self, other: Spot) -> bool:
        """Return whether one of the two hides the other."""
        return all(isclose(*ends, rel_tol=0.01, abs_tol=0.002) for ends in ((self.x, other.x), (self.y, other.y)))


Places: TypeAlias = Mapping[str, Sequence[Spot]]
"""Where systems stand in a panel, by their names."""


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


def panels(document: ComparisonDocument, models: Sequence[str], columns: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a row of panels for each model, which is named with its evidence."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the extra is optional

    figure = Figure(figsize=(9.2 if columns == 1 else 10.4, 4.6 * len(models) + 0.2), layout="constrained")
    axes = figure.subplots(len(models), columns, squeeze=False)
    for model, row in zip(models, axes, strict=True):
        row[0].set_title(f"{one_line(model, 60)} (evidence: {document.evidence_of(document.rows_of(model))})")
        for panel in row:
            panel.grid(color=GREY, alpha=0.25, linewidth=0.6)
            panel.set_axisbelow(True)
    return figure, [list(row) for row in axes]


def draw_systems(marks: Mapping[str, Mark], places: Mapping[Axes, Places], room: float = 1.0) -> Legend:
    """Draw the systems of all panels, and return the lines of the legend.

    A system that stands behind another one in all panels is not drawn, and the legend says so.
    """
    fronts: dict[str, list[str]] = {}
    for system in sorted(marks, key=lambda one: not marks[one].is_strong):
        if any(panel.get(system) for panel in places.values()):
            front = next((one for one in fronts if _is_behind(system, one, places)), system)
            fronts.setdefault(front, []).append(system)
    told: Legend = []
    dodge = min(room, 1.05 ** (len(fronts) - 1))
    plain = [front for front in fronts if not marks[front].is_strong]
    half = len(plain) // 2
    order = [*plain[:half], *(front for front in fronts if front not in plain), *plain[half:]]
    for front, systems in fronts.items():
        mark = marks[front]
        moved = dodge ** (order.index(front) / (len(fronts) - 1) - 0.5) if len(fronts) > 1 else 1.0
        for axes, panel in places.items():
            for spot in panel.get(front, ()):
                _draw(axes, spot, mark, moved)
        told.append((mark.name, looks(mark)))
        told += [(f"behind it: {marks[one].name}", {"linewidth": 0}) for one in systems[1:]]
    return told


def _is_behind(system: str, front: str, places: Mapping[Axes, Places]) -> bool:
    for panel in places.values():
        these, those = panel.get(system, ()), panel.get(front, ())
        if len(these) != len(those) or not all(one.is_at(other) for one, other in zip(these, those, strict=True)):
            return False
    return True


def _draw(axes: Axes, spot: Spot, mark: Mark, moved: float) -> None:
    drawn = axes.errorbar(
        [spot.x * moved],
        [spot.y],
        xerr=_ends(spot.x, spot.left, spot.right),
        yerr=_ends(spot.y, spot.low, spot.high),
        elinewidth=1.3 if mark.is_strong else 0.8,
        capsize=2.5 if mark.is_strong else 0,
        zorder=4 if mark.is_strong else 3,
        **looks(mark),
    )
    for bar in drawn[2]:
        bar.set_alpha(1.0 if mark.is_strong else 0.5)


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
    is_narrow = high < 5 * low
    axis.set_major_locator(ticker.MaxNLocator(5) if is_narrow else ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(ticker.NullLocator())


def saved(figure: Figure, told: Legend, name: str, title: str) -> str:
    """Return a figure with its legend as SVG that stands alone and in a page; `name` begins the names of its parts."""
    from matplotlib.lines import Line2D  # noqa: PLC0415 - the extra is optional

    handles = [Line2D([], [], **one) for _, one in told]
    drawn = figure.legend(handles, ["."] * len(told), loc="outside right upper", handlelength=2.4, labelspacing=0.45)
    for label, (line, _) in zip(drawn.get_texts(), told, strict=True):
        label.set_text(line)  # a label that begins with an underscore would be left out
    figure.set_figheight(max(figure.get_figheight(), 0.19 * len(told) + 0.4))
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=_UNDATED)
    root = ElementTree.fromstring(written.getvalue())
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag in (f"{_SVG}metadata", f"{_SVG}style")]:
            parent.remove(child)
    for part in root.iter():
        part.tag = part.tag.removeprefix(_SVG)
        part.attrib |= {key: re.sub(r"url\(#", f"url(#{name}-", value) for key, value in part.attrib.items()}
        if "id" in part.attrib:
            part.set("id", f"{name}-{part.attrib['id']}")
        if _LINK in part.attrib:
            part.set("href", f"#{name}-{part.attrib.pop(_LINK)[1:]}")
    ends = {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "stroke-linejoin": "round"}
    root.attrib |= {"xmlns": _SVG[1:-1], **ends}
    for place, (tag, text) in enumerate({"title": title, "desc": "; ".join(line for line, _ in told)}.items()):
        said = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        said.text = text
        root.insert(place, said)
    return ElementTree.tostring(root, encoding="unicode")
