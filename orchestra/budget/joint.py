"""How good a join of several agents' bits is: majority, lossy messages and shared errors, as one map of the bias.

The bias of an agent is mu = 2 accuracy - 1. A message arrives turned round with probability (1-gamma)/2. At each node,
independently, with probability rho all incoming messages are one and the same; otherwise they err independently. The
copy is taken of the *received* message (`after` the channel, the paper's map) or of the one sent (`before`). The map
is exact for such trees of any depth (arXiv 2601.17311 A.1, A.2; phase_transition.md B.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import beta as complete_beta
from scipy.special import betainc

from orchestra.budget.domain import LARGEST_FAN_IN, Counts, FloatArray, Numbers, refuse_outside

Share: TypeAlias = Literal["after", "before"]

_LONGEST_SERIES = 101
"""Largest fan-in whose majority is summed term by term, which is faster than the incomplete beta function."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joint:
    """How messages are joined at every node; all but `share` may be arrays that broadcast with each other.

    Raises:
        InputError: A value is outside its domain.
    """

    fan_in: Counts
    """Messages that a node joins, 3 to 1,000,000; an even number is worth as much as the odd one below it."""
    gamma: Numbers = 1.0
    """Correlation of a message as read with the message as sent, above 0 to 1; votes counted by code have 1."""
    rho: Numbers = 0.0
    """Probability that all messages of a node are copies of one, 0 to 1."""
    share: Share = "after"
    """Whether copies are made after the channel (of what is read) or before it (of what is sent)."""

    def __post_init__(self) -> None:
        refuse_outside("fan_in", self.fan_in, least=3, most=LARGEST_FAN_IN)
        refuse_outside("gamma", self.gamma, above=0, most=1)
        refuse_outside("rho", self.rho, least=0, most=1)


def odd_fan_in(fan_in: Counts) -> Counts:
    """Return the fan-in that counts: b for odd b, b-1 for even b, whose ties a fair coin breaks (B.1)."""
    return fan_in - 1 + fan_in % 2


def majority(bias: Numbers, fan_in: Counts) -> FloatArray:
    """Return the bias of a majority of `fan_in` independent votes, each of bias `bias`: f_b (A.2, B.1).

    f_b(u) = 2 P[Bin(b, (1+u)/2) >= (b+1)/2] - 1 is I(u^2; 1/2, (b+1)/2) with the sign of u, which keeps all digits of
    a small u; for a small b that is u times the sum over j up to (b-1)/2 of C(2j,j)/4^j (1-u^2)^j.

    Args:
        bias: -1 to 1.
        fan_in: Votes, 3 to 1,000,000.

    >>> round(float(majority(0.5, 3)), 4), float(majority(1.0, 5))
    (0.6875, 1.0)
    """
    refuse_outside("bias", bias, least=-1, most=1)
    signed = np.asarray(bias, dtype=np.float64)
    odd = odd_fan_in(fan_in)
    if not isinstance(odd, int) or odd > _LONGEST_SERIES:
        return np.asarray(np.sign(signed) * betainc(0.5, (odd + 1) // 2, signed * signed))
    spread = 1 - signed * signed
    total = np.ones_like(signed)
    for j in range((odd - 1) // 2, 0, -1):
        total = 1 + (2 * j - 1) / (2 * j) * spread * total
    return np.asarray(signed * total)


def majority_slope(bias: Numbers, fan_in: Counts) -> FloatArray:
    """Return the slope of `majority`: f_b'(u) = f_b'(0) (1-u^2)^((b-1)/2), f_b'(0) = b C(b-1,(b-1)/2) / 2^(b-1) (A.2).

    >>> round(float(majority_slope(0.0, 3)), 4), round(float(majority_slope(0.0, 9)), 3)
    (1.5, 2.461)
    """
    refuse_outside("bias", bias, least=-1, most=1)
    half = (odd_fan_in(fan_in) + 1) // 2
    return np.asarray(2 / complete_beta(0.5, half) * (1 - np.square(bias)) ** (half - 1))


def step(bias: Numbers, joint: Joint) -> FloatArray:
    """Return the bias one level up: T (A.2; B.2 for `before`).

    After the channel it is rho gamma u + (1-rho) f_b(gamma u), before it rho f_b(gamma) u + (1-rho) f_b(gamma u). Both
    are odd and increasing, concave on [0, 1], and 0 at 0.
    """
    return np.asarray(copied_slope(joint) * bias + (1 - joint.rho) * majority(joint.gamma * bias, joint.fan_in))


def step_slope(bias: Numbers, joint: Joint) -> FloatArray:
    """Return the slope T' of `step` at a bias from -1 to 1."""
    free = (1 - joint.rho) * joint.gamma * majority_slope(joint.gamma * bias, joint.fan_in)
    return np.asarray(copied_slope(joint) + free)


def copied_slope(joint: Joint) -> FloatArray:
    """Return what copies contribute to the slope of `step`, the same at every bias."""
    kept = joint.gamma if joint.share == "after" else majority(joint.gamma, joint.fan_in)
    return np.asarray(joint.rho * kept)


def alpha(joint: Joint) -> FloatArray:
    """Return alpha_rho = T'(0), the gain of a weak signal per level: gamma [rho + (1-rho) f_b'(0)] `after` (A.2).

    >>> round(float(alpha(Joint(fan_in=5, gamma=0.6, rho=0.2))), 4)
    1.02
    """
    return step_slope(0.0, joint)


def equivalent_rho(gain: Numbers, fan_in: Counts) -> FloatArray:
    """Return the rho at which the mixture gains as much as a measured panel: (f_b'(0) - gain) / (f_b'(0) - 1) (B.8.4).

    With it a gain that was counted in replayed votes enters every law here. A gain above f_b'(0), which only chance
    brings about, counts as rho = 0, one below 1 as rho = 1.

    Args:
        gain: Slope of the panel's bias over one member's, for a weak signal and messages read without loss.
        fan_in: Members of the panel.

    >>> round(float(equivalent_rho(1.35, 3)), 3)
    0.3
    """
    refuse_outside("gain", gain)
    top = majority_slope(0.0, fan_in)
    return np.asarray(np.clip((top - gain) / (top - 1), 0, 1))
