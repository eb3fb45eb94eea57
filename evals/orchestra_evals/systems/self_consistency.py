"""Self-consistency: votes on the whole question until an equal share of the budget is spent, then the majority.

The votes are those of one agent that is asked the sample's own question, as a lone agent is. The majority is over the
canonical answers (Wang et al. 2022), of equals the first seen, so that text that is never equal word for word is
answered by the first vote.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field, replace

from orchestra.budget.team_spending import Spending
from orchestra.choices import Choices
from orchestra.performance import Performance
from orchestra.result import RunResult
from orchestra_agents.errors import BudgetExceeded, InputError, OrchestraError
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.microagent import Question, Vote
from orchestra_agents.models.contract import Json, canonical_json, estimate_tokens
from orchestra_agents.voting.tally import Tally
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.carrying import carry_out
from orchestra_evals.systems.questions import SUBTASK, agreement, question_graph
from orchestra_evals.systems.system import Answered, Place
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.prompts import subtask_prompt
from orchestra_topologies.teams.team import SOLO

MOST_VOTES = 1_000
"""Most votes on one sample."""
TEMPERATURE = 0.7
"""As in the paper: at a low temperature votes are copies of one another."""
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConsistency:
    """Votes until the sample's share of the cell's caps would be passed, or there are `samples` of them."""

    samples: int | None = None
    """Most votes, 1 to 1,000; None leaves it to the caps."""
    choices: Choices = field(default_factory=lambda: Choices(temperature=TEMPERATURE))
    """How votes are drawn; topology, team and margin are not looked at."""

    def __post_init__(self) -> None:
        if self.samples is not None and not 1 <= self.samples <= MOST_VOTES:
            raise InputError("samples", f"must be an integer from 1 to {MOST_VOTES:,}, got {self.samples!r}")

    @property
    def name(self) -> str:
        """Return `selfconsistency`, with the number of votes where it is fixed."""
        return "selfconsistency" if self.samples is None else f"selfconsistency(samples={self.samples})"

    @property
    def keeps_to_share(self) -> bool:
        """It spends its share, to the cap."""
        return True

    def spec(self) -> Json:
        """Return how votes are drawn, and how many at most."""
        choices = asdict(self.choices)
        return {"selfconsistency": self.samples} | {name: choices[name] for name in ("temperature", "max_tokens")}

    async def spending(self, sample: Sample, suite: Suite, share: Budget) -> Spending | None:
        """Return what all votes take that the share pays for; None where only money caps them."""
        prompt = subtask_prompt(graph := question_graph(sample), graph[SUBTASK], [])
        read = estimate_tokens(prompt.content())
        written = estimate_tokens(canonical_json({"answer": sample.target}))
        caps = [self.samples, share.calls, None if share.tokens is None else share.tokens // (read + written)]
        most = min((cap for cap in caps if cap is not None), default=None)
        if most is None:
            return None
        votes = min(MOST_VOTES, most)
        return Spending(calls=votes, input_tokens=votes * read, output_tokens=votes * written, rounds=1)

    async def perform(self, sample: Sample, place: Place) -> RunResult:
        """Carry the run of a sample to an end; see `System.perform`."""
        if environment_of(sample) is not None:
            raise InputError("system", "selfconsistency votes on answers; an environment is acted in, by one team")
        share = place.share
        if self.samples is None and share.calls is None and share.tokens is None and share.usd is None:
            raise InputError("budget", "selfconsistency spends to the cap: give one in calls, tokens or usd")
        choices = replace(self.choices, seed=place.seed)
        return await carry_out(question_graph(sample), self._vote, place, choices=choices, budget=share)

    async def read(self, sample: Sample, suite: Suite, result: RunResult, journal: Journal) -> Answered:
        """Return the majority, and the share of the votes that it has."""
        return Answered(answer=result.answer if result.status == "ok" else None, confidence=agreement(result))

    async def _vote(self, performance: Performance) -> Outcome:
        graph, terms = performance.graph, performance.terms()
        prompt = subtask_prompt(graph, graph[SUBTASK], [])
        question = terms.told(Question(node=SUBTASK, prompt=prompt, answer=graph[SUBTASK].answer))
        agent = performance.agent(SUBTASK, SOLO, terms)
        votes: dict[int, Vote | None] = {}
        indices = iter(range(self.samples or MOST_VOTES))
        stopped: list[OrchestraError] = []

        async def draw() -> None:
            for index in indices:
                try:
                    [votes[index]] = await agent.candidates(question, range(index, index + 1))
                except OrchestraError as error:  # as data, so that the other replies arrive and are recorded
                    stopped.append(error)
                if stopped:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(draw())
        for error in stopped:
            if not votes or not isinstance(error, BudgetExceeded):
                raise error
        return _majority([votes[index] for index in sorted(votes)])


def _majority(votes: list[Vote | None]) -> Outcome:
    """Return the answer that most votes gave, given in the order of their indices; None is a flagged one."""
    tally, values = Tally(), dict[str, Json]()
    for vote in votes:
        if vote is None:
            tally.flagged += 1
        else:
            values.setdefault(vote.canonical, vote.value)
            tally.add(vote.canonical)
    if not tally.votes:
        cause = Cause(code="red_flag", message=f"all {tally.flagged} replies were discarded")
        return Outcome(status="failed", samples=len(votes), cause=cause)
    leader, lead = tally.leader()
    return Outcome(
        status="ok",
        answer=values[leader],
        voted=True,
        votes=tally.votes,
        samples=len(votes),
        margin=lead,
        tally=tally.counts,
    )
