"""A long sum as a chain of short ones with carries, and a long product as a tree of partial products and sums."""

from __future__ import annotations

from collections.abc import Iterable

from orchestra_agents.answers import AnswerType
from orchestra_agents.json_schema import closed_object
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.digits import digits_schema, slips_of
from orchestra_evals.suites.suite import Sample
from orchestra_topologies.graph import TaskGraph

_MOST_GROUPS = 8
_LEAST_WIDTH = 2
_FORM = "Give all digits as a JSON string, without leading zeros."

_Subtask = dict[str, Json]


def sum_graph(sample: Sample, one: int, other: int) -> TaskGraph | None:
    """Return a sum group of columns by group of columns, each but the last waiting for a carry, then joined.

    There are at most eight groups of at least two columns, None where that is one group.
    """
    numbers = str(one), str(other)
    length = len(numbers[0])
    width = max(_LEAST_WIDTH, -(-length // _MOST_GROUPS))
    if length <= width:
        return None
    groups: list[_Subtask] = []
    carry = 0
    for end in range(length, 0, -width):
        parts = [number[max(0, end - width) : end] for number in numbers]
        group = _group(parts, carry, len(groups) + 1)
        carry = group["truth"]["answer"]["carry"]
        groups.append(group)
    names = [group["id"] for group in reversed(groups)]
    joined = (
        f"Write one number: the carry of {names[0]} if it is 1, then the digits of {', '.join(names)}, in this order."
    )
    last = _step("sum", joined, sample.answer, depends_on=names, answer=sample.target, wrong=sample.wrong)
    return TaskGraph([*groups, last], goal=sample.question)


def product_graph(sample: Sample, one: int, other: int) -> TaskGraph | None:
    """Return the products with single digits side by side, then their sums in pairs; None for a single digit."""
    digits = str(other)
    if len(digits) == 1:
        return None
    values: dict[str, int] = {}
    subtasks: list[_Subtask] = []

    def add(name: str, asked: str, value: int, *before: str) -> None:
        values[name] = value
        wrong = slips_of(str(value))
        subtasks.append(
            _step(name, f"{asked} {_FORM}", sample.answer, depends_on=before, answer=str(value), wrong=wrong)
        )

    for place, digit in enumerate(reversed(digits)):
        factor = int(digit) * 10**place
        add(f"product-{place + 1}", f"What is {one} x {factor}?", one * factor)
    layer = list(values)
    while len(layer) > 1:
        above = []
        for left, right in zip(layer[::2], layer[1::2], strict=False):
            name = f"sum-{len(values) - len(digits) + 1}"
            add(name, f"Add the numbers of {left} and {right}.", values[left] + values[right], left, right)
            above.append(name)
        layer = above + layer[len(above) * 2 :]
    return TaskGraph(subtasks, goal=sample.question)


def _group(parts: list[str], carry: int, place: int) -> _Subtask:
    """Return the sum of one group of columns and the carry into it."""
    width = len(parts[0])
    carried, total = divmod(int(parts[0]) + int(parts[1]) + carry, 10**width)
    before = f"columns-{place - 1}"
    added = f"{parts[0]} and {parts[1]}" if place == 1 else f"{parts[0]}, {parts[1]} and the carry of {before}"
    asked = (
        f"Add {added}. Give the last digits of the sum, {width} of them, with zeros in front if it has fewer, and the "
        'carry, which is what stands before these digits, 1 or 0. Answer with JSON, {"digits": "...", "carry": 0 or 1}.'
    )
    digits = str(total).zfill(width)
    schema = closed_object(
        {
            "digits": digits_schema(least=width, most=width),
            "carry": {"type": "integer", "minimum": 0, "maximum": 1},
        }
    )
    wrong = [{"digits": digits, "carry": 1 - carried}]
    wrong += [{"digits": slip, "carry": carried} for slip in slips_of(digits)]
    return _step(
        f"columns-{place}",
        asked,
        AnswerType.parse({"json": schema}),
        depends_on=[before] if place > 1 else [],
        answer={"digits": digits, "carry": carried},
        wrong=wrong,
    )


def _step(
    name: str, asked: str, kind: AnswerType, *, depends_on: Iterable[str], answer: Json, wrong: Iterable[Json]
) -> _Subtask:
    return {
        "id": name,
        "description": asked,
        "answer": kind,
        "depends_on": list(depends_on),
        "truth": {"answer": answer, "wrong": list(wrong)[:4]},
    }
