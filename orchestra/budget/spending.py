"""What a design takes: calls and tokens of each subtask, from prompts rendered as they will be sent (derived).

Answers that are still to come have the mean length of the model's replies, and so has a note of a lead. A lead reads
the reports once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestra.budget.composition import Abilities, votes_met, whole_skill
from orchestra.budget.team_spending import Spending, team_spending
from orchestra_agents.models.contract import Json, Prompt, estimate_tokens
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.prompts import Given, lead_prompt, monitor_prompt, redo_answer, subtask_prompt, whole_prompt
from orchestra_topologies.router import Topology
from orchestra_topologies.teams.team import Team
from orchestra_topologies.wiring import strong_inputs


def spending(graph: TaskGraph, topology: Topology, teams: Mapping[str, Team], able: Abilities) -> Spending:
    """Return what a run of `graph` takes, synthesis by code included; O(V + E) but for what `votes_met` takes.

    Args:
        graph: The subtasks.
        topology: How they are wired.
        teams: Who answers each subtask, by id; with `single` the whole task.
        able: What the model is able to, for the length of its replies and the votes a decision takes.
    """
    if topology == "single" and len(graph) > 1:
        return team_spending(teams[WHOLE], _tokens(whole_prompt(graph)), whole_skill(graph, able))
    is_led = topology == "hierarchical"
    met = votes_met(graph, topology, teams, able) if any(team.name == "vote" for team in teams.values()) else {}
    total, waited, ends = Spending(), 0.0, dict[str, float]()
    for subtask in graph:
        inputs = graph.predecessors(subtask.id)
        shown = strong_inputs(subtask) if topology == "parallel" else inputs
        given = [Given(name=one, answer=_placeholder(graph[one], teams[one], able)) for one in shown]
        note = _words(able.default.output_tokens) if is_led else None
        skill = able.skill(subtask.answer)
        prompt = _tokens(subtask_prompt(graph, subtask, given, brief=note))
        one = team_spending(teams[subtask.id], prompt, skill, met.get(subtask.id, ()))
        waited += one.rounds
        ends[subtask.id] = one.rounds + max((ends[before] for before in inputs), default=0.0)
        total += one
    lead = _lead(graph, teams, able) if is_led else Spending()
    longest = waited if topology == "sequential" else max(ends.values())
    return replace(total + lead, rounds=longest + lead.rounds)


def _lead(graph: TaskGraph, teams: Mapping[str, Team], able: Abilities) -> Spending:
    """Return what a lead takes that plans once, and reads the reports once and finds them good."""
    reports = [Given(name=one.id, answer=_placeholder(one, teams[one.id], able)) for one in graph]
    monitor = monitor_prompt(graph, reports, redo_answer(graph.order))
    calls = 2 / able.default.valid
    return Spending(
        calls=calls,
        input_tokens=calls * (_tokens(lead_prompt(graph)) + _tokens(monitor)) / 2,
        output_tokens=calls * (len(graph) + 1) * able.default.output_tokens / 2,
        rounds=2,
    )


def _placeholder(subtask: Subtask, team: Team, able: Abilities) -> Json:
    """Return something as long as an answer that is still to come."""
    answer = subtask.answer
    if answer.choices:
        return max(answer.choices, key=len)
    said = _words(able.skill(answer).output_tokens)
    if team.name == "independent" and answer.kind == "text":  # one text under the other
        return "\n\n".join(f"=== agent {number} ===\n{said}" for number in range(1, team.option("agents") + 1))
    return said


def _words(tokens: float) -> str:
    return "word" * max(1, round(tokens))


def _tokens(prompt: Prompt) -> int:
    return estimate_tokens(prompt.content())
