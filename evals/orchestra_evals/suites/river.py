"""River Crossing: actors and agents cross in a small boat, and no actor meets the agent of another one alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from random import Random
from typing import TypeAlias

from orchestra_agents.json_schema import closed_object
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.puzzle import Illegal, Move, Words, list_of, names
from orchestra_evals.suites.puzzle_suite import MODES, SCORING, Kind, PuzzleSuite, Run
from orchestra_evals.suites.suite import MOVES, About, Difficulty

Crossing: TypeAlias = tuple[frozenset[str], bool]
"""Who is on the first bank, and whether the boat is there."""

_RULES = """River Crossing: {n} actors, each with an agent, are to cross a river in one boat, from the bank "{first}" \
to the bank "{second}". The actors and their agents are: {pairs}.
The boat holds at most {boat} people, goes to and fro, and never crosses empty.
On either bank and in the boat, an actor may be together with the agent of another actor only where the actor's own \
agent is, too."""
_STATE = (
    'A state is an object with who is on the bank "{first}", who is on the bank "{second}", each a list in any order, '
    'and where the boat is, "{first}" or "{second}".'
)
_MOVE = "A move is one crossing: the list of who is in the boat, in any order."
_BANKS = (
    *(("north", "south"), ("east", "west"), ("upper", "lower"), ("near", "far"), ("green", "red"), ("home", "away")),
    *(("sunny", "shady"), ("old", "new")),
)


@dataclass(frozen=True, kw_only=True)  # no slots: it keeps what it has worked out of its pairs
class River:
    """One crossing of some pairs, everybody to the second bank."""

    pairs: tuple[tuple[str, str], ...]
    """Each actor with the agent."""
    boat: int
    """Most people in the boat."""
    banks: tuple[str, str]
    start: Crossing

    @property
    def goal(self) -> Crossing:
        """Everybody and the boat are on the second bank."""
        return frozenset(), False

    @property
    def words(self) -> Words:
        """The rules in words."""
        first, second = self.banks
        pairs = ", ".join(f"{actor} with the agent {agent}" for actor, agent in self.pairs)
        name = {"type": "string", "minLength": 1, "maxLength": max(map(len, self._everybody))}
        bank, side = list_of(name, len(self._everybody)), {"type": "string", "maxLength": max(map(len, self.banks))}
        return Words(
            rules=_RULES.format(n=len(self.pairs), first=first, second=second, pairs=pairs, boat=self.boat),
            state=_STATE.format(first=first, second=second),
            move=_MOVE,
            state_schema=closed_object({first: bank, second: bank, "boat": side}),
            move_schema=bank,
        )

    def moves(self, state: Crossing) -> Iterator[Move]:
        """Return who may cross, one crossing of those that differ by who of several alike is in the boat.

        In the boat are actors only, or agents, some of them with their actors.
        """
        here = self._here(state)
        both = [pair for pair in self.pairs if here.issuperset(pair)]
        actors = [(actor,) for actor, agent in self.pairs if actor in here and agent not in here]
        agents = [(agent,) for actor, agent in self.pairs if agent in here and actor not in here]
        yield from self._loads([(actor,) for actor, _ in both], actors)
        yield from self._loads(both, [(agent,) for _, agent in reversed(both)], agents)

    def advance(self, state: Crossing, move: Move) -> Crossing | Illegal:
        """Return who is where after a crossing, or why it may not be made."""
        passengers = frozenset(move)
        if not passengers:
            return Illegal("the boat never crosses empty")
        if len(move) > self.boat:
            return Illegal("the boat does not hold so many")
        if len(passengers) < len(move):
            return Illegal("somebody is named twice")
        if not passengers <= self._here(state):
            return Illegal("somebody is not on the bank where the boat is")
        first, is_boat_first = state
        after = first - passengers if is_boat_first else first | passengers
        if self._is_unsafe(passengers):
            return Illegal("an actor is alone with another's agent in the boat")
        if self._is_unsafe(after) or self._is_unsafe(self._everybody - after):
            return Illegal("an actor is alone with another's agent on a bank")
        return after, not is_boat_first

    def distance(self, state: Crossing) -> int | None:
        """Return the fewest crossings to the goal, None where there is no way."""
        return _distances(len(self.pairs), self.boat).get(self.alike(state))

    def alike(self, state: Crossing) -> tuple[int, int, bool]:
        """Return what states have in common that differ by names alone.

        That is how many actors and how many agents are on the first bank, and where the boat is. Both numbers tell how
        many pairs are apart: where a pair is apart, no other agent may be on the actor's bank.
        """
        first, is_boat_first = state
        return (
            sum(actor in first for actor, _ in self.pairs),
            sum(agent in first for _, agent in self.pairs),
            is_boat_first,
        )

    def shown(self, state: Crossing) -> Json:
        """Return who is on which bank, and where the boat is."""
        first, is_boat_first = state
        everybody = [name for pair in self.pairs for name in pair]
        banks = ([name for name in everybody if (name in first) == is_first] for is_first in (True, False))
        return {**dict(zip(self.banks, banks, strict=True)), "boat": self.banks[not is_boat_first]}

    def read(self, said: Json) -> Crossing | None:
        """Return the state that an object means; None unless everybody is somewhere once."""
        first, second = (said[bank] for bank in self.banks)
        is_complete = sorted(first + second) == sorted(self._everybody) and said["boat"] in self.banks
        return (frozenset(first), said["boat"] == self.banks[0]) if is_complete else None

    def _loads(self, *groups: Sequence[tuple[str, ...]]) -> Iterator[list[str]]:
        """Return who fits into the boat, the first some of each group."""
        for counts in product(*(range(min(self.boat, len(group)) + 1) for group in groups)):
            taken = (group[:count] for group, count in zip(groups, counts, strict=True))
            load = [name for units in taken for unit in units for name in unit]
            if len(load) <= self.boat:
                yield load

    @cached_property
    def _agents(self) -> Mapping[str, str]:
        """The agent of each actor."""
        return dict(self.pairs)

    @cached_property
    def _everybody(self) -> frozenset[str]:
        return frozenset(name for pair in self.pairs for name in pair)

    def _here(self, state: Crossing) -> frozenset[str]:
        """Return who is on the bank where the boat is."""
        first, is_boat_first = state
        return first if is_boat_first else self._everybody - first

    def _is_unsafe(self, people: frozenset[str]) -> bool:
        agents = people.intersection(self._agents.values())
        return bool(agents) and any(self._agents[actor] not in agents for actor in people - agents)


@lru_cache(maxsize=256)
def _distances(size: int, boat: int) -> Mapping[tuple[int, int, bool], int]:
    """Return the fewest crossings from each state that the goal leads back to; crossings can be taken back."""
    river = _restore(_paper(size, boat))
    found = {river.alike(river.goal): 0}
    queue: deque[Crossing] = deque([river.goal])
    while queue:
        state = queue.popleft()
        for move in river.moves(state):
            after = river.advance(state, move)
            if not isinstance(after, Illegal) and river.alike(after) not in found:
                found[river.alike(after)] = found[river.alike(state)] + 1
                queue.append(after)
    return found


def _paper(size: int, boat: int) -> dict[str, Json]:
    pairs = [[f"a_{number}", f"A_{number}"] for number in range(1, size + 1)]
    return _instance(pairs, boat, ["left", "right"])


def _instance(pairs: list[list[str]], boat: int, banks: list[str]) -> dict[str, Json]:
    start = {banks[0]: [name for pair in pairs for name in pair], banks[1]: [], "boat": banks[0]}
    return {"pairs": pairs, "boat": boat, "banks": banks, "start": start}


def _draw(difficulty: Difficulty, rng: Random | None) -> dict[str, Json]:
    """Return the crossing of the paper under other names."""
    size, boat = difficulty["n"], difficulty["boat"]
    if rng is None:
        return _paper(size, boat)
    banks = list(rng.choice(_BANKS))
    rng.shuffle(banks)
    return _instance([[name, name.upper()] for name in names(rng, size)], boat, banks)


def _restore(said: Mapping[str, Json]) -> River:
    first, second = said["banks"]
    pairs = tuple((actor, agent) for actor, agent in said["pairs"])
    start = frozenset(said["start"][first]), said["start"]["boat"] == first
    return River(pairs=pairs, boat=said["boat"], banks=(first, second), start=start)


def boat_for(size: int) -> int:
    """Return the boat by which a number of pairs can cross: 2 for up to 3 pairs, 3 for 4 or 5, 4 for more.

    Two people at a time cannot bring 4 pairs over, and three cannot bring 6.
    """
    return 2 if size <= 3 else 3 if size <= 5 else 4


RIVER = Kind(
    name="river",
    about=About(
        summary="Bring n actors and their agents over a river in a boat for few: 11 crossings for n = 3 and a boat of "
        "2, 2n - 3 for a boat of 4. Instances of one difficulty differ by names only",
        scoring=SCORING,
        licence="Apache-2.0, made here by the rules of arXiv 2506.06941",
        axes={"n": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 30, 50), "boat": (2, 3, 4), "mode": MODES},
        default=tuple({"n": n, "boat": boat_for(n), "mode": "full_list"} for n in (2, 3, 4, 5, 6, 8, 12, 20)),
        steps=MOVES,
    ),
    ranges={"n": (1, 50), "boat": (1, 10)},
    draw=_draw,
    restore=_restore,
)
"""River Crossing as a kind of puzzle.

Whether a number of pairs and a boat have a solution is found by search, never assumed. It has no graph of subtasks:
the crossings are one chain, in which every state decides the next.
"""


def river(*, run: Run | None = None) -> PuzzleSuite:
    """Return River Crossing as a suite; `run` runs the programs of the mode `generator`."""
    return PuzzleSuite(RIVER, run=run)
