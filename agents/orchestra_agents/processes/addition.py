"""Addition column by column: a step adds two digits and a carry."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.models.contract import Message, Prompt, Sampling

MOST_DIGITS = 10_000
_STRIDE = 10_007  # a prime above every length, so that sentinels reach every column
_SYSTEM = """You add two long numbers, one column at a time, from the right.
Add the two digits and the carry. Answer with the digit to write and the new carry, in exactly this form:
digit = D, carry = C"""
_ANSWER = re.compile(r"digit\s*=\s*(?:([0-9])\s*,\s*carry\s*=\s*([01])(?![0-9]))?")


@dataclass(frozen=True, slots=True)
class Column:
    """How far the sum is."""

    place: int
    """The next column, from 0 at the right."""
    carry: int
    written: str
    """The digits so far, the last column first."""


def operands(digits: int, seed: int) -> tuple[str, str]:
    """Return two random numbers of so many digits, without leading zeros."""
    rng = random.Random(f"addition {digits} {seed}")
    one, other = (str(rng.randint(1, 9)) + "".join(str(rng.randint(0, 9)) for _ in range(digits - 1)) for _ in "ab")
    return one, other


class Addition:
    """The sum of two random numbers, one column a step and one more for the last carry.

    Args:
        digits: Digits of each number, 1 to 10,000.
        seed: What they are drawn from.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(self, digits: int = 50, seed: int = 1) -> None:
        if not 1 <= digits <= MOST_DIGITS:
            raise InputError("process", f"addition: digits must be 1 to {MOST_DIGITS}, got {digits}")
        self.spec = f"addition:digits={digits},seed={seed}"
        self.length = digits + 1
        self.sampling = Sampling(temperature=0.1, max_tokens=100)
        self._one, self._other = (number.zfill(self.length) for number in operands(digits, seed))

    def first(self) -> Column:
        """Return the rightmost column."""
        return Column(0, 0, "")

    def prompt(self, state: Column) -> Prompt:
        """Ask for the digit and the carry of a column."""
        one, other = self._digits(state)
        asked = f"Digits {one} and {other}, carry {state.carry}."
        return Prompt(messages=(Message("system", _SYSTEM), Message("user", asked)))

    def parse(self, text: str, state: Column) -> list[int]:
        """Return digit and carry, the last ones that a reply names; earlier ones never stand in for malformed ones.

        Raises:
            RedFlag: `unparsable`.
        """
        found = _ANSWER.findall(text)
        if not found or not found[-1][0]:
            raise RedFlag("unparsable", text[-80:])
        digit, carry = found[-1]
        return [int(digit), int(carry)]

    def advance(self, state: Column, action: list[int]) -> Column:
        """Write the digit and go on with the carry."""
        return Column(state.place + 1, action[1], state.written + str(action[0]))

    def is_done(self, state: Column) -> bool:
        """Tell whether every column is written."""
        return state.place >= self.length

    def is_correct(self, state: Column) -> bool:
        """Tell whether what is written is the sum."""
        return total_of(state.written) == total_of(self._one[::-1]) + total_of(self._other[::-1])

    def reference(self, state: Column) -> list[int]:
        """Return the right digit and carry."""
        carry, digit = divmod(sum(self._digits(state)) + state.carry, 10)
        return [digit, carry]

    def distractors(self, state: Column) -> list[list[int]]:
        """Return the usual slips: the carry forgotten or added twice, then one off."""
        digit, carry = self.reference(state)
        slips = [
            [(digit - state.carry) % 10, carry],
            [digit, 1 - carry],
            [(digit + 1) % 10, carry],
            [(digit - 1) % 10, carry],
        ]
        return [slip for place, slip in enumerate(slips) if slip != [digit, carry] and slip not in slips[:place]]

    def render(self, action: list[int]) -> str:
        """Return the reply that says `action`."""
        return f"digit = {action[0]}, carry = {action[1]}"

    def sentinel(self, number: int) -> Column:
        """Return a column with some carry; which columns there are, the two numbers say."""
        return Column(number * _STRIDE % self.length, number // self.length % 2, "")

    def _digits(self, state: Column) -> tuple[int, int]:
        return int(self._one[-1 - state.place]), int(self._other[-1 - state.place])


def total_of(written: str) -> int:
    """Return the number whose digits are written the last column first; of any length."""
    total = 0
    for start in range(0, len(written), 4_000):  # Python reads no longer numbers at once
        total += int(written[start : start + 4_000][::-1]) * 10**start
    return total
