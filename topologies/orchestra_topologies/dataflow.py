"""The ready queue: a subtask starts the moment its own inputs are settled, whatever its siblings do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.outcome import Outcome

Work = Callable[[Subtask], Awaitable[Outcome]]
"""Answers one subtask; failures come back as outcomes."""
Skip = Callable[[Subtask, Outcome], None]
"""Told of a subtask that never starts, with its outcome."""


async def dataflow(
    graph: TaskGraph, work: Work, settled: dict[str, Outcome], *, ids: Iterable[str], skip: Skip
) -> None:
    """Settle the subtasks `ids`, writing each outcome to `settled`; O(V + E) beside the work itself.

    A dependant of a subtask that did not end ok never starts: it is skipped (or cancelled, if that one was).

    Args:
        graph: The dependencies.
        work: Called once for each subtask that may start.
        settled: Outcomes by id; those of earlier groups must stand in it already.
        ids: The subtasks to settle, in the order in which equals start.
        skip: Called for each subtask that may not start.
    """
    order = list(ids)
    members = set(order)
    waiting = {one: sum(before in members for before in graph.predecessors(one)) for one in order}
    ready = deque(one for one in order if not waiting[one])

    async with asyncio.TaskGroup() as group:

        def settle(one: str, outcome: Outcome) -> None:
            settled[one] = outcome
            for after in graph.successors(one):
                if after in members:
                    waiting[after] -= 1
                    if not waiting[after]:
                        ready.append(after)

        def admit() -> None:
            while ready:
                one = ready.popleft()
                blocked = blocking(graph, one, settled)
                if blocked is None:
                    group.create_task(run(one))
                else:
                    skip(graph[one], blocked)
                    settle(one, blocked)

        async def run(one: str) -> None:
            settle(one, await work(graph[one]))
            admit()

        admit()


def blocking(graph: TaskGraph, one: str, settled: dict[str, Outcome]) -> Outcome | None:
    """Return the outcome that keeps subtask `one` from starting, or None."""
    for before in graph.predecessors(one):
        blocked = settled[before].blocks(before)
        if blocked is not None:
            return blocked
    return None
