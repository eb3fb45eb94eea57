"""Plan a graph for nothing, run it, and look at what was decided. No key, no network: the model is simulated.

python examples/library.py [provider:model]
"""

from __future__ import annotations

import asyncio
import sys

import orchestra

GRAPH = orchestra.TaskGraph(
    [
        {"id": "facts", "description": "List what the notes say about speed."},
        {"id": "fastest", "description": "Which engine is fastest?", "answer": {"choice": ["alpha", "beta"]},
         "depends_on": ["facts"]},
        {"id": "safest", "description": "Which engine loses no data?", "answer": {"choice": ["alpha", "beta"]}},
        {"id": "verdict", "description": "Recommend one engine in one sentence.", "depends_on": ["fastest", "safest"]},
    ],
    goal="Choose a storage engine",
    context="Alpha writes twice as fast. Beta survives a power cut. Both are free.",
)  # fmt: skip


async def main(model: str) -> None:
    plan = orchestra.plan(GRAPH, model=model, budget=orchestra.Budget(calls=60))
    print(f"{plan.design.topology} x {plan.design.team}: {plan.design.reason}")
    result = await orchestra.run(plan)
    for name, subtask in result.subtasks.items():
        print(f"{name:8} {subtask['status']:8} votes {subtask['votes']}: {subtask['answer']}")
    print(f"{result.status}, {result.usage.calls} calls, evidence: {result.evidence}, journal: {result.journal}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "simulated:p=0.95,seed=1"))
