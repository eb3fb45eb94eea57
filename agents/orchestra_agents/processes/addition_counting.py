"""Addition for a small real model: it says which digit follows a digit, code counts how often and carries."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.processes.addition import operands, total_of
from orchestra_agents.processes.patterns import counting_run, one_of

MOST_DIGITS = 5_000
_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Counting:
    """How far the sum is."""

    place: int
    """The column, from 0 at the right."""
    digit: int
    """The digit that was counted to in it."""
    left: int
    """How often it is to be counted on."""
    carry: int
    """What the next column begins with."""
    written: str
    """The digits of the columns before, the last one first."""


class AdditionCounting:
    """The sum of two random numbers by counting: digit b is added to digit a by taking a's successor b times.

    A step asks for the successor of one digit. Code keeps the columns, how often to count, and carries where 9 is
    followed by 0. There are ten different questions.

    Args:
        digits: Digits of each number, 1 to 5,000.
        seed: What they are drawn from.

    Raises:
        InputError: A number is out of range.
    """

    concurrency, slots = 1, 10
    """One call at a time: each of its ten questions stays computed in a slot of its own."""

    def __init__(self, digits: int = 500, seed: int = 1) -> None:
        if not 1 <= digits <= MOST_DIGITS:
            raise InputError("process", f"addition-counting: digits must be 1 to {MOST_DIGITS}, got {digits}")
        self.spec = f"addition-counting:digits={digits},seed={seed}"
        self.sampling = Sampling(temperature=0.3, max_tokens=1, grammar="root ::= [0-9]")
        self._one, self._other = operands(digits, seed)
        self._prompts = [counting_run(digit) for digit in range(10)]
        self.length = self._steps()

    def first(self) -> Counting:
        """Return the first column that anything is to be counted in."""
        return self._opened(0, 0, "")

    def prompt(self, state: Counting) -> Prompt:
        """Ask for the digit after the present one."""
        return self._prompts[state.digit]

    def parse(self, text: str, state: Counting) -> str:
        """Return the digit of a reply.

        Raises:
            RedFlag: `not_allowed`, where it is none.
        """
        return one_of(text, _DIGITS)

    def advance(self, state: Counting, action: str) -> Counting:
        """Count to the digit; where it wrapped around, carry."""
        digit = int(action)
        carry = state.carry + (digit == 0)
        if state.left > 1:
            return Counting(state.place, digit, state.left - 1, carry, state.written)
        return self._opened(state.place + 1, carry, state.written + str(digit))

    def is_done(self, state: Counting) -> bool:
        """Tell whether every column is written."""
        return state.place >= len(self._one)

    def is_correct(self, state: Counting) -> bool:
        """Tell whether what is written is the sum."""
        written = state.written + str(state.carry)
        return total_of(written) == total_of(self._one[::-1]) + total_of(self._other[::-1])

    def reference(self, state: Counting) -> str:
        """Return the right successor."""
        return str((state.digit + 1) % 10)

    def distractors(self, state: Counting) -> list[str]:
        """Return the digits that are easily said instead: the same one again, then the one after the next."""
        return [str(state.digit), str((state.digit + 2) % 10)]

    def sentinel(self, number: int) -> Counting:
        """Return one of the ten questions."""
        return Counting(0, number % 10, 1, 0, "")

    def _opened(self, place: int, carry: int, written: str) -> Counting:
        """Return the next column in which there is something to count, from `place` on; the others are written."""
        while place < len(self._one):
            digit, count = int(self._one[-1 - place]), int(self._other[-1 - place]) + carry
            if count:
                return Counting(place, digit, count, 0, written)
            written, carry, place = written + str(digit), 0, place + 1
        return Counting(place, 0, 0, carry, written)

    def _steps(self) -> int:
        """Return how many successors the right sum takes."""
        carry = steps = 0
        for one, other in zip(reversed(self._one), reversed(self._other), strict=True):
            steps += int(other) + carry
            carry = int(int(one) + int(other) + carry > 9)
        return steps
