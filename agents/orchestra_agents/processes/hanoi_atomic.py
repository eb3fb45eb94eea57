"""Towers of Hanoi for a small real model: it answers two kinds of one-token questions, code does everything else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.processes.patterns import JURORS, PEGS, larger_of, one_of, peg_run
from orchestra_agents.voting.jury import Jury

MOST_DISKS = 8
EMPTY = 9
"""Stands for the top of an empty peg: larger than every disk."""
LEAD = 12
"""Margin of a comparison."""


@dataclass(frozen=True, slots=True)
class AtomicState:
    """Where the disks are."""

    pegs: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """Disks of each peg, bottom to top."""
    moves: int
    """How many moves were made."""


class HanoiAtomic:
    """The shortest solution, one move and one question a step.

    Every other move is disk 1's: the model continues the cycle of pegs to say where it goes. The moves between are the
    only legal ones without disk 1: the model says which of the two other tops is larger, and code moves the smaller
    one onto it. Code keeps the state, the strategy and the rules; no juror's examples hold the pair that is asked.

    Args:
        disks: Number of disks, 1 to 8.

    Raises:
        InputError: It is out of range.
    """

    concurrency, slots = 1, JURORS + len(PEGS)
    """One call at a time: two orders of one juror's operands share its slot, where its examples stay computed."""

    def __init__(self, disks: int = 8) -> None:
        if not 1 <= disks <= MOST_DISKS:
            raise InputError("process", f"hanoi-atomic: disks must be 1 to {MOST_DISKS}, got {disks}")
        self.disks = disks
        self.spec = f"hanoi-atomic:disks={disks}"
        self.length: int = 2**disks - 1
        self.sampling = Sampling(temperature=0.3, max_tokens=1, grammar='root ::= " "? [ABC]')
        self._turn = 1 if disks % 2 == 0 else 2

    def first(self) -> AtomicState:
        """Return all disks on peg 0."""
        return AtomicState((tuple(range(self.disks, 0, -1)), (), ()), 0)

    def prompt(self, state: AtomicState) -> Prompt | Jury:
        """Ask where disk 1 goes, or which of the other two tops is larger."""
        if state.moves % 2 == 0:
            return _run(_peg_of_1(state), self._turn)
        return larger_of(*_tops(state), k=LEAD)

    def parse(self, text: str, state: AtomicState) -> str:
        """Return the peg or the digit that a reply names.

        Raises:
            RedFlag: `not_allowed`, where it names neither of the possible ones.
        """
        allowed = PEGS if state.moves % 2 == 0 else "".join(str(top) for top in _tops(state))
        return one_of(text, allowed)

    def advance(self, state: AtomicState, action: str) -> AtomicState:
        """Return the state after the move that the answer leads to, legal or not."""
        source = _peg_of_1(state)
        if state.moves % 2 == 0:
            return _moved(state, source, PEGS.index(action))
        one, other = (peg for peg in range(3) if peg != source)
        larger = one if str(_top(state, one)) == action else other
        return _moved(state, one + other - larger, larger)

    def is_done(self, state: AtomicState) -> bool:
        """Tell whether as many moves are made as the solution has."""
        return state.moves >= self.length

    def is_correct(self, state: AtomicState) -> bool:
        """Tell whether all disks are on peg 2."""
        return state.pegs[2] == tuple(range(self.disks, 0, -1))

    def reference(self, state: AtomicState) -> str:
        """Return the right answer."""
        if state.moves % 2 == 0:
            return PEGS[(_peg_of_1(state) + self._turn) % 3]
        return str(max(_tops(state)))

    def distractors(self, state: AtomicState) -> list[str]:
        """Return the other answers of the right form."""
        right = self.reference(state)
        return [answer for answer in (PEGS if state.moves % 2 == 0 else map(str, _tops(state))) if answer != right]


@lru_cache(maxsize=6)
def _run(peg: int, turn: int) -> Prompt:
    return peg_run(peg, turn)


def _peg_of_1(state: AtomicState) -> int:
    return next(place for place, peg in enumerate(state.pegs) if 1 in peg)


def _top(state: AtomicState, peg: int) -> int:
    return state.pegs[peg][-1] if state.pegs[peg] else EMPTY


def _tops(state: AtomicState) -> tuple[int, int]:
    source = _peg_of_1(state)
    one, other = (_top(state, peg) for peg in range(3) if peg != source)
    return one, other


def _moved(state: AtomicState, source: int, target: int) -> AtomicState:
    pegs = list(state.pegs)
    if pegs[source] and source != target:
        pegs[source], pegs[target] = pegs[source][:-1], (*pegs[target], pegs[source][-1])
    return AtomicState((pegs[0], pegs[1], pegs[2]), state.moves + 1)
