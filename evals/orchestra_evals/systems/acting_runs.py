"""Samples that are acted on: how many turns an agent gets, what that takes, and the state that is left behind."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from orchestra.budget.team_spending import Spending
from orchestra.choices import Choices
from orchestra.result import RunResult
from orchestra_agents.actions import is_done
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json, canonical_json, estimate_tokens
from orchestra_agents.tools import Situation, Turn
from orchestra_evals.environments.environment import Environment
from orchestra_topologies.teams.team import TeamSpec

MOST_TURNS = 1_000
_STUDY_STEPS = 5  # the defaults of teams, 10 turns for one alone, leave twice the turns for work of so many steps
_ASKED_TOKENS = 150  # of what an agent is told beside goal, tools and turns


async def reference_turns(environment: Environment) -> tuple[Turn, ...]:
    """Return the turns of the reference policy of a fresh environment, which is used up by it."""
    toolbox = environment.toolbox()
    turns: list[Turn] = []
    while toolbox.reference is not None and len(turns) < MOST_TURNS:
        known = toolbox.reference(Situation(turns=tuple(turns)))
        if known is None or is_done(known.answer):
            break
        tool, arguments = toolbox.tools[known.answer["tool"]], known.answer["arguments"]
        observation = await tool.call(arguments, f"reference {len(turns)}")
        turns.append(Turn(action=known.answer, observation=observation))
    return tuple(turns)


async def roomy(choices: Choices, environment: Environment) -> Choices:
    """Return the choices with turns that fit the work, where the team was asked for without.

    A lone agent gets twice the turns that the reference policy of the fresh environment takes, at least 10; other teams
    get as much more than their defaults.
    """
    spec = TeamSpec.parse(choices.team, "team") or TeamSpec(name="solo")
    if "turns" in dict(spec.options):
        return choices
    needed = 1 + len(await reference_turns(environment))
    turns = min(MOST_TURNS, max(spec.option("turns"), ceil(spec.option("turns") * needed / _STUDY_STEPS)))
    return replace(choices, team=str(replace(spec, options=(*spec.options, ("turns", turns)))))


async def spending_of(choices: Choices, environment: Environment) -> Spending | None:
    """Return about what a lone agent or a vote on its actions takes without errors; None for several agents."""
    spec = TeamSpec.parse(choices.team, "team") or TeamSpec(name="solo")
    if spec.name not in ("solo", "vote"):
        return None
    votes = (choices.margin or 3) if spec.name == "vote" else 1
    turns = await reference_turns(environment)
    tools = [tool.spec() for tool in environment.toolbox().tools.values()]
    base = _ASKED_TOKENS + estimate_tokens(environment.goal) + estimate_tokens(canonical_json(tools))
    written = [estimate_tokens(canonical_json(turn.action)) for turn in turns]
    read = [own + estimate_tokens(turn.observation.text) for own, turn in zip(written, turns, strict=True)]
    shown = [sum(read[max(0, place - 20) : place]) for place in range(len(turns) + 1)]
    calls = votes * (len(turns) + 1)
    return Spending(
        calls=calls,
        input_tokens=calls * base + votes * sum(shown),
        output_tokens=votes * (sum(written) + 10),
        rounds=len(turns) + 1,
    )


async def state_left(environment: Environment, result: RunResult, journal: Journal) -> Json:
    """Return the state in which a run left its environment, by the calls that the journal holds."""
    if result.run_id in journal.run_ids():
        await environment.restore(RunState.of(journal.entries(result.run_id)).carried_out())
    return environment.state()
