"""What an environment is: tools that act on a small state, a goal in words, and an exact score of the final state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_agents.tools import Toolbox, Turn

Action: TypeAlias = dict[str, Json]
"""What an agent decides: `{tool, arguments}` or `{done, answer}`."""

TOOL_COUNTS = (3, 5, 16)
"""How many tools an environment may have: those that it takes alone, or with 2 or 13 distractors."""


class Environment(Protocol):
    """A task for agents: offline, and fixed by its parameters and the calls made, in their order."""

    @property
    def goal(self) -> str:
        """The task in words, all that an agent with the tools has to know."""

    def toolbox(self) -> Toolbox:
        """Return the tools that act on its state, with the reference policy and what tells that the goal is reached."""

    def score(self) -> float:
        """Return how far the present state is what the goal asks for, in [0, 1]."""

    def state(self) -> Json:
        """Return all that calls have changed; equal for states that nothing could tell apart."""

    async def restore(self, calls: Iterable[tuple[str, Json]]) -> None:
        """Begin anew and repeat recorded calls, so that the state is what it was after the last of them.

        Args:
            calls: Tool name and arguments, in the order in which they were carried out; those that were refused or
                failed may be among them and change nothing again.
        """


class Deeds:
    """What was carried out, by the key of its call; this makes a tool that uses material up an idempotent one."""

    def __init__(self) -> None:
        self._results: dict[str, Json | ValueError] = {}

    def once(self, key: str, act: Callable[[], Json]) -> Json:
        """Return what `act` came to the first time that `key` was given; a repeated key changes nothing.

        Raises:
            ValueError: The first time came to one.
        """
        if key not in self._results:
            try:
                self._results[key] = act()
            except ValueError as error:
                self._results[key] = error
        result = self._results[key]
        if isinstance(result, ValueError):
            raise ValueError(str(result)) from result
        return result

    def forget(self) -> None:
        """Take every key for a new one."""
        self._results.clear()


@dataclass(frozen=True, slots=True)
class Seen:
    """A call of an agent's own that succeeded, and what it saw."""

    tool: str
    arguments: Json
    text: str


def seen(turns: Sequence[Turn]) -> Iterator[Seen]:
    """Yield the calls of `turns` that succeeded, oldest first."""
    for turn in turns:
        if turn.observation.status == "ok":
            yield Seen(turn.action["tool"], turn.action["arguments"], turn.observation.text)


def act(tool: str, **arguments: Json) -> Action:
    """Return the action that calls `tool`."""
    return {"tool": tool, "arguments": arguments}


def finish(answer: str) -> Action:
    """Return the action that ends an agent's work."""
    return {"done": True, "answer": answer}


async def replay(toolbox: Toolbox, calls: Iterable[tuple[str, Json]]) -> None:
    """Make recorded calls again, each under a key of its own; a tool that there is not was refused, and is again."""
    for number, (name, arguments) in enumerate(calls):
        if name in toolbox.tools:
            await toolbox.tools[name].call(arguments, f"replay {number}")


def check_integer(name: str, value: int, *, low: int, high: int | None = None) -> None:
    """Refuse a parameter that is no integer of its range.

    Raises:
        InputError: It is none.
    """
    if type(value) is not int or value < low or (high is not None and value > high):
        allowed = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
        raise InputError("environment", f"{name} must be {allowed}, got {shown(value)}")


def check_tools(name: str, value: int) -> None:
    """Refuse a number of tools that is none of 3, 5 and 16.

    Raises:
        InputError: It is none.
    """
    if type(value) is not int or value not in TOOL_COUNTS:
        raise InputError("environment", f"{name} must be 3, 5 or 16, got {shown(value)}")
