"""How often the embedded model answers the shipped example right: repeated whole runs with different seeds.

python benchmarks/example.py [--runs 10]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import Counter
from pathlib import Path

import orchestra

GRAPH = Path(__file__).parents[1] / "examples" / "reviews.yaml"
RIGHT = {
    "city_a": "Lisbon",
    "city_b": "Oslo",
    "nights_a": 2,
    "nights_b": 7,
    "sentiment_a": "good",
    "sentiment_b": "bad",
    "longer_stay": 7,
    "better_word": "good",
    "closing": "The stay in Lisbon was good, but the stay in Oslo was bad.",
}


async def main(runs: int) -> None:
    right, against, votes = Counter[str](), 0, 0
    seconds = []
    async with orchestra.Session(model="embedded") as session:
        for seed in range(runs):
            choices = orchestra.Choices(topology="hybrid", seed=seed)
            plan = orchestra.plan(orchestra.TaskGraph.load(GRAPH), choices=choices)
            result = await orchestra.run(plan, session=session)
            seconds.append(result.seconds)
            for one, subtask in result.subtasks.items():
                right[one] += subtask["answer"] == RIGHT[one]
                tally = (subtask.get("tally") or {}).values()
                votes += sum(tally)
                against += sum(tally) - max(tally, default=0)
    print(f"evidence: real (embedded), {runs} runs of {GRAPH.name}, median {statistics.median(seconds):.1f} s a run")
    for one in RIGHT:
        print(f"  {one:12} right in {right[one]} of {runs}")
    subtasks = f"{sum(right.values())} of {runs * len(RIGHT)} subtasks right"
    print(f"all: {subtasks}, {against} of {votes} votes against the majority")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    asyncio.run(main(parser.parse_args().runs))
