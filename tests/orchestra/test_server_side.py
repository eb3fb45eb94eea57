"""What a model's server sees of each topology: requests at a time, the texts, their order and how soon they come."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orchestra
from orchestra_topologies.router import Topology
from tests.agents.fake_openai import Reply, Request, chat, fake_server

Json = Any
DIAMOND = [
    {"id": "left", "description": "left: say it."},
    {"id": "right", "description": "right: say it."},
    {"id": "middle", "description": "middle: which?", "answer": {"choice": ["a", "b"]}, "depends_on": {"left": "weak"}},
    {"id": "last", "description": "last: say it.", "depends_on": {"middle": "strong", "right": "weak"}},
]


@dataclass(slots=True)
class Seen:
    """One request, as the server saw it."""

    node: str
    text: str
    came: float
    in_flight: int
    """Requests unanswered then, itself included."""
    left: float = 0.0


class Server:
    """Answers after a while and keeps what it saw."""

    def __init__(self, takes_s: float = 0.02) -> None:
        self.seen: list[Seen] = []
        self._open = 0
        self._takes_s = takes_s

    def __call__(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        text = "\n".join(message["content"] for message in request.body["messages"])
        schema = request.body.get("response_format", {}).get("json_schema", {}).get("schema")
        node = "<lead>" if "You lead the workers" in text else text.splitlines()[-1].partition(":")[0]
        self._open += 1
        seen = Seen(node, text, loop.time(), self._open)
        self.seen.append(seen)
        done = asyncio.Event()

        def answer() -> None:
            self._open -= 1
            seen.left = loop.time()
            done.set()

        loop.call_later(self._takes_s, answer)
        said = json.dumps(_member(schema)) if schema else f"WORDS OF {node.upper()}"
        return Reply(body=chat(said, usage={"prompt_tokens": 9, "completion_tokens": 3}).body, waits_for=done)


def _member(schema: Json) -> Json:
    match schema.get("type"):
        case "object":
            return {name: _member(part) for name, part in schema["properties"].items()}
        case "array":
            return []
        case _:
            return schema["enum"][0] if "enum" in schema else "a note"


async def seen_by_server(topology: Topology, folder: Path, **choices: Any) -> tuple[list[Seen], orchestra.RunResult]:
    """Run the diamond against a loopback server and return what it saw."""
    server = Server()
    async with fake_server(default=server) as there:
        plan = orchestra.plan(
            orchestra.TaskGraph(DIAMOND),
            model="vllm:m",
            choices=orchestra.Choices(topology=topology, **choices),
        )
        async with orchestra.Session(journal=folder / f"{topology}.db", base_url=there.url) as session:
            result = await orchestra.run(plan, session=session)
    assert result.status == "ok"
    return server.seen, result


async def test_sequential_never_has_two_requests_in_flight(tmp_path: Path) -> None:
    """Subtasks, and the votes of each, come one after the other."""
    seen, _ = await seen_by_server("sequential", tmp_path, k=3)
    assert [one.node for one in seen] == ["left", "right", "middle", "middle", "middle", "last"]
    assert {one.in_flight for one in seen} == {1}


async def test_parallel_has_several_and_carries_no_text_along_weak_edges(tmp_path: Path) -> None:
    """Votes and independent subtasks come together; a weak edge orders two subtasks but passes nothing."""
    seen, result = await seen_by_server("parallel", tmp_path)
    assert max(one.in_flight for one in seen) >= 2
    assert [one.text for one in seen if one.node == "middle" and "WORDS OF LEFT" in one.text] == []
    last = next(one for one in seen if one.node == "last")
    assert "WORDS OF RIGHT" not in last.text
    assert '<data from="middle">' in last.text
    assert result.ignored_edges == [["left", "middle"], ["right", "last"]]


async def test_hierarchical_asks_its_lead_first_and_last(tmp_path: Path) -> None:
    """The lead plans before anybody works, and reads the reports when everybody has."""
    seen, _ = await seen_by_server("hierarchical", tmp_path)
    assert (seen[0].node, seen[-1].node) == ("<lead>", "<lead>")
    assert [one for one in seen[1:] if one.came < seen[0].left] == []
    assert "WORDS OF RIGHT" in seen[-1].text
    assert all("a note" in one.text for one in seen[1:-1])


async def test_hybrid_starts_a_node_as_soon_as_its_last_input_is_there(tmp_path: Path) -> None:
    """Between the last input's reply and the first request of its reader there are at most 50 ms."""
    gaps = []
    for _ in range(3):  # the box is shared: one quiet run of three is asked for
        folder = tmp_path / str(len(gaps))
        folder.mkdir()
        seen, _ = await seen_by_server("hybrid", folder)
        done = {one.node: one.left for one in seen}
        came = {one.node: one.came for one in reversed(seen)}
        assert came["middle"] >= done["left"]
        gaps.append(max(came["middle"] - done["left"], came["last"] - max(done["middle"], done["right"])))
    assert min(gaps) <= 0.05
