"""What an evaluation came to: for each cell its scores with intervals, what it took, and what could not be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from orchestra_agents.ledger import Cost
from orchestra_agents.models.contract import Evidence, Json, canonical_json
from orchestra_evals.runner.cells import Cell, caps
from orchestra_evals.runner.rows import Row, Taken
from orchestra_evals.runner.scores import MeanScore, mean_of, repeats_of, rng_of
from orchestra_evals.statistics.figures import Figures, figures_of
from orchestra_evals.systems.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class CellScore:
    """What one cell came to."""

    cell: Cell
    rows: tuple[Row, ...]
    """In the order of the samples; those that were not asked yet are missing."""

    @classmethod
    def of(cls, cell: Cell, rows: Mapping[str, Row]) -> CellScore:
        """Return what a cell came to by its rows, which are given by the names of their runs."""
        return cls(cell=cell, rows=tuple(rows[item.run_id] for item in cell.items() if item.run_id in rows))

    @property
    def system(self) -> str:
        """Name of the system."""
        return self.cell.called

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows that have a score."""
        return tuple(row for row in self.rows if row.is_measured)

    @cached_property
    def mean(self) -> MeanScore:
        """The score over all that was measured."""
        return mean_of(self.measured, self.cell.selection.seed)

    @cached_property
    def mean_without_retried(self) -> MeanScore:
        """The score without the samples that were asked again after an error, which are no random ones."""
        return mean_of([row for row in self.measured if not row.retried], self.cell.selection.seed)

    @cached_property
    def figures(self) -> Figures:
        """Average, worst, best and majority over repeats, and the spread of tokens."""
        return figures_of(repeats_of(self.rows), rng=rng_of(self.cell.selection.seed))

    @property
    def statuses(self) -> dict[str, int]:
        """How many repeats of samples were measured, stopped by the budget, lost, and not asked yet."""
        found = Counter(row.status for row in self.rows)
        missing = len(self.cell.samples) * self.cell.selection.repeats - len(self.rows)
        return {"ok": found["ok"], "budget": found["budget"], "infra_error": found["infra_error"], "missing": missing}

    @property
    def outcomes(self) -> dict[str, int]:
        """What came of those that were measured."""
        return dict(Counter(str(row.outcome) for row in self.measured))

    @property
    def taken(self) -> Taken:
        """What was asked, over all rows."""
        return sum((row.usage for row in self.rows), Taken())

    @property
    def cost(self) -> float | None:
        """US dollars, None where a price is not known."""
        return _total(row.cost for row in self.rows)

    @property
    def spent(self) -> Cost:
        """What was taken of the caps, what may have been lost included."""
        return sum((row.spent for row in self.rows), Cost())

    @property
    def evidence(self) -> Evidence:
        """Simulated as soon as one row is."""
        is_simulated = any(row.evidence == "simulated" for row in self.rows)
        return "simulated" if is_simulated else "real"

    @property
    def graphs(self) -> dict[str, Json]:
        """Who was to split samples up, how many were, and how many of those graphs had a single subtask."""
        system = self.cell.system
        made = [row.graph for row in self.rows if row.graph.source != "none" and row.graph.nodes]
        return {
            "source": system.decompose if isinstance(system, Wiring) else "none",
            "graphs": len(made),
            "degenerate": sum(graph.nodes == 1 for graph in made),
            "nodes": sum(graph.nodes for graph in made) / len(made) if made else None,
        }

    def by_difficulty(self) -> list[dict[str, Json]]:
        """Return the score at each difficulty, in the order of the samples."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(canonical_json(row.difficulty), []).append(row)
        return [
            {"difficulty": rows[0].difficulty}
            | mean_of([row for row in rows if row.is_measured], self.cell.selection.seed).as_dict()
            for rows in groups.values()
        ]

    def usage_dict(self) -> dict[str, Json]:
        """Return what was taken as JSON, by the names of a run's usage."""
        taken, sources = self.taken, Counter(row.usage_source for row in self.rows)
        return {
            "calls": taken.calls,
            "samples": taken.samples,
            "input_tokens": taken.input,
            "output_tokens": taken.output,
            "cached_tokens": taken.cached,
            "reasoning_tokens": taken.reasoning,
            "lost_tokens": taken.lost,
            "flagged": taken.flagged,
            "unknown": taken.unknown,
            "attempts": sum(row.attempts for row in self.rows),
            "cost_usd": self.cost,
            "estimated": any(row.estimated for row in self.rows),
            "source": "+".join(sorted(sources)) or "none",
        }

    def judge_dict(self) -> dict[str, Json]:
        """Return what judging took, which no system pays for."""
        taken = sum((row.judge for row in self.rows), Taken())
        cost = _total(row.judge_cost for row in self.rows)
        tokens = {"input_tokens": taken.input, "output_tokens": taken.output}
        return {"calls": taken.calls, **tokens, "cost_usd": cost}

    def as_dict(self) -> dict[str, Json]:
        """Return the cell as the JSON document of `orchestra eval run`."""
        cell, figures = self.cell, self.figures
        repeats = {name: _value(getattr(figures, name)) for name in ("worst_of_n", "majority", "best_of_n")}
        return {
            "suite": cell.suite.name,
            "version": cell.suite.about.version,
            "split": cell.selection.split,
            "seed": cell.selection.seed,
            "system": self.system,
            "model": cell.model_name,
            "cell": cell.id,
            **self.mean.as_dict(),
            "without_retried": self.mean_without_retried.as_dict(),
            "retried": sum(row.retried for row in self.rows),
            "repeats": {"count": cell.selection.repeats} | repeats,
            "statuses": self.statuses,
            "outcomes": self.outcomes,
            "infeasible": sum(row.infeasible for row in self.measured),
            "by_difficulty": self.by_difficulty(),
            "usage": self.usage_dict(),
            "judge": self.judge_dict(),
            "cap": caps(cell.budget),
            "spent": asdict(self.spent),
            "graphs": self.graphs,
            "evidence": self.evidence,
            "seconds": round(sum(row.latency_s for row in self.rows), 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation came to."""

    cells: tuple[CellScore, ...]
    journal: Path
    samples_file: Path | None

    @property
    def evidence(self) -> Evidence:
        """Simulated as soon as one cell is."""
        return "simulated" if any(cell.evidence == "simulated" for cell in self.cells) else "real"

    def __getitem__(self, system: str) -> CellScore:
        """Return the only cell of a system.

        Raises:
            KeyError: It has none, or one for each of several models.
        """
        found = [cell for cell in self.cells if cell.system == system]
        if len(found) != 1:
            raise KeyError(f"{len(found)} cells are of the system {system!r}")
        return found[0]

    def where(self) -> dict[str, Json]:
        """Return where rows and records are, as JSON."""
        out = None if self.samples_file is None else str(self.samples_file)
        return {"samples_file": out, "journal": str(self.journal)}


def _total(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def _value(estimate: object) -> float | None:
    return getattr(estimate, "value", None)
