"""One task graph at work: what every topology needs to get its subtasks answered, recorded and never asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra_agents.acting import Actor
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import BudgetExceeded, ModelError, ModelUnavailable, OrchestraError
from orchestra_agents.journal.records import Condensed, SubtaskStarted, Verified
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Json, Model, Prompt, Sampling, digest
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.models.window import count_tokens, most_tokens, smallest_window
from orchestra_agents.roles.cards import RoleCard
from orchestra_agents.sampler import Sampler
from orchestra_agents.verification import Verdict, Verify, named, verify
from orchestra_agents.working_time import WorkClock
from orchestra_topologies.conduct import NO_MEANS, PLAIN, Conduct, Means
from orchestra_topologies.consistency import Similarity
from orchestra_topologies.fitting import Reader, fitted
from orchestra_topologies.graph import COUPLING, Subtask, TaskGraph
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.panel import SUMMARISER, WORKER, Panel
from orchestra_topologies.prompts import Given, extended, repair_material, subtask_pattern, subtask_prompt
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import Resolution, only_final
from orchestra_topologies.teams.assembly import acted
from orchestra_topologies.teams.catalog import several
from orchestra_topologies.teams.selection import select
from orchestra_topologies.teams.team import Team
from orchestra_topologies.terms import Terms

REPAIRS = 2
"""Further attempts after a reply that cannot be used, each told what was wrong."""


@dataclass(init=False, eq=False)
class Execution:
    """The state of one graph run; LangGraph nodes reach it as their runtime context, never as their state.

    Args:
        panel: The models.
        sampling: How samples are drawn.
        sampler: Where samples come from.
        journal: The run's writing end.
        state: The run's state, kept current by listening to the journal.
        embedder: Who makes texts comparable; None compares their words.
        means: Role cards and tools.

    Attributes:
        order: All ids in topological order.
        outcomes: What has been settled so far, by subtask id.
        briefs: What the lead says about each subtask, in hierarchical runs.
        resolutions: What became of each question that several subtasks answer, once somebody looked at it.
        disputes: What answers of earlier passes contradicted each other in.
        stronger: What re-routes have added to the coupling of every edge.
        notes: What the user should know about how the run went.
        stop: Why no further subtask is admitted, once the budget is spent.
    """

    graph: TaskGraph
    """What is to be done; set by `assign`."""
    teams: Mapping[str, Team]
    """Who answers each subtask, by id; set by `assign`."""
    topology: Topology
    """How the subtasks are wired; set by `assign`."""

    def __init__(
        self,
        *,
        panel: Panel,
        sampling: Sampling,
        sampler: Sampler,
        journal: RunJournal,
        state: RunState,
        conduct: Conduct = PLAIN,
        embedder: Embedder | None = None,
        means: Means = NO_MEANS,
    ) -> None:
        self.panel, self.sampling, self.sampler, self.conduct = panel, sampling, sampler, conduct
        self.means = means
        self.journal, self.state = journal, state
        self.similarity = Similarity(sampler, embedder)
        self.outcomes: dict[str, Outcome] = {}
        self.briefs: dict[str, str] = {}
        self.resolutions: dict[str, Resolution] = {}
        self.disputes: list[str] = []
        self.stronger = 0.0
        self.notes: list[str] = []
        self.stop: Cause | None = None
        # A vote that ended at its cap in an earlier attempt may go as far again in this one.
        self._rounds = {node: 1 + times for node, times in state.undecided.items()}

    def assign(self, graph: TaskGraph, teams: Mapping[str, Team], topology: Topology) -> None:
        """Say what is to be done, by whom and wired how; a new pass over the graph begins."""
        self.graph, self.teams, self.topology = graph, teams, topology
        self.outcomes, self.briefs, self.resolutions = {}, {}, {}
        self.order = graph.order
        self._places = {one: place for place, one in enumerate(self.order)}

    @property
    def is_serial(self) -> bool:
        """Whether nothing is asked before the answer to the question before has arrived."""
        return self.topology == "sequential"

    async def perform(self, subtask: Subtask, *, inputs: Sequence[str] | None = None) -> Outcome:
        """Answer one subtask whose dependencies are settled, and return its outcome.

        Args:
            subtask: What to answer.
            inputs: Ids of the subtasks whose answers it is shown; None follows the run's context.
        """
        if inputs is None:
            inputs = self._ancestors(subtask) if self.conduct.context == "ancestors" else [*dict(subtask.depends_on)]
        edges = dict(subtask.depends_on)
        given = [self.given(one, COUPLING[edges.get(one, "weak")]) for one in inputs]

        def asks(given: Sequence[Given]) -> Question:
            return Question(
                node=subtask.id,
                prompt=subtask_prompt(self.graph, subtask, given, brief=self.briefs.get(subtask.id)),
                answer=subtask.answer,
                pattern=subtask_pattern(self.graph, subtask, given),
                words=subtask.description,
                offset=self._places[subtask.id],
            )

        terms = replace(
            self.terms(subtask.role or WORKER, name=subtask.model),
            timeout_s=subtask.timeout_s or self.conduct.timeout_s,
            verify=subtask.verify,
            repair=subtask.repair,
            tools=self.means.tools.grant(subtask.tools),
        )
        reader = Reader(node=subtask.id, purpose=subtask.description, terms=terms, asks=asks)
        return await self.read(reader, given, self.teams[subtask.id])

    def terms(self, role: str = WORKER, *, name: str | None = None, sampler: Sampler | None = None) -> Terms:
        """Return the terms of an agent of `role`: its models, its card, and how it is sampled.

        Args:
            role: Who answers.
            name: The model that is asked for by name, if one is.
            sampler: Whose calls count as those of the question; None starts anew.
        """
        card = self.means.cards.get(role) or RoleCard(name=role)
        models = self.panel.choose(role=role, name=name)
        return Terms(models=models, sampling=card.sampling(self.sampling), card=card, sampler=sampler)

    def whole_terms(self) -> Terms:
        """Return the terms of whoever answers the whole task: all tools of its subtasks, the check of its answer."""
        names = dict.fromkeys(name for subtask in self.graph for name in subtask.tools)
        last = only_final(self.graph)
        return replace(
            self.terms(),
            tools=self.means.tools.grant(names),
            timeout_s=self.conduct.timeout_s,
            verify=last.verify if last else None,
            repair=last.repair if last else None,
        )

    async def read(self, reader: Reader, given: Sequence[Given], team: Team) -> Outcome:
        """Have `team` answer what `reader` asks about `given`, made to fit its window first, within its time."""
        terms = reader.terms
        sampler, timeout_s = (terms.sampler or self.sampler).panel(terms.models), terms.timeout_s
        reader = replace(reader, terms=replace(terms, sampler=sampler))
        try:
            async with asyncio.timeout(None) as limit:
                clock = WorkClock(limit)
                if timeout_s is not None:  # waiting for a turn is not working: the clock starts with the first call
                    sampler.on_first_call(lambda: clock.expire_after(timeout_s))
                with clock.running():
                    question = reader.asks(await fitted(self, reader, given))
                    return await self.ask(question, team, reader.terms)
        except TimeoutError:
            if not limit.expired():
                raise
            cause = Cause(code="timeout", message=f"no answer within timeout_s={timeout_s:g}")
            return self._unasked(reader.node, Outcome(status="failed", cause=cause), seconds=timeout_s or 0)
        except (ModelError, ModelUnavailable, BudgetExceeded) as error:
            return self._refused(reader.node, error)

    async def put(self, question: Question, team: Team, terms: Terms) -> Outcome:
        """Have `team` answer a question that reads nothing which could be shortened; too long a one fails unsent."""
        reader = Reader(node=question.node, purpose="", terms=terms, asks=lambda _: question)
        return await self.read(reader, (), team)

    async def read_until_usable(
        self,
        reader: Reader,
        given: Sequence[Given],
        answer: AnswerType,
        prompt: Callable[[Sequence[Given], str], Prompt],
    ) -> Outcome:
        """Ask one agent about `given`; a reply that cannot be used is asked for again, told what was wrong, twice.

        Args:
            reader: Who is asked; repairs are nodes of their own.
            given: What it reads, made to fit its window first.
            answer: What is wanted.
            prompt: Its prompt, given what it reads and what was wrong with the last reply ("" at first).
        """
        try:
            shown = await fitted(self, reader, given)
        except (ModelError, ModelUnavailable, BudgetExceeded) as error:
            return self._refused(reader.node, error)
        problem, samples = "", 0
        for attempt in range(1 + REPAIRS):
            node = f"{reader.node[:-1]} repair {attempt}>" if attempt else reader.node
            question = Question(node=node, prompt=prompt(shown, problem), answer=answer)
            alone = Team("solo", tries=1)
            outcome = await self.ask(question, alone, reader.terms)
            samples += outcome.samples
            if outcome.cause is None or outcome.cause.code != "red_flag":
                break
            problem = outcome.cause.message
        return replace(outcome, samples=samples)

    async def ask(self, question: Question, team: Team, terms: Terms) -> Outcome:
        """Have `team` answer `question` on `terms`; an outcome that is recorded as ok is returned without a call."""
        asked = self._identity(terms.told(question), team, terms)
        recorded = self.state.answered(question.node, asked)
        if recorded is not None:
            return Outcome.from_record(recorded)
        if self.stop is not None:
            return self._unasked(question.node, Outcome(status="cancelled", cause=self.stop))
        self.journal.append(SubtaskStarted(node=question.node, team=str(team)))
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome = await self.as_outcome(self._answered(question, team, terms))
        if outcome.cause is not None and outcome.cause.code == "verify" and terms.repair is not None:
            outcome = await self._repaired(question, team, terms, outcome)
        self.journal.append(outcome.to_record(question.node, prompt=asked, seconds=loop.time() - started))
        return outcome

    def agent(self, node: str, team: Team, terms: Terms) -> Microagent:
        """Return the agent that votes for `node`."""
        sampler = (terms.sampler or self.sampler).panel(terms.models)
        rule = team.rule(rounds=self._rounds.get(node, 1))
        return Microagent(sampler, rule, terms.sampling, red_flag=terms.red_flag, is_serial=self.is_serial)

    def actor(self, agent: Microagent, terms: Terms) -> Actor:
        """Return an agent that may use the tools of `terms`."""

        async def fits(prompt: Prompt) -> bool:
            most = most_tokens(prompt) + terms.sampling.max_tokens
            window = await self.window_of(terms.models, most)
            if window is None or most <= window:
                return True
            tokens = max([await count_tokens(model, prompt) for model in terms.models])
            return tokens + terms.sampling.max_tokens <= window

        return Actor(
            agent=agent,
            tools=terms.tools,
            journal=self.journal,
            allow=self.means.allow,
            fits=fits,
        )

    def _identity(self, question: Question, team: Team, terms: Terms) -> str:
        """Return the digest of everything that decides the answer, so that a change of any of it asks again."""
        who = [str(team), terms.sampling.policy(), [model.name for model in terms.models]]
        more: list[Json] = [] if terms.verify is None else [named(terms.verify)]
        more += [terms.tools.spec()] if terms.tools else []
        if team.is_several:  # others take part in it
            roles = [self.terms(role) for role in ("lead", SUMMARISER)]
            more += [[[model.name for model in role.models], role.card.to_dict()] for role in roles]
        return digest([question.prompt.rendered(), question.answer.spec(), who, *more])

    def settle(self, subtask: Subtask, outcome: Outcome) -> None:
        """Settle a subtask that never started, or that another node answered for, and record it."""
        self.outcomes[subtask.id] = outcome
        self.journal.append(outcome.to_record(subtask.id, prompt=None, seconds=0))

    async def check(self, node: str, check: Verify, answer: Json) -> Verdict:
        """Return what `check` says of the answer of `node`; one that is recorded is not made again.

        Raises:
            BudgetExceeded: The run's time is up meanwhile.
        """
        identity = {"node": node, "answer": digest(answer), "verify": named(check)}
        recorded = self.state.verified.get("\n".join(identity.values()))
        if recorded is not None:
            return Verdict(recorded.passed, recorded.detail)
        loop = asyncio.get_running_loop()
        started = loop.time()
        verdict = await self.sampler.in_time(verify(check, answer))
        seconds = round(loop.time() - started, 6)
        self.journal.append(Verified(**identity, passed=verdict.passed, detail=verdict.detail, seconds=seconds))
        return verdict

    async def window_of(self, models: Sequence[Model], most: int) -> int | None:
        """Return the tokens that a prompt and its reply may take together, None where nobody knows a limit."""
        theirs = await smallest_window(models, most)
        return min((window for window in (theirs, self.conduct.window) if window is not None), default=None)

    def note_condensed(self, record: Condensed) -> None:
        """Record how a node's inputs were made to fit, and tell the user."""
        self.notes.append(record.reason)
        if self.state.condensed.get(record.node) != record:
            self.journal.append(record)

    def given(self, one: str, coupling: float = COUPLING["strong"]) -> Given:
        """Return the answer of subtask `one` as another node is shown it."""
        before, outcome = self.graph[one], self.outcomes[one]
        if outcome.status != "ok":
            return Given(name=one, answer=None, is_right=False, coupling=coupling, is_missing=True)
        truth = before.truth
        is_right = truth is None or before.answer.canonical(truth.answer) == before.answer.canonical(outcome.answer)
        return Given(name=one, answer=outcome.answer, is_right=is_right, coupling=coupling)

    def _ancestors(self, subtask: Subtask) -> list[str]:
        """Return all that `subtask` depends on, directly or not, in topological order."""
        found: set[str] = set()
        rest = [subtask.id]
        while rest:
            before = [one for one in self.graph.predecessors(rest.pop()) if one not in found]
            found.update(before)
            rest += before
        return sorted(found, key=self._places.__getitem__)

    def _refused(self, node: str, error: OrchestraError) -> Outcome:
        """Return and record the outcome of a node that could not even be asked."""
        cause = Cause(code=error.code, message=str(error))
        if isinstance(error, BudgetExceeded):
            cause = self.stop = Cause(code="budget", message=str(error))
        outcome = Outcome(status="cancelled" if isinstance(error, BudgetExceeded) else "failed", cause=cause)
        return self._unasked(node, outcome)

    def _unasked(self, node: str, outcome: Outcome, *, seconds: float = 0) -> Outcome:
        """Record the outcome of a node that was not asked to the end, and return it."""
        self.journal.append(outcome.to_record(node, prompt=None, seconds=seconds))
        return outcome

    async def as_outcome(self, work: Awaitable[Outcome]) -> Outcome:
        """Return what `work` comes to; a model that does not answer and a budget that is spent are outcomes, too."""
        try:
            return await work
        except (ModelError, ModelUnavailable) as error:
            return Outcome(status="failed", cause=Cause(code=error.code, message=str(error)))
        except BudgetExceeded as error:
            self.stop = Cause(code="budget", message=str(error))
            return Outcome(status="cancelled", cause=self.stop)

    async def _answered(self, question: Question, team: Team, terms: Terms) -> Outcome:
        told, agent = terms.told(question), self.agent(question.node, team, terms)
        terms = replace(terms, sampler=agent.sampler)
        if team.select is not None:
            outcome = await select(self, agent, told, team, terms.verify)
        elif team.is_several:
            outcome = await several(self, question, team, terms)
        elif terms.tools:
            outcome = await acted(self.actor(agent, terms), told, team)
        else:
            outcome = Outcome.of(await agent.decide(told), k=team.k)
        if terms.verify is None or outcome.status != "ok" or team.select == "verify":
            return outcome
        return await self._checked(question.node, terms.verify, outcome)

    async def _repaired(self, question: Question, team: Team, terms: Terms, failed: Outcome) -> Outcome:
        """Return the answer that passed after some repairs, each told what the last one came to."""
        repair = terms.repair
        assert repair is not None
        mender = replace(self.terms(repair.role), verify=terms.verify, timeout_s=terms.timeout_s)
        for number in range(1, repair.times + 1):
            material = repair_material(failed.rejected, failed.cause.message if failed.cause else "")
            node = f"<repair {question.node} {number}>"
            outcome = await self.ask(extended(question, node, material), Team("solo"), mender)
            if outcome.status == "ok":
                self.notes.append(f"{question.node} passed its check after {number} repair{'s' * (number > 1)}")
                return replace(outcome, voted=False, votes=0)
            if outcome.cause is None or outcome.cause.code != "verify":
                return outcome
            failed = outcome
        return failed

    async def _checked(self, node: str, check: Verify, outcome: Outcome) -> Outcome:
        verdict = await self.check(node, check, outcome.answer)
        if verdict.passed:
            return outcome
        cause = Cause(code="verify", message=f"the answer did not pass its check: {verdict.detail}")
        return replace(outcome, status="failed", answer=None, cause=cause, rejected=outcome.answer)


def roomy(sampling: Sampling, tokens: int) -> Sampling:
    """Return how samples are drawn where a reply may need more tokens than the run's own cap."""
    return replace(sampling, max_tokens=max(sampling.max_tokens, tokens))
