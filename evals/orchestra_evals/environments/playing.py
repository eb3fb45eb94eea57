"""A team in an environment: one run, scored on the state that it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestra.choices import Choices
from orchestra.coordination import Coordination
from orchestra.panel import ModelSpec
from orchestra.planning import Plan
from orchestra.result import RunResult
from orchestra.running import run
from orchestra.session import Session
from orchestra_agents.journal.replay import RunState
from orchestra_agents.ledger import Budget
from orchestra_evals.environments.environment import Environment
from orchestra_topologies.graph import TaskGraph

SUBTASK = "goal"
"""Id of the one subtask of such a run."""
_NO_CHOICES = Choices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a team left behind."""

    score: float
    """Of the final state, in [0, 1]."""
    result: RunResult

    @property
    def coordination(self) -> Coordination:
        """The figures of the run, with the score as its success."""
        return replace(self.result.coordination, success=self.score)


async def play(
    environment: Environment,
    *,
    session: Session,
    run_id: str,
    choices: Choices = _NO_CHOICES,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
) -> Played:
    """Return what a team makes of an environment; a run that was stopped goes on where it was.

    Args:
        environment: As it was when the run began; what the journal holds of it is repeated first.
        session: Owner of models and journal.
        run_id: Name of the run.
        choices: The team, and how it is sampled.
        model: Who answers; None is the session's.
        budget: Caps.

    Raises:
        InputError, ManifestChanged, RunOwned: As `orchestra.run`.
    """
    if run_id in session.journal.run_ids():
        state = RunState.of(session.journal.entries(run_id))
        await environment.restore(state.carried_out())
    toolbox = environment.toolbox()
    graph = TaskGraph(
        [
            {
                "id": SUBTASK,
                "description": environment.goal,
                "tools": list(toolbox.tools),
                "truth": {"answer": "finished"},  # no agent is asked for it; it says that simulated ones may know
            }
        ]
    )
    plan = Plan(task=graph, model=model, budget=budget or Budget(), choices=choices, tools=toolbox)
    result = await run(plan, session=session, run_id=run_id)
    return Played(score=environment.score(), result=result)
