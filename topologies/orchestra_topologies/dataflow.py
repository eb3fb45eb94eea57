"""The ready queue: a subtask starts the moment its own inputs are settled, whatever its siblings do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.outcome import Outcome, blocking, stopped, stopped_by

Work = Callable[[Subtask], Awaitable[Outcome]]
"""Answers one subtask; failures come back as outcomes."""
Settle = Callable[[Subtask, Outcome], None]
"""Told of a subtask that never started, or was cut short, with its outcome."""


async def dataflow(
    graph: TaskGraph,
    work: Work,
    settled: dict[str, Outcome],
    *,
    ids: Iterable[str],
    settle: Settle,
    fail_fast: bool = False,
) -> None:
    """Settle the subtasks `ids`, writing each outcome to `settled`; O(V + E) beside the work itself.

    A subtask starts once all its inputs are settled and as many of them ended ok as its `join` asks for; else it never
    starts: it is skipped, or cancelled where a stop cancelled them.

    Args:
        graph: The dependencies.
        work: Called once for each subtask that may start.
        settled: Outcomes by id; those of earlier groups must stand in it already.
        ids: The subtasks to settle, in the order in which equals start.
        settle: Called for each subtask that may not start or is cut short.
        fail_fast: Whether the first subtask that does not end ok cancels all others, those in flight included.
    """
    flow = _Flow(graph, work, settled, settle, list(ids), fail_fast=fail_fast)
    async with asyncio.TaskGroup() as group:
        flow.admit(group)


class _Flow:
    """Subtasks on their way: who waits for how many inputs, who is ready, who is in flight."""

    def __init__(
        self,
        graph: TaskGraph,
        work: Work,
        settled: dict[str, Outcome],
        settle: Settle,
        order: list[str],
        *,
        fail_fast: bool,
    ) -> None:
        self._graph, self._work, self._settled, self._settle = graph, work, settled, settle
        members = set(order)
        self._waiting = {one: sum(before in members for before in graph.predecessors(one)) for one in order}
        self._ready = deque(one for one in order if not self._waiting[one])
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._fail_fast = fail_fast
        self._stop = stopped_by(settled) if fail_fast else None

    def admit(self, group: asyncio.TaskGroup) -> None:
        """Start everything that is ready and may start; settle what may not."""
        while self._ready:
            one = self._ready.popleft()
            blocked = self._stop or blocking(self._graph[one], self._settled)
            if blocked is None:
                group.create_task(self._run(one, group))
            else:
                self._settle(self._graph[one], blocked)
                self._end(one, blocked)

    async def _run(self, one: str, group: asyncio.TaskGroup) -> None:
        outcome = self._stop or await self._attempt(one)
        if outcome is self._stop:
            self._settle(self._graph[one], outcome)
        elif self._fail_fast and self._stop is None and outcome.status != "ok":
            self._stop = stopped(one, outcome)
            for task in self._in_flight:
                _ = task is not None and task.cancel()
        self._end(one, outcome)
        self.admit(group)

    async def _attempt(self, one: str) -> Outcome:
        this = asyncio.current_task()
        self._in_flight.add(this)
        try:
            return await self._work(self._graph[one])
        except asyncio.CancelledError:
            if self._stop is None:
                raise
            return self._stop  # cut short by a sibling; a cancellation from outside ends the group itself
        finally:
            self._in_flight.discard(this)

    def _end(self, one: str, outcome: Outcome) -> None:
        self._settled[one] = outcome
        for after in self._graph.successors(one):
            if after in self._waiting:
                self._waiting[after] -= 1
                if not self._waiting[after]:
                    self._ready.append(after)
