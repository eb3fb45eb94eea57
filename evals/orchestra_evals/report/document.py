"""The document of a comparison (`orchestra eval compare --json`) as a frozen value: what a report is made from.

What a document says besides is ignored, and what a report can do without may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Evidence, Json
from orchestra_evals.report.laws import Convergence, Forecast, Regret, Survival, SurvivalCurve
from orchestra_evals.report.parts import Detectable, Difference, Graphs, Matched, Named, Row, Unit, Unmatched

T = TypeVar("T", bound="Named")

SCHEMA = "orchestra.comparison/1"
"""What a document says of its own form; a new form has a new number."""


@dataclass(frozen=True, kw_only=True)
class ComparisonDocument:
    """What a comparison of systems on one suite came to."""

    document: Literal["orchestra.comparison/1"]
    suite: str
    version: int = 1
    split: str = "test"
    seed: int = 0
    samples: int
    repeats: int = 1
    decompose: str = "suite"
    command: str | None = None
    made: str = ""
    orchestra: str = ""
    cap: dict[str, float] = field(default_factory=dict)
    """Of each row, by unit."""
    cap_source: Literal["given", "estimated", "none"] = "none"
    evidence: Evidence
    models: tuple[str, ...]
    baseline: str
    pick: str | None = None
    skipped: tuple[Unmatched, ...] = ()
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...] = ()
    mde: Detectable | None = None
    graphs: Graphs = field(default_factory=Graphs)
    matched: Matched | None = None
    forecast: Forecast | None = None
    regret: Regret | None = None
    convergence: Convergence | None = None
    survival: Survival | None = None
    samples_file: str | None = None
    journal: str | None = None

    @classmethod
    def of(cls, said: Mapping[str, Json], where: str = "document") -> ComparisonDocument:
        """Return the document that a JSON object spells.

        Args:
            said: The object.
            where: What errors name.

        Raises:
            InputError: It is no comparison, or a value is not what it must be; the sentence names the first.
        """
        form = said.get("document") if isinstance(said, Mapping) else None
        if form != SCHEMA:
            told = f"has the form {shown(form)}" if form is not None else "does not say that it is one"
            raise InputError(where, f"must be a document of `orchestra eval compare` ({SCHEMA}); it {told}")
        try:
            plain = json.dumps(said, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")
            found: ComparisonDocument = _adapter().validate_json(plain)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            path = ".".join(map(str, first["loc"]))
            raise InputError(where, f"{path}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(where, f"must be plain JSON: {error}") from error
        return found

    @property
    def unit(self) -> Unit:
        """The unit in which systems are matched: that of the cap, tokens where it has none or several."""
        if self.matched is not None:
            return self.matched.unit
        units = [unit for unit in self.cap if unit != "seconds"]
        return "calls" if units == ["calls"] else "usd" if units == ["usd"] else "tokens"

    @property
    def cap_a_sample(self) -> float | None:
        """What the cap leaves for one repeat of one sample, in the unit of `unit`; None without such a cap."""
        cap, count = self.cap.get(self.unit), self.samples * self.repeats
        return None if cap is None or not count else cap / count

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The systems, in order."""
        return tuple(dict.fromkeys(row.system for row in self.rows))

    @property
    def ranked(self) -> list[Row]:
        """The rows, model by model, the highest score first and those without a score last."""
        ranks = {model: rank for rank, model in enumerate(self.models)}
        return sorted(
            self.rows, key=lambda row: (ranks.get(row.model, len(ranks)), row.score is None, -(row.score or 0))
        )

    def rows_of(self, model: str) -> list[Row]:
        """Return the rows of a model."""
        return [row for row in self.rows if row.model == model]

    def row(self, system: str | None, model: str) -> Row | None:
        """Return the row of a system with a model."""
        return next((row for row in self.rows_of(model) if row.system == system), None)

    def scored(self, model: str) -> list[Row]:
        """Return the rows of a model that have a score, the highest first."""
        return sorted((row for row in self.rows_of(model) if row.score is not None), key=lambda row: -(row.score or 0))

    def best(self, model: str) -> Row | None:
        """Return the row of a model with the highest score; of equals that with most samples.

        Of those with as many it is the baseline, then the pick, then the first.
        """
        rows = self.scored(model)
        equals = [row for row in rows if row.score == rows[0].score]
        return min(equals, key=lambda row: (-row.n, row.system != self.baseline, row.system != self.pick), default=None)

    def difference(self, system: str, model: str) -> Difference | None:
        """Return how a system with a model compares with the baseline."""
        return next((one for one in self.differences if (one.system, one.model) == (system, model)), None)

    def in_rank(self, items: Iterable[T]) -> list[T]:
        """Return what is about systems with models in the order of `ranked`."""
        ranks = {(row.system, row.model): rank for rank, row in enumerate(self.ranked)}
        return sorted(items, key=lambda one: ranks.get((one.system, one.model), len(ranks)))

    @cached_property
    def survival_curves(self) -> list[SurvivalCurve]:
        """The curves of survival in the order of `ranked`, none where all chains are of one length."""
        curves = [] if self.survival is None else [curve for curve in self.survival.curves if curve.points]
        lengths = {point.steps for curve in curves for point in curve.points if point.steps > 0}
        return self.in_rank(curves) if len(lengths) > 1 else []

    def evidence_of(self, rows: Iterable[Row] | None = None) -> str:
        """Return on what rows, or all, were measured, as a figure or table says it."""
        kinds = {row.evidence for row in rows or self.rows if row.score is not None} or {self.evidence}
        return "real and SIMULATED" if len(kinds) > 1 else "SIMULATED" if "simulated" in kinds else "real"


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(ComparisonDocument)
