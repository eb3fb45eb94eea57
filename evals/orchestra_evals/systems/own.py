"""A user's own system: any async function of a sample, with our client at hand where it takes a second argument."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TypeAlias

from orchestra.budget.team_spending import Spending
from orchestra.choices import Choices
from orchestra.performance import Performance
from orchestra.planning import Plan
from orchestra.result import RunResult
from orchestra.running import run
from orchestra_agents.errors import BudgetExceeded, InputError, JournalError, ModelError, ModelUnavailable
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, Message, Prompt, Sampling, Truth, canonical_json, digest
from orchestra_evals.environments.environment import Environment
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.carrying import carry_out
from orchestra_evals.systems.nobody import Nobody
from orchestra_evals.systems.questions import fitted, question_graph, truth_of
from orchestra_evals.systems.system import Answered, Place, Reported
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.outcome import Cause, Outcome

Function: TypeAlias = "Callable[..., Awaitable[Json | Answered]]"
"""`async (sample) -> answer` or `async (sample, desk) -> answer`."""

INFRASTRUCTURE = "infrastructure"
"""Code of an error of the network or the system around a user's own system, which is not scored as wrong."""
_NODE = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a system of a user's own finds at hand: what it does with it is recorded, counted and kept under the caps.

    After a kill the function is called anew, and what was recorded is given back without being asked again.
    """

    sample: Sample
    environment: Environment | None
    """To act in, where the sample is one; its state is then what is scored, whatever is answered."""
    place: Place
    performance: Performance
    _drawn: Counter[str] = field(default_factory=Counter)

    @property
    def truth(self) -> Truth:
        """What a simulated model may know about the sample; real models never see it."""
        return truth_of(self.sample)

    async def complete(self, prompt: Prompt | str, *, sampling: Sampling | None = None) -> str:
        """Return a completion by the cell's model; the same prompt again gives another one.

        Raises:
            BudgetExceeded: The cell's cap does not pay for it; let it pass.
            ModelError: The model did not answer; let it pass, and the sample counts as not measured.
        """
        asked = prompt if isinstance(prompt, Prompt) else Prompt(messages=(Message("user", prompt),))
        settings = sampling or self.performance.sampling
        key = digest([asked.rendered(), settings.policy()])
        index, self._drawn[key] = self._drawn[key], self._drawn[key] + 1
        settings = replace(settings, index=settings.index + index)
        [sample] = await self.performance.sampler.draw(_NODE, asked, settings, red_flag=lambda _: None)
        return sample.text

    async def run(self, task: Plan | TaskGraph | str) -> RunResult:
        """Return what `orchestra.run` makes of a task, in the cell's session and by its model if the task names none.

        Raises:
            InputError: As `orchestra.run`.
        """
        plan = task if isinstance(task, Plan) else Plan(task=task)
        plan = plan if plan.model is not None else replace(plan, model=self.place.model)
        said = plan.task if isinstance(plan.task, str) else plan.task.to_dict()
        key = digest([said, asdict(plan.choices)])[:12]
        number, self._drawn[key] = self._drawn[key], self._drawn[key] + 1
        return await run(plan, session=self.place.session, run_id=f"{self.place.run_id}.{key}-{number}")


@dataclass(frozen=True, slots=True)
class Own:
    """A function as a system.

    Errors of the network or of a model (`OSError`, `TimeoutError`, `ModelError`) count as not measured, any other as a
    sample that it failed. What it is made of is not known here: after a change give it another name, or the evaluation.

    Raises:
        InputError: It takes neither one argument nor two.
    """

    called: str
    function: Function

    def __post_init__(self) -> None:
        if not callable(self.function) or _arguments(self.function) not in (1, 2):
            told = "must be async (sample) -> answer or async (sample, desk) -> answer"
            raise InputError(f"systems[{self.called}]", told)

    @property
    def name(self) -> str:
        """The name it was given."""
        return self.called

    @property
    def keeps_to_share(self) -> bool:
        """It takes what it takes."""
        return False

    def spec(self) -> Json:
        """Return its name."""
        return {"own": self.called}

    async def spending(self, sample: Sample, suite: Suite, share: Budget) -> Spending | None:
        """Return None: nobody knows."""
        return None

    async def perform(self, sample: Sample, place: Place) -> RunResult:
        """Carry the run of a sample to an end; see `System.perform`."""
        if place.model is None and place.session.model is None:
            place = replace(place, model=Nobody(self.called))

        async def work(performance: Performance) -> Outcome:
            desk = Desk(sample=sample, environment=environment_of(sample), place=place, performance=performance)
            return await self._answered(desk)

        return await carry_out(question_graph(sample), work, place, choices=Choices(seed=place.seed))

    async def read(self, sample: Sample, suite: Suite, result: RunResult, journal: Journal) -> Answered:
        """Return what the function returned, as the journal holds it."""
        if result.status != "ok":
            return Answered(answer=None)
        said = dict(result.answer)
        usage = said["usage"]
        is_acted = environment_of(sample) is not None
        return Answered(
            answer=said["answer"] if is_acted else fitted(sample.answer, said["answer"]),
            usage=None if usage is None else Reported(**usage),
            confidence=said["confidence"],
        )

    async def _answered(self, desk: Desk) -> Outcome:
        try:
            returned = await self.function(*(desk.sample, desk)[: _arguments(self.function)])
        except (BudgetExceeded, JournalError, ModelError, ModelUnavailable):
            raise
        except OSError as error:
            return _failed(INFRASTRUCTURE, error)
        except Exception as error:  # noqa: BLE001 - the boundary to the user's own code: its failure is what is measured
            return _failed("own", error)
        said = returned if isinstance(returned, Answered) else Answered(answer=returned)
        answer = said.answer if desk.environment is None else desk.environment.state()
        kept = {"answer": answer, "usage": said.usage and asdict(said.usage), "confidence": said.confidence}
        try:
            canonical_json(kept)
        except (TypeError, ValueError) as error:
            return _failed("own", error)
        return Outcome(status="ok", answer=kept)


def _failed(code: str, error: Exception) -> Outcome:
    return Outcome(status="failed", cause=Cause(code=code, message=f"{type(error).__name__}: {error}"))


def _arguments(function: Function) -> int:
    """Return how many arguments a function can be given by place, at most 2."""
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    needed = sum(one.kind in places and one.default is one.empty for one in parameters)
    return 2 if any(one.kind is one.VAR_POSITIONAL for one in parameters) else needed
