"""When subtasks start: against a real server that takes its time, by the order in its log; exactly, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orchestra
from orchestra.testing import run_virtual
from tests.crash.slow_server import Line, SlowServer

Json = Any
SCALE_S = 0.1
"""Seconds of a unit of work at the real server."""


def branch_beside_sibling(*, first: float, second: float, sibling: float) -> orchestra.TaskGraph:
    """Return a graph of a two-step branch and an independent subtask, with the units of work of each."""
    work = {"first": first, "second": second, "sibling": sibling}
    needs = {"second": ["first"]}
    return orchestra.TaskGraph(
        {
            "id": one,
            "description": f"{one} sleep={units * SCALE_S}: Say it.",
            "depends_on": needs.get(one, []),
            "latency_ms": units * 1000,
        }
        for one, units in work.items()
    )


async def run_at(server: SlowServer, graph: orchestra.TaskGraph, tmp_path: Path, **choices: Any) -> orchestra.RunResult:
    """Run a graph against the server and return its result."""
    plan = orchestra.plan(graph, model="vllm:test", choices=orchestra.Choices(**choices))
    async with orchestra.Session(base_url=server.url, journal=tmp_path / "j.db") as session:
        return await orchestra.run(plan, session=session)


def happened(log: list[Line]) -> list[tuple[str, str]]:
    """Return what the server saw, in its order."""
    return [(line.what, line.subtask) for line in log]


async def test_a_branch_does_not_wait_for_its_slow_sibling(server: SlowServer, tmp_path: Path) -> None:
    """Of a branch of 0.5 s and 0.5 s beside 2 s, the second step is asked and answered before the sibling ends."""
    result = await run_at(server, branch_beside_sibling(first=5, second=5, sibling=20), tmp_path, topology="hybrid")
    assert result.status == "ok"
    assert happened(server.lines())[2:] == [
        ("answered", "first"),
        ("asked", "second"),
        ("answered", "second"),
        ("answered", "sibling"),
    ]


async def test_with_all_earlier_layers_in_view_a_branch_does_wait(server: SlowServer, tmp_path: Path) -> None:
    """context=layers brings the layer barrier: the second step is asked only once the slow sibling ended."""
    graph = branch_beside_sibling(first=1, second=1, sibling=4)
    result = await run_at(server, graph, tmp_path, topology="hybrid", context="layers")
    assert result.status == "ok"
    assert happened(server.lines())[3:] == [("answered", "sibling"), ("asked", "second"), ("answered", "second")]


async def test_sequential_subtasks_never_overlap(server: SlowServer, tmp_path: Path) -> None:
    """With the topology sequential all votes of a subtask are answered before anything is asked for the next."""
    kinds = {"a": "text", "b": {"choice": ["x", "y"]}, "c": "number", "d": "text"}
    graph = orchestra.TaskGraph(
        {"id": one, "description": f"{one} sleep=0.05: Say it.", "answer": answer} for one, answer in kinds.items()
    )
    result = await run_at(server, graph, tmp_path, topology="sequential")
    assert result.status == "ok"
    seen = [subtask for _, subtask in happened(server.lines())]
    assert list(dict.fromkeys(seen)) == list(graph.order)
    assert seen == sorted(seen, key=graph.order.index)


def test_in_virtual_time_a_run_takes_exactly_its_critical_path(tmp_path: Path) -> None:
    """Two subtasks of 5 s in a row beside one of 20 s take 20 s to the microsecond; in sequence they take 30."""
    graph = branch_beside_sibling(first=5, second=5, sibling=20)

    def seconds(topology: Any) -> float:
        plan = orchestra.plan(graph, model="simulated", choices=orchestra.Choices(topology=topology))
        return run_virtual(orchestra.run(plan, journal=tmp_path / f"{topology}.db")).seconds

    assert {one: seconds(one) for one in ("hybrid", "parallel", "sequential")} == {
        "hybrid": 20.0,
        "parallel": 20.0,
        "sequential": 30.0,
    }
