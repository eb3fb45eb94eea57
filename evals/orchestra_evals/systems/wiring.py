"""A topology and its teams as a system: a sample goes through `orchestra.run`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from orchestra.budget.abilities import ASSUMED
from orchestra.budget.composition import Abilities
from orchestra.budget.profile import Profile
from orchestra.budget.spending import spending
from orchestra.budget.team_spending import Spending
from orchestra.choices import Choices
from orchestra.designing import Design
from orchestra.planning import Plan
from orchestra.result import RunResult
from orchestra.running import run
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, canonical_json, estimate_tokens
from orchestra_evals.environments.playing import play
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.acting_runs import roomy, spending_of, state_left
from orchestra_evals.systems.questions import agreement, fitted, question_graph
from orchestra_evals.systems.system import Answered, GraphSource, GraphUsed, Place
from orchestra_topologies.graph import TaskGraph

DECOMPOSE: tuple[GraphSource, ...] = ("suite", "model", "none")
"""Who may split samples up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Agents wired by `choices`, each with its team.

    One agent, or one team, that answers the whole task is asked the sample's own question, whoever splits samples up.
    Where a sample is an environment to act in, the team acts in it as a whole.

    Raises:
        InputError: Nobody is called `decompose`.
    """

    choices: Choices = field(default_factory=Choices)
    """Topology, team, margin and sampling; the seed is that of the evaluation."""
    decompose: GraphSource = "suite"
    """Who makes a graph of a sample: its suite in code, a model, or nobody."""
    profile: Profile | None = None
    """What was measured of the model; with it a forecast may overrule the route."""

    def __post_init__(self) -> None:
        if self.decompose not in DECOMPOSE:
            raise InputError("decompose", f"must be one of {', '.join(DECOMPOSE)}, got {self.decompose!r}")

    @property
    def name(self) -> str:
        """Topology and team as they were asked for: `hybrid x vote(k=5)`."""
        margin = "" if self.choices.k is None else f"(k={self.choices.k})"
        return f"{self.choices.topology} x {self.choices.team}{margin}"

    @property
    def keeps_to_share(self) -> bool:
        """It takes what it takes."""
        return False

    def spec(self) -> Json:
        """Return the choices, who splits samples up, and the profile where it has a say."""
        profile = None if self._deciding is None else self._deciding.to_dict()
        return {"choices": asdict(replace(self.choices, seed=0)), "decompose": self.decompose, "profile": profile}

    async def spending(self, sample: Sample, suite: Suite, share: Budget) -> Spending | None:
        """Return what the prompts take that are known; None where a model splits samples up."""
        environment = environment_of(sample)
        if environment is not None:
            return await spending_of(self.choices, environment)
        plan, source = self.plan(sample, suite)
        return taken(sample, plan.task, plan.design, source) if isinstance(plan.task, TaskGraph) else None

    async def perform(self, sample: Sample, place: Place) -> RunResult:
        """Carry the run of a sample to an end; see `System.perform`."""
        environment = environment_of(sample)
        if environment is None:
            plan = replace(self.plan(sample, place.suite, place.seed)[0], model=place.model)
            return await run(plan, session=place.session, run_id=place.run_id)
        fresh = environment_of(sample)
        assert fresh is not None
        choices = await roomy(replace(self.choices, seed=place.seed, topology="auto"), fresh)
        played = await play(environment, session=place.session, run_id=place.run_id, choices=choices, model=place.model)
        return played.result

    async def read(self, sample: Sample, suite: Suite, result: RunResult, journal: Journal) -> Answered:
        """Return the answer of a run, or the state that it left behind, whatever it said."""
        environment = environment_of(sample)
        if environment is not None:
            return Answered(answer=await state_left(environment, result, journal))
        return Answered(
            answer=fitted(sample.answer, result.answer) if result.status == "ok" else None,
            confidence=agreement(result),
            graph=GraphUsed(source=self.plan(sample, suite)[1], nodes=len(result.subtasks)),
        )

    @property
    def _deciding(self) -> Profile | None:
        """The profile where it can change what is done: the user leaves the topology open, or the margin."""
        return self.profile if "auto" in (self.choices.topology, self.choices.k) else None

    def plan(self, sample: Sample, suite: Suite, seed: int = 0) -> tuple[Plan, GraphSource]:
        """Return what is done about a sample that is no environment, and who split it up."""
        choices, profile = replace(self.choices, seed=seed), self._deciding
        alone = Plan(task=question_graph(sample), choices=choices, profile=profile)
        if self.decompose == "none" or choices.topology == "single":
            return alone, "none"
        if self.decompose == "model":
            text = f"{sample.question}\n\n{_wanted(sample.answer)}".strip()
            return Plan(task=text, choices=choices, profile=profile), "model"
        graph = suite.graph(sample)
        if graph is None:
            return alone, "none"
        plan = Plan(task=graph, choices=choices, profile=profile)
        if len(graph) > 1 and plan.design.topology == "single":  # by a forecast
            return alone, "none"
        return plan, "suite"


def taken(sample: Sample, graph: TaskGraph, made: Design, source: GraphSource) -> Spending:
    """Return what the prompts of one way to answer a sample take, and replies of the usual length.

    Args:
        sample: The sample; where nobody splits it up, replies are as long as its target.
        graph: As which it is answered.
        made: How.
        source: Who split it up.
    """
    length = estimate_tokens(canonical_json({"answer": sample.target}))
    skill = ASSUMED if source == "suite" else replace(ASSUMED, output_tokens=float(length))
    return spending(graph, made.topology, made.teams, Abilities(skills={}, default=skill))


def _wanted(kind: AnswerType) -> str:
    """Return what somebody has to know of the final answer who splits a question up."""
    match kind.kind:
        case "choice":
            return f"The final answer is one of: {', '.join(kind.choices)}."
        case "json":
            return f"The final answer is JSON of this schema: {kind.schema}"
        case "text":
            return ""
        case other:
            return f"The final answer is {'a number' if other == 'number' else 'code'} and nothing else."
