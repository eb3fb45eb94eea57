"""What a simulated agent does in `lookup`: it lists the questions, then reads and answers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from orchestra_agents.models.contract import Truth
from orchestra_agents.tools import Situation
from orchestra_evals.environments.environment import Action, Seen, act, finish, seen
from orchestra_evals.environments.lookup_tables import Query, Tables

_SOURCES = ("read", "search_archive")
"""Tools whose observations a trusting agent takes for the value of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPolicy:
    """The right next action and wrong ones; an answer is what the agent itself last observed of that cell.

    Divided, member m of n has the queries whose number is m modulo n; else everybody has all of them, and member m
    begins its round at number m * queries // n. A query that has an answer, whoever gave it, is settled; whether it
    is right is not looked at. Wrong actions, likeliest first:

    - before the questions are listed: a read of a cell that nobody asked for, which costs a turn;
    - instead of a read: the archive, where there is one, whose wrong value is then answered; an answer without
      reading, which is wrong; a read of the row below, which costs a turn; the end before its time;
    - instead of an answer: the value of the row below, which is wrong; the value as the answer to another query, of
      which it is wrong; the end before its time;
    - instead of the end: the list once more, which costs a turn; a wrong answer to a query that had one.
    """

    tables: Tables
    queries: Sequence[Query]
    answers: Mapping[int, str]
    """Those given so far, by the number of the query; the environment changes them."""
    has_archive: bool

    def __call__(self, situation: Situation) -> Truth:
        """Return what is right, and what is wrong, in `situation`."""
        share = self._share(situation)
        unanswered = [query for query in share if query.number not in self.answers]
        if not unanswered:
            return Truth(answer=_end(share), wrong=self._instead_of_the_end(share))
        known = list(seen(situation.turns))
        if all(one.tool != "list_queries" for one in known):
            first = next(iter(self.tables.values))
            return Truth(answer=act("list_queries"), wrong=(act("read", **asdict(first)), _end(share)))
        query = unanswered[0]
        value = _observed(query, known)
        if value is None:
            right, wrong = act("read", **asdict(query.cell)), self._instead_of_a_read(query)
        else:
            right, wrong = _answer(query, value), self._instead_of_an_answer(query, value)
        return Truth(answer=right, wrong=(*wrong, _end(share)))

    def _share(self, situation: Situation) -> Sequence[Query]:
        """Return the queries that are the agent's, in its order."""
        if situation.is_divided:
            return self.queries[situation.member :: situation.members]
        begin = situation.member * len(self.queries) // situation.members
        return [*self.queries[begin:], *self.queries[:begin]]

    def _instead_of_a_read(self, query: Query) -> Iterable[Action]:
        if self.has_archive:
            yield act("search_archive", **asdict(query.cell))
        yield self._slip(query)
        yield act("read", **asdict(self.tables.below(query.cell)))

    def _instead_of_an_answer(self, query: Query, value: str) -> Iterable[Action]:
        yield self._slip(query)
        others = (other for other in self.queries if self.tables.values[other.cell] != value and other is not query)
        yield from (_answer(other, value) for other in islice(others, 1))

    def _instead_of_the_end(self, share: Sequence[Query]) -> tuple[Action, ...]:
        return (act("list_queries"), *(self._slip(query) for query in share[:1]))

    def _slip(self, query: Query) -> Action:
        return _answer(query, self.tables.values[self.tables.below(query.cell)])


def _answer(query: Query, value: str) -> Action:
    return act("answer", query=query.number, value=value)


def _end(share: Sequence[Query]) -> Action:
    numbers = sorted(query.number for query in share)
    return finish(f"Answered: {', '.join(map(str, numbers)) or 'none, because no query is mine'}.")


def _observed(query: Query, known: Iterable[Seen]) -> str | None:
    """Return the value that the agent last saw for the cell of `query`, None where it has seen none."""
    cell = asdict(query.cell)
    values = [one.text for one in known if one.tool in _SOURCES and one.arguments == cell]
    return values[-1] if values else None
