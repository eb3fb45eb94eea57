"""What a model costs: US dollars per million tokens, sums that are exact, and a worst case that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import TokenUsage

MOST_USD = 1_000_000_000
"""The highest price."""
MOST_TOKENS = 10**15
"""More tokens than this are a server's mistake; they are counted as so many, so that every cost is finite."""
A_PRICE = f"a number from 0 to {MOST_USD:,}, in US dollars per million tokens"
"""What a price is, in words."""
A_LENGTH = f"an integer from 1 to {MOST_TOKENS:,}, in tokens"
"""What the length of a prompt is, in words."""
AS_INPUT = float("nan")
"""The default of a price that is not given, told apart by identity."""
_NANO = 10**9
_UNIT = _NANO * 1_000_000
_PARTS = ("input", "output", "cached", "written")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens, by what they are for; each a number from 0 to 1,000,000,000.

    Raises:
        InputError: A price is no such number.
    """

    input: float
    """Input that no cache held."""
    output: float
    """Output, hidden reasoning included."""
    cached: float = AS_INPUT
    """Input read from a prompt cache; by default that of `input`."""
    written: float = AS_INPUT
    """Input written to a prompt cache; by default that of `input`."""

    def __post_init__(self) -> None:
        for name in _PARTS:
            value = getattr(self, name)
            if value is AS_INPUT:
                value = self.input
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_USD:
                raise InputError(f"price.{name}", f"must be {A_PRICE}, got {shown(value)}")
            object.__setattr__(self, name, float(value))

    def billed(self, usage: TokenUsage) -> int:
        """Return what `usage` costs at these rates, in billionths of a millionth of a dollar."""
        total = _counted(usage.input_tokens)
        written = min(_counted(usage.written_tokens), total)
        cached = min(_counted(usage.cached_tokens), total - written)
        fresh = total - written - cached
        billed = fresh * _nano(self.input) + cached * _nano(self.cached) + written * _nano(self.written)
        return billed + _counted(usage.output_tokens) * _nano(self.output)

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """Return the most that so many tokens can cost at these rates, in billionths of a millionth of a dollar."""
        dearest = max(self.input, self.cached, self.written)
        return _counted(input_tokens) * _nano(dearest) + _counted(output_tokens) * _nano(self.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Rates):
    """What all tokens of a request cost whose prompt is longer than some length.

    Raises:
        InputError: A price or the length is no number that it may be.
    """

    above: int
    """Input tokens that the prompt has more than, at least 1."""

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if isinstance(self.above, bool) or not isinstance(self.above, int) or not 0 < self.above <= MOST_TOKENS:
            raise InputError("price.tiers.above", f"must be {A_LENGTH}, got {shown(self.above)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """What a model costs: rates, and further ones for long prompts.

    Sums are exact to a billionth of a dollar per million tokens, rounded once.

    Raises:
        InputError: A price is no number from 0 to 1,000,000,000, or the tiers' lengths do not rise.

    >>> Price(input=0.4, cached=0.1, output=1.6).cost(TokenUsage(input_tokens=2_000, output_tokens=500))
    0.0016
    >>> long = Tier(above=200_000, input=2.5, output=15)
    >>> Price(input=1.25, output=10, tiers=(long,)).cost(TokenUsage(input_tokens=400_000))
    1.0
    """

    tiers: tuple[Tier, ...] = ()
    """What longer prompts cost, by rising length; the last one that a prompt is long enough for counts."""

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if not rise([tier.above for tier in self.tiers]):
            raise InputError("price.tiers", f"must be tiers of rising length, got {shown(list(self.tiers))}")

    def cost(self, usage: TokenUsage, *, requests: float = 1) -> float:
        """Return what `usage` costs, in US dollars.

        Tokens read from a cache and written to one are part of the input, so that no more of them are billed than
        there is input, whatever the server says; where they do not all fit, those written come first.

        Args:
            usage: Tokens; what is below 0 counts as 0.
            requests: How many it is the sum of, as far as known; their mean length decides the tier.
        """
        length = _counted(usage.input_tokens + usage.shared_tokens) / max(1, requests)
        rates = next((tier for tier in reversed(self.tiers) if length > tier.above), self)
        return rates.billed(usage) / _UNIT

    def worst(self, input_tokens: int, output_tokens: int) -> float:
        """Return the most that so many tokens can cost, in US dollars, however the input meets a prompt cache.

        Args:
            input_tokens: Tokens read, at most.
            output_tokens: Tokens written, at most, those of hidden reasoning included.

        >>> Price(input=3, cached=0.3, written=3.75, output=15).worst(1_000_000, 0)
        3.75
        """
        within = [tier for tier in self.tiers if input_tokens > tier.above]
        return max(rates.most(input_tokens, output_tokens) for rates in (self, *within)) / _UNIT


def _counted(tokens: int) -> int:
    return min(max(0, tokens), MOST_TOKENS)


def _nano(usd: float) -> int:
    """Return billionths of a dollar."""
    return round(usd * _NANO)


def rise(lengths: Sequence[int]) -> bool:
    """Whether each length is above the one before."""
    return all(shorter < longer for shorter, longer in pairwise(lengths))


FREE = Price(input=0, output=0)
"""The price of what costs nothing."""
IN_PROCESS = frozenset({"embedded", "gguf", "scripted", "simulated"})
"""Providers that compute on this machine, wherever it is: free unless the user says otherwise."""
