"""A graph told in words: a node is a nonsense adjective, an edge an implication (DeepRD, the logic form)."""

from __future__ import annotations

import random
from collections.abc import Sequence

_STARTS = (
    *("ba", "bri", "clo", "da", "dre", "fa", "fli", "ga", "glo", "hu", "jo", "ka"),
    *("kre", "la", "lo", "mi", "mo", "na", "ni", "pa", "plo", "qua", "ro", "sni"),
)
_MIDDLES = (
    *("b", "bb", "d", "dr", "ff", "g", "gg", "k", "lb", "ld", "lm", "lt"),
    *("m", "mb", "n", "nd", "nk", "p", "pp", "rg", "rk", "sp", "v", "z"),
)
_ENDS = (
    *("ane", "ent", "id", "ine", "ish", "ive", "oid", "old", "ome", "osk", "ous", "uct"),
    *("uff", "ule", "und", "ung", "upt", "urn", "ust", "ute", "y", "alt", "ect", "iff", "ilk", "arp"),
)
_ADJECTIVES = [start + middle + end for start in _STARTS for middle in _MIDDLES for end in _ENDS]
MOST_WORDS = len(_ADJECTIVES)
"""Nodes that can have a name of their own."""

_PEOPLE = ("Alex", "Billie", "Charlie", "Frankie", "Jessie", "Kim", "Lou", "Robin", "Sam", "Toni")
_PHRASES = (
    "If a person is {}, they are {}.",
    "If someone is {}, then they are {}.",
    "Everyone who is {} is {}.",
    "Each person that is {} is {}.",
    "Whoever is {} is also {}.",
    "Being {} means being {}.",
    "All {} people are {}.",
    "A {} person is always {}.",
    "Nobody is {} without being {}.",
)


def draw_person(rng: random.Random) -> str:
    """Return somebody's name."""
    return rng.choice(_PEOPLE)


def draw_adjectives(count: int, rng: random.Random) -> list[str]:
    """Return `count` distinct adjectives that mean nothing, at most `MOST_WORDS`."""
    return rng.sample(_ADJECTIVES, count)


def implications(edges: Sequence[tuple[int, int]], names: Sequence[str], rng: random.Random) -> str:
    """Return a sentence for each edge, in one of nine phrasings, the first node always named first."""
    return "\n".join(rng.choice(_PHRASES).format(names[one], names[other]) for one, other in edges)
