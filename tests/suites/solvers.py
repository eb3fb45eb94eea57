"""Whether an answer is right, worked out from the words of the question by other means than the suites use."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from orchestra_agents.models.contract import Json
from orchestra_evals.suites.suite import Sample


def is_right(suite: str, sample: Sample, answer: Json) -> bool:
    """Tell whether `answer` answers the question of a sample of `suite`."""
    return _JUDGES[suite](sample, answer)


def edges_of(sample: Sample) -> frozenset[tuple[str, str]]:
    """Return the edges that a question of reachability tells, by the names of the nodes."""
    return _edges(sample.question, tuple(sample.instance.get("names", ())))


@cache
def _edges(question: str, names: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    if not names:
        return frozenset(re.findall(r"(\d+) -> (\d+)", question))
    edges, known = set(), set(names)
    for line in question.splitlines()[:-2]:
        one, other = [word for word in re.findall(r"\w+", line) if word in known]
        edges.add((one, other))
    return frozenset(edges)


def ends_of(sample: Sample) -> tuple[str, str]:
    """Return the start and the goal that a question of reachability tells."""
    pattern = r"from (\d+) to (\d+), both" if sample.difficulty["form"] == "symbolic" else r"(\w+)\. .* (\w+), applying"
    found = re.search(pattern, sample.question)
    assert found is not None
    return found[1], found[2]


@cache
def reaches(edges: frozenset[tuple[str, str]], start: str, goal: str) -> bool:
    """Tell whether there is a path, by adding edges until nothing changes."""
    seen = {start}
    while True:
        more = {other for one, other in edges if one in seen} - seen
        if not more:
            return goal in seen
        seen |= more


def first_steps(sample: Sample) -> set[str]:
    """Return the first steps that lead to the goal."""
    edges, (start, goal) = edges_of(sample), ends_of(sample)
    return {other for one, other in edges if one == start and reaches(edges, other, goal)}


def depth_of(sample: Sample) -> int:
    """Return how many edges one has to look ahead: the levels of the branches until one is left or has the goal."""
    edges, (start, goal) = edges_of(sample), ends_of(sample)
    branches = [{other} for one, other in edges if one == start]
    depth = 1
    while not any(goal in branch for branch in branches) and (len(branches) == 1 or sum(map(bool, branches)) > 1):
        branches = [{other for one, other in edges if one in branch} for branch in branches]
        depth += 1
    return depth


def _reachability(sample: Sample, answer: Json) -> bool:
    if sample.difficulty["form"] == "logic":
        return isinstance(answer, str) and answer in first_steps(sample)
    if not isinstance(answer, list) or not answer or not all(map(_is_whole, answer)):
        return False
    edges, (start, goal) = edges_of(sample), ends_of(sample)
    path = [str(int(node)) for node in answer]
    hops = [(path[place], path[place + 1]) for place in range(len(path) - 1)]
    return path[0] == start and path[-1] == goal and all(hop in edges for hop in hops)


def _rewrite(sample: Sample, answer: Json) -> bool:
    """Replace by splitting and joining; a program with nothing to find does nothing."""
    if not isinstance(answer, list) or not 1 <= len(answer) <= sample.difficulty["programs"]:
        return False
    for program in answer:
        if not isinstance(program, list) or len(program) != 2:
            return False
        if not all(isinstance(text, str) and len(text) <= 3 for text in program):
            return False
    for before, after in re.findall(r'^"(\w*)" -> "(\w*)"$', sample.question, flags=re.MULTILINE):
        text = before
        for find, write in answer:
            text = write.join(text.split(find)) if find else text
        if text != after:
            return False
    return True


@cache
def distance(one: str, other: str) -> int:
    """Return the edit distance by its recursive definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return distance(one[1:], other[1:])
    return 1 + min(distance(one[1:], other), distance(one, other[1:]), distance(one[1:], other[1:]))


def clauses_of(question: str) -> list[list[tuple[int, bool]]]:
    """Return the clauses that a question tells: places from 0, and whether the variable is to be true."""
    lines = [line for line in question.splitlines() if " or " in line and line.startswith(("x", "not"))]
    return [[(int(x) - 1, not sign) for sign, x in re.findall(r"(not )?x(\d+)", line)] for line in lines]


def satisfiable(clauses: list[list[tuple[int, bool]]]) -> bool:
    """Tell whether some assignment satisfies all clauses: unit clauses first, then both values of a variable."""
    if not clauses:
        return True
    if [] in clauses:
        return False
    shortest = min(clauses, key=len)
    place, value = shortest[0]
    return any(satisfiable(_given(clauses, place, one)) for one in ([value] if len(shortest) == 1 else [True, False]))


def _given(clauses: list[list[tuple[int, bool]]], place: int, value: bool) -> list[list[tuple[int, bool]]]:
    open_ones = [clause for clause in clauses if (place, value) not in clause]
    return [[literal for literal in clause if literal[0] != place] for clause in open_ones]


@cache
def _is_satisfiable(question: str) -> bool:
    return satisfiable(clauses_of(question))


def _sat(sample: Sample, answer: Json) -> bool:
    if isinstance(answer, str):
        return answer == "unsatisfiable" and not _is_satisfiable(sample.question)
    clauses = clauses_of(sample.question)
    if not isinstance(answer, list) or len(answer) != sample.difficulty["variables"]:
        return False
    if any(type(value) is not bool for value in answer):
        return False
    return all(any(answer[place] is value for place, value in clause) for clause in clauses)


def add(one: str, other: str) -> str:
    """Return the sum of two numbers, column by column."""
    digits: list[str] = []
    carry = 0
    for place in range(max(len(one), len(other))):
        column = carry + sum(int(number[-1 - place]) for number in (one, other) if place < len(number))
        digits.append(str(column % 10))
        carry = column // 10
    return ("1" if carry else "") + "".join(reversed(digits))


def multiply(one: str, other: str) -> str:
    """Return the product of two numbers, column by column, each the sum of the products of pairs of digits."""
    digits: list[str] = []
    carry = 0
    for place in range(len(one) + len(other)):
        pairs = [(left, place - left) for left in range(len(one)) if 0 <= place - left < len(other)]
        column = carry + sum(int(one[-1 - left]) * int(other[-1 - right]) for left, right in pairs)
        digits.append(str(column % 10))
        carry = column // 10
    return "".join(reversed(digits)).lstrip("0")


def _arithmetic(combine: Callable[[str, str], str]) -> Callable[[Sample, Json], bool]:
    def judge(sample: Sample, answer: Json) -> bool:
        one, other = re.findall(r"\d+", sample.question)
        return isinstance(answer, str) and answer == combine(one, other)

    return judge


def _lookup(sample: Sample, answer: Json) -> bool:
    if not isinstance(answer, dict) or set(answer) != set(sample.target):
        return False
    return all(_folded(value) == _folded(sample.target[key]) for key, value in answer.items())


def _craft(sample: Sample, answer: Json) -> bool:
    if (
        not isinstance(answer, dict)
        or set(answer) != {"inventory", "made"}
        or not isinstance(answer["inventory"], dict)
    ):
        return False
    counts = [*answer["inventory"].values(), answer["made"]]
    if not all(_is_whole(count) and count >= 0 for count in counts):
        return False
    found = re.search(r"^Make one (.*?)\.", sample.question)
    assert found is not None
    return bool(answer["inventory"].get(found[1]))


def _folded(value: Any) -> str | None:
    return value.strip().casefold() if isinstance(value, str) else None


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer()
    return type(value) is int


_JUDGES: dict[str, Callable[[Sample, Json], bool]] = {
    "3sat": _sat,
    "addition": _arithmetic(add),
    "craft": _craft,
    "lookup": _lookup,
    "multiplication": _arithmetic(multiply),
    "reachability": _reachability,
    "rewrite": _rewrite,
}


def corruptions(target: Json) -> Iterator[Json]:
    """Yield at least 20 values that somebody might hand in instead of `target`; some may be right all the same."""
    yield from (None, "", " ", [], {}, True, False, 0, -1, 2**70, math.nan, math.inf, "null", "no such answer")
    yield from ([None] * 1_000, ["x"] * 2_000, [[[[[]]]]], {"answer": target}, [target], str(target), [target, target])
    if isinstance(target, str):
        yield from (target[:-1], target + target, target[::-1], f" {target}", target.upper(), f"{target}.")
        yield from (str(int(target) + change) for change in (1, -1) if target.isdigit())
    if isinstance(target, list):
        yield from (target[:-1], target[1:], target + target, target[::-1], [*target, None], tuple(target))
        for place, item in enumerate(target[:4]):
            for other in _varied(item):
                yield [*target[:place], other, *target[place + 1 :]]
        yield [*target[:-2], *target[:-3:-1]]
    if isinstance(target, dict):
        for key, item in target.items():
            yield {name: value for name, value in target.items() if name != key}
            for other in _varied(item):
                yield target | {key: other}
        yield target | {"more": 1}


def _varied(item: Json) -> Iterator[Json]:
    yield from (None, str(item), [item], math.nan)
    if isinstance(item, bool):
        yield from (not item, int(item))
    elif isinstance(item, int):
        yield from (item + 1, item - 1, float(item), 2**70)
    elif isinstance(item, str):
        yield from (item[:-1], item + "a", item.upper(), "")
    elif isinstance(item, list):
        yield from (item[:-1], item[::-1], [*item, "a"], ["", "a"])
    elif isinstance(item, dict):
        yield from ({}, {key: -1 for key in item}, {key: 0 for key in item})
