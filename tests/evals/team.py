"""Agents that follow the reference policy of an environment, or err as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from orchestra_agents.models.contract import Json, Truth
from orchestra_agents.tools import Observation, Situation, Turn
from orchestra_evals.environments.catalog import ENVIRONMENTS
from orchestra_evals.environments.craft import Craft
from orchestra_evals.environments.environment import Action, Environment
from orchestra_evals.environments.lookup import Lookup

Result = TypeVar("Result")
Choose = Callable[[Truth], Action]
names = st.sampled_from(sorted(ENVIRONMENTS))
seeds = st.integers(0, 10_000)
tool_counts = st.sampled_from([3, 5, 16])
sizes = st.integers(1, 14)
fresh_key = count()
DESTRUCTIVE = {"smelt", "discard", "trade"}


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)


def made(name: str, size: int, tools: int = 3, seed: int = 0) -> Lookup | Craft:
    return Lookup(size, tools, seed) if name == "lookup" else Craft(size, tools, seed)


def right(truth: Truth) -> Action:
    return dict(truth.answer)


class Team:
    """Agents that follow the reference policy, taken round-robin, each action chosen by `choose`."""

    def __init__(self, environment: Environment, members: int = 1, *, is_divided: bool = False) -> None:
        self.toolbox = environment.toolbox()
        self.turns: list[list[Turn]] = [[] for _ in range(members)]
        self.calls: list[tuple[str, Json]] = []
        self.ends: dict[int, str] = {}
        self.is_divided = is_divided

    def truth(self, member: int = 0) -> Truth:
        """Return what the policy says of where `member` stands."""
        assert self.toolbox.reference is not None
        situation = Situation(
            turns=self.turns[member], member=member, members=len(self.turns), is_divided=self.is_divided
        )
        truth = self.toolbox.reference(situation)
        assert truth is not None
        return truth

    def is_done(self) -> bool:
        assert self.toolbox.is_done is not None
        return self.toolbox.is_done()

    async def carry_out(self, action: Action, member: int = 0) -> Observation | None:
        if "done" in action:
            self.ends[member] = action["answer"]
            return None
        self.calls.append((action["tool"], action["arguments"]))
        observation = await self.toolbox.tools[action["tool"]].call(action["arguments"], f"call {next(fresh_key)}")
        self.turns[member].append(Turn(action=action, observation=observation))
        return observation

    async def work(self, most: int, choose: Choose = right) -> None:
        """Let everybody take turns until all have ended, for at most `most` rounds."""
        for _ in range(most):
            for member in range(len(self.turns)):
                if member not in self.ends:
                    await self.carry_out(choose(self.truth(member)), member)
            if len(self.ends) == len(self.turns):
                return
        raise AssertionError(f"not ended after {most} rounds")


async def arrive(environment: Environment, tool: str) -> Team:
    """Return a lone agent that has come as far as to call `tool` next, with 'done' for the end."""
    team = Team(environment)
    while (truth := team.truth()).answer.get("tool", "done") != tool:
        await team.carry_out(truth.answer)
    return team


def erring(p: float, random: Random) -> Choose:
    """Choose as `simulated:p=P` does: the first wrong action with probability 1 - p."""
    return lambda truth: dict(truth.answer if random.random() < p else truth.distractors()[0])
