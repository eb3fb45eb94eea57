"""Full trees played out vote by vote: the referee of the theory, with which it shares no code.

The truth is +1. Every leaf votes +1 with probability (1+mu0)/2; every message is turned round with probability
(1-gamma)/2; at every node, with probability rho, all messages are one; the node votes with the majority, a tie is
broken by a fair coin (phase_transition.md B.2). No level is replaced by its mean and no pool is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestra_agents.errors import InputError

_CELLS = 1 << 21
"""Leaves that are held in memory at once, over all runs of a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What one full tree is made of."""

    fan_in: int
    """Messages per node, at least 2."""
    depth: int
    """Levels; the tree has fan_in^depth leaves."""
    gamma: float = 1.0
    """Correlation of a message as read with the message as sent, 0 to 1."""
    rho: float = 0.0
    """Probability that all messages of a node are copies of one, 0 to 1."""
    mu0: float = 0.0
    """Bias of a leaf, -1 to 1."""
    share: Literal["after", "before"] = "after"
    """Whether copies are made of what is read or of what is sent."""

    @property
    def leaves(self) -> int:
        """Leaves of the tree."""
        return int(self.fan_in**self.depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen at the roots."""

    bias: float
    """Mean vote of the roots, -1 to 1."""
    standard_error: float
    """Of the mean; 0 where all roots voted alike."""
    runs: int


def play(world: World, runs: int, rng: np.random.Generator, *, largest: int = 1_000_000) -> Observed:
    """Return what the roots of independent full trees vote on average.

    Args:
        world: The tree.
        runs: Trees, at least 1; memory does not grow with them.
        rng: Where chance comes from.
        largest: Most leaves that a tree may have.

    Raises:
        InputError: The tree is too large, or runs is below 1.
    """
    if world.leaves > largest:
        raise InputError("depth", f"must leave at most {largest} leaves, got {world.fan_in}^{world.depth}")
    if runs < 1:
        raise InputError("runs", f"must be at least 1, got {runs}")
    block = max(1, _CELLS // world.leaves)
    total = 0
    for first in range(0, runs, block):
        total += int(_roots(world, min(block, runs - first), rng).sum(dtype=np.int64))
    bias = total / runs
    return Observed(bias=bias, standard_error=sqrt(max(0.0, 1 - bias * bias) / runs), runs=runs)


def _roots(world: World, runs: int, rng: np.random.Generator) -> NDArray[np.int8]:
    votes = _signs(rng, (runs, world.leaves), (1 + world.mu0) / 2)
    for _ in range(world.depth):
        votes = _joined(world, votes.reshape(-1, world.fan_in), rng)
    return votes.reshape(-1)


def _joined(world: World, sent: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
    """Return the vote of every node, one row of `sent` each."""
    is_copied = rng.random((len(sent), 1), dtype=np.float32) < world.rho
    if world.share == "before":
        sent = np.where(is_copied, sent[:, :1], sent)
    read = sent * _signs(rng, sent.shape, (1 + world.gamma) / 2) if world.gamma < 1 else sent
    if world.share == "after":
        read = np.where(is_copied, read[:, :1], read)
    lead = read.sum(axis=1, dtype=np.int32)
    ties = lead == 0
    lead[ties] = _signs(rng, (int(ties.sum()),), 0.5)
    return np.asarray(np.sign(lead), dtype=np.int8)


def _signs(rng: np.random.Generator, shape: tuple[int, ...], plus: float) -> NDArray[np.int8]:
    """Return +1 with probability `plus`, else -1."""
    is_plus = rng.random(shape, dtype=np.float32) < plus
    return np.asarray(is_plus.view(np.int8) * np.int8(2) - np.int8(1))
