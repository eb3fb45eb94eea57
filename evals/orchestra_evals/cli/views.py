"""Scores and estimates as people read them in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra_agents.models.contract import Json
from orchestra_evals.runner.estimates import CellEstimate, EvaluationEstimate
from orchestra_evals.runner.evaluation import CellScore, Evaluation
from orchestra_evals.runner.scores import MeanScore


def cell_view(cell: CellScore, found: Evaluation) -> RenderableType:
    """Return the score of a cell by difficulty and in total, what it took, and what could not be measured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("difficulty", "n", "score", "95 % interval"):
        table.add_column(column, justify="left" if column == "difficulty" else "right")
    for told in cell.by_difficulty():
        interval, place = told["interval"], told["difficulty"]
        table.add_row(
            _place(place), str(told["n"]), _share(told["score"]), _interval(interval["low"], interval["high"])
        )
    table.add_row(*_mean("all", cell.mean), style="bold")
    retried = sum(row.retried for row in cell.rows)
    if retried:
        table.add_row(*_mean(f"without {retried} asked again", cell.mean_without_retried))
    usage, graphs = cell.usage_dict(), cell.graphs
    kind = "a real model" if cell.evidence == "real" else "a SIMULATED model"
    lines = [
        ("system", f"{cell.system}, {cell.cell.model_name}, {kind}"),
        ("status", _counts(cell.statuses)),
        ("outcome", _counts(cell.outcomes)),
        ("graphs", f"by {graphs['source']}: {graphs['graphs']}, {graphs['degenerate']} of one subtask"),
        ("usage", _usage(usage)),
        ("cap", _counts(cell.as_dict()["cap"]) + f"; spent {_counts(cell.as_dict()['spent'])}"),
        ("rows", str(found.samples_file)),
        ("journal", str(found.journal)),
    ]
    closing = [Text.assemble((f"{name:9}", "bold"), value) for name, value in lines]
    return Group(Text(cell.cell.suite.name, style="bold"), table, Text(), *closing)


def estimate_view(found: EvaluationEstimate) -> RenderableType:
    """Return what each cell will take, and which difference can be found."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("system", "model", "samples", "repeats", "calls", "tokens", "usd"):
        table.add_column(column, overflow="fold")
    for cell in found.cells:
        told = cell.as_dict()
        tokens = None if cell.input_tokens is None else cell.input_tokens + (cell.output_tokens or 0)
        figures = [_number(one) for one in (cell.calls, tokens, cell.cost_usd)]
        table.add_row(*(str(told[name]) for name in ("system", "model", "samples", "repeats")), *figures)
    over = [_over(unit, cell) for cell in found.cells for unit in cell.exceeded()]
    mde = found.detectable
    least = "no difference" if mde.effect is None else f"a difference of {mde.effect:.3f} or more"
    power = (
        f"on {mde.n} samples {least} is found with probability {mde.power:g} at level {mde.level:g}, where systems "
        f"differ on {mde.discordance:.0%} of them"
    )
    return Group(Text(found.suite, style="bold"), table, Text(), *map(Text, [*over, power]))


def _place(difficulty: dict[str, Json]) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in difficulty.items()) or "all of one kind"


def _over(unit: str, cell: CellEstimate) -> str:
    return f"the cap in {unit} will not pay for all samples of {cell.cell.called}"


def _mean(name: str, mean: MeanScore) -> tuple[str, str, str, str]:
    return name, str(mean.n), _share(mean.score), _interval(mean.interval.low, mean.interval.high)


def _share(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def _counts(counts: dict[str, Json]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in counts.items() if value) or "none"


def _number(figure: float | None) -> str:
    return "unknown" if figure is None else f"{figure:,.4g}" if figure < 10 else f"{figure:,.0f}"


def _usage(usage: dict[str, Json]) -> str:
    cost = "unknown cost" if usage["cost_usd"] is None else f"{usage['cost_usd']:.4f} USD"
    partly = " (partly estimated)" if usage["estimated"] else ""
    tokens = f"{usage['input_tokens']:,} + {usage['output_tokens']:,} tokens{partly}"
    return f"{usage['calls']:,} calls, {tokens}, {cost}, as told by {usage['source']}"
