"""Does the forecast pick well? Random models, graphs and budgets, each way of answering scored by the referee.

A pilot of 300 items with 8 votes is drawn from the setting's world, a profile made of it, and the way that `decide`
picks under the budget is compared with all ways that the forecast compares. Half of the worlds are what the composition
takes them to be; the others have beta-binomial errors, wrong inputs that spoil now and then, heavy-tailed difficulty
and accuracy lost with context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from orchestra.budget.calibration import calibrate_votes, valid_rate
from orchestra.budget.profile import AnswerProfile, Profile, SizeProfile
from orchestra.budget.relays import RelayCount, channels, spoil
from orchestra.choices import Choices
from orchestra.designing import Design, decide, design, forecast_of
from orchestra_agents.ledger import Budget
from orchestra_topologies.graph import TaskGraph
from tests.budget.dag_referee import Observed, World, play, votes_on_items

SATURATED = 0.45
"""Accuracy of a single agent from which on, by a rule of thumb, a team does not help."""
SLACK = 1.15
"""By how much a pick may exceed the budget on average; what it is compared with may not exceed it."""
ENOUGH = 0.05
"""Regret that a good pick may have."""
CHAIN = 3
"""Items asked at once for the second size of a pilot."""
KINDS = {"choice": {"choice": ["yes", "no"]}, "text": "text"}
OPEN = Choices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A model, a graph and a budget."""

    number: int
    is_well_specified: bool
    world: World
    exponent: float
    graph: TaskGraph
    budget: Budget
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How good the pick of one setting was, beside two dumb rules."""

    setting: Setting
    picked: str
    best: str
    predicted: float
    """Pessimistic end of the pick, as measured."""
    score: float
    """Of the pick by the referee; 0 where it does not keep the budget."""
    best_score: float
    """Of the best of the ways that keep the budget."""
    single: float
    """Score of the rule `always single`."""
    rule: float
    """Score of the rule `a team iff a single agent's accuracy is below .45`."""

    @property
    def regret(self) -> float:
        """What the pick gives away, never below 0."""
        return max(0.0, self.best_score - self.score)


def draw(number: int, *, is_well_specified: bool) -> Setting:
    """Return one random setting, fixed by its number."""
    rng = np.random.default_rng([number, is_well_specified])
    graph = _graph(rng, weak=0.0 if is_well_specified else 0.2)
    world, exponent = _world(rng, is_well_specified=is_well_specified)
    most = len(graph) * exp(rng.uniform(log(1.2), log(40)))
    budget = Budget(calls=max(2, round(most))) if rng.random() < 0.5 else Budget(tokens=round(200 * max(2, most)))
    return Setting(
        number=number,
        is_well_specified=is_well_specified,
        world=world,
        exponent=exponent,
        graph=graph,
        budget=budget,
        profile=pilot(world, rng),
    )


def pilot(world: World, rng: np.random.Generator) -> Profile:
    """Return what a pilot of 300 items with 8 votes measures in a world."""
    p = world.p["choice"]
    given_right, given_wrong = (votes_on_items(world, p, rng, votes=3, value=value) for value in (True, False))
    keep = (given_right[:, 1] > 0) & (given_wrong[:, 1] > 0)
    heard = rng.binomial(150, 1 - world.misread, 2)
    relays = [
        RelayCount(tokens=64, was_true=True, asked=150, read_true=int(heard[0])),
        RelayCount(tokens=64, was_true=False, asked=150, read_true=150 - int(heard[1])),
    ]
    sizes = (_size(world, p, 100, 60, rng), _size(world, world.whole(CHAIN), 100 * CHAIN, 60 + 30 * CHAIN, rng))
    return Profile(
        model="simulated:p=0.9",
        date="2026-11-25",
        evidence="simulated",
        answers=(AnswerProfile(kind="choice", options=2, sizes=sizes),),
        channels=channels(relays),
        spoil=spoil(given_right[keep], given_wrong[keep]),
    )


def judge(setting: Setting, *, runs: int, finals: int) -> Outcome:
    """Return how good the pick is: every way is played `runs` times, those that matter `finals` times afresh."""
    graph, world, budget = setting.graph, setting.world, setting.budget
    rng = np.random.default_rng([setting.number, 7])
    found = forecast_of(graph, OPEN, profile=setting.profile, budget=budget)
    ways = {(row.topology, row.team): _way(graph, row.topology, row.asked) for row in found.rows}
    played = {key: play(graph, key[0], made.teams, world, runs, rng) for key, made in ways.items()}
    kept = {key: seen for key, seen in played.items() if _keeps(seen, budget)}
    contenders = sorted(kept, key=lambda key: -kept[key].success)[:3]
    picked = decide(graph, OPEN, profile=setting.profile, budget=budget)
    pick = (picked.topology, picked.team)
    alone = ("single", _way(graph, "single", "solo").team)
    led = _way(graph, picked.route.topology, "auto")
    rule = alone if _single_accuracy(setting) >= SATURATED else (led.topology, led.team)
    again = {
        key: play(graph, key[0], ways[key].teams, world, finals, rng)
        for key in dict.fromkeys((*contenders, pick, alone, rule))
    }
    score = {key: seen.success if _keeps(seen, budget, SLACK) else 0.0 for key, seen in again.items()}
    best = max(contenders, key=lambda key: again[key].success)
    row = next(row for row in found.rows if (row.topology, row.team) == pick)
    return Outcome(
        setting=setting,
        picked=" x ".join(pick),
        best=" x ".join(best),
        predicted=row.accuracy["pessimistic"] if row.accuracy else float("nan"),
        score=score[pick],
        best_score=again[best].success,
        single=score[alone],
        rule=score[rule],
    )


def _way(graph: TaskGraph, topology: str, asked: str) -> Design:
    return design(graph, replace(OPEN, topology=topology, team=asked))  # type: ignore[arg-type]  # a row's own word


def _keeps(seen: Observed, budget: Budget, slack: float = 1.0) -> bool:
    fits_calls = budget.calls is None or seen.calls <= slack * budget.calls
    return fits_calls and (budget.tokens is None or seen.tokens <= slack * budget.tokens)


def _single_accuracy(setting: Setting) -> float:
    """Return what the pilot says of one agent on the whole task."""
    found = forecast_of(setting.graph, Choices(topology="single", team="solo"), profile=setting.profile)
    assert found.route.accuracy is not None
    return found.route.accuracy["pessimistic"]


def _size(world: World, p: float, size: float, prompt: float, rng: np.random.Generator) -> SizeProfile:
    counts = votes_on_items(world, p, rng, prompt=prompt)
    valid = int(counts[:, 1].sum())
    return SizeProfile(
        size=size,
        items=len(counts),
        panel=8,
        valid=valid_rate(valid, 8 * len(counts)),
        agreement=None,
        votes=calibrate_votes(counts, rng=rng),
        panels=(),
        input_tokens=prompt,
        output_tokens=world.reply,
    )


def _world(rng: np.random.Generator, *, is_well_specified: bool) -> tuple[World, float]:
    p, exponent = rng.uniform(0.45, 0.97), rng.uniform(0.7, 1.4)
    loss = -log(p)
    kinds: Mapping[str, float] = {"choice": p, "text": p}
    base = World(
        p=kinds,
        whole=lambda size: exp(-loss * size**exponent),
        rho=rng.choice([0.0, rng.uniform(0.02, 0.5)]),
        valid=rng.uniform(0.85, 1),
        gamma=rng.choice([1.0, rng.uniform(0.6, 0.99)]),
    )
    if is_well_specified:
        return base, exponent
    return replace(
        base,
        p={"choice": p, "text": min(0.99, max(0.3, p + rng.uniform(-0.08, 0.08)))},
        rho=rng.uniform(0.05, 0.5),
        correlation="beta",
        wrong=int(rng.integers(1, 4)),
        spoil=rng.uniform(0.2, 0.9),
        spread=rng.uniform(0.2, 1.0),
        tails="heavy",
        overload=rng.uniform(0, 0.3),
    ), exponent


def _graph(rng: np.random.Generator, *, weak: float) -> TaskGraph:
    """Return a chain, a star, layers or a random DAG of two to eight subtasks, some of its edges weak."""
    size, form = int(rng.integers(2, 9)), rng.choice(["chain", "star", "layers", "random"])
    width = int(rng.integers(2, 4))
    share = rng.uniform(0.3, 1)
    subtasks = []
    for place in range(size):
        match form:
            case "chain":
                before = [place - 1] if place else []
            case "star":
                before = list(range(place)) if place == size - 1 else []
            case "layers":
                layer = place // width
                before = list(range(width * (layer - 1), width * layer)) if layer else []
            case _:
                before = [one for one in range(place) if rng.random() < 0.4]
        shares = [weak, 0.7 - weak / 2, 0.3 - weak / 2]
        coupling = {f"s{one}": str(rng.choice(["weak", "strong", "critical"], p=shares)) for one in before}
        kind = "choice" if rng.random() < share else "text"
        text = "Look at the case at hand and say what follows from it. " * int(rng.integers(1, 4))
        subtasks.append({"id": f"s{place}", "description": text, "answer": KINDS[kind], "depends_on": coupling})
    return TaskGraph(subtasks, goal="Find out whether the claim holds.")
