"""How likely a team's answer is right, from what one of its agents is at the question (derived).

What agents say is the only thing that others read of them: objectives, findings, answers of the round before. A text is
misread with probability (1 - gamma)/2; what is seen wrong spoils an otherwise right answer with probability `spoil`.
Rounds in which several agents read one another are a Markov chain on the number of agents that are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb

import numpy as np

from orchestra.budget.domain import FloatArray
from orchestra.budget.joint import majority
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.voting.law import step_reliability
from orchestra_topologies.teams.team import BELIEVED_FROM, Team

LEAST_P = 1e-9
"""Smallest accuracy that is reckoned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """What a model is at one kind of answer, given right inputs.

    Raises:
        InputError: A share is outside its domain.
    """

    p: float
    """Accuracy of a valid vote, in [0, 1]."""
    rho: float = 0.0
    """Share of questions whose votes are copies of one, in [0, 1]."""
    valid: float = 1.0
    """Share of replies without a red flag, in (0, 1]."""
    wrong: int = 1
    """Equally likely wrong answers, at least 1; 1 is the worst case."""
    output_tokens: float = 8.0
    """Mean tokens of a reply."""

    def __post_init__(self) -> None:
        for name, value in (("p", self.p), ("rho", self.rho), ("valid", self.valid)):
            if not 0 <= value <= 1:
                raise InputError(name, f"must be a number in [0, 1], got {value!r}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What becomes of texts, and of the answers of those who read them.

    Raises:
        InputError: A share is outside its domain.
    """

    gamma: float = 1.0
    """Correlation of a text as read with the text as written, in [0, 1]."""
    spoil: float = 1.0
    """Probability that a wrong input makes an otherwise right answer wrong, in [0, 1]."""
    is_strict: bool = False
    """The pessimistic end: what is wrong always spoils, and a wrong text is never read as a right one by luck."""

    def __post_init__(self) -> None:
        for name, value in (("gamma", self.gamma), ("spoil", self.spoil)):
            if not 0 <= value <= 1:
                raise InputError(name, f"must be a number in [0, 1], got {value!r}")

    @property
    def right_read(self) -> float:
        """Probability that a right text is read as it stands."""
        return (1 + self.gamma) / 2

    @property
    def wrong_read(self) -> float:
        """Probability that a wrong text is read as a right one."""
        return 0.0 if self.is_strict else (1 - self.gamma) / 2

    @property
    def right_text(self) -> float:
        """Probability that reading a right text does no harm."""
        return 1 - self._spoil * (1 - self.right_read)

    @property
    def wrong_text(self) -> float:
        """Probability that reading a wrong text does no harm."""
        return 1 - self._spoil * (1 - self.wrong_read)

    @property
    def wrong_value(self) -> float:
        """Probability that a wrong value which code hands over does no harm."""
        return 1 - self._spoil

    @property
    def _spoil(self) -> float:
        return 1.0 if self.is_strict else self.spoil


def team_accuracy(team: Team, answer: AnswerType, skill: Skill, reading: Reading) -> float:
    """Return how likely a team's answer is right.

    Code that counts loses nothing. Where answers cannot be counted, texts of independent agents stand one under the
    other and are right if all are, and of a debate the first agent's stands. A lead stops as soon as it may; where the
    reading is strict it goes through all its rounds.

    Args:
        team: Who answers.
        answer: The type of the answer.
        skill: What one agent is at it, with what it reads of others than its team.
        reading: What becomes of what the others of its team say.
    """
    p, agents = skill.p, team.option("agents")
    match team.name:
        case "vote":
            inner = min(1 - LEAST_P, max(LEAST_P, p))
            return step_reliability(inner, team.k or 1, wrong=skill.wrong, rho=skill.rho)
        case "independent" if answer.kind == "text":
            return float(skill.rho * p + (1 - skill.rho) * p**agents)
        case "independent":
            return _most(p, skill.rho, agents) if answer.votable else p
        case "decentralized":
            return _debate(team, skill, reading, is_counted=answer.votable)
        case "centralized" | "peers":
            return _led(team, p, reading)
        case "tree":
            return _tree(team, skill, reading)
        case _:
            return p * (1 - (1 - skill.valid) ** team.tries) if team.select is None else p


def reread(skill: Skill, kept: float) -> Skill:
    """Return a skill whose votes each come out unharmed of what they read with probability `kept`."""
    return replace(skill, p=skill.p * kept)


def _most(p: float, rho: float, agents: int) -> float:
    """Return the accuracy of most of some agents, a share rho of whose questions has one vote copied to all."""
    return rho * p + (1 - rho) * _free_majority(p, agents)


def _free_majority(p: float, agents: int) -> float:
    return p if agents < 3 else (1 + float(majority(2 * p - 1, agents))) / 2  # two are worth as much as one (B.1)


def _debate(team: Team, skill: Skill, reading: Reading, *, is_counted: bool) -> float:
    """Return the accuracy of agents that each say, round after round, what most of all last answers are as they read.

    With probability rho an agent reads all of them alike, as its own.
    """
    agents, rho = team.option("agents"), skill.rho
    right = np.arange(agents + 1)
    held = (1 - rho) * _binomial(agents, skill.p)
    held[[0, -1]] += rho * (1 - skill.p), rho * skill.p
    moves = np.stack([_said(one, agents - one, rho, reading) for one in range(agents + 1)])
    for _ in range(team.option("rounds") - 1):
        held = held @ moves
    return float(held @ (_wins(agents) if is_counted else right / agents))


def _said(right: int, wrong: int, rho: float, reading: Reading) -> FloatArray:
    """Return the distribution of right answers after a round in which so many right and wrong ones are read by all."""
    seen = _sum(right, reading.right_read, wrong, reading.wrong_read)
    most = (1 - rho) * float(seen @ _wins(right + wrong))
    return _sum(right, rho * reading.right_read + most, wrong, rho * reading.wrong_read + most)


def _wins(agents: int) -> FloatArray:
    """Return how likely most of some votes are right, by how many of them are; a tie is a fair coin's."""
    right = np.arange(agents + 1)
    return np.asarray(np.where(2 * right == agents, 0.5, 2 * right > agents), dtype=np.float64)


def _led(team: Team, p: float, reading: Reading) -> float:
    """Return the accuracy of a lead that reads what its workers found, who each read its objective for them.

    Peers read one another's findings of the round before, too.
    """
    agents, rounds = team.option("agents"), team.option("rounds")
    right, wrong = reading.right_text, reading.wrong_text
    works = p * right
    held = _binomial(agents, works)
    counts = np.arange(agents + 1)
    if team.name == "peers":
        moves = np.stack([_exchanged(one, agents, works, right, wrong) for one in range(agents + 1)])
        for _ in range((rounds if reading.is_strict else min(rounds, BELIEVED_FROM)) - 1):
            held = held @ moves
    return float(p * (held @ (right**counts * wrong ** (agents - counts))))


def _exchanged(found: int, agents: int, works: float, right: float, wrong: float) -> FloatArray:
    """Return the distribution of right findings after a round in which everybody reads the others, `found` right."""
    was_right = works * right ** max(0, found - 1) * wrong ** (agents - found) if found else 0.0
    was_wrong = works * right**found * wrong ** max(0, agents - found - 1)
    return _sum(found, was_right, agents - found, was_wrong)


def _tree(team: Team, skill: Skill, reading: Reading) -> float:
    """Return the accuracy of a tree: joined by code, what its leaves share stays; by models it is the map of B.2."""
    fan_in, depth, p = team.option("fan_in"), team.option("depth"), skill.p
    if team.join == "code":
        free = p
        for _ in range(depth):
            free = _free_majority(free, fan_in)
        return skill.rho * p + (1 - skill.rho) * free
    for _ in range(depth):
        p = _most(p * reading.right_read + (1 - p) * reading.wrong_read, skill.rho, fan_in)
    return p


def _binomial(count: int, p: float) -> FloatArray:
    """Return the distribution of successes, 0 to `count`."""
    k = np.arange(count + 1)
    ways = np.array([comb(count, one) for one in range(count + 1)], dtype=np.float64)
    return np.asarray(ways * p**k * (1 - p) ** (count - k))


def _sum(first: int, p: float, second: int, q: float) -> FloatArray:
    """Return the distribution of the sum of two independent binomials."""
    return np.asarray(np.convolve(_binomial(first, p), _binomial(second, q)))
