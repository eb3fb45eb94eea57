"""The cap of a contest, the same for all: the one that was given, else one that the dearest wiring will keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Literal

from orchestra_agents.booking import worst_cost
from orchestra_agents.ledger import Budget
from orchestra_evals.runner.cells import Cell
from orchestra_evals.systems.questions import SUBTASK, question_graph
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.prompts import subtask_prompt

CapSource = Literal["given", "estimated", "none"]

ROOM = 1.5
"""Times what the dearest wiring is estimated to take."""
_CALLS = 3  # at their worst, for which there is room beside that


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The caps of each cell."""

    budget: Budget
    source: CapSource
    """Who set the one in calls, tokens or dollars."""


def cap_of(budget: Budget, takes: Iterable[float | None], alone: Cell) -> Cap:
    """Return the cap of every cell.

    Args:
        budget: What the user gives.
        takes: Tokens that each wiring is estimated to take, None where nobody knows.
        alone: The cell of one agent that is asked the whole question.
    """
    if budget.calls is not None or budget.tokens is not None or budget.usd is not None:
        return Cap(budget=budget, source="given")
    known = list(takes)
    told = [tokens for tokens in known if tokens is not None]
    if not told or len(told) < len(known):
        return Cap(budget=budget, source="none")
    return Cap(budget=replace(budget, tokens=_tokens(max(told), alone)), source="estimated")


def _tokens(dearest: float, alone: Cell) -> int:
    """Return a cap in tokens: half as much again as the dearest takes.

    A call that could pass a cap is not made. So there is room at least for one at its worst on each sample, and for
    three beside what the dearest takes.
    """
    assert isinstance(alone.system, Wiring)
    sampling, worst = alone.system.choices.sampling(), []
    for sample in alone.samples:
        prompt = subtask_prompt(graph := question_graph(sample), graph[SUBTASK], [])
        worst.append(worst_cost(prompt, replace(sampling, schema=sample.answer.constraint())).tokens)
    each = sum(worst) * alone.selection.repeats
    return rounded_up(max(ROOM * dearest, ROOM * each, dearest + _CALLS * max(worst)))


def rounded_up(figure: float) -> int:
    """Return the least integer of two significant digits that is not smaller, at least 1.

    >>> rounded_up(940_015.7), rounded_up(120), rounded_up(3.2)
    (950000, 120, 4)
    """
    step = int(10.0 ** max(0, floor(log10(max(1.0, figure))) - 1))
    return max(1, ceil(figure / step) * step)
