"""The constants of the agent-scaling study: what each architecture does to turns, messages and errors on average.

Source: *Towards a Science of Scaling Agent Systems*, arXiv 2512.08296 v2. They are priors of other people's runs; what
our own journal measures is `orchestra.coordination`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from orchestra_agents.errors import InputError

Architecture = Literal["solo", "independent", "decentralized", "centralized", "peers"]
"""How one question is answered. The study says SAS for solo and hybrid for peers."""

ARCHITECTURES: tuple[Architecture, ...] = ("solo", "independent", "decentralized", "centralized", "peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinationPrior:
    """Means of one architecture over the study's runs (table 5), which the regression takes as inputs."""

    agents: int
    """Agents as the authors' regression counts them: three workers, and the orchestrator where there is one (n)."""
    success: float
    """Share of instances solved (S)."""
    turns: float
    """Reasoning turns (T of section 3, which is not the number of tools)."""
    overhead_percent: float
    """Turns beyond those of one agent, in percent of them (O%)."""
    density: float
    """Messages between agents per turn (c)."""
    redundancy: float
    """Mean similarity of the agents' outputs (R)."""
    efficiency: float
    """Success over turns relative to one agent's: S / (T / T_solo) (E_c)."""
    amplification: float
    """Unproductive share of tokens over one agent's (A_e); no ratio of failure rates."""
    success_per_1k_tokens: float


TABLE_5: Mapping[Architecture, CoordinationPrior] = MappingProxyType(
    {
        "solo": CoordinationPrior(
            agents=1,
            success=0.466,
            turns=7.2,
            overhead_percent=0,
            density=0,
            redundancy=0,
            efficiency=0.466,
            amplification=1.0,
            success_per_1k_tokens=67.7,
        ),
        "independent": CoordinationPrior(
            agents=3,
            success=0.370,
            turns=11.4,
            overhead_percent=58,
            density=0,
            redundancy=0.48,
            efficiency=0.234,
            amplification=17.2,
            success_per_1k_tokens=42.4,
        ),
        "decentralized": CoordinationPrior(
            agents=3,
            success=0.477,
            turns=26.1,
            overhead_percent=263,
            density=0.41,
            redundancy=0.50,
            efficiency=0.132,
            amplification=7.8,
            success_per_1k_tokens=23.9,
        ),
        "centralized": CoordinationPrior(
            agents=4,
            success=0.463,
            turns=27.7,
            overhead_percent=285,
            density=0.39,
            redundancy=0.41,
            efficiency=0.120,
            amplification=4.4,
            success_per_1k_tokens=21.5,
        ),
        "peers": CoordinationPrior(
            agents=4,
            success=0.452,
            turns=44.3,
            overhead_percent=515,
            density=0.24,
            redundancy=0.46,
            efficiency=0.074,
            amplification=5.1,
            success_per_1k_tokens=13.6,
        ),
    }
)


def turns_of(agents: int) -> float:
    """Return the mean reasoning turns of a team of `agents`: 2.72 (n + 0.5)^1.724 (v2, R2 .974).

    It says nothing about architectures: compare table 5's 11.4 to 26.1 turns for three agents with 23.6.

    Args:
        agents: Number of agents, at least 1; the study went to 9.

    >>> round(turns_of(3), 1)
    23.6
    """
    if not agents >= 1:
        raise InputError("agents", f"must be an integer of at least 1, got {agents}")
    return float(2.72 * (agents + 0.5) ** 1.724)
