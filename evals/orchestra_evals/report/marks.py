"""How each system is marked in every figure alike: told apart by shape and label, in grey as well."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.wording import one_line

INK, GREY, PAPER, BLUE, RED, GREEN = "#000000", "#7a7a7a", "#ffffff", "#1d6fb8", "#c2410c", "#15803d"
"""Colours of figures; a page in dark has its own instead of the first and the third. No colour alone tells anything."""

BEST_DASH = (0, (9, 2.5))
"""How the law of the best system is dashed."""

_ROLES = {
    "baseline": ("s", INK, (0, (4, 2))),
    "pick": ("D", RED, (0, (1.5, 1.5))),
    "self-consistency": ("o", BLUE, (0, (6, 2, 1.5, 2))),
}
_SHAPES = ("^", "v", "<", ">", "*", "P", "X", "d", "p")
_LONGEST_NAME = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a system is marked."""

    shape: str
    color: str
    is_filled: bool = False
    dash: tuple[float, tuple[float, ...]] = BEST_DASH
    """Of the lines that belong to it."""
    role: str = ""
    """baseline, pick or self-consistency; these are drawn above all others, and labelled."""
    name: str
    """The system, short enough for a figure."""


def marks_of(document: ComparisonDocument) -> dict[str, Mark]:
    """Return how each system is marked: three by their role, all others by a shape of their own, in grey."""
    kinds = {row.system: row.kind for row in document.rows}
    found: dict[str, Mark] = {}
    others = 0
    for system in document.names:
        role = _role(document, system, kinds[system])
        name = f"{one_line(system, _LONGEST_NAME) or '?'}{_evidence(document, system)}"
        if role:
            shape, color, dash = _ROLES[role]
            found[system] = Mark(shape=shape, color=color, is_filled=True, dash=dash, role=role, name=name)
        else:
            shape, is_filled = _SHAPES[others % len(_SHAPES)], others >= len(_SHAPES)
            found[system] = Mark(shape=shape, color=GREY, is_filled=is_filled, name=name)
            others += 1
    return found


def label(document: ComparisonDocument, system: str, model: str, mark: Mark) -> str:
    """Return what a system is labelled with in the panel of a model, empty where the legend alone names it."""
    best = document.best(model)
    roles = ["best"] if best is not None and best.system == system else []
    roles += [mark.role] if mark.role else []
    if roles == ["self-consistency"]:
        return mark.role
    return f"{', '.join(roles)}: {mark.name}" if roles else ""


def _role(document: ComparisonDocument, system: str, kind: str) -> str:
    if system == document.baseline:
        return "baseline"
    if system == document.pick:
        return "pick"
    return "self-consistency" if kind == "selfconsistency" else ""


def _evidence(document: ComparisonDocument, system: str) -> str:
    """Return what tells a system of the user's own from others in one panel, where these are of another evidence."""
    rows = [row for row in document.rows if row.system == system]
    alone = {row.evidence for row in rows}
    beside = {row.evidence for row in document.rows if row.model in {one.model for one in rows} and row.kind != "own"}
    is_other = any(row.kind == "own" for row in rows) and len(alone | beside) > 1
    return "" if not is_other else ", SIMULATED" if "simulated" in alone else ", real"
