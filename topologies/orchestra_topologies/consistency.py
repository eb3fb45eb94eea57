"""How alike answers to one question are: the figure that the gate of the synthesis looks at.

Agreement is not correctness: answers that share an error are consistent, too. Where a check exists (`verify`), it
decides instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TypeAlias

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import ModelError
from orchestra_agents.models.contract import Json
from orchestra_agents.models.embeddings import Embedder, cosine
from orchestra_agents.sampler import Sampler

Matrix: TypeAlias = "list[list[float]]"
"""Similarity of each answer (row) to each other one (column), in [-1, 1]; 1 on the diagonal."""

LEXICAL = "lexical"
"""Basis of a figure that counts equal words and knows nothing of meaning."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Alikeness:
    """The similarity of several answers, and what it is based on."""

    matrix: Matrix
    basis: str
    """`exact` for choices and numbers, `fields` for objects, `embeddings NAME`, or `lexical`."""

    def consistency(self, members: Sequence[int]) -> float:
        """Return the mean similarity over all pairs of `members` (AdaptOrch, section 2.5); 1 for fewer than two."""
        pairs = [self.matrix[first][second] for first, second in combinations(members, 2)]
        return fmean(pairs) if pairs else 1.0

    def to(self, one: int, members: Sequence[int]) -> float:
        """Return the mean similarity of one answer to `members` (our reading of CS of a single output)."""
        return fmean(self.matrix[one][other] for other in members)

    def medoid(self, members: Sequence[int]) -> int:
        """Return the member most like the others, the first of equals."""
        return max(members, key=lambda one: (round(self.to(one, members), 9), -members.index(one)))


@dataclass(frozen=True, slots=True)
class Similarity:
    """Compares answers: by code where it can, by embeddings where there are some, else by their words.

    Args:
        sampler: Through which embeddings are asked for, paid and recorded.
        embedder: Who makes them; None compares words and says so.
    """

    sampler: Sampler
    embedder: Embedder | None = None

    async def of(self, node: str, answer: AnswerType, values: Sequence[Json]) -> Alikeness:
        """Return how alike the typed answers `values` are; `node` is who asks.

        Raises:
            BudgetExceeded: Embeddings could pass a cap.
        """
        if answer.kind in ("choice", "number"):
            return Alikeness(_matrix(values, lambda one, other: _equal(answer, one, other)), "exact")
        if answer.kind == "json":
            return Alikeness(_matrix(values, lambda one, other: _fields(answer, one, other)), "fields")
        return await self.of_texts(node, [str(value) for value in values])

    async def of_texts(self, node: str, texts: Sequence[str]) -> Alikeness:
        """Return how alike `texts` are: cosine of their embeddings, else shared words over all words.

        Raises:
            BudgetExceeded: Embeddings could pass a cap.
        """
        basis = LEXICAL
        if self.embedder is not None:
            try:
                vectors = await self.sampler.embed(node, texts, self.embedder)
                return Alikeness(_matrix(vectors, cosine), f"embeddings {self.embedder.name}")
            except ModelError as error:
                basis = f"{LEXICAL}, because embeddings failed: {error}"
        return Alikeness(_matrix([_words(text) for text in texts], _shared), basis)


def _matrix(values, alike) -> Matrix:  # type: ignore[no-untyped-def]  # values are compared by what fits them
    size = range(len(values))
    return [[1.0 if one == other else float(alike(values[one], values[other])) for other in size] for one in size]


def _equal(answer: AnswerType, one: Json, other: Json) -> float:
    return float(answer.canonical(one) == answer.canonical(other))


def _fields(answer: AnswerType, one: Json, other: Json) -> float:
    """Return the share of equal values over the shared keys of two objects; of anything else, whether it is equal."""
    shared = one.keys() & other.keys() if isinstance(one, Mapping) and isinstance(other, Mapping) else ()
    if not shared:
        return _equal(answer, one, other)
    return fmean(_equal(answer, one[key], other[key]) for key in shared)


def _words(text: str) -> Counter[str]:
    return Counter(word.casefold() for word in _WORD.findall(text))


def _shared(one: Counter[str], other: Counter[str]) -> float:
    together = (one | other).total()
    return (one & other).total() / together if together else float(one == other)
