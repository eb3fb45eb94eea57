"""A run whose agents have effects on real files: `python -m tests.crash.effects SETTINGS`, to be killed and resumed.

Three subtasks act at the same time, one of them by vote, and a last one reads what they say. What the model replies
depends on the prompt alone, and what a tool returns on its arguments; how long a tool takes is random.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import orchestra
from orchestra.running import Hooks
from orchestra.testing import Scripted
from orchestra_agents.models.contract import Prompt, Sampling, digest
from orchestra_agents.tools import Tool, tool

Json = Any
ACTING = ("a", "b", "c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process is to do."""

    folder: str
    """Where its journal is and the files that its tools write."""
    turns: int
    """Actions of each subtask before it is done; every second one has an effect."""
    sleep_s: float = 0.0
    """Most seconds that a tool takes before what it does, and again after it."""
    stalls: Literal["", "before", "after"] = ""
    """Where an effect of this process waits for a minute: before it happens, or after."""
    stalls_at: int = 1
    """Which effect of this process that is."""

    def as_argument(self) -> str:
        """Return the settings as an argument of the command line."""
        return json.dumps(asdict(self))


class Tools:
    """Tools that write the keys of their calls to files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._effects = 0

    def both(self) -> list[Tool]:
        """Return one tool that changes nothing, and one whose effect must not happen twice."""

        @tool(effects="none")
        async def look(place: int, *, key: str) -> str:
            """Look at a place."""
            self._write("looks", key)
            await self._while()
            return f"at {place} there is {digest(place)[:6]}"

        @tool(effects="once")
        async def append(word: str, *, key: str) -> str:
            """Append a word to a list."""
            self._effects += 1
            number = self._effects
            await self._while(number, "before")
            self._write("effects", key)
            await self._while(number, "after")
            return f"appended {word}"

        return [look, append]

    def _write(self, name: str, key: str) -> None:
        file = os.open(Path(self._settings.folder) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{key}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    async def _while(self, number: int = 0, where: str = "") -> None:
        if (number, where) == (self._settings.stalls_at, self._settings.stalls):
            await asyncio.sleep(60)
        await asyncio.sleep(random.uniform(0, self._settings.sleep_s))


def graph(turns: int) -> orchestra.TaskGraph:
    """Return the subtasks."""
    teams = {"a": f"solo:turns={turns + 1}", "b": f"solo:turns={turns + 1}", "c": f"vote:turns={turns + 1}"}
    acting = [
        {"id": one, "description": f"{one}: act.", "tools": ["look", "append"], "team": teams[one]} for one in ACTING
    ]
    return orchestra.TaskGraph([*acting, {"id": "d", "description": "d: say it.", "depends_on": list(ACTING)}])


def model(turns: int) -> Scripted:
    """Return a model that acts `turns` times and then says what it has seen."""

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        text = prompt.content()
        if sampling.schema is None:
            return f"all of {digest(text)[:12]}"
        turn = int(re.findall(r"This is turn (\d+)", text)[0])
        if turn > turns:
            return json.dumps({"answer": {"done": True, "answer": f"seen {digest(text)[:12]}"}})
        if turn % 2:
            return json.dumps({"answer": {"tool": "append", "arguments": {"word": f"word {turn}"}}})
        return json.dumps({"answer": {"tool": "look", "arguments": {"place": turn}}})

    return Scripted(reply)


async def perform(settings: Settings) -> orchestra.RunResult:
    """Begin the run, or go on with it."""
    plan = orchestra.plan(
        graph(settings.turns),
        model=model(settings.turns),
        choices=orchestra.Choices(topology="parallel"),
        tools=Tools(settings).both(),
    )
    journal = Path(settings.folder) / "journal.db"
    return await orchestra.run(plan, journal=journal, run_id="r", hooks=Hooks(allow_effects=True))


def main() -> None:
    """Print the result; Ctrl-C ends the process as a shell expects."""
    try:
        result = asyncio.run(perform(Settings(**json.loads(sys.argv[1]))))
    except KeyboardInterrupt:
        sys.exit(130)
    print(json.dumps(result.as_dict()))


if __name__ == "__main__":
    main()
