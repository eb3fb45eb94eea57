"""A comparison as people read it in a terminal: the document that `--json` prints, in tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra_agents.models.contract import Json


def compare_view(told: dict[str, Json]) -> RenderableType:
    """Return for each model the rows, those at matched spend and what was foretold; then what all of it says."""
    parts: list[RenderableType] = [Text(f"{told['suite']}, {told['samples']} samples", style="bold")]
    for model in told["models"]:
        parts += [Text(), *_of_model(told, model)]
    return Group(*parts, Text(), *(Text(line) for line in _sentences(told)))


def skipped_lines(skipped: Sequence[dict[str, Json]]) -> list[str]:
    """Return who does not compete, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in skipped:
        reasons.setdefault(one["reason"], []).append(one["system"])
    return [f"left out {', '.join(systems)}: {reason}" for reason, systems in reasons.items()]


def cap_line(cap: dict[str, Json], source: str) -> str:
    """Return under which cap each system was asked, and who set it."""
    if source == "none":
        return "cap      none: nobody can tell what all of them will take; give one with --budget-..."
    told = f"cap      {_counts(cap)} for each system with each model"
    return told if source == "given" else f"{told}, half as much again as the dearest is estimated to take"


def _of_model(told: dict[str, Json], model: str) -> Iterator[RenderableType]:
    def of(rows: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
        return [row for row in rows if row["model"] == model or row["model"] not in told["models"]]

    rows = of(told["rows"])
    is_simulated = any(row["evidence"] == "simulated" for row in rows)
    yield Text(f"{model}, {'a SIMULATED model' if is_simulated else 'a real model'}")
    yield _rows(rows, {one["first"]: one for one in of(told["differences"])})
    matched = told["matched"]
    if matched and of(matched["rows"]):
        yield from (Text(), _matched(of(matched["rows"]), matched["unit"]))
    foretold = [row for row in of(told["forecast"]["rows"]) if row["predicted"] is not None]
    if foretold:
        yield from (Text(), _forecast(foretold))


def _rows(rows: Sequence[dict[str, Json]], beside: dict[str, dict[str, Json]]) -> Table:
    table = _table("system", "n", "score", "95 %", "tokens", "beside", "95 %", "finding")
    for row in rows:
        found, tokens = beside.get(row["system"]), row["spent_a_sample"]["tokens"]
        table.add_row(
            row["system"],
            str(row["n"]),
            _share(row["score"]),
            _range(row["interval"]),
            "-" if tokens is None else f"{tokens:,.0f}",
            *_difference(found),
            _finding(found),
        )
    return table


def _matched(rows: Sequence[dict[str, Json]], unit: str) -> Table:
    table = _table(f"at equal {unit}", unit, "score", "votes", "beside", "95 %", "p")
    for row in rows:
        rival = f"{'~' if row['interpolated'] else ''}{_share(row['rival_score'])}"
        spend = f"{row['spend']:.5f}" if unit == "usd" else f"{row['spend']:,.0f}"
        adjusted = f"{row['adjusted_p']:.3f}"
        table.add_row(row["system"], spend, _share(row["score"]), rival, *_difference(row), adjusted)
    return table


def _forecast(rows: Sequence[dict[str, Json]]) -> Table:
    table = _table("foretold", "score", "measured", "error", "calls", "measured")
    for row in rows:
        ends = f"{row['predicted']['pessimistic']:.3f}..{row['predicted']['optimistic']:.3f}"
        error = "-" if row["error"] is None else f"{row['error']:+.3f}"
        calls = ["-" if figure is None else f"{figure:,.1f}" for figure in row["calls"].values()]
        table.add_row(row["system"], ends, _share(row["measured"]), error, *calls)
    return table


def _sentences(told: dict[str, Json]) -> Iterator[str]:
    mde = told["mde"]
    least = "no difference" if mde["effect"] is None else f"a difference of {mde['effect']:.3f} or more"
    yield (
        f"on {mde['n']} samples {least} is found with probability {mde['power']:g} at level {mde['level']:g} of "
        f"{mde['comparisons']} comparisons, where systems differ on {mde['discordance']:.0%} of them"
    )
    if any(one["left_out"] for one in told["differences"]):
        yield "differences are over the samples that both systems have, scores over all that were measured"
    yield from _regret(told)
    if told["matched"] and not told["matched"]["curves"]:
        yield f"nothing at matched spend: {told['matched']['note']}"
    for one in told["matched"]["unmatched"] if told["matched"] else ():
        yield f"not at equal spend: {one['system']} with {one['model']}, which {one['reason']}"
    yield from _profiled(told["forecast"])
    graphs = told["graphs"]
    yield f"graphs   by {graphs['source']}: {graphs['graphs']}, {graphs['degenerate']} of one subtask"
    yield cap_line(told["cap"], told["cap_source"])
    yield from skipped_lines(told["skipped"])
    yield from _unmeasured(told["rows"])


def _regret(told: dict[str, Json]) -> Iterator[str]:
    """Yield what the pick lost, model by model."""
    found = {one["model"]: one for one in told["regret"]["models"]} if told["regret"] else {}
    for model, one in found.items():
        best = "none was better" if one["best"] == told["pick"] else f"{one['best']} was the best"
        interval = f"{one['value']:.3f} ({_range(one)})"
        less = f", without {one['left_out']} samples that not all of them have" if one["left_out"] else ""
        if one["without"]:
            less += f"; not against {', '.join(one['without'])}, of which fewer samples were measured"
        yield f"regret of {told['pick']} against {one['alternatives']} others: {interval}, {best}{less}; {model}"
    for model in told["models"] if told["regret"] else ():
        if model not in found:
            yield f"regret of {told['pick']} with {model} is not known: no sample was measured with all wirings"


def _profiled(forecast: dict[str, Json]) -> Iterator[str]:
    """Yield by which profiles was foretold, and what measuring them took."""
    if forecast["profiles"]:
        yield f"foretold {forecast['reason']}"
    for one in forecast["profiles"]:
        if one["took"] is not None:
            took = one["took"]
            yield f"measuring {one['of']} took {took['calls']:,} calls and {took['tokens']:,} tokens, under no cap"


def _unmeasured(rows: Sequence[dict[str, Json]]) -> Iterator[str]:
    """Yield by model what could not be measured of which system."""
    missed: dict[str, list[str]] = {}
    for row in rows:
        statuses = {name: count for name, count in row["statuses"].items() if name != "ok" and count}
        if statuses:
            missed.setdefault(row["model"], []).append(f"{row['system']} {_counts(statuses)}")
    for model, systems in missed.items():
        yield f"not measured with {model}: {'; '.join(systems)}"
    for row in rows:
        if row["kind"] == "own" and (failed := row["outcomes"].get("failed", 0)):
            yield f"{row['system']} failed on {failed:,} with {row['model']}, each counted as wrong; rows say why"


def _table(*columns: str) -> Table:
    """Return an empty table that fits a terminal of 80 characters; all columns but names are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        is_word = place == 0 or column == "finding"
        table.add_column(column, justify="left" if is_word else "right", overflow="fold", no_wrap=not is_word)
    return table


def _finding(found: dict[str, Json] | None) -> str:
    """Return what a difference from the baseline says in a word, a dash where none is shown."""
    if found is None:
        return "baseline"
    return str(found["finding"]) if found["finding"] in ("better", "worse") else "-"


def _difference(found: dict[str, Json] | None) -> tuple[str, str]:
    if found is None or found["difference"] is None:
        return "", ""
    return f"{found['difference']['value']:+.3f}", _range(found["difference"])


def _range(interval: dict[str, Json]) -> str:
    return f"{interval['low']:.2f}..{interval['high']:.2f}"


def _share(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"


def _counts(counted: dict[str, Json]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in counted.items()) or "none"
