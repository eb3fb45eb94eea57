"""Counting distinct questions in bounded memory: the smallest hashes say how many there are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

_RANGE = 2**64
LARGEST_EXACT = 1_024
"""Up to here the count is exact; beyond it the standard error is about 3 %."""


@lru_cache(maxsize=64)
def _key(text: str) -> bytes:
    """Return what stands for a text that is hashed again and again."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


class Distinct:
    """The smallest 64-bit hashes seen: all of them while there are few, then an estimate (k minimum values).

    >>> seen = Distinct()
    >>> for question in ["a", "b", "a"]:
    ...     seen.add(question)
    >>> seen.count
    2
    """

    __slots__ = ("_heap", "_kept")

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._kept = set(hashes)
        self._heap = [-value for value in self._kept]
        heapq.heapify(self._heap)

    def add(self, text: str, *, before: str = "") -> None:
        """Take in a question: its words, and those before them that many questions share."""
        words = text.encode("utf-8", "replace")
        value = int.from_bytes(blake2b(words, digest_size=8, key=_key(before)).digest(), "big")
        if len(self._heap) < LARGEST_EXACT:
            if value not in self._kept:
                self._kept.add(value)
                heapq.heappush(self._heap, -value)
        elif value < -self._heap[0] and value not in self._kept:
            self._kept.add(value)
            self._kept.discard(-heapq.heapreplace(self._heap, -value))

    @property
    def is_exact(self) -> bool:
        """Whether the count is exact."""
        return len(self._heap) < LARGEST_EXACT

    @property
    def count(self) -> int:
        """How many distinct questions there were, about that many where it is not exact."""
        return len(self._heap) if self.is_exact else round((len(self._heap) - 1) * _RANGE / -self._heap[0])

    def hashes(self) -> list[int]:
        """Return what a later `Distinct` needs to go on."""
        return sorted(self._kept)
