"""What a design takes: calls and tokens of each subtask, from prompts rendered as they will be sent (derived).

What is not known before a run is taken at its expensive end: a lead goes through all its rounds, and answers that are
still to come have the mean length of the model's replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.budget.composition import Abilities, whole_skill
from orchestra.budget.teamwork import Skill
from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json, Prompt, estimate_tokens
from orchestra_agents.voting.law import votes_per_step
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.prompts import Given, lead_prompt, subtask_prompt, whole_prompt
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import whole_answer
from orchestra_topologies.teams.team import Team
from orchestra_topologies.wiring import strong_inputs

_FRAME = 60  # tokens of what a team's agents are told beside their question, about
_LONGEST_RATE = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What something takes on average."""

    calls: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    rounds: float = 0.0
    """Calls one after the other on the longest way through it: its time, in calls."""

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            rounds=self.rounds + other.rounds,
        )

    @property
    def tokens(self) -> float:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def spending(graph: TaskGraph, topology: Topology, teams: Mapping[str, Team], able: Abilities) -> Spending:
    """Return what a run of `graph` takes, synthesis by code included; O(V + E).

    Args:
        graph: The subtasks.
        topology: How they are wired.
        teams: Who answers each subtask, by id; with `single` the whole task.
        able: What the model is able to, for the length of its replies and the votes a decision takes.
    """
    if topology == "single" and len(graph) > 1:
        return _team(teams[WHOLE], whole_answer(graph), _tokens(whole_prompt(graph)), whole_skill(graph, able))
    total, ends = Spending(), dict[str, float]()
    waited = 0.0
    for subtask in graph:
        inputs = graph.predecessors(subtask.id)
        shown = strong_inputs(subtask) if topology == "parallel" else inputs
        given = [Given(name=one, answer=_placeholder(graph[one].answer, able)) for one in shown]
        prompt = subtask_prompt(graph, subtask, given)
        one = _team(teams[subtask.id], subtask.answer, _tokens(prompt), able.skill(subtask.answer))
        waited += one.rounds
        ends[subtask.id] = one.rounds + max((ends[before] for before in inputs), default=0.0)
        total += one
    longest = waited if topology == "sequential" else max(ends.values())
    lead = _lead(graph, able) if topology == "hierarchical" else Spending()
    return Spending(
        calls=total.calls + lead.calls,
        input_tokens=total.input_tokens + lead.input_tokens,
        output_tokens=total.output_tokens + lead.output_tokens,
        rounds=longest + lead.rounds,
    )


def _lead(graph: TaskGraph, able: Abilities) -> Spending:
    """Return what a lead takes that plans once and reads the reports once."""
    notes = len(graph) * able.default.output_tokens
    plan = _tokens(lead_prompt(graph))
    reports = sum(able.skill(subtask.answer).output_tokens for subtask in graph)
    return Spending(calls=2, input_tokens=2 * plan + reports, output_tokens=2 * notes, rounds=2)


def _team(team: Team, answer: AnswerType, prompt: int, skill: Skill) -> Spending:
    """Return what a team takes for a question whose prompt has so many tokens."""
    one = _calls(1, prompt, skill)
    agents, rounds = team.option("agents"), team.option("rounds")
    heard = prompt + _FRAME + agents * skill.output_tokens
    match team.name:
        case "vote":
            votes = votes_per_step(
                min(_LONGEST_RATE, max(1e-9, skill.p)), team.k or 1, wrong=skill.wrong, rho=skill.rho
            )
            return _calls(votes, prompt, skill, rounds=max(1.0, votes - (team.k or 1) + 1))
        case "independent":
            return _calls(agents, prompt, skill, rounds=1)
        case "decentralized":
            first, others = _calls(agents, prompt + _FRAME, skill), _calls(agents * (rounds - 1), heard, skill)
            return _in_rounds(first + others, rounds)
        case "centralized" | "peers":
            reads = heard if team.name == "peers" else prompt + 2 * _FRAME
            work, lead = _calls(agents * rounds, reads, skill), _calls(rounds + 1, heard, skill)
            return _in_rounds(one + work + lead, 2 * rounds + 1)
        case "tree":
            return _tree(team, prompt, skill)
        case _:
            return _calls(team.samples, prompt, skill, rounds=1)


def _tree(team: Team, prompt: int, skill: Skill) -> Spending:
    fan_in, depth = team.option("fan_in"), team.option("depth")
    leaves = _calls(fan_in**depth, prompt, skill)
    joints = sum(fan_in**level for level in range(depth)) if team.join == "model" else 0
    joined = _calls(joints, prompt + _FRAME + fan_in * skill.output_tokens, skill)
    return _in_rounds(leaves + joined, 1 + (depth if joints else 0))


def _calls(count: float, prompt: float, skill: Skill, *, rounds: float = 1.0) -> Spending:
    """Return so many valid replies with the flagged ones that come with them."""
    calls = count / max(skill.valid, 1e-9)
    return Spending(calls=calls, input_tokens=calls * prompt, output_tokens=calls * skill.output_tokens, rounds=rounds)


def _in_rounds(spent: Spending, rounds: float) -> Spending:
    return Spending(
        calls=spent.calls, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, rounds=float(rounds)
    )


def _placeholder(answer: AnswerType, able: Abilities) -> Json:
    """Return something as long as an answer that is still to come."""
    if answer.choices:
        return max(answer.choices, key=len)
    return "word" * max(1, round(able.skill(answer).output_tokens))


def _tokens(prompt: Prompt) -> int:
    return estimate_tokens(prompt.content())
