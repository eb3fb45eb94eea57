"""Microseconds per voted durable step, beside LangGraph with SQLite savers and a bare loop, alternating in one run.

python benchmarks/drive.py [--rounds 5] [--steps 20000]

Evidence: simulated. Ours: 20-disk Hanoi, p=0.99, first to lead by 3, state applied, each step committed in time.
LangGraph: one node without votes that changes one integer, durability "sync", per superstep. Bare loop: the same Hanoi,
three coroutines gathered a step and then one by one, one row committed a step, nothing checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

TARGETS = {"bare loop": 2.3, "langgraph sync": 1 / 13, "langgraph async": 1 / 22}
"""Ours as a multiple of each, at most."""


def ours(steps: int, folder: Path) -> float:
    from orchestra import drive  # resolved here: importing is no part of a step

    started = time.perf_counter()
    model = "simulated:p=0.99,seed=1"
    result = asyncio.run(drive("hanoi:disks=20", model=model, k=3, steps=steps, journal=folder / "j.db"))
    taken = time.perf_counter() - started
    assert result.correct
    assert result.steps == steps
    return taken


def bare(steps: int, folder: Path) -> float:
    from orchestra_agents.processes.hanoi import Hanoi

    hanoi, draw = Hanoi(20), random.Random(1).random
    db = sqlite3.connect(folder / "j.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE steps (step INTEGER PRIMARY KEY, body TEXT)")

    async def vote(move: tuple[int, ...]) -> tuple[int, ...]:
        return move if draw() < 0.99 else (0, 0, 0)

    async def main() -> float:
        state = hanoi.first()
        started = time.perf_counter()
        for step in range(steps):
            move = tuple(hanoi.reference(state).action)
            counts: dict[tuple[int, ...], int] = {}
            for answer in await asyncio.gather(vote(move), vote(move), vote(move)):
                counts[answer] = counts.get(answer, 0) + 1
            while True:
                first, *others = sorted(counts.values(), reverse=True)
                if first - (others[0] if others else 0) >= 3:
                    break
                answer = await vote(move)
                counts[answer] = counts.get(answer, 0) + 1
            winner = max(counts, key=lambda answer: counts[answer])
            state = hanoi.advance(state, list(winner))
            db.execute("INSERT INTO steps VALUES (?, ?)", (step, json.dumps([winner, state.pegs])))
        return time.perf_counter() - started

    taken = asyncio.run(main())
    db.close()
    return taken


class Count(TypedDict):
    """The state of the LangGraph chain: one integer."""

    step: int


def graph(steps: int) -> Any:
    from langgraph.graph import END, START, StateGraph

    async def asynchronous(state: Count) -> Count:
        return {"step": state["step"] + 1}

    def synchronous(state: Count) -> Count:
        return {"step": state["step"] + 1}

    def builder(node: Callable[..., Any]) -> Any:
        made = StateGraph(Count)
        made.add_node("work", node)
        made.add_edge(START, "work")
        made.add_conditional_edges("work", lambda state: END if state["step"] >= steps else "work")
        return made

    return builder(synchronous), builder(asynchronous)


def langgraph_sync(steps: int, folder: Path) -> float:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(folder / "j.db")) as saver:
        app = graph(steps)[0].compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "1"}, "recursion_limit": steps + 10}
        started = time.perf_counter()
        assert app.invoke({"step": 0}, config, durability="sync")["step"] == steps
        return time.perf_counter() - started


def langgraph_async(steps: int, folder: Path) -> float:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async def main() -> float:
        async with AsyncSqliteSaver.from_conn_string(str(folder / "j.db")) as saver:
            app = graph(steps)[1].compile(checkpointer=saver)
            config = {"configurable": {"thread_id": "1"}, "recursion_limit": steps + 10}
            started = time.perf_counter()
            assert (await app.ainvoke({"step": 0}, config, durability="sync"))["step"] == steps
            return time.perf_counter() - started

    return asyncio.run(main())


ENGINES: dict[str, Callable[[int, Path], float]] = {
    "ours": ours,
    "bare loop": bare,
    "langgraph sync": langgraph_sync,
    "langgraph async": langgraph_async,
}


def main(rounds: int, steps: int) -> None:
    measured: dict[str, list[float]] = {name: [] for name in ENGINES}
    for _ in range(rounds):
        for name in ENGINES:
            count = max(500, steps // 20) if name.startswith("langgraph") else steps
            command = [sys.executable, __file__, "--only", name, "--steps", str(count)]
            taken = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured[name].append(float(taken) / count * 1e6)
    ours_us = statistics.median(measured["ours"])
    print("evidence: simulated; microseconds per step, median [least, most] of", rounds, "processes each")
    for name, figures in measured.items():
        median = statistics.median(figures)
        line = f"{name:16} {median:8.1f} [{min(figures):.1f}, {max(figures):.1f}]"
        if name in TARGETS:
            line += f"   ours is {ours_us / median:.3f} of it (target at most {TARGETS[name]:.3f})"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--only", choices=ENGINES)
    options = parser.parse_args()
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(ENGINES[options.only](options.steps, Path(folder)))
    else:
        main(options.rounds, options.steps)
