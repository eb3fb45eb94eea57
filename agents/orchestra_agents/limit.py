"""How many calls may be in flight at once: shared by everything that a session does."""

from __future__ import annotations

import asyncio
from collections import deque


class CallLimit:
    """Slots for calls, given out in the order of asking; belongs to the running event loop.

    Unlike `asyncio.Semaphore` it gives out several slots at once where they are free, without a wait for each, so that
    the votes of a step take one step of the event loop.

    Args:
        width: Number of slots, at least 1.
    """

    __slots__ = ("_free", "_waiting", "width")

    def __init__(self, width: int) -> None:
        self.width = self._free = width
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take a slot, waiting for one."""
        if not self.take(1):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.release()  # the slot had been handed over already
                elif turn in self._waiting:  # else a release has passed over it meanwhile
                    self._waiting.remove(turn)
                raise

    def take(self, most: int) -> int:
        """Take up to `most` free slots and return how many; none where others wait."""
        if self._waiting:
            return 0
        taken = min(most, self._free)
        self._free -= taken
        return taken

    def release(self, count: int = 1) -> None:
        """Give slots back: to those who wait, first come, first served."""
        while count and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1
        self._free += count
