"""What votes say where no answer is known: how often two of them agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from orchestra.budget.estimates import Estimate, bca
from orchestra_agents.errors import InputError


def agreement(tallies: Sequence[Sequence[int]], *, rng: np.random.Generator) -> Estimate:
    """Return the probability that two votes on an item are equal, with a BCa interval by item.

    Without known answers this mixes accuracy with shared errors and cannot tell them apart: it is a proxy of neither
    (phase transition, B.10).

    Args:
        tallies: For each item the votes of each of its answers; items with fewer than two votes are left out.
        rng: Source of the bootstrap.

    Raises:
        InputError: A number of votes is negative, or no item has two votes.
    """
    if any(votes < 0 for tally in tallies for votes in tally):
        raise InputError("tallies", "must hold numbers of votes, at least 0 each")
    shares = Counter(_pairs(tally) for tally in tallies if sum(tally) > 1)
    if not shares:
        raise InputError("tallies", "must hold at least one item with two votes")
    values = np.array(list(shares))
    items = np.array(list(shares.values()), dtype=np.int64)
    span = bca(lambda weights: weights @ values / weights.sum(axis=1), items, rng)
    return span.estimate("equal pairs, bca by item", int(items.sum()), least=0, most=1)


def _pairs(tally: Sequence[int]) -> float:
    """Return the share of equal pairs among the votes of one item."""
    total = sum(tally)
    return sum(votes * (votes - 1) for votes in tally) / (total * (total - 1))
