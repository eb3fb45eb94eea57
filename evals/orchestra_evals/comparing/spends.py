"""What a sample took, in each of the units that a cap may have."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from orchestra_agents.ledger import Unit
from orchestra_evals.runner.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What somebody took for a sample, or a sum or mean of that."""

    tokens: float = 0
    """Input and output."""
    calls: float = 0
    usd: float | None = 0.0
    """None where a price is not known."""

    @classmethod
    def of(cls, row: Row) -> Spend:
        """Return what a sample took."""
        return cls(tokens=row.usage.input + row.usage.output, calls=row.usage.calls, usd=row.cost)

    def __add__(self, other: Spend) -> Spend:
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Spend(tokens=self.tokens + other.tokens, calls=self.calls + other.calls, usd=usd)

    def over(self, count: int) -> Spend:
        """Return a mean: this sum over so many, at least 1."""
        usd = None if self.usd is None else self.usd / count
        return Spend(tokens=self.tokens / count, calls=self.calls / count, usd=usd)

    def amount(self, unit: Unit) -> float | None:
        """Return it in one unit, None where that is not known."""
        found: float | None = getattr(self, unit)
        return found


def is_told(rows: Sequence[Row]) -> bool:
    """Return whether anybody told what rows took: a system of a user's own may ask models that nobody counts."""
    return any(row.usage_source != "none" for row in rows)


def mean_spend(rows: Sequence[Row]) -> Spend | None:
    """Return the mean of rows, None where there is none, and where nobody told what they took."""
    return sum(map(Spend.of, rows), Spend()).over(len(rows)) if is_told(rows) else None


def unit_of(caps: Container[str]) -> Unit:
    """Return the unit in which spends are matched: that of the only cap, else tokens."""
    found = [unit for unit in ("calls", "tokens", "usd") if unit in caps]
    return found[0] if len(found) == 1 else "tokens"  # type: ignore[return-value]
