"""Stop a run by its budget and take it up again: what is recorded is not asked twice.

python examples/resume.py
"""

from __future__ import annotations

import asyncio

import orchestra

GRAPH = orchestra.TaskGraph(
    [{"id": f"q{n}", "description": f"Is {n} even?", "answer": {"choice": ["yes", "no"]}} for n in range(4)]
)


async def main() -> None:
    async with orchestra.Session(model="simulated:seed=2") as session:
        stopped = await orchestra.run(
            orchestra.plan(GRAPH, budget=orchestra.Budget(calls=5)), session=session, run_id="parity"
        )
        print(f"first attempt: {stopped.status} after {stopped.usage.calls} calls")
        done = await orchestra.resume("parity", session=session, budget=orchestra.Budget(calls=12))
        print(f"second attempt: {done.status} after {done.usage.calls} calls in all")


if __name__ == "__main__":
    asyncio.run(main())
