"""What calls cost: the price of each model, and sums of what was paid and what may have been lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Model, TokenUsage
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.prices import FREE, Price, Prices


@dataclass(slots=True, kw_only=True)
class Payment:
    """What work took beyond its plain tokens: sums that are added up."""

    usd: float = 0.0
    """US dollars, as far as prices are known."""
    unpriced: bool = False
    """Whether any of it has a price that nobody knows."""
    cached_tokens: int = 0
    """Tokens among the input that a server read from its prompt cache."""
    reasoning_tokens: int = 0
    """Tokens among the output that nobody is shown."""
    lost_tokens: int = 0
    """Tokens at most of requests that may have been served though no answer of use arrived."""
    lost_usd: float = 0.0
    """US dollars at most of those requests."""

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self))

    def add(self, other: Payment) -> None:
        """Add another sum."""
        self.usd += other.usd
        self.unpriced |= other.unpriced
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.lost_tokens += other.lost_tokens
        self.lost_usd += other.lost_usd

    def pay(self, usage: TokenUsage, price: Price | None) -> None:
        """Add what a completion took; None is a price that nobody knows."""
        self.cached_tokens += usage.cached_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        if price is None:
            self.unpriced = True
        elif price is not FREE:
            self.usd += price.cost(usage)

    def lose(self, requests: int, tokens: int, usd: float) -> None:
        """Add requests that may have been served in vain, each of which takes so much at most."""
        self.lost_tokens += requests * tokens
        self.lost_usd += requests * usd


class Tariff:
    """What each model of a session costs.

    The first that is known counts: the model's own `price`, where it has one; that of its name and of where its server
    is (`base_url`), as `Prices.of` says it.

    Args:
        prices: What is known by name.
        allow_unpriced: Whether models may be asked whose price is not known.
    """

    def __init__(self, prices: Prices, *, allow_unpriced: bool = False) -> None:
        self._prices, self._allow_unpriced = prices, allow_unpriced
        self._known: dict[tuple[str, str | None], Price | None] = {}

    @property
    def dated(self) -> str:
        """ISO date of the shipped prices."""
        return self._prices.dated

    def of(self, model: Model | Embedder) -> Price | None:
        """Return the price of a model, None where nobody knows it."""
        own: Price | None = getattr(model, "price", None)
        if own is not None:
            return own
        address = getattr(model, "base_url", None)
        key = model.name, None if address is None else str(address)
        if key not in self._known:
            self._known[key] = self._prices.of(*key)
        return self._known[key]

    def check(self, models: Sequence[Model | Embedder], *, is_capped: bool) -> None:
        """Refuse models whose price is not known, unless that is allowed.

        Args:
            models: Who will be asked.
            is_capped: Whether a cap in money is to be held.

        Raises:
            InputError: A price is not known.
        """
        for model in models:
            if not self._allow_unpriced and self.of(model) is None:
                told = f"the price of {model.name} is not known (list of {self.dated}); give it in a file with --prices"
                raise InputError("budget.usd" if is_capped else "model", f"{told}, or --allow-unpriced to go without")
