"""What an evaluation will take, and which differences it can find, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from orchestra.budget.team_spending import Spending
from orchestra.panel import ModelSpec
from orchestra_agents.models.contract import Json, Model, TokenUsage
from orchestra_agents.models.names import address_of, canonical
from orchestra_agents.prices import FREE, Price, Prices
from orchestra_evals.runner.cells import Cell, caps
from orchestra_evals.statistics.aims import LEVEL, POWER
from orchestra_evals.statistics.detectable import mde
from orchestra_evals.systems.own import Own
from orchestra_topologies.panel import WORKER

DISCORDANCE = 0.2
"""Share of samples on which two systems are taken to differ, before anything is known of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEstimate:
    """What one cell will take, about; None is not known."""

    cell: Cell
    calls: float | None
    input_tokens: float | None
    output_tokens: float | None
    cost_usd: float | None
    unknown: int
    """Samples of which nobody can tell what they will take; the figures are then None."""

    def as_dict(self) -> dict[str, Json]:
        """Return it as JSON."""
        cell = self.cell
        figures = {name: getattr(self, name) for name in ("calls", "input_tokens", "output_tokens", "cost_usd")}
        return {
            "system": cell.called,
            "model": cell.model_name,
            "cell": cell.id,
            "samples": len(cell.samples),
            "repeats": cell.selection.repeats,
            **figures,
            "unknown": self.unknown,
            "cap": caps(cell.budget),
            "exceeds_cap": self.exceeded(),
        }

    def exceeded(self) -> list[str]:
        """Return the caps that will not pay for all samples, as far as is known."""
        tokens = None if self.input_tokens is None else self.input_tokens + (self.output_tokens or 0)
        takes = {"calls": self.calls, "tokens": tokens, "usd": self.cost_usd}
        if self.cell.system.keeps_to_share:
            return []
        limits = caps(self.cell.budget)
        return [unit for unit, taken in takes.items() if taken is not None and taken > limits.get(unit, taken)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The least difference of two systems on the same samples that would be found."""

    effect: float | None
    """Difference of shares of right answers, 0 to 1; None where none would be."""
    n: int
    """Independent samples, families counting as one."""
    comparisons: int
    discordance: float = DISCORDANCE
    level: float = LEVEL
    power: float = POWER


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationEstimate:
    """What an evaluation will take."""

    suite: str
    cells: tuple[CellEstimate, ...]
    detectable: Detectable

    def as_dict(self) -> dict[str, Json]:
        """Return it as the JSON document of `--dry-run`."""
        names = ("calls", "input_tokens", "output_tokens", "cost_usd")
        totals = {name: _total(getattr(cell, name) for cell in self.cells) for name in names}
        cells = [cell.as_dict() for cell in self.cells]
        return {"dry_run": True, "suite": self.suite, "cells": cells, **totals, "mde": asdict(self.detectable)}


async def estimate(cells: Sequence[Cell], prices: Prices) -> EvaluationEstimate:
    """Return what cells of one suite will take; nothing is asked.

    Args:
        cells: At least one.
        prices: What models cost.
    """
    found = [await _of_cell(cell, prices) for cell in cells]
    comparisons = max(1, len(cells) - 1)
    samples = cells[0].samples
    n = len({("", sample.family) if sample.family else (sample.id, "") for sample in samples})
    effect = mde(n, DISCORDANCE, comparisons=comparisons)
    detectable = Detectable(effect=effect, n=n, comparisons=comparisons)
    return EvaluationEstimate(suite=cells[0].suite.name, cells=tuple(found), detectable=detectable)


async def _of_cell(cell: Cell, prices: Prices) -> CellEstimate:
    known = [await cell.system.spending(sample, cell.suite, cell.share) for sample in cell.samples]
    repeats, unknown = cell.selection.repeats, sum(one is None for one in known)
    if unknown:
        return CellEstimate(
            cell=cell, calls=None, input_tokens=None, output_tokens=None, cost_usd=None, unknown=unknown * repeats
        )
    total = sum((one for one in known if one is not None), Spending())
    price = None if isinstance(cell.system, Own) else _price(cell, prices)
    usage = TokenUsage(
        input_tokens=round(total.input_tokens * repeats), output_tokens=round(total.output_tokens * repeats)
    )
    return CellEstimate(
        cell=cell,
        calls=round(total.calls * repeats, 1),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=None if price is None else price.cost(usage),
        unknown=0,
    )


def _price(cell: Cell, prices: Prices) -> Price | None:
    """Return the price of a cell's models, the dearest of several; None where one is not known."""
    found: list[Price] = []
    for model in _workers(cell.model) if cell.model is not None else [cell.model_name]:
        own: Price | None = getattr(model, "price", None)
        name = canonical(model) if isinstance(model, str) else model.name
        address = getattr(model, "base_url", None) or address_of(name, environ={})
        price = own or prices.of(name, address)
        if price is None:
            return None
        found.append(price)
    return max(found, key=lambda price: price.worst(1_000_000, 1_000_000), default=FREE)


def _workers(spec: ModelSpec) -> list[str | Model]:
    if isinstance(spec, Mapping):
        return _workers(spec.get(WORKER, []))
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return list(spec)
    return [spec]


def _total(figures: Iterable[float | None]) -> float | None:
    known = list(figures)
    return None if None in known else sum(figure for figure in known if figure is not None)
