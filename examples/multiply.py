"""Multiply by recursive decomposition, every decision by vote: python examples/multiply.py [a] [b] [provider:model]."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from math import nan, prod

from orchestra.solving import solve
from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json, Prompt, Truth
from orchestra_agents.plain_roles import PlainRoles
from orchestra_agents.splits import Split, split_reply


def factors(problem: str) -> list[int]:
    return [int(factor) for factor in re.findall(r"\d+", problem)] if re.fullmatch(r"\d+ x \d+", problem) else []


def by_place_value(a: int, b: int) -> Split | None:
    for one, other in ((a, b), (b, a)):
        places = [int(digit) * 10**place for place, digit in enumerate(reversed(str(one))) if digit != "0"]
        if len(places) > 1:
            low = sum(places[: len(places) // 2])
            return Split((f"{one - low} x {other}", f"{low} x {other}"), "add the two products")
    return None


class Multiplication(PlainRoles):
    """The plain roles; questions come with what is right and what is wrong, for the simulated model and the journal."""

    def decomposition(self, problem: str) -> Prompt:
        split = by_place_value(*known) if (known := factors(problem)) else None
        truth = Truth(answer=split_reply(split), wrong=[split_reply(None)] if split else [])
        return replace(super().decomposition(problem), truth=truth if known else None)

    def solution(self, problem: str) -> Prompt:
        truth = Truth(answer=known[0] * known[1], wrong=range(-9, 0)) if (known := factors(problem)) else None
        return replace(super().solution(problem), truth=truth)

    def composition(self, problem: str, split: Split, answers: tuple[Json, ...]) -> Prompt:
        whole, *parts = (prod(factors(one) or (nan,)) for one in (problem, *split.parts))
        truth = Truth(answer=sum(answers), wrong=range(-9, 0)) if sum(parts) == whole else None
        return replace(super().composition(problem, split, answers), truth=truth)


async def main(a: str = "4821", b: str = "7364", model: str = "simulated:p=0.9,seed=1") -> None:
    solved = await solve(f"{a} x {b}", roles=Multiplication(AnswerType("number")), model=model, k=4)
    votes = sum(one["split_votes"] + one["votes"] for one in solved.problems)
    verdict = "right" if solved.answer == int(a) * int(b) else "wrong"
    print(f"{a} x {b} = {solved.answer}, {verdict} (status {solved.status}, evidence: {solved.evidence})")
    print(f"{len(solved.problems)} problems, {sum(one['split'] is None for one in solved.problems)} of them atomic")
    print(f"{votes} votes, {sum(one['outvoted'] for one in solved.problems)} of them outvoted")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
