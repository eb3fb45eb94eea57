"""The sum and the product of two long numbers, each also as a graph of short ones."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from orchestra_agents.models.contract import Json
from orchestra_evals.suites.arithmetic_graphs import product_graph, sum_graph
from orchestra_evals.suites.digits import digits_answer, is_digits, slips_of
from orchestra_evals.suites.scoring import malformed, misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import (
    SUBTASKS,
    About,
    Difficulty,
    Sample,
    Score,
    Split,
    check_difficulty,
    rng_of,
    sample_id,
)
from orchestra_topologies.graph import TaskGraph

Divide: TypeAlias = Callable[[Sample, int, int], TaskGraph | None]
"""Returns the graph of a sample, given its two numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """Samples of one operation on two numbers of so many digits, without leading zeros."""

    name: str
    about: About
    sign: str
    result: Callable[[int, int], int]
    divide: Divide
    longest: int
    """Most digits of a number."""

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample.

        Raises:
            InputError: The suite has no such difficulty.
        """
        check_difficulty(self.about, difficulty, {"digits": (1, self.longest)})
        rng = rng_of(self.name, self.about.version, difficulty, index, split=split, seed=seed)
        digits = difficulty["digits"]
        one, other = (rng.randrange(10 ** (digits - 1), 10**digits) for _ in range(2))
        target = str(self.result(one, other))
        most = len(str(self.result(10**digits - 1, 10**digits - 1)))
        sample = Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=f"What is {one} {self.sign} {other}? Give all digits as a JSON string, without leading zeros.",
            answer=digits_answer(most=most),
            target=target,
            difficulty=dict(difficulty),
            instance={"numbers": [str(one), str(other)]},
        )
        return with_slips(sample, self.check, slips_of(target))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return whether the digits are those of the result; zeros in front make another answer.

        The part `columns` is the share of the columns that are right, counted from the right, those of the longer of
        the two numbers being all of them.
        """
        if problem := misshapen(sample, answer):
            return problem
        if not is_digits(answer):
            return malformed("the answer must be made of digits")
        target = str(self.result(*map(int, sample.instance["numbers"])))
        places = range(1, 1 + min(len(answer), len(target)))
        columns = sum(answer[-place] == target[-place] for place in places) / max(len(answer), len(target))
        if answer == target:
            return right(columns=columns)
        first = next((place for place in places if answer[-place] != target[-place]), len(places) + 1)
        return wrong(f"digit {first} from the right is wrong", columns=columns)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return the sample as a graph of shorter sums or products, None where it is short enough as it is."""
        one, other = map(int, sample.instance["numbers"])
        return self.divide(sample, one, other)


def addition() -> Arithmetic:
    """Return the suite of sums, up to 1,000 digits."""
    return Arithmetic(
        name="addition",
        about=_about("sum", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000), (5, 10, 20, 50, 100)),
        sign="+",
        result=operator.add,
        divide=sum_graph,
        longest=1000,
    )


def multiplication() -> Arithmetic:
    """Return the suite of products, up to 200 digits."""
    return Arithmetic(
        name="multiplication",
        about=_about("product", (1, 2, 4, 6, 8, 12, 20, 50, 100, 200), (4, 6, 8, 12, 20)),
        sign="x",
        result=operator.mul,
        divide=product_graph,
        longest=200,
    )


def _about(result: str, offered: tuple[int, ...], default: tuple[int, ...]) -> About:
    return About(
        summary=f"The {result} of two numbers of equally many digits; also as a graph of short ones.",
        scoring=f"All digits are those of the {result}.",
        licence="Apache-2.0, generated",
        axes={"digits": offered},
        default=tuple({"digits": digits} for digits in default),
        steps=SUBTASKS,
    )
