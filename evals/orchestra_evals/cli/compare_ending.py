"""How a comparison ends for the shell: its exit code, its command line for others to read, and how to go on with it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from orchestra_evals.comparing.compared import without_folders
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.systems.self_consistency import SelfConsistency


def command_line(arguments: Sequence[str]) -> str:
    """Return the command for others to read: of files of this machine only the names.

    >>> command_line(["eval", "compare", "file:/home/me/own.jsonl", "--journal=/tmp/j.db"])
    'orchestra eval compare file:own.jsonl --journal=j.db'
    """
    return shlex.join(["orchestra", *map(without_folders, arguments)])


def exit_code(cells: Sequence[CellScore]) -> int:
    """Return what a comparison means to the shell.

    3 where a cap left samples unpaid, 1 without any score, 5 where samples were lost or not asked.
    """
    if _count(cells, "budget"):
        return 3
    if all(cell.mean.score is None for cell in cells):
        return 1
    return 5 if _count(cells, "infra_error") or _count(cells, "missing") else 0


def how_to_go_on(cells: Sequence[CellScore], arguments: Sequence[str], *, is_cut_short: bool) -> str | None:
    """Return which command goes on with a comparison, None where nothing is left to ask."""
    lost = [row.error for cell in cells for row in cell.rows if row.status == "infra_error" and row.error is not None]
    unpaid = _count(cells, "budget")
    if not (is_cut_short or lost or unpaid):
        return None
    told = f"{len(lost)} samples were lost, the first to {lost[0].code}: {lost[0].message}\n" if lost else ""
    more = f"{' and a larger --budget-...' if unpaid else ''}{' and --retry-errors' if lost else ''}"
    if unpaid and any(isinstance(cell.cell.system, SelfConsistency) for cell in cells):
        more += "\n(selfconsistency spends its cap, so that another cap asks it anew)"
    return f"{told}go on with: {shlex.join(['orchestra', *arguments])}{more}"


def _count(cells: Sequence[CellScore], status: str) -> int:
    return sum(cell.statuses[status] for cell in cells)
