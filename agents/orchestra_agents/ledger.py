"""One budget for a whole run: reserve the worst case before a call, commit what it took, release the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from orchestra_agents.errors import BudgetExceeded, InputError

Unit = Literal["calls", "tokens", "usd"]
"""What a call takes."""
UNITS: tuple[Unit, ...] = get_args(Unit)


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

    def or_else(self, other: Budget) -> Budget:
        """Return these caps, and the other's where there is none."""
        mine = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(other, **{name: cap for name, cap in mine.items() if cap is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call may take or took."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __mul__(self, count: int) -> Cost:
        return Cost(calls=self.calls * count, tokens=self.tokens * count, usd=self.usd * count)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(calls=self.calls - other.calls, tokens=self.tokens - other.tokens, usd=self.usd - other.usd)


class Ledger:
    """The account of one run, shared by all its nested work; belongs to the running event loop.

    Args:
        budget: The caps.
        spent: What earlier attempts at the run took.
        parent: An account that every reservation must fit, too: a session's, over all its runs.
    """

    def __init__(self, budget: Budget, spent: Cost = Cost(), *, parent: Ledger | None = None) -> None:
        self.budget, self.spent, self.reserved = budget, spent, Cost()
        self._parent = parent
        self._started: float | None = None
        self._open = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def is_capped(self) -> bool:
        """Whether anything limits this account; what nothing limits need not be booked."""
        own = self.budget
        capped = any(cap is not None for cap in (own.calls, own.tokens, own.usd, own.seconds))
        return capped or (self._parent is not None and self._parent.is_capped)

    def cap(self, unit: Unit) -> float | None:
        """Return the smallest cap on a unit that counts here; None is no cap."""
        own: float | None = getattr(self.budget, unit)
        theirs = self._parent.cap(unit) if self._parent is not None else None
        return min((cap for cap in (own, theirs) if cap is not None), default=None)

    def start(self) -> None:
        """Let the time of the cap in seconds run, from the first call of this."""
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        if self._parent is not None:
            self._parent.start()

    def seconds_left(self) -> float | None:
        """Return the seconds until time is up, None without a cap; a call still in flight then is given up."""
        theirs = self._parent.seconds_left() if self._parent is not None else None
        if self.budget.seconds is None:
            return theirs
        now = asyncio.get_running_loop().time()
        ours = max(0.0, self.budget.seconds - (now - (now if self._started is None else self._started)))
        return ours if theirs is None else min(ours, theirs)

    async def admit(self, worst: Cost) -> Reservation:
        """Set aside what one call may take at worst, waiting where only calls in flight stand in the way.

        Raises:
            BudgetExceeded: What is spent and this together could pass a cap, or time is up.
        """
        while True:
            try:
                return self.reserve(worst)
            except BudgetExceeded:
                if not self._may_fit_later(worst):
                    raise
            freed = asyncio.get_running_loop().create_future()
            self._wait_here(freed)
            await freed

    def reserve(self, worst: Cost) -> Reservation:
        """Set aside what one call may take at worst.

        Raises:
            BudgetExceeded: Spent, reserved and this together could pass a cap, or time is up.
        """
        self.start()
        left = self.seconds_left()
        if left is not None and left <= 0:
            raise BudgetExceeded("seconds", needed=0, left=0)
        over = self._over(worst, self.spent + self.reserved)
        if over is not None:
            raise over
        theirs = self._parent.reserve(worst) if self._parent is not None else None
        self.reserved += worst
        self._open += 1
        return Reservation(self, worst, theirs)

    def _over(self, worst: Cost, taken: Cost) -> BudgetExceeded | None:
        for unit in UNITS:
            cap = getattr(self.budget, unit)
            if cap is not None and getattr(taken, unit) + getattr(worst, unit) > cap:
                return BudgetExceeded(unit, needed=getattr(worst, unit), left=cap - getattr(taken, unit))
        return None

    def _may_fit_later(self, worst: Cost) -> bool:
        left = self.seconds_left()
        if (left is not None and left <= 0) or self._over(worst, self.spent) is not None:
            return False
        if self._over(worst, self.spent + self.reserved) is not None and not self._open:
            return False  # nothing is in flight: what is left of the sums are rounding errors, which nobody will settle
        return self._parent is None or self._parent._may_fit_later(worst)

    def _wait_here(self, freed: asyncio.Future[None]) -> None:
        self._waiting.append(freed)
        if self._parent is not None:
            self._parent._wait_here(freed)

    def settle(self, worst: Cost, actual: Cost) -> None:
        """Book `actual` in place of a reservation of `worst`, and let those who wait try again."""
        self._open -= 1
        self.reserved = self.reserved - worst if self._open else Cost()
        self.spent += actual
        waiting, self._waiting = self._waiting, []
        for freed in waiting:
            if not freed.done():
                freed.set_result(None)


class Reservation:
    """Money set aside for one call; commit it or release it, once."""

    __slots__ = ("_ledger", "_open", "_theirs", "worst")

    def __init__(self, ledger: Ledger, worst: Cost, theirs: Reservation | None = None) -> None:
        self._ledger, self.worst, self._theirs, self._open = ledger, worst, theirs, True

    def commit(self, actual: Cost) -> None:
        """Book what the call really took in place of the worst case."""
        if self._open:
            self._open = False
            self._ledger.settle(self.worst, actual)
            if self._theirs is not None:
                self._theirs.commit(actual)

    def release(self) -> None:
        """Give everything back: the call was never made."""
        self.commit(Cost())
