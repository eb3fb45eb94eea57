"""Self-consistency cut after so many votes: what it would have scored for less, by the votes that the journal holds."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestra.budget.recorded_votes import vote_of
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.microagent import Vote
from orchestra_agents.voting.tally import Tally
from orchestra_evals.comparing.spends import Spend
from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.rows import Row
from orchestra_evals.statistics.scores import SampleScore
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.questions import SUBTASK

_SIZES = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is left of a cell if every sample is cut after so many votes."""

    votes: int
    """At most; a sample with fewer keeps all it has."""
    took: tuple[tuple[str, Spend], ...]
    """What each run took, beside its sample."""
    scores: tuple[SampleScore, ...]

    @property
    def score(self) -> float:
        """Mean over samples."""
        return sum(one.score for one in self.scores) / len(self.scores)

    @property
    def spend(self) -> Spend:
        """Of a sample, the mean over runs."""
        return sum((spend for _, spend in self.took), Spend()).over(len(self.took))

    def on(self, samples: Container[str]) -> Cut:
        """Return what is left of some samples, of which there must be one."""
        took = tuple(one for one in self.took if one[0] in samples)
        return replace(self, took=took, scores=tuple(one for one in self.scores if one.sample in samples))


@dataclass(frozen=True, slots=True)
class _Ballot:
    """The votes of one run, in their order."""

    row: Row
    votes: tuple[Vote | None, ...]
    """None is one that was discarded."""
    took: tuple[Spend, ...]
    """What each vote took."""

    def cut(self, sizes: Sequence[int]) -> Iterator[tuple[Vote | None, Spend]]:
        """Yield the majority after so many votes, of equals the first seen, and what they took together."""
        tally, values, spent, done = Tally(), dict[str, Vote](), Spend(), 0
        for size in sizes:
            for vote, took in zip(self.votes[done:size], self.took[done:size], strict=True):
                spent += took
                if vote is not None:
                    values.setdefault(vote.canonical, vote)
                    tally.add(vote.canonical)
            done = size
            leader, _ = tally.leader()
            yield values.get(leader), spent


@dataclass(slots=True)
class Cutting:
    """Cuts the runs of one cell of self-consistency."""

    suite: Suite
    samples: Mapping[str, Sample]
    """By id."""
    _ballots: list[_Ballot] = field(default_factory=list)
    _worth: dict[tuple[str, str], float] = field(default_factory=dict)
    """What answers are worth, by sample and canonical form; that of all votes stands in the row."""

    @classmethod
    def of(cls, cell: Cell) -> Cutting:
        """Return what cuts a cell, without its runs."""
        return cls(cell.suite, {sample.id: sample for sample in cell.samples})

    def add(self, row: Row, state: RunState, journal: Journal) -> None:
        """Take in the run of a sample that was measured."""
        kind = self.samples[row.sample_id].answer
        replies = sorted((one for one in state.samples() if one.node == SUBTASK), key=lambda one: one.index)
        votes = tuple(None if one.flag is not None else vote_of(journal, kind, one) for one in replies)
        took = tuple(
            Spend(tokens=one.input_tokens + one.output_tokens, calls=one.calls, usd=one.cost_usd) for one in replies
        )
        self._ballots.append(_Ballot(row, votes, took))
        if row.output is not None and row.score is not None:
            self._worth[row.sample_id, kind.canonical(row.output)] = row.score

    def cuts(self) -> tuple[Cut, ...]:
        """Return the cuts, from one vote to all there are, after 1, 2, 3, 5, 8, 12, 20, ... votes; none without votes.

        Raises:
            IsolationFailed: An answer is a program, and could not be run in isolation.
        """
        most = max((len(ballot.votes) for ballot in self._ballots), default=0)
        if not most:
            return ()
        sizes = [size for size in _SIZES if size < most] + [most]
        runs = [(ballot.row, list(ballot.cut(sizes))) for ballot in self._ballots]
        return tuple(
            Cut(
                votes=size,
                took=tuple((row.sample_id, told[place][1]) for row, told in runs),
                scores=self._scores([(row, told[place][0]) for row, told in runs]),
            )
            for place, size in enumerate(sizes)
        )

    def _scores(self, answers: Sequence[tuple[Row, Vote | None]]) -> tuple[SampleScore, ...]:
        found: dict[str, list[float]] = {}
        families = {row.sample_id: row.family for row, _ in answers}
        for row, answer in answers:
            found.setdefault(row.sample_id, []).append(self._score(row.sample_id, answer))
        return tuple(
            SampleScore(sample=name, family=families[name], score=sum(scores) / len(scores))
            for name, scores in found.items()
        )

    def _score(self, name: str, answer: Vote | None) -> float:
        """Return what an answer is worth; no answer to a sample is checked twice."""
        if answer is None:
            return 0.0
        key = name, answer.canonical
        if key not in self._worth:
            self._worth[key] = self.suite.check(self.samples[name], answer.value).value
        return self._worth[key]
