"""How close a run comes to what its DAG allows, in virtual time, and how it stands beside plain LangGraph in real time.

    python benchmarks/dag.py --subtasks 1000 --rounds 5

Virtual time (simulated models, the real `orchestra.run` with topology hybrid and a real journal): the makespan over the
critical path with as many calls at once as there are subtasks, and with 8 over that of an independent greedy scheduler
which takes what is ready first in, first out. The goal is 5 % for both, and the exit status says whether it was met.

Real time: a DAG of the same kind with a mean latency of 20 ms, as a run with its journal and as a plain LangGraph graph
with one node for each subtask, in turns. LangGraph goes in supersteps: a fast branch waits for the slowest sibling.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import random
import sys
import tempfile
from collections import deque
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

import orchestra
from orchestra.testing import run_virtual

GOAL = 0.05
"""Largest excess over the critical path and over the greedy makespan."""
REACH, DEGREE = 200, 5


def random_dag(count: int, *, seed: int, mean_ms: float) -> orchestra.TaskGraph:
    """Return subtasks that depend on about 5 of the 200 before them, each with a latency of its own."""
    rng = random.Random(seed)
    subtasks = []
    for place in range(count):
        befores = rng.sample(range(max(0, place - REACH), place), min(place, rng.randint(0, 2 * DEGREE)))
        latency = mean_ms * rng.lognormvariate(-0.5, 1)
        edges = {f"n{before}": "weak" for before in befores}
        subtasks.append({"id": f"n{place}", "description": "Do it.", "depends_on": edges, "latency_ms": latency})
    return orchestra.TaskGraph(subtasks)


def critical_path(graph: orchestra.TaskGraph) -> float:
    """Return the longest path of latencies, in seconds."""
    ends: dict[str, float] = {}
    for subtask in graph:
        start = max((ends[before] for before in graph.predecessors(subtask.id)), default=0.0)
        ends[subtask.id] = start + (subtask.latency_ms or 0) / 1000
    return max(ends.values())


def greedy_makespan(graph: orchestra.TaskGraph, workers: int) -> float:
    """Return when `workers` who take what is ready in the order of becoming so are done, in seconds."""
    waiting = {subtask.id: len(subtask.depends_on) for subtask in graph}
    ready = deque(one for one in graph.order if not waiting[one])
    busy: list[tuple[float, int, str]] = []
    now, started = 0.0, 0
    while ready or busy:
        while ready and len(busy) < workers:
            one = ready.popleft()
            heapq.heappush(busy, (now + (graph[one].latency_ms or 0) / 1000, started, one))
            started += 1
        now, _, done = heapq.heappop(busy)
        for after in graph.successors(done):
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    return now


async def makespan(graph: orchestra.TaskGraph, concurrency: int) -> float:
    """Return the seconds of the running loop that a run of `graph` takes."""
    choices = orchestra.Choices(topology="hybrid")
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.db"
        async with orchestra.Session(model="simulated", concurrency=concurrency, journal=journal) as session:
            start = loop.time()
            result = await orchestra.run(orchestra.plan(graph, choices=choices), session=session)
            took = loop.time() - start
    assert result.status == "ok", result.status
    return took


class Nothing(TypedDict, total=False):
    """A state without content: the fastest that LangGraph can carry."""

    done: bool


def as_langgraph(graph: orchestra.TaskGraph) -> Any:
    """Return the same DAG as plain LangGraph nodes that sleep."""
    built = StateGraph(Nothing)
    for subtask in graph:

        async def work(state: Nothing, seconds: float = (subtask.latency_ms or 0) / 1000) -> Nothing:
            await asyncio.sleep(seconds)
            return {}

        built.add_node(subtask.id, work)
    for subtask in graph:
        befores = list(graph.predecessors(subtask.id))
        built.add_edge(befores if befores else START, subtask.id)
        if not graph.successors(subtask.id):
            built.add_edge(subtask.id, END)
    return built.compile()


async def langgraph_makespan(app: Any) -> float:
    """Return the wall-clock seconds that LangGraph takes."""
    start = perf_counter()
    await app.ainvoke({}, {"recursion_limit": 1_000_000})
    return perf_counter() - start


def virtual(count: int, seeds: int) -> bool:
    """Print and judge the makespans in virtual time."""
    met = True
    print(f"virtual time, simulated model, {count} subtasks, hybrid (goal: at most {GOAL:.0%} above)")
    for seed in range(seeds):
        graph = random_dag(count, seed=seed, mean_ms=1000)
        free, path = run_virtual(makespan(graph, 2 * count)), critical_path(graph)
        eight, greedy = run_virtual(makespan(graph, 8)), greedy_makespan(graph, 8)
        over = (free / path - 1, eight / greedy - 1)
        met &= max(over) <= GOAL
        print(
            f"  seed {seed}: {free:.2f} s for a critical path of {path:.2f} s ({over[0]:+.2%}); "
            f"8 at once {eight:.2f} s, greedy {greedy:.2f} s ({over[1]:+.2%})"
        )
    return met


def real(count: int, rounds: int) -> None:
    """Print the medians in real time, in turns."""
    graph = random_dag(count, seed=0, mean_ms=20)
    start = perf_counter()
    app = as_langgraph(graph)
    compiled = perf_counter() - start
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(asyncio.run(makespan(graph, 2 * count)))
        theirs.append(asyncio.run(langgraph_makespan(app)))
    path = critical_path(graph)
    print(f"real time, {count} subtasks, mean latency 20 ms, medians of {rounds} alternating rounds")
    print(f"  critical path                  {path:7.2f} s")
    print(f"  orchestra.run, with journal    {median(ours):7.2f} s   {median(ours) / path:5.2f} x the critical path")
    print(
        f"  LangGraph nodes, no journal    {median(theirs):7.2f} s   {median(theirs) / path:5.2f} x the critical path"
    )
    print(
        f"  LangGraph over orchestra       {median(theirs) / median(ours):7.2f}     (and {compiled:.2f} s to compile)"
    )


def main() -> int:
    """Run both parts; 1 where a goal in virtual time was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--subtasks", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    met = virtual(said.subtasks, said.seeds)
    real(said.subtasks, said.rounds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
