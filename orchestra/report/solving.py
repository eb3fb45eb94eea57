"""A problem solved by recursive decomposition, as people read it in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra.report.text import closing_lines, shown_answer
from orchestra.solved import Solved
from orchestra_agents.models.contract import Json

_MOST_ROWS = 200


def solved_view(result: Solved) -> RenderableType:
    """Return the tree of problems with their answers and votes, then the answer, what it took and where it stands."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("path", "how", "votes", "failure", "problem", "answer"):
        table.add_column(column, overflow="fold")
    for problem in result.problems[:_MOST_ROWS]:
        table.add_row(*(Text(cell) for cell in _row(problem)))
    left_out = len(result.problems) - _MOST_ROWS
    return Group(
        table,
        *([Text(f"... and {left_out} more", style="dim")] if left_out > 0 else []),
        Text(),
        Text.assemble(("answer  ", "bold"), shown_answer(result.answer)),
        Text.assemble(("status  ", "bold"), result.status),
        *([Text.assemble(("reason  ", "bold"), result.reason)] if result.reason else []),
        *closing_lines(result),
    )


def _row(problem: dict[str, Json]) -> tuple[str, ...]:
    """Return the cells of one problem; of several failures, all."""
    failures = ", ".join(filter(None, (problem["split_failure"], problem["failure"])))
    votes = f"{problem['split_votes']} + {problem['votes']}"
    return problem["path"], problem["how"] or "-", votes, failures or "-", problem["problem"], _answer(problem)


def _answer(problem: dict[str, Json]) -> str:
    return shown_answer(problem["answer"]) if problem["how"] else "-"
