"""Ten thousand rows are not a chain: drive many short processes side by side, resumable, under one budget.

python examples/rows.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orchestra

ROWS = ["4 + 4", "9 + 2", "7 + 8", "5 + 5"]


@dataclass
class Row:
    """One row: one question, one step."""

    text: str
    length = 1

    def first(self) -> None:
        return None

    def prompt(self, state: int | None) -> str:
        return f"{self.text} = ? Answer with the number alone."

    def parse(self, text: str, state: int | None) -> int:
        if not text.strip().isdigit():
            raise orchestra.RedFlag("not_a_number", text)
        return int(text)

    def advance(self, state: int | None, action: int) -> int:
        return action

    def is_done(self, state: int | None) -> bool:
        return state is not None

    def reference(self, state: int | None) -> int:  # for the simulated model, and for `correct`
        return sum(int(part) for part in self.text.split(" + "))


async def main() -> None:
    async with orchestra.Session(model="simulated:p=0.9,seed=1", budget=orchestra.Budget(calls=100)) as session:
        results = await orchestra.drive_many(map(Row, ROWS), session=session, run_id="sums", k=3)
    for row, result in zip(ROWS, results, strict=True):
        print(f"{row} = {result.final} ({result.votes} votes, {result.evidence})")


if __name__ == "__main__":
    asyncio.run(main())
