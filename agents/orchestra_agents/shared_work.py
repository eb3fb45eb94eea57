"""Work that several wait for, done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Any


class SharedWork:
    """Does work for whoever waits for it; nobody's leaving ends it, but that of the last.

    No work outlives those who wait: the last one who is cancelled cancels it, and leaves once it has ended. It runs in
    a context of its own, so that no clock of whoever came first runs with it. Used in one event loop.
    """

    def __init__(self) -> None:
        self._works: dict[Hashable, _Work] = {}

    async def wait(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait until the work named `key` is done; `start` makes it where nobody waits for it yet.

        Raises:
            Exception: What the work raises, for all who wait.
        """
        work = self._works.get(key)
        if work is None:
            task = asyncio.get_running_loop().create_task(start(), context=Context())
            work = self._works[key] = _Work(task)
        work.waiters += 1
        try:
            await asyncio.wait([work.task])
        finally:
            work.waiters -= 1
            if not work.waiters:
                del self._works[key]
                await _ended(work.task)
        work.task.result()


@dataclass(slots=True)
class _Work:
    task: asyncio.Task[None]
    waiters: int = 0


async def _ended(task: asyncio.Task[None]) -> None:
    """Have a task end now; why it failed, if nobody is left to hear it, is not asked."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
