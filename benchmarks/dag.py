"""How close a run of a large DAG comes to its critical path, and to LangGraph running the same DAG node by node.

    python benchmarks/dag.py [--runs 5] [--subtasks 1000] [--seed 0]

Evidence: simulated. Every subtask depends on about 5 of the 200 before it, answers in text (one call) and takes a
lognormal time of its own.

1. Virtual time, mean latency 1 s, five DAGs: `orchestra.run` with the topology hybrid, at unlimited concurrency over
   the critical path (networkx), and at 8 calls in flight over a FIFO list scheduler written here. Goal: within 5 %
   of each; faster by more would mean a broken limit. Computing takes no virtual time. The exit status is 1 if a goal
   is missed.
2. Real time, mean latency 20 ms, the DAG of `--seed`: `orchestra.run` from plan to answer, every record committed to a
   new SQLite journal, beside plain LangGraph with one node a subtask, an `asyncio.sleep` in it and no checkpointer;
   alternating after an untimed run of each, median of `--runs`. LangGraph starts no node before the whole superstep
   before it has ended; "layer by layer" is the least that such barriers allow. Reported, without a goal.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import operator
import random
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, TypedDict

import networkx as nx
from langgraph.graph import START, StateGraph

from orchestra.choices import Choices
from orchestra.planning import Plan
from orchestra.running import run
from orchestra.session import Session
from orchestra.testing import run_virtual
from orchestra_topologies.graph import TaskGraph

GOAL = 5.0
"""Most percent off the reference, in virtual time."""
SEEDS = 5
"""DAGs of the first part."""
REACH, DEGREE = 200, 5
"""How far back a dependency lies at most, and dependencies of a node as far as there are so many before it."""
SPREAD = 0.5
"""Standard deviation of the logarithm of a latency."""
NARROW, UNLIMITED = 8, 2000
"""Calls in flight at once; the second never makes a subtask wait, as no DAG here has more subtasks."""


@dataclass(frozen=True)
class Dag:
    """Dependencies by place, each on earlier places only, and latencies in seconds."""

    befores: list[list[int]]
    latencies: list[float]

    def __len__(self) -> int:
        return len(self.latencies)


def random_dag(subtasks: int, seed: int, mean_s: float) -> Dag:
    """Return the DAG of `seed`: the same one at every mean latency, but for its scale."""
    rng = random.Random(seed)
    befores = [sorted(rng.sample(range(max(0, place - REACH), place), min(place, DEGREE))) for place in range(subtasks)]
    middle = -(SPREAD**2) / 2  # of the logarithm, so that the mean is 1
    return Dag(befores, [mean_s * rng.lognormvariate(middle, SPREAD) for _ in range(subtasks)])


def task_graph(dag: Dag) -> TaskGraph:
    return TaskGraph(
        {
            "id": f"subtask-{place}",
            "description": "Do it.",
            "depends_on": [f"subtask-{before}" for before in befores],
            "latency_ms": latency * 1e3,
        }
        for place, (befores, latency) in enumerate(zip(dag.befores, dag.latencies, strict=True))
    )


def critical_path(dag: Dag) -> float:
    """Return the longest path of latencies; an edge weighs what its earlier end takes, and every node leads to -1."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    for place, befores in enumerate(dag.befores):
        graph.add_weighted_edges_from((before, place, dag.latencies[before]) for before in befores)
        graph.add_edge(place, -1, weight=dag.latencies[place])
    return float(nx.dag_longest_path_length(graph))


def layer_by_layer(dag: Dag) -> tuple[int, float]:
    """Return the number of layers and the sum of the slowest latency of each: the least with a barrier after each."""
    depths: list[int] = []
    slowest: list[float] = []
    for place, befores in enumerate(dag.befores):
        depths.append(1 + max((depths[before] for before in befores), default=-1))
        if depths[place] == len(slowest):
            slowest.append(0.0)
        slowest[depths[place]] = max(slowest[depths[place]], dag.latencies[place])
    return len(slowest), sum(slowest)


def list_schedule(dag: Dag, workers: int) -> float:
    """Return the makespan of a greedy list scheduler: ready subtasks first come first served, ties in file order."""
    afters: list[list[int]] = [[] for _ in dag.befores]
    for place, befores in enumerate(dag.befores):
        for before in befores:
            afters[before].append(place)
    missing = [len(befores) for befores in dag.befores]
    ready = deque(place for place, count in enumerate(missing) if not count)
    working: list[tuple[float, int]] = []
    now = 0.0
    while ready or working:
        while ready and len(working) < workers:
            place = ready.popleft()
            heapq.heappush(working, (now + dag.latencies[place], place))
        now, ended = heapq.heappop(working)
        for after in afters[ended]:
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    return now


async def ours(graph: TaskGraph, concurrency: int, journal: Path) -> float:
    """Return the seconds of the running loop's clock that one run takes."""
    plan = Plan(task=graph, model="simulated:seed=1", choices=Choices(topology="hybrid"))
    clock = asyncio.get_running_loop().time
    async with Session(concurrency=concurrency, journal=journal) as session:
        started = clock()
        result = await run(plan, session=session)
        taken = clock() - started
    if (result.status, result.topology, result.usage.calls) != ("ok", "hybrid", len(graph)):
        raise SystemExit(f"not the run that was meant: {result.status}, {result.topology}, {result.usage}")
    return taken


class Count(TypedDict):
    """The state of the LangGraph graph: how many nodes have ended."""

    ended: Annotated[int, operator.add]


def langgraph(dag: Dag) -> Any:
    """Return the DAG as a compiled LangGraph graph of one node a subtask."""

    def node(latency: float) -> Callable[[Count], Any]:
        async def work(state: Count) -> Count:
            await asyncio.sleep(latency)
            return {"ended": 1}

        return work

    graph: Any = StateGraph(Count)
    for place, latency in enumerate(dag.latencies):
        graph.add_node(str(place), node(latency))
    for place, befores in enumerate(dag.befores):
        graph.add_edge([str(before) for before in befores] if befores else START, str(place))
    return graph.compile()


async def theirs(app: Any, subtasks: int) -> float:
    clock = asyncio.get_running_loop().time
    started = clock()
    result = await app.ainvoke({"ended": 0}, {"recursion_limit": subtasks + 10})
    taken = clock() - started
    if result["ended"] != subtasks:
        raise SystemExit(f"LangGraph ran {result['ended']} of {subtasks} nodes")
    return taken


def virtual_time(subtasks: int, seeds: range, folder: Path) -> bool:
    """Print the first part and return whether its goals are met."""
    print(f"1. virtual time (simulated): {subtasks:,} subtasks, mean latency 1 s, hybrid; goal: within {GOAL:g} %")
    print(f"{'':8}{'unlimited':>12}{'critical path':>16}{'above':>10}{'8 at once':>14}{'list, 8':>12}{'above':>10}")
    worst = [0.0, 0.0]
    for seed in seeds:
        dag = random_dag(subtasks, seed, 1.0)
        graph = task_graph(dag)
        wide, narrow = (
            run_virtual(ours(graph, concurrency, folder / f"virtual-{seed}-{concurrency}.db"))
            for concurrency in (UNLIMITED, NARROW)
        )
        path, listed = critical_path(dag), list_schedule(dag, NARROW)
        above = [(wide / path - 1) * 100, (narrow / listed - 1) * 100]
        worst = [max(pair, key=abs) for pair in zip(worst, above, strict=True)]
        print(
            f"seed {seed:<3}{wide:10.3f} s{path:14.3f} s{above[0]:+8.3f} %{narrow:12.3f} s{listed:10.3f} s"
            f"{above[1]:+8.3f} %"
        )
    is_met = max(map(abs, worst)) <= GOAL
    print(
        f"worst of {len(seeds)}: {worst[0]:+.3f} % over the critical path, {worst[1]:+.3f} % over the list scheduler"
        f" ({'goals met' if is_met else 'GOAL MISSED'})"
    )
    return is_met


def real_time(subtasks: int, seed: int, runs: int, folder: Path) -> None:
    """Print the second part."""
    dag = random_dag(subtasks, seed, 0.020)
    small = random_dag(20, seed, 0.001)
    started = perf_counter()
    graph = task_graph(dag)
    built = perf_counter() - started
    started = perf_counter()
    app = langgraph(dag)
    compiled = perf_counter() - started
    asyncio.run(ours(task_graph(small), UNLIMITED, folder / "warm.db"))
    asyncio.run(theirs(langgraph(small), len(small)))
    times: dict[str, list[float]] = {"orchestra": [], "LangGraph": []}
    for number in range(runs):
        gc.collect()
        times["orchestra"].append(asyncio.run(ours(graph, UNLIMITED, folder / f"real-{number}.db")))
        gc.collect()
        times["LangGraph"].append(asyncio.run(theirs(app, subtasks)))
    path, (layers, barred) = critical_path(dag), layer_by_layer(dag)
    print(f"2. real time (simulated models): {subtasks:,} subtasks, mean latency 20 ms, seed {seed}, median of {runs}")
    print(f"{'critical path':<42}{path:8.3f} s")
    print(f"{f'layer by layer ({layers} layers)':<42}{barred:8.3f} s")
    for name, told in [
        ("orchestra", "orchestra.run hybrid, SQLite journal"),
        ("LangGraph", "LangGraph, a node a subtask, no saver"),
    ]:
        taken = times[name]
        middle = median(taken)
        print(
            f"{told:<42}{middle:8.3f} s   [{min(taken):.3f}..{max(taken):.3f}]   {(middle / path - 1) * 100:+.1f} %"
            " over the critical path"
        )
    print(f"{'LangGraph graph and compile, apart':<42}{compiled:8.3f} s   (TaskGraph: {built:.3f} s)")
    print(f"ratio orchestra / LangGraph: {median(times['orchestra']) / median(times['LangGraph']):.3f}")


def main() -> int:
    """Print both parts and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="alternating runs in real time")
    parser.add_argument("--subtasks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help=f"of the first DAG of {SEEDS}")
    asked = parser.parse_args()
    if not (1 <= asked.subtasks <= UNLIMITED and asked.runs >= 1):
        parser.error(f"--subtasks must be from 1 to {UNLIMITED}, --runs at least 1")
    with tempfile.TemporaryDirectory() as folder:
        is_met = virtual_time(asked.subtasks, range(asked.seed, asked.seed + SEEDS), Path(folder))
        real_time(asked.subtasks, asked.seed, asked.runs, Path(folder))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
