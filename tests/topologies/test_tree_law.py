"""Trees of simulated agents in real runs against the recursion of the phase transition, written down here again.

With fan-in b, a channel of fidelity gamma and shared error rho, the bias of a level follows from that of the one below
(shared/papers/phase_transition.md, A.2 and B.2); f_b is the bias of a majority of b votes. Code that counts answers is
a channel of fidelity 1 without shared error.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest

import orchestra
from orchestra_agents.models.contract import Prompt, Sampling, Truth
from orchestra_agents.models.simulated import SimulatedModel

Json = Any
Share = Literal["after", "before"]
LEAST_ODD = 5
"""Right, and wrong, answers that must be expected of a setting for its count to be about normal."""


def majority(count: int, bias: float) -> float:
    """Return the bias of a majority of an odd `count` of votes of the given bias: f_b(u) of B.1."""
    right = (1 + bias) / 2
    needed = range((count + 1) // 2, count + 1)
    return 2 * sum(math.comb(count, k) * right**k * (1 - right) ** (count - k) for k in needed) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A tree and the agents in it."""

    fan_in: int
    depth: int
    gamma: float
    rho: float
    bias: float
    """mu0, of a leaf."""
    share: Share
    join: Literal["code", "model"]
    trees: int

    @property
    def right(self) -> float:
        """The probability that a tree's answer is right, by the recursion."""
        gamma, rho = (1.0, 0.0) if self.join == "code" else (self.gamma, self.rho)
        bias = self.bias
        for _ in range(self.depth):
            shared = gamma if self.share == "after" else majority(self.fan_in, gamma)
            bias = rho * shared * bias + (1 - rho) * majority(self.fan_in, gamma * bias)
        return (1 + bias) / 2

    @property
    def is_plain(self) -> bool:
        """Whether both outcomes are frequent enough for standard errors to mean something."""
        return self.trees * min(self.right, 1 - self.right) >= LEAST_ODD

    def errors(self, folder: Path) -> float:
        """Return by how many standard errors the right answers of real trees depart from the recursion.

        All trees stand in one run: each answers a question of its own, whose answer is known.
        """
        truth = {"answer": "yes", "wrong": ["no"]}
        ask = {"description": "Yes or no?", "answer": {"choice": ["yes", "no"]}, "truth": truth}
        graph = orchestra.TaskGraph([{"id": f"tree {place}", **ask} for place in range(self.trees)])
        team = f"tree:fan_in={self.fan_in},depth={self.depth},join={self.join}"
        model = SimulatedModel(p=(1 + self.bias) / 2, gamma=self.gamma, rho=self.rho, share=self.share)
        choices = orchestra.Choices(topology="parallel", team=team)
        result = orchestra.run_sync(orchestra.plan(graph, model=model, choices=choices), journal=folder / "j.db")
        assert result.status == "ok"
        right = sum(subtask["answer"] == "yes" for subtask in result.subtasks.values())
        return float(right - self.trees * self.right) / math.sqrt(self.trees * self.right * (1 - self.right))

    def __str__(self) -> str:
        said = f"{self.trees} of b={self.fan_in} L={self.depth} mu0={self.bias}"
        return (
            f"{said} {self.join}" if self.join == "code" else f"{said} gamma={self.gamma} rho={self.rho} {self.share}"
        )


def drawn(rng: random.Random, shapes: list[tuple[int, int]], *, agents: int, least: int) -> list[Setting]:
    """Return one setting for each shape, every fifth of them joined by code, with as many trees as `agents` allows."""
    settings: list[Setting] = []
    for place, (fan_in, depth) in enumerate(shapes):
        size = sum(fan_in**level for level in range(depth + 1))
        while len(settings) == place:
            made = Setting(
                fan_in=fan_in,
                depth=depth,
                gamma=round(rng.uniform(0.4, 1), 3),
                rho=round(rng.uniform(0, 0.6), 3),
                bias=round(rng.uniform(0.05, 0.7), 3),
                share=rng.choice(["after", "before"]),
                join="code" if place % 5 == 4 else "model",
                trees=max(least, agents // size),
            )
            settings += [made] if made.is_plain else []
    return settings


SHORT = [(3, 1), (5, 1), (3, 2), (5, 2), (3, 2), (3, 3), (5, 1), (3, 1)]
FEW = drawn(random.Random(2), SHORT, agents=900, least=22)
SHAPES = list(product((3, 5), (1, 2, 3)))


@pytest.mark.parametrize("setting", FEW, ids=str)
def test_trees_meet_the_recursion(tmp_path: Path, setting: Setting) -> None:
    """A tree is right as often as the recursion says: no setting departs by more than 4.5 standard errors."""
    assert abs(setting.errors(tmp_path)) <= 4.5


@pytest.mark.nightly
def test_a_hundred_settings_of_trees_meet_the_recursion(tmp_path: Path) -> None:
    """At most 3 of 100 settings depart by more than 3 standard errors, none by more than 4.5."""
    rng = random.Random(20)
    shapes = [SHAPES[place % len(SHAPES)] for place in range(100)]
    found = []
    for place, setting in enumerate(drawn(rng, shapes, agents=3000, least=100)):
        folder = tmp_path / str(place)
        folder.mkdir()
        found.append((abs(setting.errors(folder)), setting))
    assert [one for one in found if one[0] > 4.5] == []
    assert len([one for one in found if one[0] > 3]) <= 3


@pytest.mark.parametrize(
    ("fan_in", "depth", "gamma", "rho", "bias", "after", "before"),
    [
        (3, 6, 1, 0.1, 0.05, 0.4383, 0.4383),
        (3, 6, 0.8, 0.1, 0.3, 0.5880, 0.6245),
        (5, 4, 0.9, 0.3, 0.05, 0.2178, 0.2356),
        (5, 4, 0.6, 0.5, 0.3, 0.1600, 0.2915),
        (7, 3, 0.9, 0.2, 0.1, 0.4923, 0.5081),
    ],
)
def test_the_recursion_here_is_the_one_that_was_checked(
    fan_in: int, depth: int, gamma: float, rho: float, bias: float, after: float, before: float
) -> None:
    """It gives the values of B.2 for both ways of sharing."""
    shares: tuple[tuple[Share, float], ...] = (("after", after), ("before", before))
    for share, value in shares:
        setting = Setting(
            fan_in=fan_in, depth=depth, gamma=gamma, rho=rho, bias=bias, share=share, join="model", trees=1
        )
        assert 2 * setting.right - 1 == pytest.approx(value, abs=5e-5)


async def rights(model: SimulatedModel, inputs: tuple[bool, ...], count: int) -> int:
    """Return how many of `count` readers of most of the inputs are right, each in a step of its own."""
    truth = Truth(answer="yes", wrong=["no"], inputs=inputs, reads="most")
    right = 0
    for step in range(count):
        [reply] = await model.sample(Prompt(text="?", step=f"{inputs} {step}", truth=truth), Sampling())
        right += reply.text == "yes"
    return right


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
async def test_a_reader_of_most_says_what_most_say(size: int) -> None:
    """With a channel that loses nothing it is right where most inputs are, whatever it knows; a tie is a toss."""
    for inputs in product((True, False), repeat=size):
        for model in (SimulatedModel(p=0.0), SimulatedModel(p=1.0, spoil=0.0)):
            said = await rights(model, inputs, 400 if 2 * sum(inputs) == size else 3)
            if 2 * sum(inputs) == size:
                assert abs(said - 200) <= 4.5 * 10
            else:
                assert said == (3 if 2 * sum(inputs) > size else 0)


async def test_without_inputs_a_reader_of_most_is_one_of_its_own() -> None:
    """Where there is nothing to read, the model's own accuracy decides."""
    assert await rights(SimulatedModel(p=1.0), (), 20) == 20
    assert await rights(SimulatedModel(p=0.0), (), 20) == 0


@pytest.mark.parametrize("inputs", list(product((True, False), repeat=3)), ids=str)
async def test_shared_after_the_channel_all_inputs_are_the_first_as_it_was_read(inputs: tuple[bool, ...]) -> None:
    """At rho=1 the reader is right as often as one message comes through: never by the strength of numbers."""
    exact = SimulatedModel(rho=1.0, share="after")
    assert await rights(exact, inputs, 5) == 5 * inputs[0]
    lossy = SimulatedModel(rho=1.0, gamma=0.6, share="after")
    assert_share(await rights(lossy, inputs, 2000), 2000, 0.8 if inputs[0] else 0.2)


@pytest.mark.parametrize("inputs", list(product((True, False), repeat=3)), ids=str)
async def test_shared_before_the_channel_each_copy_is_read_for_itself(inputs: tuple[bool, ...]) -> None:
    """At rho=1 the reader takes the majority of three readings of the first message."""
    exact = SimulatedModel(rho=1.0, share="before")
    assert await rights(exact, inputs, 5) == 5 * inputs[0]
    lossy, wanted = SimulatedModel(rho=1.0, gamma=0.6, share="before"), (1 + majority(3, 0.6)) / 2
    assert_share(await rights(lossy, inputs, 2000), 2000, wanted if inputs[0] else 1 - wanted)


@pytest.mark.parametrize("share", ["after", "before"])
@pytest.mark.parametrize("inputs", [(True, True, True), (True, True, False), (False, True, False)], ids=str)
async def test_unshared_inputs_are_read_each_for_itself(inputs: tuple[bool, ...], share: Share) -> None:
    """At rho=0 the reader is right where most readings are, each wrong with probability (1 - gamma)/2."""
    model, kept = SimulatedModel(gamma=0.6, share=share), 0.8
    right = 0.0
    for readings in product((True, False), repeat=len(inputs)):
        if 2 * sum(readings) > len(inputs):
            right += math.prod(kept if one == read else 1 - kept for one, read in zip(inputs, readings, strict=True))
    assert_share(await rights(model, inputs, 2000), 2000, right)


async def test_sharing_is_drawn_once_for_each_reader() -> None:
    """Between 0 and 1, rho is the share of readers whose inputs are one: the others take the majority."""
    inputs = (True, False, False)  # right only where the first stands for all
    assert_share(await rights(SimulatedModel(rho=0.3), inputs, 2000), 2000, 0.3)


def assert_share(said: int, count: int, share: float) -> None:
    """Check that a count is within 4.5 standard errors of what is expected."""
    assert abs(said - count * share) <= 4.5 * math.sqrt(count * share * (1 - share))
