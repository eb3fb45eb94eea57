"""`orchestra_evals/orchestra`, a solver of Inspect, and `orchestra_evals/orchestra_agent`, an agent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.solver import Generate, Solver, TaskState, solver

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json
from orchestra_evals.inspect_bridge.asking import Asked, asked_of, text_of
from orchestra_evals.inspect_bridge.naming import named
from orchestra_evals.inspect_bridge.runs import Answered, answered
from orchestra_evals.inspect_bridge.terms import Terms

TOLD = "orchestra"
"""Where a sample's metadata, and that of its output, hold what is told of its run."""


def _orchestra(
    topology: str = "auto",
    team: str = "auto",
    *,
    k: int | str | None = None,
    decomposer: str = "none",
    answer: Json = None,
    choices: Mapping[str, Json] | None = None,
    budget: Mapping[str, Json] | None = None,
    journal: str | None = None,
) -> Solver:
    """Answer each sample by a run of orchestra, asked of the model that Inspect evaluates.

    Args:
        topology: How a graph is carried out; `auto` decides by its shape.
        team: Who answers a question, `decentralized:agents=3` for example.
        k: Margin of votes, `auto` or a number; None is 3.
        decomposer: Who makes a graph of a question: `none`, `suite` (the graph that our suite has of it), `model`,
            `software`, or a graph file.
        answer: What kind of answer is wanted, as a graph file says it: `number`, `{choice: [yes, no]}`. None takes a
            letter where a sample offers choices, else what our suite says, else a text.
        choices: Further fields of `orchestra.Choices`; without them temperature, max_tokens and seed are those that
            Inspect was told, else orchestra's defaults.
        budget: Caps on each sample by the fields of `orchestra.Budget`: calls, tokens, seconds.
        journal: File that keeps the journal of every run; None keeps none.

    Raises:
        InputError: An option is wrong.
    """
    said = {"topology": topology, "team": team, "k": k, **(choices or {})}
    terms = Terms.of(said, decomposer=decomposer, budget=budget, answer=answer, journal=journal)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        asked = asked_of(state, terms.answer)
        found = await answered(asked, terms, epoch=state.epoch)
        state.metadata = {**(state.metadata or {}), TOLD: dict(found.told)}
        state.output = _chosen(state, asked, found).output()
        state.messages.append(state.output.message)
        return state

    return solve


def _orchestra_agent(
    topology: str = "auto",
    team: str = "auto",
    *,
    k: int | str | None = None,
    decomposer: str = "none",
    answer: Json = None,
    choices: Mapping[str, Json] | None = None,
    budget: Mapping[str, Json] | None = None,
    journal: str | None = None,
) -> Agent:
    """Answer a conversation by a run of orchestra; the options are those of `orchestra`.

    An agent is not told its epoch, and may be asked the same twice: unless `choices` says a seed, each run draws one.

    Raises:
        InputError: An option is wrong.
    """
    said = {"topology": topology, "team": team, "k": k, **(choices or {})}
    terms = Terms.of(said, decomposer=decomposer, budget=budget, answer=answer, journal=journal)

    async def execute(state: AgentState) -> AgentState:
        """Answer by several votes, subtasks or agents.

        Args:
            state: The conversation so far.
        """
        drawn = {"seed": secrets.randbits(31), **terms.choices}
        asked = Asked(text=text_of(state.messages), answer=terms.answer or AnswerType("text"))
        state.output = (await answered(asked, replace(terms, choices=drawn), epoch=1)).output()
        state.messages.append(state.output.message)
        return state

    return execute


def _chosen(state: TaskState, asked: Asked, found: Answered) -> Answered:
    """Return what was found as an answer to a sample with choices, and mark the one that it names, if it does."""
    if not isinstance(found.answer, str) or found.answer not in asked.letters:
        return found
    for place, letter in enumerate(asked.letters):
        state.choices.mark_choice(place, letter == found.answer)
    return replace(found, text=f"ANSWER: {found.answer}")


orchestra = named("orchestra", solver, _orchestra)
orchestra_agent = named("orchestra_agent", lambda name: agent(name=name), _orchestra_agent)
