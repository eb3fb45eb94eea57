"""A model's server on loopback that keeps what the agents of teams ask it, and whose words each of them reads."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orchestra
from orchestra_topologies.teams.prompts import COORDINATE, FINDING, JOIN, PLAN, SYNTHESISE
from tests.agents.fake_openai import Reply, Request, chat, failing, fake_server

Json = Any
TEAMS = ("independent", "decentralized", "centralized", "peers", "tree:join=model")
CHOICE = {"choice": ["red", "green", "blue"]}
PARTS = {PLAN.partition("{count} ")[2]: "plan", COORDINATE: "coordinate", SYNTHESISE: "synthesise"}
PARTS |= {FINDING: "work", JOIN: "join", "You lead the workers who": "lead", "You lead the workers whose": "lead"}


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request, as the server saw it."""

    kind: str
    """plan, work, coordinate, synthesise and join in teams, lead of a topology; solve is the question itself."""
    text: str
    """All messages."""
    seed: int
    model: str
    max_tokens: int
    schema: Json
    came: float
    in_flight: int
    """Requests unanswered then, itself included."""
    said: str = ""
    left: float = 0.0

    @property
    def words(self) -> str:
        """The last line, which says what to do."""
        return self.text.splitlines()[-1]

    def data(self, mark: str = "") -> list[str]:
        """Return the delimited texts whose mark begins so, in order."""
        found = re.findall(r"<data ([^>]*)>\n(.*?)\n</data>", self.text, flags=re.DOTALL)
        return [text for told, text in found if told.startswith(mark)]

    def heard(self) -> list[str]:
        """Return the texts of other agents, in order."""
        return self.data('from="agent')

    def own(self) -> list[str]:
        """Return the agent's own last words."""
        return self.data('kind="your last')


@dataclass(slots=True)
class Server:
    """Answers after a while, by what it was asked and the seed alone, and keeps what it saw."""

    says: Callable[[Seen], str | None] = lambda seen: None
    """What is said instead of the usual; None says the usual, different words to every prompt and seed."""
    refuses: Callable[[Seen], bool] = lambda seen: False
    """What is answered with an error that is not worth another try."""
    stalls: Callable[[Seen], bool] = lambda seen: False
    """What is never answered."""
    takes_s: float = 0.002
    together: int = 1
    """Requests that must have come before the first is answered."""
    seen: list[Seen] = field(default_factory=list)
    _open: int = 0
    _held: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        body, loop = request.body, asyncio.get_running_loop()
        text = "\n\n".join(message["content"] for message in body["messages"])
        self._open += 1
        seen = Seen(
            kind=next((kind for words, kind in PARTS.items() if words in text), "solve"),
            text=text,
            seed=body["seed"],
            model=body["model"],
            max_tokens=body.get("max_tokens", body.get("max_completion_tokens")),
            schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
            came=loop.time(),
            in_flight=self._open,
        )
        self.seen.append(seen)
        seen.said = self.says(seen) or _usual(seen)
        done = asyncio.Event()

        def answer() -> None:
            self._open -= 1
            seen.left = loop.time()
            done.set()

        if not self.stalls(seen):
            self._held.append(answer)
        if len(self.seen) >= self.together:
            for held in self._held:
                loop.call_later(self.takes_s, held)
            self._held.clear()
        if self.refuses(seen):
            return Reply(status=400, body=failing(400, "refused here").body, waits_for=done)
        return Reply(body=chat(seen.said, usage={"prompt_tokens": 9, "completion_tokens": 3}).body, waits_for=done)

    def of(self, *kinds: str) -> list[Seen]:
        """Return the requests of some kinds, in the order of their coming."""
        return [seen for seen in self.seen if seen.kind in kinds]

    def in_rounds(self, size: int, *kinds: str) -> list[list[Seen]]:
        """Return the requests of some kinds in rounds, none of which began before the one before had ended."""
        seen = self.of(*kinds)
        rounds = [seen[start : start + size] for start in range(0, len(seen), size)]
        for before, after in pairwise(rounds):
            assert max(one.left for one in before) <= min(one.came for one in after)
        return rounds


def _usual(seen: Seen) -> str:
    number = int(hashlib.sha256(f"{seen.text}{seen.seed}".encode()).hexdigest()[:8], 16)
    return json.dumps(_member(seen.schema, number)) if seen.schema else f"WORDS {number:x}"


def _member(schema: Json, number: int) -> Json:
    """Return the value of a schema that `number` picks; the texts in it differ from one another."""
    match schema.get("type"):
        case "object":
            parts = enumerate(schema["properties"].items())
            return {name: _member(part, number + place) for place, (name, part) in parts}
        case "array":
            return [_member(schema["items"], 31 * number + 7 * place) for place in range(schema.get("minItems", 0))]
        case "number":
            return number % 7
        case _:
            return schema["enum"][number % len(schema["enum"])] if "enum" in schema else f"NOTE {number:x}."


def verdict(seen: Seen, said: str) -> str | None:
    """Return what a lead says that reads findings, None where somebody else is asked."""
    if seen.kind != "coordinate":
        return None
    count = seen.schema["properties"]["answer"]["properties"]["guidance"]["minItems"]
    guidance = [f"GUIDANCE {seen.seed}.{place}." for place in range(count)]
    return json.dumps({"answer": {"verdict": said, "guidance": guidance}})


def answer(value: Json) -> str:
    """Return a typed reply."""
    return json.dumps({"answer": value})


async def asked(
    server: Server,
    folder: Path,
    team: str,
    graph: Json = "text",
    *,
    model: Json = "vllm:m",
    budget: orchestra.Budget | None = None,
    roles: Json = None,
    run_id: str = "r",
    **choices: Json,
) -> orchestra.RunResult:
    """Have a team answer against the server: a graph, or the subtask `a` of an answer type."""
    is_graph = isinstance(graph, list)
    subtasks = graph if is_graph else [{"id": "a", "description": "a: say it.", "answer": graph}]
    plan = orchestra.plan(
        orchestra.TaskGraph(subtasks),
        model=model,
        budget=budget,
        choices=orchestra.Choices(team=team, **choices),
        roles=roles,
    )
    async with (
        fake_server(default=server) as there,
        orchestra.Session(journal=folder / "j.db", base_url=there.url) as session,
    ):
        return await orchestra.run(plan, session=session, run_id=run_id)


def records(folder: Path, kind: str, run_id: str = "r") -> list[Json]:
    """Return the records of one kind, in order."""
    with orchestra.Journal(folder / "j.db", "read") as journal:
        found = [entry.record for entry in journal.entries(run_id)]
    return [record.model_dump(mode="json") for record in found if record.kind == kind]
