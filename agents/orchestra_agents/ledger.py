"""One budget for a whole run: reserve the worst case before a call, commit what it took, release the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace

from orchestra_agents.errors import BudgetExceeded, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Caps of a run; None is no cap.

    Raises:
        InputError: A cap is not a number above 0.
    """

    calls: int | None = None
    """Requests answered 2xx or of unknown outcome."""
    tokens: int | None = None
    """Input and output tokens together."""
    usd: float | None = None
    """Money, in US dollars."""
    seconds: float | None = None
    """Wall-clock seconds of this attempt at the run; no call starts later, one in flight is given up."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            kind = int if item.name in ("calls", "tokens") else (int, float)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not value > 0):
                wanted = "an integer" if kind is int else "a number"
                raise InputError(f"budget.{item.name}", f"must be {wanted} above 0, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call may take or took."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(calls=self.calls - other.calls, tokens=self.tokens - other.tokens, usd=self.usd - other.usd)


class Ledger:
    """The account of one run, shared by all its nested work; belongs to the running event loop.

    Args:
        budget: The caps.
        spent: What earlier attempts at the run took.
    """

    def __init__(self, budget: Budget, spent: Cost = Cost()) -> None:
        self.budget, self.spent, self.reserved = budget, spent, Cost()
        self._started: float | None = None

    def seconds_left(self) -> float | None:
        """Return the seconds until time is up, None without a cap; a call still in flight then is given up."""
        if self.budget.seconds is None:
            return None
        now = asyncio.get_running_loop().time()
        return max(0.0, self.budget.seconds - (now - (now if self._started is None else self._started)))

    def reserve(self, worst: Cost) -> Reservation:
        """Set aside what one call may take at worst.

        Raises:
            BudgetExceeded: Spent, reserved and this together could pass a cap, or time is up.
        """
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        if self.budget.seconds is not None and now - self._started >= self.budget.seconds:
            raise BudgetExceeded("seconds", needed=0, left=self.budget.seconds - (now - self._started))
        taken = self.spent + self.reserved
        for unit in ("calls", "tokens", "usd"):
            cap = getattr(self.budget, unit)
            if cap is not None and getattr(taken, unit) + getattr(worst, unit) > cap:
                raise BudgetExceeded(unit, needed=getattr(worst, unit), left=cap - getattr(taken, unit))
        self.reserved += worst
        return Reservation(self, worst)


class Reservation:
    """Money set aside for one call; commit it or release it, once."""

    __slots__ = ("_ledger", "_open", "worst")

    def __init__(self, ledger: Ledger, worst: Cost) -> None:
        self._ledger, self.worst, self._open = ledger, worst, True

    def commit(self, actual: Cost) -> None:
        """Book what the call really took in place of the worst case."""
        if self._open:
            self._open = False
            self._ledger.reserved -= self.worst
            self._ledger.spent += actual

    def release(self) -> None:
        """Give everything back: the call was never made."""
        self.commit(replace(self.worst, calls=0, tokens=0, usd=0.0))
