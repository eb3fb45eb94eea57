"""Pictures of the theory: the phase diagram with the user's point, and the bias by depth with its bounds.

They are computed, not measured, and say so. Lines differ by dash and by label, areas by grey and by name, so that
nothing is lost in grey. matplotlib is an extra: `pip install 'orchestra-mas[plots]'`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestra.budget.depth import bias_by_depth, lower_bias, upper_bias
from orchestra.budget.domain import FloatArray
from orchestra.budget.phase import COLLAPSE, SATURATION, SYNERGY, UNSURE, critical_rho, phase_grid
from orchestra.budget.phase_forecast import PhaseForecast, PhaseQuestion
from orchestra_agents.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg")
"""Endings of pictures."""

_GAMMA_MARGIN = 0.05
_POINTS = 301
_LEVELS = 30
_SMALLEST_REGION = 0.04
_REGIMES = {COLLAPSE: "collapse", SATURATION: "saturation", SYNERGY: "synergy", UNSURE: "growth"}
_SHADES = np.arange(0.0, 1.01, 0.1)


def refuse_unwritable(path: Path) -> None:
    """Refuse a picture whose format, folder or extra is missing, before anything is computed.

    Raises:
        InputError: The ending is neither .png nor .svg, the folder does not exist, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError("plot", f"must end in .png or .svg, got {str(path)!r}")
    if not path.parent.is_dir() or path.is_dir():
        raise InputError("plot", f"must be a file in a folder that exists, got {str(path)!r}")
    try:
        import matplotlib  # noqa: F401, PLC0415 - the extra is optional
    except ImportError as error:
        raise InputError("plot", "needs matplotlib; install orchestra-mas[plots]") from error


def draw_phase(asked: PhaseQuestion, forecast: PhaseForecast, path: Path) -> None:
    """Write the phase diagram and, where mu0 is known, the bias by depth.

    Args:
        asked: The question; its point is marked.
        forecast: The answer.
        path: A .png or .svg file.
    """
    import matplotlib  # noqa: PLC0415 - the extra is optional
    from matplotlib.figure import Figure  # noqa: PLC0415 - the extra is optional

    panels = 1 if asked.setting.mu0 is None else 2
    style = matplotlib.rc_context(
        {"font.size": 10, "axes.titlesize": 11, "svg.fonttype": "none", "svg.hashsalt": "orchestra"}
    )
    with style:
        figure = Figure(figsize=(6.2 * panels, 4.9), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _diagram(axes[0], asked, forecast)
        if panels == 2:
            _levels(axes[1], asked, forecast)
        figure.suptitle("Theory of phase transitions (arXiv 2601.17311): computed, not measured", fontsize=10)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        figure.savefig(path, dpi=160, metadata=metadata)


def _diagram(axes: Axes, asked: PhaseQuestion, forecast: PhaseForecast) -> None:
    lowest = max(1e-3, min(0.4, asked.gamma - _GAMMA_MARGIN))
    gammas, rhos = np.linspace(lowest, 1.0, _POINTS), np.linspace(0.0, 1.0, _POINTS)
    beta = asked.setting.beta
    grid = phase_grid(asked.fan_in, gammas, rhos, beta=beta, share=asked.share)
    shades = axes.contourf(gammas, rhos, np.nan_to_num(grid.fixed_point), _SHADES, cmap="Greys_r", vmin=-1.6, vmax=1.0)
    figure = axes.figure
    figure.colorbar(shades, ax=axes, label="bias of a deep tree, mu*", ticks=_SHADES[::2])
    line = _above_axis(critical_rho(asked.fan_in, gammas, share=asked.share))
    axes.plot(gammas, line, color="black", linewidth=2, label="alpha = 1: below, signals grow")
    if beta:
        pays = _above_axis(critical_rho(asked.fan_in, gammas, share=asked.share, exponent=beta))
        axes.plot(
            gammas,
            pays,
            color="black",
            linestyle="--",
            label=f"s = beta = {beta:g}: below, a tree pays at a large budget",
        )
    for code, name in _REGIMES.items():
        _name_region(axes, gammas, rhos, grid.regime == code, name)
    point = f"here: gamma {asked.gamma:g}, rho {asked.rho:g} ({forecast.regime})"
    mark = axes.scatter([asked.gamma], [asked.rho], s=90, c="white", edgecolors="black", linewidths=2, label=point)
    mark.set(clip_on=False, zorder=5)
    axes.set(
        xlim=(lowest, 1),
        ylim=(0, 1),
        xlabel="gamma: correlation of a message as read and as sent",
        ylabel="rho: share of nodes whose messages are copies",
        title=f"Phase diagram, fan-in {asked.fan_in}, copied {asked.share} the channel",
    )
    axes.legend(loc="upper left", fontsize=8.5, framealpha=0.95)


def _above_axis(line: FloatArray) -> FloatArray:
    """Return a line without the part that runs along the axis, where no rho is low enough."""
    return np.where(line > 0, line, np.nan)


def _name_region(axes: Axes, gammas: FloatArray, rhos: FloatArray, is_inside: NDArray[np.bool_], name: str) -> None:
    """Write a name into the middle of a region, unless it is too small for one."""
    if is_inside.mean() < _SMALLEST_REGION:
        return
    row = int(np.average(np.arange(len(rhos)), weights=is_inside.sum(axis=1)))
    columns = gammas[is_inside[row]] if is_inside[row].any() else gammas
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(columns.mean(), rhos[row], name, ha="center", va="center", fontsize=10, style="italic", bbox=box)


def _levels(axes: Axes, asked: PhaseQuestion, forecast: PhaseForecast) -> None:
    mu0 = asked.setting.mu0 or 0.0
    depth = asked.depth or min(forecast.mixing_depth or _LEVELS, 200)
    depths: FloatArray = np.arange(depth + 1.0)
    curves = {
        "upper bound min(mu*, alpha^L mu0)": (upper_bias(mu0, asked.joint, depths), ":", None),
        "bias of the root, recursion": (bias_by_depth(mu0, asked.joint, depth), "-", "o"),
        "rigorous lower bound": (lower_bias(mu0, asked.joint, depths), "--", None),
    }
    for label, (values, dash, marker) in curves.items():
        axes.plot(depths, values, color="black", linestyle=dash, marker=marker, markersize=4, label=label)
    if forecast.fixed_point is not None:
        axes.axhline(forecast.fixed_point, color="0.55", linewidth=1.5, label=f"mu* = {forecast.fixed_point:.3f}")
    axes.set(
        xlim=(0, max(depth, 1)),
        ylim=(0, 1.02),
        xlabel=f"depth L (the tree has {forecast.counted_fan_in}^L leaves)",
        ylabel="bias, 2 accuracy - 1",
        title=f"Bias by depth from mu0 = {mu0:g}",
    )
    axes.legend(loc="best", fontsize=8.5, framealpha=0.95)
