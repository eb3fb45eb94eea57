"""Recorded votes for tests: drawn from the two laws of dependence, or answered by simulated models."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from orchestra_agents.models.contract import Prompt, Sampling, Truth
from orchestra_agents.models.simulated import SimulatedModel

Votes = NDArray[np.int64]


def mixture(rng: np.random.Generator, p: float, rho: float, items: int = 300, votes: int = 8) -> Votes:
    """Return counts of votes that, with probability rho, are all copies of one."""
    free, copied = rng.binomial(votes, p, items), votes * (rng.random(items) < p)
    right = np.where(rng.random(items) < rho, copied, free)
    return np.stack([right, np.full(items, votes)], axis=1)


def beta_binomial(rng: np.random.Generator, p: float, rho: float, items: int = 300, votes: int = 8) -> Votes:
    """Return counts of votes whose accuracy is Beta distributed over items, with correlation rho above 0."""
    total = 1 / rho - 1
    right = rng.binomial(votes, rng.beta(p * total, (1 - p) * total, items))
    return np.stack([right, np.full(items, votes)], axis=1)


def answered(model: str, *, items: int = 300, votes: int = 8, tokens: int = 64, inputs: tuple[bool, ...] = ()) -> Votes:
    """Return counts of the votes of a simulated model on items of their own for each `tokens` and `inputs`."""
    said = SimulatedModel.parse(model)

    async def ask() -> list[int]:
        right = []
        for item in range(items):
            prompt = Prompt(text="?", step=f"{item}|{tokens}|{inputs}", truth=Truth(answer="yes", inputs=inputs))
            replies = await said.sample(prompt, Sampling(max_tokens=tokens), votes)
            right.append(sum(reply.text == "yes" for reply in replies))
        return right

    return np.stack([np.array(asyncio.run(ask())), np.full(items, votes)], axis=1)
