"""How each system is marked in every figure alike: told apart by shape, in grey as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.wording import one_line

Looks: TypeAlias = dict[str, Any]
"""How a line or point is drawn, as matplotlib calls it."""
Legend: TypeAlias = list[tuple[str, Looks]]
"""What a legend names, and how that is drawn."""
INK, GREY, BLUE, RED, GREEN = "#000000", "#7a7a7a", "#1d6fb8", "#c2410c", "#15803d"
_ROLES = {
    "baseline": ("s", INK, (0, (4, 2))),
    "pick": ("D", RED, (0, (1.5, 1.5))),
    "self-consistency": ("o", BLUE, (0, (6, 2, 1.5, 2))),
}
_SHAPES = ("^", "v", "<", ">", "*", "P", "X", "d", "p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a system is marked in every figure alike, told apart in grey as well."""

    shape: str
    color: str
    face: str
    dash: tuple[float, tuple[float, ...]] = (0, (9, 2.5))
    """Of the lines that belong to it."""
    is_strong: bool
    """Whether it is the baseline, the pick, self-consistency, or has the highest score with a model."""
    name: str
    """The system, short enough for a figure, with what it is."""


def marks_of(document: ComparisonDocument) -> dict[str, Mark]:
    """Return how each system is marked: those with a role in colour, all others by a shape of their own in grey."""
    kinds = {row.system: row.kind for row in document.rows}
    best = [(model, one.system) for model in document.models if (one := document.best(model))]
    found: dict[str, Mark] = {}
    for system in document.names:
        roles = ["baseline"] * (system == document.baseline) + ["pick"] * (system == document.pick)
        looks = [*roles, *(["self-consistency"] if kinds[system] == "selfconsistency" else [])]
        roles += [_best(document, model) for model, one in best if one == system]
        told = f" ({', '.join(roles)})" if roles else ""
        name = f"{one_line(system, 34) or '?'}{told}{_evidence(document, system)}"
        if looks:
            shape, color, dash = _ROLES[looks[0]]
            found[system] = Mark(shape=shape, color=color, face=color, dash=dash, is_strong=True, name=name)
        else:
            plain = sum(not mark.is_strong or mark.color == GREEN for mark in found.values())
            color = GREEN if roles else GREY
            face = color if plain >= len(_SHAPES) else "none"
            shape = _SHAPES[plain % len(_SHAPES)]
            found[system] = Mark(shape=shape, color=color, face=face, is_strong=bool(roles), name=name)
    return found


def _best(document: ComparisonDocument, model: str) -> str:
    return f"best with {one_line(model, 18)}" if len(document.models) > 1 else "best"


def _evidence(document: ComparisonDocument, system: str) -> str:
    """Return what tells a system of the user's own from others, where these are of another evidence."""
    own = {row.evidence for row in document.rows if row.system == system and row.kind == "own"}
    beside = own | {row.evidence for row in document.rows if row.kind != "own" and row.score is not None}
    return "" if not own or len(beside) == 1 else ", SIMULATED" if "simulated" in own else ", real"


def looks(mark: Mark) -> Looks:
    """Return how a point of a system is drawn."""
    size = 8.5 if mark.is_strong else 5.5
    return {
        "marker": mark.shape,
        "color": mark.color,
        "markerfacecolor": mark.face,
        "linewidth": 0,
        "markersize": size,
    }
