"""One task graph at work: what every topology needs to get its subtasks answered, recorded and never asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from orchestra_agents.errors import BudgetExceeded, InputError, ModelError, ModelUnavailable
from orchestra_agents.journal.records import SubtaskStarted
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Evidence, Model, Sampling, digest
from orchestra_agents.sampler import Sampler
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.prompts import Given, subtask_pattern, subtask_prompt
from orchestra_topologies.teams.team import Team

WHOLE = "<whole>"
"""Node of one agent that answers for all subtasks; no subtask can be called so."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Who answers: a default list of models, and lists by role."""

    default: tuple[Model, ...]
    roles: Mapping[str, tuple[Model, ...]] = field(default_factory=dict)
    named: Mapping[str, Model] = field(default_factory=dict)
    """Models that single subtasks ask for by name."""

    def choose(self, *, role: str | None = None, name: str | None = None) -> tuple[Model, ...]:
        """Return the model called `name`, else those of `role`, else the default ones."""
        if name is not None:
            return (self.named[name],)
        return self.roles.get(role or "", self.default)

    @property
    def evidence(self) -> Evidence:
        """Simulated as soon as one member is."""
        return "simulated" if any(model.evidence == "simulated" for model in self.everyone()) else "real"

    def check_roles(self, used: Set[str]) -> None:
        """Refuse models for roles that nobody has.

        Raises:
            InputError: A role is neither lead nor decomposer nor one that a subtask names.
        """
        known = sorted({"lead", "decomposer", *used})
        for role in self.roles:
            if role not in known:
                told = f"no subtask has the role {role!r}; roles here are worker, {', '.join(known)}"
                raise InputError("model", told)

    def everyone(self) -> tuple[Model, ...]:
        """Return every model once, in order."""
        by_role = [model for models in self.roles.values() for model in models]
        return tuple({id(model): model for model in [*self.default, *by_role, *self.named.values()]}.values())


@dataclass(init=False, eq=False)
class Execution:
    """The state of one graph run; LangGraph nodes reach it as their runtime context, never as their state.

    Args:
        panel: The models.
        sampling: How samples are drawn.
        sampler: Where samples come from.
        journal: The run's writing end.
        state: The run's state, kept current by listening to the journal.

    Attributes:
        outcomes: What has been settled so far, by subtask id.
        briefs: What the lead says about each subtask, in hierarchical runs.
        notes: What the user should know about how the run went.
        stop: Why no further subtask is admitted, once the budget is spent.
    """

    graph: TaskGraph
    """What is to be done; set by `assign`."""
    teams: Mapping[str, Team]
    """Who answers each subtask, by id; set by `assign`."""
    context: Literal["declared", "layers"]
    """What a subtask is shown: its declared inputs, or the answers of all earlier layers; set by `assign`."""

    def __init__(
        self, *, panel: Panel, sampling: Sampling, sampler: Sampler, journal: RunJournal, state: RunState
    ) -> None:
        self.panel, self.sampling, self.sampler = panel, sampling, sampler
        self.journal, self.state = journal, state
        self.outcomes: dict[str, Outcome] = {}
        self.briefs: dict[str, str] = {}
        self.notes: list[str] = []
        self.stop: Cause | None = None
        # A vote that ended at its cap in an earlier attempt may go as far again in this one.
        self._rounds = {node: 1 + times for node, times in state.undecided.items()}

    def assign(
        self, graph: TaskGraph, teams: Mapping[str, Team], context: Literal["declared", "layers"] = "declared"
    ) -> None:
        """Say what is to be done and by whom."""
        self.graph, self.teams, self.context = graph, teams, context
        self._places = {subtask.id: place for place, subtask in enumerate(graph)}

    async def perform(self, subtask: Subtask, *, inputs: Sequence[str] | None = None) -> Outcome:
        """Answer one subtask whose dependencies are settled, and return its outcome.

        Args:
            subtask: What to answer.
            inputs: Ids of the subtasks whose answers it is shown; None is all that it depends on.
        """
        shown = self.graph.predecessors(subtask.id) if inputs is None else inputs
        given = [self._given(one) for one in shown]
        question = Question(
            node=subtask.id,
            prompt=subtask_prompt(self.graph, subtask, given, brief=self.briefs.get(subtask.id)),
            answer=subtask.answer,
            pattern=subtask_pattern(self.graph, subtask, given),
            offset=self._places[subtask.id],
        )
        models = self.panel.choose(role=subtask.role, name=subtask.model)
        return await self.ask(question, self.teams[subtask.id], models=models, timeout_s=subtask.timeout_s)

    async def ask(
        self,
        question: Question,
        team: Team,
        *,
        models: Sequence[Model],
        sampling: Sampling | None = None,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Have `team` answer `question`; an outcome that is recorded as ok is returned without asking anyone.

        Args:
            question: What is asked.
            team: Who answers.
            models: The panel.
            sampling: How samples are drawn, if not as everywhere in the run.
            timeout_s: Seconds from the first call until the question has failed; None is no limit.
        """
        sampling = sampling or self.sampling
        asked = _identity(question, team, models, sampling)
        recorded = self.state.subtasks.get(question.node)
        if recorded is not None and recorded.status == "ok" and recorded.input == asked:
            return Outcome.from_record(recorded)
        if self.stop is not None:
            stopped = Outcome(status="cancelled", cause=self.stop)
            self.journal.append(stopped.to_record(question.node, prompt=None, seconds=0))
            return stopped
        self.journal.append(SubtaskStarted(node=question.node, team=str(team)))
        loop = asyncio.get_running_loop()
        started = loop.time()
        sampler = self.sampler.panel(models)
        agent = Microagent(sampler, team.rule(rounds=self._rounds.get(question.node, 1)), sampling)
        outcome = await self._decide(agent, question, team, timeout_s)
        self.journal.append(outcome.to_record(question.node, prompt=asked, seconds=loop.time() - started))
        return outcome

    def settle(self, subtask: Subtask, outcome: Outcome) -> None:
        """Settle a subtask that never started, or that another node answered for, and record it."""
        self.outcomes[subtask.id] = outcome
        self.journal.append(outcome.to_record(subtask.id, prompt=None, seconds=0))

    async def _decide(self, agent: Microagent, question: Question, team: Team, timeout_s: float | None) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                if timeout_s is not None:  # waiting for a turn is not working: the clock starts with the first call
                    agent.sampler.on_first_call(lambda: limit.reschedule(loop.time() + timeout_s))
                decision = await agent.decide(question)
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"no answer within timeout_s={timeout_s:g}"
            return Outcome(status="failed", cause=Cause(code="timeout", message=message))
        except (ModelError, ModelUnavailable) as error:
            return Outcome(status="failed", cause=Cause(code=error.code, message=str(error)))
        except BudgetExceeded as error:
            self.stop = Cause(code="budget", message=str(error))
            return Outcome(status="cancelled", cause=self.stop)
        return Outcome.of(decision, k=team.k)

    def _given(self, one: str) -> Given:
        before, outcome = self.graph[one], self.outcomes[one]
        truth = before.truth
        return Given(
            name=one,
            answer=outcome.answer,
            is_right=truth is None or before.answer.canonical(truth.answer) == before.answer.canonical(outcome.answer),
        )


def _identity(question: Question, team: Team, models: Sequence[Model], sampling: Sampling) -> str:
    """Return the digest of everything that decides the answer, so that a change of any of it asks again."""
    who = [str(team), sampling.policy(), [model.name for model in models]]
    return digest([question.prompt.rendered(), question.answer.spec(), who])
