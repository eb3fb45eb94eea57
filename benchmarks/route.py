"""How long routing a large graph takes, beside networkx ordering the same graph.

    python benchmarks/route.py --nodes 100000 --rounds 7

The route is the linear pass over checked subtasks, the shape and Algorithm 1; the goal is at most twice
`networkx.topological_generations` on a networkx graph that is already built.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import networkx as nx

from orchestra_topologies.adjacency import analyse
from orchestra_topologies.graph import COUPLING, Subtask, TaskGraph
from orchestra_topologies.router import Route, route
from orchestra_topologies.shape import measure

GOAL = 2.0
"""Most times networkx that the route may take."""
REACH = 200
"""How far back a dependency lies at most."""
DEGREE = 5
"""Dependencies of a node, as far as there are so many before it."""


def random_subtasks(nodes: int, seed: int = 0) -> list[Subtask]:
    """Return subtasks that depend on about 5 of the 200 before them."""
    rng = random.Random(seed)
    labels = list(COUPLING)
    subtasks = []
    for place in range(nodes):
        befores = rng.sample(range(max(0, place - REACH), place), min(place, DEGREE))
        edges = tuple((f"subtask-{before}", rng.choice(labels)) for before in befores)
        tokens = rng.randint(1, 900)
        subtasks.append(Subtask(id=f"subtask-{place}", description="Do it.", depends_on=edges, estimated_tokens=tokens))
    return subtasks


def whole_route(subtasks: tuple[Subtask, ...]) -> Route:
    """Return the route of checked subtasks, from nothing but their values."""
    return route(measure(subtasks, analyse(subtasks)))


def seconds(work: Callable[[], Any]) -> float:
    """Return how long one call of `work` takes; its result is freed outside."""
    start = perf_counter()
    result = work()
    took = perf_counter() - start
    del result
    return took


def main() -> None:
    """Print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    values = random_subtasks(asked.nodes)
    graph = TaskGraph(values)
    said = [subtask.to_dict() for subtask in graph.subtasks]
    reference = graph.to_networkx()
    work: dict[str, Callable[[], Any]] = {
        "route: linear pass + shape + Algorithm 1": lambda: whole_route(graph.subtasks),
        "  of it the linear pass": lambda: analyse(graph.subtasks),
        "networkx.topological_generations": lambda: sum(map(len, nx.topological_generations(reference))),
        "TaskGraph from Subtask values (checked again)": lambda: TaskGraph(values),
        "TaskGraph from dicts (as read from a file)": lambda: TaskGraph(said),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(asked.rounds):
        for name, one in work.items():
            times[name].append(seconds(one))
    print(f"{asked.nodes:,} nodes, {reference.number_of_edges():,} edges, median of {asked.rounds} interleaved rounds")
    for name, taken in times.items():
        print(f"{name:<48}{median(taken) * 1e3:9.1f} ms   [{min(taken) * 1e3:.1f}..{max(taken) * 1e3:.1f}]")
    ours, theirs = (median(taken) for taken in (times[next(iter(work))], times["networkx.topological_generations"]))
    print(f"ratio route / networkx: {ours / theirs:.2f} (goal: at most {GOAL:g})")


if __name__ == "__main__":
    main()
