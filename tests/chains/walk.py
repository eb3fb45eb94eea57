"""Small processes that the tests of the drive use; importable, so that other processes can drive them."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from orchestra_agents.errors import RedFlag
from orchestra_agents.models.contract import Prompt
from orchestra_agents.voting.jury import Jury


class Walk:
    """Walks on a circle: each step asks how far to go, 1 or 2, and the answer is the digit of the place."""

    spec = "tests.chains.walk:Walk"

    def __init__(self, length: int = 50, size: int = 97) -> None:
        self.length, self.size = length, size

    def first(self) -> list[int]:
        """Return place and number of steps."""
        return [1, 0]

    def prompt(self, state: list[int]) -> Prompt | Jury | str:
        """Ask for the next place."""
        return f"You stand at {state[0]} of {self.size}. Where do you go?"

    def parse(self, text: str, state: list[int]) -> int:
        """Read a place."""
        if not text.isdigit():
            raise RedFlag("unparsable", text)
        return int(text)

    def advance(self, state: list[int], action: int) -> list[int]:
        """Go there."""
        return [action, state[1] + 1]

    def is_done(self, state: list[int]) -> bool:
        """Tell whether all steps are taken."""
        return state[1] >= self.length

    def reference(self, state: list[int]) -> int:
        """Return the right next place."""
        return (3 * state[0] + 1) % self.size

    def distractors(self, state: list[int]) -> list[int]:
        """Return places near it."""
        right = self.reference(state)
        return [(right + 1) % self.size, (right + 2) % self.size]

    def sentinel(self, number: int) -> list[int]:
        """Return a state that the walk does not come through."""
        return [self.size + number, 0]


@dataclass(frozen=True, slots=True)
class Place:
    """A state that is a dataclass."""

    at: int
    visited: tuple[int, ...]


class TypedWalk:
    """The same with a dataclass as its state."""

    length = 20

    def first(self) -> Place:
        """Return the beginning."""
        return Place(1, ())

    def prompt(self, state: Place) -> str:
        """Ask for the next place."""
        return f"You stand at {state.at}."

    def parse(self, text: str, state: Place) -> Place:
        """Read a place; the action is the state that it leads to."""
        return Place(int(text), (*state.visited, state.at)[-3:])

    def advance(self, state: Place, action: Place) -> Place:
        """Go there."""
        return action

    def is_done(self, state: Place) -> bool:
        """Never."""
        return False

    def render(self, action: Place) -> str:
        """Say the place."""
        return str(action.at)

    def reference(self, state: Place) -> Place:
        """Return the right next place."""
        return self.parse(str(state.at + 1), state)


class Ledgered(Walk):
    """A walk that writes each step into a file of its own: an effect."""

    def __init__(self, path: Path, length: int = 6) -> None:
        super().__init__(length)
        self.path = path
        self.die_at: str | None = None
        self.spec = f"ledgered:{path.name}"

    async def observe(self, state: list[int], action: int, key: str) -> dict[str, int]:
        """Append a line, and perhaps die before the result is recorded."""
        with self.path.open("a") as file:
            file.write(f"{key} {action}\n")
        await asyncio.sleep(0)
        if key == self.die_at:
            os._exit(9)
        return {"lines": len(self.path.read_text().splitlines())}

    def absorb(self, state: list[int], observation: dict[str, int]) -> list[int]:
        """Keep the number of lines in the state."""
        return [state[0], state[1], observation["lines"]]

    def first(self) -> list[int]:
        """Return place, number of steps and lines."""
        return [1, 0, 0]
