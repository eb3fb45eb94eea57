"""How many samples of a cell are at work at once: no more than the caps will probably pay for.

Without this, samples that are asked side by side would share what is left of a cap and none of them would be finished.
The ledger holds the caps whatever is expected here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orchestra_agents.ledger import Budget, Cost

_UNITS = ("calls", "tokens", "usd")
_ROOM, _FIRST_ROOM = 1.2, 2.0  # times what is expected that is held free for a sample, and before any has ended
_NOTHING = Cost()


@dataclass(slots=True)
class Turn:
    """A sample at work."""

    expected: Cost | None
    """What it will take, None where nobody knows."""
    before: Cost
    """What earlier attempts at it took."""
    actual: Cost | None = None

    def took(self, actual: Cost) -> None:
        """Tell what it took, over all attempts."""
        self.actual = actual


class Pace:
    """Lets samples begin in their order, each as soon as it and those at work will probably be paid for.

    What is expected is corrected by what the samples took that have ended. One of which nothing is known is taken to
    cost what the others cost on average, and the first of them works alone. Where nobody is at work the next one
    begins, whatever it takes.

    Args:
        budget: The caps.
        spent: What earlier attempts took of them.
    """

    def __init__(self, budget: Budget, spent: Cost) -> None:
        self._caps = {unit: cap for unit in _UNITS if (cap := getattr(budget, unit)) is not None}
        self._spent = spent
        self._working: list[Turn] = []
        self._ended: list[Turn] = []
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def is_free(self) -> bool:
        """Whether there is no cap to keep."""
        return not self._caps

    @asynccontextmanager
    async def turn(self, expected: Cost | None, before: Cost = _NOTHING) -> AsyncIterator[Turn]:
        """Wait until the sample may begin, and let others begin after it.

        Args:
            expected: What it will take, None where nobody knows.
            before: What earlier attempts at it took.
        """
        turn = Turn(expected, before)
        async with self._line:
            while self._working and not self._is_paid_for(turn):
                self._changed.clear()
                await self._changed.wait()
            self._working.append(turn)
        try:
            yield turn
        finally:
            self._working.remove(turn)
            if turn.actual is not None:
                self._ended.append(turn)
                self._spent += turn.actual - turn.before
            self._changed.set()

    def _is_paid_for(self, turn: Turn) -> bool:
        for unit, cap in self._caps.items():
            amounts = [self._amount(one, unit) for one in (*self._working, turn)]
            if any(amount is None for amount in amounts):
                return False
            if getattr(self._spent, unit) + sum(amount for amount in amounts if amount is not None) > cap:
                return False
        return True

    def _amount(self, turn: Turn, unit: str) -> float | None:
        """Return what is held free for a sample, None where nobody knows."""
        ended = [getattr(one.actual, unit) for one in self._ended]
        if turn.expected is None:
            return _ROOM * sum(ended) / len(ended) if ended else None
        foreseen = sum(getattr(one.expected or _NOTHING, unit) for one in self._ended)
        room = _ROOM * max(1.0, sum(ended) / foreseen) if foreseen else _FIRST_ROOM
        return float(room * getattr(turn.expected, unit))
