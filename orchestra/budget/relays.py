"""What messages carry: gamma by length of message from relays of known bits, and what a wrong input spoils."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config
from scipy.special import xlogy

from orchestra.budget.estimates import LEVEL, STRICT, Estimate, checked, design_effect, fit
from orchestra_agents.errors import InputError
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_agents.voting.mixture import Grid

Family = Literal["exponential", "power"]

_ONE = np.zeros(1)
_LENGTHS = np.geomspace(1e-3, 1e3, 121)
_LOSSES, _POWERS = np.geomspace(1e-6, 1, 61), np.linspace(0, 5, 61)
_SHARES = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCount:
    """Messages of one length with one bit, pushed through the real summarise-and-read path."""

    tokens: int
    """Length of the message, at least 1."""
    was_true: bool
    """The bit that was sent."""
    asked: int
    """How many were sent, at least 1."""
    read_true: int
    """How many were read as true, 0 to `asked`."""

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.asked < 1:
            name = "tokens" if self.tokens < 1 else "asked"
            raise InputError(name, f"must be an integer of at least 1, got {min(self.tokens, self.asked)}")
        if not 0 <= self.read_true <= self.asked:
            raise InputError("read_true", f"must be from 0 to {self.asked}, the number asked, got {self.read_true}")

    @property
    def agreed(self) -> int:
        """How many were read as they were sent."""
        return self.read_true if self.was_true else self.asked - self.read_true


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What messages of one length carry."""

    tokens: int
    gamma: Estimate
    """2 agreement - 1 over both bits, -1 to 1."""
    gamma_true: Estimate | None
    """The same of true bits alone; None where none was sent."""
    gamma_false: Estimate | None
    asymmetry: float | None
    """gamma_true - gamma_false: above 0 the reader is inclined to read true; None where one of them is."""
    asymmetry_p: float | None
    """Probability of such a difference or a larger one in a symmetric channel, by likelihood ratio."""

    @property
    def is_symmetric(self) -> bool:
        """Whether both bits were sent and nothing speaks at the 5 % level against their being read equally well."""
        return self.asymmetry_p is not None and self.asymmetry_p >= 1 - LEVEL


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCurve:
    """gamma as a saturating function of the length of the message (phase transition, B.4)."""

    family: Family
    """`exponential`: 1 - exp(-m/scale). `power`: 1 - scale m^-power, but at least 0."""
    scale: float
    power: float
    """0 of an exponential."""
    aic: float
    """Akaike's criterion, smaller is better."""
    margin: float | None
    """How much larger that of the other family is, at least 0; None where there was only one length to fit."""
    shortest: int
    """Shortest message that was measured; below it the curve is a guess."""
    longest: int

    def at(self, tokens: float) -> float:
        """Return gamma of messages of so many tokens, above 0."""
        if not tokens > 0:
            raise InputError("tokens", f"must be above 0, got {tokens:g}")
        family = _exponential if self.family == "exponential" else _power
        return float(family(np.array(tokens, dtype=np.float64), np.array(self.scale), np.array(self.power)))


def channels(relays: Sequence[RelayCount]) -> tuple[Channel, ...]:
    """Return what messages of each length carry, shortest first.

    Each relay counts as an independent trial; the intervals are exact (Clopper and Pearson). Send true and false bits
    equally often: a biased reader is not a symmetric channel, and the pooled agreement would depend on the mix.
    """
    return tuple(_channel(tokens, [one for one in relays if one.tokens == tokens]) for tokens in _lengths(relays))


def channel_curve(relays: Sequence[RelayCount]) -> ChannelCurve:
    """Return the likelier of two saturating curves through all relays, by AIC.

    Raises:
        InputError: There are no relays.
    """
    lengths = _lengths(relays)
    sizes = np.array(lengths, dtype=np.float64)
    agreed = np.array([_agreed(relays, tokens) for tokens in lengths], dtype=np.float64)
    middle = float(np.exp(np.log(sizes).mean()))

    def exponential(scales: Grid, _: Grid) -> Grid:
        return _log_likelihood(_exponential(sizes, scales[:, None, None], _ONE), agreed)

    def power(losses: Grid, powers: Grid) -> Grid:
        scales = losses[:, None] * middle ** powers[None, :]
        return _log_likelihood(_power(sizes, scales[:, :, None], powers[None, :, None]), agreed)

    one = fit(exponential, _LENGTHS * middle, _ONE)
    curve = ChannelCurve(
        family="exponential",
        scale=one.of_first().value,
        power=0.0,
        aic=2 - 2 * one.height,
        margin=None,
        shortest=lengths[0],
        longest=lengths[-1],
    )
    if len(lengths) == 1:
        return curve
    two = fit(power, _LOSSES, _POWERS)
    losses, powers = two.of(lambda losses, powers: losses[:, None] + 0 * powers).value, two.of_second().value
    other = 4 - 2 * two.height
    return _better(curve, other, losses * middle**powers, powers)


def spoil(with_right: NDArray[np.integer], with_wrong: NDArray[np.integer]) -> Estimate:
    """Return how often a wrong input makes an otherwise right answer wrong: 1 - accuracy given wrong / given right.

    The interval is that of the profile likelihood of two binomials, each with its votes divided by its design effect,
    because the votes of one item are alike. That both are of the same items only makes it shorter in truth.

    Args:
        with_right: Right votes and votes of each item, asked with a right input, shape (items, 2).
        with_wrong: The same items asked with a wrong input, shape (items, 2).

    Raises:
        InputError: The counts are malformed or not of the same items.
    """
    if np.shape(with_right) != np.shape(with_wrong):
        raise InputError("with_wrong", "must be of the same items as with_right")
    pairs = [checked(with_right, "with_right"), checked(with_wrong, "with_wrong")]
    (right, votes), (kept, others) = (each.sum(axis=0) / design_effect(each) for each in pairs)

    def surface(accuracies: Grid, shares: Grid) -> Grid:
        p = accuracies[:, None]
        left = p * (1 - shares[None, :])
        return np.asarray(_binomial(right, votes, p) + _binomial(kept, others, left))

    found = fit(surface, np.linspace(0, 1, 101), _SHARES)
    return found.of_second().estimate("likelihood of two binomials", len(pairs[0]), least=0, most=1)


def _channel(tokens: int, relays: Sequence[RelayCount]) -> Channel:
    true, false = (_sum([one for one in relays if one.was_true is bit]) for bit in (True, False))
    gammas = [_gamma(*each) if each[1] else None for each in (true, false)]
    asymmetry = p_value = None
    if gammas[0] is not None and gammas[1] is not None:
        asymmetry, p_value = gammas[0].value - gammas[1].value, _equal_p(true, false)
    return Channel(
        tokens=tokens,
        gamma=_gamma(true[0] + false[0], true[1] + false[1]),
        gamma_true=gammas[0],
        gamma_false=gammas[1],
        asymmetry=asymmetry,
        asymmetry_p=p_value,
    )


def _gamma(agreed: int, asked: int) -> Estimate:
    found = clopper_pearson(agreed, asked, LEVEL)
    low, high = 2 * found.low - 1, 2 * found.high - 1
    return Estimate(value=2 * agreed / asked - 1, low=low, high=high, basis=found.method, n=asked)


def _equal_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the p-value of the likelihood ratio test that two shares are equal."""
    pooled = (first[0] + second[0]) / (first[1] + second[1])
    apart = sum(_binomial(agreed, asked, agreed / asked) for agreed, asked in (first, second))
    ratio = 2 * float(apart - _binomial(first[0] + second[0], first[1] + second[1], pooled))
    return erfc(sqrt(max(0.0, ratio) / 2))


def _binomial(right: float, votes: float, p: Grid | float) -> Grid:
    return np.asarray(xlogy(right, p) + xlogy(votes - right, 1 - np.asarray(p)))


def _lengths(relays: Sequence[RelayCount]) -> list[int]:
    if not relays:
        raise InputError("relays", "must hold at least one count")
    return sorted({one.tokens for one in relays})


def _agreed(relays: Sequence[RelayCount], tokens: int) -> tuple[int, int]:
    return _sum([one for one in relays if one.tokens == tokens])


def _sum(relays: Sequence[RelayCount]) -> tuple[int, int]:
    return sum(one.agreed for one in relays), sum(one.asked for one in relays)


def _exponential(tokens: Grid, scale: Grid, _: Grid) -> Grid:
    return -np.expm1(-tokens / scale)


def _power(tokens: Grid, scale: Grid, power: Grid) -> Grid:
    return np.maximum(0.0, 1 - scale * tokens**-power)


def _log_likelihood(gammas: Grid, agreed: Grid) -> Grid:
    """Return the log-likelihood of gammas of shape (..., lengths), given agreed and asked, shape (lengths, 2)."""
    shares = np.minimum((1 + gammas) / 2, 1 - 1e-12)
    return np.asarray((xlogy(agreed[:, 0], shares) + xlogy(agreed[:, 1] - agreed[:, 0], 1 - shares)).sum(axis=-1))


def _better(curve: ChannelCurve, aic: float, scale: float, power: float) -> ChannelCurve:
    """Return `curve`, or the power law of that AIC where it is the better one, with the margin between them."""
    is_power, margin = aic < curve.aic, abs(aic - curve.aic)
    return ChannelCurve(
        family="power" if is_power else "exponential",
        scale=scale if is_power else curve.scale,
        power=power if is_power else 0.0,
        aic=min(aic, curve.aic),
        margin=margin,
        shortest=curve.shortest,
        longest=curve.longest,
    )
