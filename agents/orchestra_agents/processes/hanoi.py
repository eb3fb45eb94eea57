"""Towers of Hanoi, the workload of MAKER: the model says the move and the state it leads to, votes are on the pair."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.models.contract import Message, Prompt, Sampling
from orchestra_agents.process import Predicted

Peg: TypeAlias = tuple[int, ...]
Move: TypeAlias = list[int]
"""Disk, from peg, to peg; pegs count from 0."""

MOST_DISKS = 24
_STRIDE = 2_654_435_761
_MOVE = re.compile(r"move\s*=\s*(\[[^\[\]]*\])?")
_PEG = r"\[[^\[\]]*\]\s*"
_STATE = re.compile(rf"next_state\s*=\s*(\[\s*{_PEG},\s*{_PEG},\s*{_PEG}\])?")
_decode = json.JSONDecoder().raw_decode
_INTEGERS = {int}  # a bool is none
_SYSTEM = """You play Towers of Hanoi with {disks} disks, 1 the smallest and {disks} the largest, and pegs 0, 1 and 2.
Rules: one disk is moved at a time; only the top disk of a peg moves; no disk lies on a smaller one.
All disks begin on peg 0 and must come to peg 2.
A state is a list of the three pegs, each from bottom to top. A move is [disk, from peg, to peg].
With three disks, from [[3, 2, 1], [], []] the moves [1, 0, 2], [2, 0, 1], [1, 2, 1], [3, 0, 2], ... solve it.
Give one move, and the state after it, in exactly this form:
move = [disk, from, to]
next_state = [[...], [...], [...]]"""
_ASK = "Give the next move and the state after it."
_STRATEGY = (
    "Strategy: if the previous move did not move disk 1, move disk 1 one peg {way}; otherwise make the only legal move "
    "that does not move disk 1."
)


@dataclass(frozen=True, slots=True)
class HanoiState:
    """Where the disks are."""

    pegs: tuple[Peg, Peg, Peg]
    """Disks of each peg, bottom to top."""
    previous: tuple[int, int, int] | None
    """The move before: disk, from, to."""
    moves: int
    """How many were made."""


class Hanoi:
    """The shortest solution of Towers of Hanoi, one move a step: 2^disks - 1 of them.

    The strategy is given and the model executes it (MAKER, section 4): with an even number of disks disk 1 goes round
    0, 1, 2; with an odd one the other way. The state after a step is what the model says it is.

    Args:
        disks: Number of disks, 1 to 24.

    Raises:
        InputError: It is out of range.
    """

    def __init__(self, disks: int = 20) -> None:
        if not 1 <= disks <= MOST_DISKS:
            raise InputError("process", f"hanoi: disks must be 1 to {MOST_DISKS}, got {disks}")
        self.disks = disks
        self.spec = f"hanoi:disks={disks}"
        self.length: int = 2**disks - 1
        self.sampling = Sampling(temperature=0.1, max_tokens=750)
        self._all = list(range(1, disks + 1))
        self._solved = tuple(range(disks, 0, -1))
        self._turn = 1 if disks % 2 == 0 else 2
        self._system = Message("system", _SYSTEM.format(disks=disks))
        way = "clockwise (0 to 1, 1 to 2, 2 to 0)" if disks % 2 == 0 else "counterclockwise (0 to 2, 2 to 1, 1 to 0)"
        self._strategy = _STRATEGY.format(way=way)

    def first(self) -> HanoiState:
        """Return all disks on peg 0."""
        return HanoiState((tuple(range(self.disks, 0, -1)), (), ()), None, 0)

    def prompt(self, state: HanoiState) -> Prompt:
        """Ask for the next move and the state after it."""
        previous = list(state.previous) if state.previous else None
        said = f"{self._strategy}\nPrevious move: {previous}\nCurrent state: {_pegs(state.pegs)}\n{_ASK}"
        return Prompt(messages=(self._system, Message("user", said)))

    def parse(self, text: str, state: HanoiState) -> Predicted:
        """Return the last move and the last state in a reply, in exactly the form asked for; legality is not checked.

        An earlier one never stands in for a last one of another form.

        Raises:
            RedFlag: `no_move`, `no_state`, `bad_move`, or `bad_state` where the disks are not each there once.
        """
        said = text.lower()
        moves, states = _MOVE.findall(said), _STATE.findall(said)
        if not moves or not moves[-1]:
            raise RedFlag("no_move", text[-80:])
        if not states or not states[-1]:
            raise RedFlag("no_state", text[-80:])
        move, pegs = _loaded(moves[-1], "bad_move"), _loaded(states[-1], "bad_state")
        if len(move) != 3 or set(map(type, move)) != _INTEGERS:
            raise RedFlag("bad_move", moves[-1])
        there = pegs[0] + pegs[1] + pegs[2]
        if set(map(type, there)) != _INTEGERS or sorted(there) != self._all:
            raise RedFlag("bad_state", states[-1])
        after = HanoiState(
            (tuple(pegs[0]), tuple(pegs[1]), tuple(pegs[2])), (move[0], move[1], move[2]), state.moves + 1
        )
        return Predicted(move, after)

    def advance(self, state: HanoiState, action: Move) -> HanoiState:
        """Return the state after a legal move."""
        disk, source, target = action
        pegs = list(state.pegs)
        pegs[source], pegs[target] = pegs[source][:-1], (*pegs[target], disk)
        return HanoiState((pegs[0], pegs[1], pegs[2]), (disk, source, target), state.moves + 1)

    def is_done(self, state: HanoiState) -> bool:
        """Tell whether as many moves are made as the solution has."""
        return state.moves >= self.length

    def is_correct(self, state: HanoiState) -> bool:
        """Tell whether all disks are on peg 2, the largest at the bottom."""
        return state.pegs[2] == self._solved

    def reference(self, state: HanoiState) -> Predicted:
        """Return what the strategy says, from any state; where it leaves no move, disk 1 moves on."""
        pegs = state.pegs
        if state.previous is not None and state.previous[0] == 1:
            first, second = _OTHERS[_peg_of_1(pegs)]
            one, two = pegs[first], pegs[second]
            if one and (not two or one[-1] < two[-1]):
                return self._moved(state, first, second)
            if two:
                return self._moved(state, second, first)
        source = _peg_of_1(pegs)
        return self._moved(state, source, (source + self._turn) % 3)

    def distractors(self, state: HanoiState) -> list[Predicted]:
        """Return the other legal moves, each with the state that it leads to."""
        right = self.reference(state).action
        wrong = []
        for source, peg in enumerate(state.pegs):
            for target in _OTHERS[source] if peg else ():
                if not state.pegs[target] or state.pegs[target][-1] > peg[-1]:
                    moved = self._moved(state, source, target)
                    if moved.action != right:
                        wrong.append(moved)
        return wrong

    def render(self, action: Predicted) -> str:
        """Return the reply that says `action`."""
        return f"move = {action.action}\nnext_state = {_pegs(action.state.pegs)}"

    def sentinel(self, number: int) -> HanoiState:
        """Return a state of the solution, another one for each number below its length."""
        return self.after(number * _STRIDE % self.length)

    def after(self, moves: int) -> HanoiState:
        """Return the state after the first `moves` moves of the solution, found disk by disk.

        Disk d has moved as often as multiples of 2^(d-1) that are odd fit into `moves`, always the same way round.
        """
        pegs: list[list[int]] = [[], [], []]
        for disk in range(self.disks, 0, -1):
            pegs[self._peg_after(disk, moves)].append(disk)
        previous = None
        if moves:
            disk = (moves & -moves).bit_length()
            previous = (disk, self._peg_after(disk, moves - 1), self._peg_after(disk, moves))
        return HanoiState((tuple(pegs[0]), tuple(pegs[1]), tuple(pegs[2])), previous, moves)

    def _peg_after(self, disk: int, moves: int) -> int:
        turns = (moves + 2 ** (disk - 1)) // 2**disk
        return int(turns) * (self._turn if disk % 2 else 3 - self._turn) % 3

    def _moved(self, state: HanoiState, source: int, target: int) -> Predicted:
        move = [state.pegs[source][-1], source, target]
        return Predicted(move, self.advance(state, move))


_OTHERS = ((1, 2), (0, 2), (0, 1))


def _peg_of_1(pegs: tuple[Peg, Peg, Peg]) -> int:
    """Return the peg whose top is disk 1."""
    for place, peg in enumerate(pegs):
        if peg and peg[-1] == 1:
            return place
    return next(place for place, peg in enumerate(pegs) if peg)  # a state that no legal move leads to


def _loaded(text: str, flag: str) -> Any:
    try:
        return _decode(text)[0]
    except ValueError as error:
        raise RedFlag(flag, text) from error


def _pegs(pegs: tuple[Peg, ...]) -> str:
    return f"[{_peg(pegs[0])}, {_peg(pegs[1])}, {_peg(pegs[2])}]"


@lru_cache(maxsize=1024)
def _peg(peg: Peg) -> str:
    return str(list(peg))
