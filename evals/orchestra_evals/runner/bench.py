"""A cell at work: each sample asked as far as it is not answered yet, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TypeAlias

from orchestra.result import RunResult, result_of
from orchestra.session import Session
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Evidence, TokenUsage
from orchestra_agents.prices import FREE
from orchestra_evals.runner.cells import Cell, Item, caps
from orchestra_evals.runner.endings import Past
from orchestra_evals.runner.pace import Pace
from orchestra_evals.runner.row_making import Ran, others_of, row_of_run, row_unpaid
from orchestra_evals.runner.rows import Row
from orchestra_evals.runner.scoring import scored
from orchestra_evals.runner.survey import Survey
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.system import Place

Watch: TypeAlias = Callable[[Row], None]
"""Is told every row that is made."""

_NO_CAPS = Budget()


@dataclass(slots=True, kw_only=True)
class Bench:
    """A cell at work."""

    cell: Cell
    known: Survey
    session: Session
    judges: Session
    retry_errors: bool
    standing: Iterable[Row]
    """Rows that are there already."""
    spent: Cost = field(init=False)
    """What was taken of the caps, by our client and by what systems told of themselves."""
    is_spent: bool = field(init=False, default=False)
    """Whether nothing is left of the caps for further samples."""
    evidence: Evidence = field(init=False, default="real")
    """What answers of its models are based on."""

    def __post_init__(self) -> None:
        if not self.cell.is_without_model:
            self.evidence = self.session.panel(self.cell.model).evidence
        self.spent = self.known.spent
        for row in self.standing:
            self._count(row)

    async def rows(self, items: Iterator[Item], add: Watch) -> None:
        """Make the rows of items, as many at once as there may be calls in flight and the caps will pay for."""
        cell = self.cell
        pace = Pace(_NO_CAPS if cell.system.keeps_to_share else cell.budget, self.spent)

        async def work() -> None:
            for item in items:
                expected = None if pace.is_free else await self._expected(item)
                async with pace.turn(expected, self._taken(item.run_id)) as turn:
                    made = await self._row(item)
                    turn.took(made.spent)
                add(made)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.session.limit.width):
                    group.create_task(work())
        except ExceptionGroup as several:
            raise _first(several) from several

    async def _expected(self, item: Item) -> Cost | None:
        """Return what a sample will take of the caps, None where nobody knows."""
        spending = await self.cell.system.spending(item.sample, self.cell.suite, self.cell.share)
        if spending is None:
            return None
        tokens = TokenUsage(input_tokens=round(spending.input_tokens), output_tokens=round(spending.output_tokens))
        prices = [self.session.tariff.of(model) or FREE for model in self.session.panel(item.model).default]
        usd = max(price.cost(tokens) for price in prices)
        return Cost(calls=ceil(spending.calls), tokens=tokens.input_tokens + tokens.output_tokens, usd=usd)

    async def _row(self, item: Item) -> Row:
        """Return the row of a sample, which is asked as far as it is not answered yet."""
        cell, journal = self.cell, self.session.journal
        place = Place(
            suite=cell.suite,
            session=self.session,
            run_id=item.run_id,
            model=item.model,
            seed=item.seed,
            share=cell.share,
        )
        past = Past.of(journal.entries(item.run_id)) if item.run_id in self.known.begun else None
        is_over = self.known.is_over(self.known.ended.get(item.run_id), retry_errors=self.retry_errors)
        if past is None and self.is_spent:
            return row_unpaid(cell, item, None, self.evidence)
        if past is not None and (is_over or self.is_spent):
            ran = self._ran(result_of(item.run_id, past.state, journal.path), past.at, is_retried=past.is_retried)
            if not is_over:
                return row_unpaid(cell, item, ran, self.evidence)
        else:
            result = await cell.system.perform(item.sample, place)
            started = journal.started(item.run_id)
            is_retried = past is not None and (past.is_retried or past.has_failed)
            ran = self._ran(result, started.at if started else "", is_retried=is_retried)
        answered = await cell.system.read(item.sample, cell.suite, ran.result, journal)
        found = await scored(item.sample, answered.answer, ran.result, replace(place, session=self.judges))
        made = row_of_run(cell, item, ran, found, answered)
        self._count(made)
        return made

    def _ran(self, result: RunResult, at: str, *, is_retried: bool) -> Ran:
        journal = self.session.journal
        others = others_of(journal, result.run_id) if isinstance(self.cell.system, Own) else ()
        return Ran(result=result, at=at, is_retried=is_retried, others=others)

    def _taken(self, run_id: str) -> Cost:
        return self.known.taken.get(run_id, Cost())

    def _count(self, made: Row) -> None:
        """Notice that the caps are reached: a call was refused, or nothing is left of one."""
        self.spent += made.spent - self._taken(made.run_id)
        limits = caps(self.cell.budget)
        limits.pop("seconds", None)
        self.is_spent |= any(getattr(self.spent, unit) >= cap for unit, cap in limits.items())
        if made.status == "budget" and not self.cell.system.keeps_to_share:
            self.is_spent = True


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return the first cause in a group of errors; the group stays attached to it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
