"""A run of one question whose answer is found by a function in place of a topology: recorded, budgeted, resumed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from orchestra.choices import Choices
from orchestra.performance import Performance
from orchestra.planning import Plan
from orchestra.result import RunResult
from orchestra.running import Hooks, perform_run
from orchestra_agents.ledger import Budget
from orchestra_evals.systems.system import Place
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.outcome import Outcome

Work: TypeAlias = Callable[[Performance], Awaitable[Outcome]]
"""Finds the answer to the only subtask of `Performance.graph`; what it draws from the performance's sampler is recorded
and never asked again."""

_NO_CAPS = Budget()
_PLAIN = Hooks()


async def carry_out(
    graph: TaskGraph, work: Work, place: Place, *, choices: Choices, budget: Budget = _NO_CAPS
) -> RunResult:
    """Make one attempt at a run of one subtask, and return what it came to.

    Args:
        graph: The one subtask.
        work: Who answers it.
        place: Where.
        choices: How samples are drawn.
        budget: Caps of this run, beside those of its session.

    Raises:
        InputError, ManifestChanged, RunOwned: As `orchestra.run`.
    """

    async def invoke(performance: Performance) -> None:
        performance.begin_pass(0)
        outcome = await work(performance)
        [subtask] = performance.graph
        performance.settle(subtask, outcome)
        performance.answer, performance.is_through = outcome.answer, True

    plan = Plan(task=graph, model=place.model, budget=budget, choices=choices)
    return await perform_run(plan, place.session, place.run_id, _PLAIN, invoke, asks_first=False, what="sample")
