"""What a team takes for one question: calls, tokens and rounds, by what its agents are told and reply (derived).

What is not known before a run is taken at its expensive end: a lead goes through all its rounds. What agents are told
beside their question are the words that they will be told; each of a lead's notes is as long as a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from orchestra.budget.teamwork import LEAST_P, Skill
from orchestra_agents.models.contract import estimate_tokens
from orchestra_agents.voting.law import votes_per_step
from orchestra_topologies.prompts import Given, sections
from orchestra_topologies.teams.prompts import (
    COORDINATE,
    FINDING,
    HINTS,
    JOIN,
    PLAN,
    SYNTHESISE,
    finding_material,
    reconsider,
)
from orchestra_topologies.teams.team import Team


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


def team_spending(team: Team, prompt: int, skill: Skill, met: Sequence[tuple[float, Skill]] = ()) -> Spending:
    """Return what a team takes for a question whose prompt has so many tokens.

    Args:
        team: Who answers.
        prompt: Tokens of the prompt.
        skill: What the model is at the question.
        met: What one vote on it is, by shares of runs, where its inputs make a difference.
    """
    asked = _Asked(prompt, skill)
    agents, rounds = team.option("agents"), team.option("rounds")
    match team.name:
        case "vote":
            k = team.k or 1
            votes = sum(share * _votes(k, one) for share, one in met or [(1.0, skill)])
            return replace(asked.calls(votes), rounds=max(1.0, votes - k + 1))
        case "independent":
            return replace(asked.calls(agents), rounds=1)
        case "decentralized":
            first = asked.calls(agents, fmean(map(_length, HINTS)))
            again = asked.calls(agents * (rounds - 1), (agents - 1) * asked.heard + asked.own)
            return replace(first + again, rounds=rounds)
        case "centralized" | "peers":
            return _led(team, asked)
        case "tree":
            return _tree(team, asked)
        case _:
            return replace(asked.calls(team.samples), rounds=1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as a team is asked it."""

    prompt: int
    skill: Skill

    def calls(self, count: float, more: float = 0.0, *, notes: float = 1.0) -> Spending:
        """Return so many valid replies of so many notes, with the flagged ones that come with them.

        Args:
            count: Valid replies.
            more: Tokens of what is read beside the question.
            notes: Replies' length, in replies.
        """
        calls = count / max(self.skill.valid, LEAST_P)
        return Spending(
            calls=calls,
            input_tokens=calls * (self.prompt + more),
            output_tokens=calls * notes * self.skill.output_tokens,
        )

    @property
    def said(self) -> str:
        """Something as long as a reply."""
        return "word" * max(1, round(self.skill.output_tokens))

    @property
    def heard(self) -> float:
        """Tokens of what one agent said, as another one reads it."""
        return _length(*sections([Given(name="agent 1", answer=self.said)]))

    @property
    def own(self) -> float:
        """Tokens of what an agent reads of its own last answer."""
        return _length(*reconsider(Given(name="agent 1", answer=self.said)))


def _led(team: Team, asked: _Asked) -> Spending:
    """Return what a lead with its workers takes: a plan, rounds of work, a look after each but the last, an answer."""
    agents, rounds = team.option("agents"), team.option("rounds")
    own = Given(name="agent 1", answer=asked.said)
    plan = {"objective": asked.said, "focus": asked.said}
    first = _length(*finding_material(plan, None, 1), FINDING)
    later = _length(*finding_material(plan | {"guidance": asked.said}, own, 2), FINDING)
    if team.name == "peers":
        later += (agents - 1) * asked.heard
    read = agents * asked.heard
    spent = asked.calls(1, _length(PLAN), notes=1 + 2 * agents)
    spent += asked.calls(agents, first) + asked.calls(agents * (rounds - 1), later)
    spent += asked.calls(rounds - 1, read + _length(COORDINATE), notes=agents)
    spent += asked.calls(1, read + _length(SYNTHESISE))
    return replace(spent, rounds=2 * rounds + 1)


def _tree(team: Team, asked: _Asked) -> Spending:
    fan_in, depth = team.option("fan_in"), team.option("depth")
    leaves = asked.calls(fan_in**depth)
    if team.join != "model":
        return replace(leaves, rounds=1)
    joints = sum(fan_in**level for level in range(depth))
    return replace(leaves + asked.calls(joints, fan_in * asked.heard + _length(JOIN)), rounds=1 + depth)


def _votes(k: int, skill: Skill) -> float:
    """Return the mean votes of a decision ahead by k; p of 0 or 1 takes k."""
    p = min(1 - LEAST_P, max(LEAST_P, skill.p))
    return votes_per_step(p, k, wrong=skill.wrong, rho=skill.rho)


def _length(*texts: str) -> float:
    """Return the tokens of texts that stand one under the other."""
    return sum(map(estimate_tokens, texts))
