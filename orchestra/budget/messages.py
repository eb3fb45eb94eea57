"""How long messages should be: longer ones are read more surely, and fewer of them fit into a window.

No curve gamma(m) is confirmed by the paper; only a monotone saturating shape matters (B.4 of phase_transition.md). The
best length m has the largest exponent s, with the largest odd fan-in b <= W/m.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np

from orchestra.budget.domain import LARGEST_WINDOW, FloatArray, refuse_outside
from orchestra.budget.joint import Joint, Share, alpha
from orchestra.budget.phase import exponent
from orchestra_agents.errors import InputError

GammaCurve = Callable[[FloatArray], FloatArray]
"""From the tokens of a message to gamma; a length with a gamma of 0 or less, or with NaN, is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageChoice:
    """The best length of messages under a window."""

    message_tokens: int
    fan_in: int
    gamma: float
    alpha: float
    exponent: float


def exponential_gamma(m0: float) -> GammaCurve:
    """Return gamma(m) = 1 - exp(-m/m0), for m0 above 0 tokens (B.4)."""
    refuse_outside("m0", m0, above=0)
    return lambda tokens: -np.expm1(-tokens / m0)


def power_gamma(a: float, q: float) -> GammaCurve:
    """Return gamma(m) = 1 - a m^-q, for a and q above 0 (B.4)."""
    refuse_outside("a", a, above=0)
    refuse_outside("q", q, above=0)
    return lambda tokens: 1 - a * np.power(tokens, -q)


def measured_gamma(points: Sequence[tuple[float, float]]) -> GammaCurve:
    """Return gamma by straight lines over ln m between measured points; NaN outside, where nothing was measured.

    Args:
        points: Pairs of tokens, of at least 1, and gamma, 0 to 1. A longer message counts as read at least as surely
            as a shorter one.
    """
    if not points:
        raise InputError("points", "must hold at least one pair of tokens and gamma")
    tokens, gammas = (np.asarray(column, dtype=np.float64) for column in zip(*sorted(points), strict=True))
    refuse_outside("points", tokens, least=1)
    refuse_outside("points", gammas, least=0, most=1)
    places, rising = np.log(tokens), np.maximum.accumulate(gammas)
    return lambda asked: np.interp(np.log(asked), places, rising, left=np.nan, right=np.nan)


def exponential_through(message_tokens: float, gamma: float) -> GammaCurve:
    """Return the curve 1 - exp(-m/m0) that has `gamma`, above 0 and below 1, at `message_tokens`."""
    refuse_outside("message_tokens", message_tokens, least=1)
    if not 0 < gamma < 1:
        raise InputError("gamma", f"must be above 0 and below 1 to fix a curve, got {gamma:g}")
    return exponential_gamma(-message_tokens / log1p(-gamma))


def best_message(window: int, curve: GammaCurve, *, rho: float = 0.0, share: Share = "after") -> MessageChoice | None:
    """Return the length of messages with the largest exponent, of equals the shortest; None if no three messages fit.

    Args:
        window: W, tokens that a node can read, 1 to 10,000,000.
        curve: gamma(m).
        rho: Share of nodes whose messages are copies, 0 to 1.
        share: Where copies are made.
    """
    refuse_outside("window", window, least=1, most=LARGEST_WINDOW)
    lengths = np.arange(1, window // 3 + 1)
    fan_ins = np.minimum((window // lengths - 1) // 2 * 2 + 1, 999_999)
    gammas = np.minimum(curve(lengths.astype(np.float64)), 1.0)
    is_usable = gammas > 0
    if not np.any(is_usable):
        return None
    lengths, fan_ins, gammas = lengths[is_usable], fan_ins[is_usable], gammas[is_usable]
    joint = Joint(fan_in=fan_ins, gamma=gammas, rho=rho, share=share)
    powers = exponent(joint)
    best = int(np.argmax(powers))
    return MessageChoice(
        message_tokens=int(lengths[best]),
        fan_in=int(fan_ins[best]),
        gamma=float(gammas[best]),
        alpha=float(alpha(joint)[best]),
        exponent=float(powers[best]),
    )
