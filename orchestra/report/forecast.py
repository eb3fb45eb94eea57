"""A forecast as people read it in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra.budget.forecast import Forecast, Row

_MOST_ROWS = 8


def forecast_view(found: Forecast) -> RenderableType:
    """Return what each way promises and takes, the route first, then what is recommended and what was assumed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("forecast", "accuracy", "for certain", "calls", "tokens", "calls in a row"):
        table.add_column(column, overflow="fold", justify="left" if column == "forecast" else "right")
    rows = [found.route, *(row for row in found.rows if row is not found.route and row.within_budget)]
    for row in rows[:_MOST_ROWS]:
        style = "bold" if row is found.recommended else ""
        table.add_row(*(Text(cell, style=style) for cell in _cells(row)))
    left_out = len(found.rows) - min(len(rows), _MOST_ROWS)
    more = [Text(f"... and {left_out} other ways (--json shows all)", style="dim")] if left_out > 0 else []
    chosen = found.recommended
    lines = [Text.assemble((f"{chosen.topology} x {chosen.team}", "bold"), f"  {found.reason}")]
    if found.k is not None and found.next_vote is not None:
        lines.append(Text(f"votes: beyond ahead-by-{found.k} another vote adds {found.next_vote:.4f}"))
    if found.panel is not None:
        lines.append(Text(f"agents that read one another: {found.panel.regime}, {found.panel.reason}"))
    lines += [Text(f"assumed: {one}", style="dim") for one in found.assumed]
    return Group(table, *more, Text(), *lines)


def _cells(row: Row) -> tuple[str, ...]:
    accuracy, certain = "-", "-"
    if row.accuracy is not None:
        low, high = row.accuracy["pessimistic"], row.accuracy["optimistic"]
        accuracy, certain = f"{low:.3f}" if high - low < 0.0005 else f"{low:.3f} to {high:.3f}", f"{row.low:.3f}"
    name = f"{row.topology} x {row.team}" + ("" if row.within_budget else " (over budget)")
    return (
        name,
        accuracy,
        certain,
        f"{row.calls:.0f}",
        f"{row.input_tokens + row.output_tokens:,}",
        f"{row.rounds:.0f}",
    )
