"""Independent queries over tables: parallel work, of which a team can give each agent a share."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from orchestra_agents.models.contract import Json
from orchestra_agents.tools import Toolbox, tool
from orchestra_evals.environments.environment import Deeds, check_integer, check_tools, replay
from orchestra_evals.environments.lookup_distractors import LookupDistractors
from orchestra_evals.environments.lookup_policy import LookupPolicy
from orchestra_evals.environments.lookup_tables import COLUMNS, draw_queries, draw_tables

MOST_QUERIES = 60
_GOAL = """There are {count} queries, numbered 0 to {last}, each about one value in a table. Answer all of them.
The tables and their columns: {tables}.
list_queries tells the queries; read tells the present value of one cell; answer records an answer.
A query reads "What is COLUMN of ROW in TABLE?"; its answer is exactly what read returns for that table, row and column.
Only what read returns counts as right. If a query is answered more than once, the last answer counts.
The task is done when every query has an answer. The queries do not depend on each other."""


class Lookup:
    """Questions about cells of tables, each answered by a read and an answer.

    With 3 tools there are `list_queries`, `read` and `answer`; 5 and 16 add distractors, of which the archive returns
    wrong values.

    Args:
        queries: How many questions, 1 to 60.
        tools: 3, 5 or 16.
        seed: Fixes tables and questions, at least 0.

    Raises:
        InputError: One of them is out of its range.
    """

    def __init__(self, queries: int = 12, tools: int = 3, seed: int = 0) -> None:
        check_integer("lookup: queries", queries, low=1, high=MOST_QUERIES)
        check_tools("lookup: tools", tools)
        check_integer("lookup: seed", seed, low=0)
        random = Random(f"lookup {seed}")
        self._tables = draw_tables(random)
        self._queries = draw_queries(self._tables, queries, random)
        self._tool_count = tools
        self._answers: dict[int, str] = {}
        self._deeds = Deeds()

    @property
    def goal(self) -> str:
        """The task in words."""
        tables = "; ".join(f"{table} ({', '.join(columns)})" for table, columns in COLUMNS.items())
        return _GOAL.format(count=len(self._queries), last=len(self._queries) - 1, tables=tables)

    def toolbox(self) -> Toolbox:
        """Return as many tools as asked for, with `LookupPolicy`; the goal is reached when every query is answered."""
        reads = [tool(function, effects="none") for function in (self.list_queries, self.read)]
        distractors = LookupDistractors(self._tables).tools(self._tool_count - 3)
        policy = LookupPolicy(
            tables=self._tables,
            queries=self._queries,
            answers=self._answers,
            has_archive=bool(distractors),
        )
        tools = [*reads, tool(self.answer, effects="idempotent"), *distractors]
        return Toolbox(tools, reference=policy, is_done=self._is_done)

    def score(self) -> float:
        """Return the share of the queries whose last answer is right, whatever its case and surrounding blanks."""
        right = sum(
            _plain(self._answers.get(query.number, "")) == _plain(self._tables.values[query.cell])
            for query in self._queries
        )
        return right / len(self._queries)

    def state(self) -> Json:
        """Return the answers by query number, in the order of the numbers."""
        return {str(number): self._answers[number] for number in sorted(self._answers)}

    async def restore(self, calls: Iterable[tuple[str, Json]]) -> None:
        """Forget all answers, then repeat recorded calls."""
        self._answers.clear()
        self._deeds.forget()
        await replay(self.toolbox(), calls)

    async def list_queries(self) -> str:
        """List the numbered queries, and which of them are answered."""
        lines = []
        for query in self._queries:
            mark = " (answered)" if query.number in self._answers else ""
            lines.append(f"{query.number}. {query.question}{mark}")
        return "\n".join(lines)

    async def read(self, table: str, row: str, column: str) -> str:
        """Return the present value of one cell of a table."""
        return self._tables.values[self._tables.cell(table, row, column)]

    async def answer(self, query: int, value: str, *, key: str) -> str:
        """Record the answer to a query, by its number; a later answer replaces an earlier one.

        A repeated key changes nothing, even where another answer came in between.
        """
        return str(self._deeds.once(key, lambda: self._record(query, value)))

    def _record(self, query: int, value: str) -> str:
        if not 0 <= query < len(self._queries):
            raise ValueError(f"there is no query {query}; they are numbered 0 to {len(self._queries) - 1}")
        self._answers[query] = value
        return f"The answer to query {query} is recorded."

    def _is_done(self) -> bool:
        return len(self._answers) == len(self._queries)


def _plain(value: str) -> str:
    return value.strip().casefold()
