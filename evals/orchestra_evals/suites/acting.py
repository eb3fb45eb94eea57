"""The environments as suites: agents act, and what is scored is the state they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from orchestra_agents.answers import AnswerType
from orchestra_agents.json_schema import closed_object
from orchestra_agents.models.contract import Json
from orchestra_evals.environments.catalog import make_environment
from orchestra_evals.environments.craft_workshop import MOST_STEPS, Workshop, draw_recipes
from orchestra_evals.environments.environment import TOOL_COUNTS, Environment
from orchestra_evals.environments.lookup import MOST_QUERIES
from orchestra_evals.environments.lookup_tables import draw_queries, draw_tables
from orchestra_evals.suites.scoring import misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, rng_of, sample_id
from orchestra_topologies.graph import TaskGraph

_SEEDS = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Final states of one environment."""

    wanted: Json
    """A state in which the goal is reached."""
    others: Iterator[Json]
    """States in which it is not."""
    schema: Json
    """What all states are like."""
    instance: Json
    """What it takes to score a state."""


Draw: TypeAlias = Callable[[int, int], Ends]
"""Returns the final states of the environment with a size and a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Samples that are worked on with the tools of `environment_of(sample)`; the answer is its `state()` afterwards."""

    name: str
    about: About
    size: str
    """The axis, and parameter of the environment, that says how much work there is."""
    most: int
    draw: Draw
    score: Callable[[Json, Json], Score]
    """Returns what a state is worth, given the instance and the state."""

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample, whose question is the goal of its environment.

        Raises:
            InputError: The suite has no such difficulty.
        """
        check_difficulty(self.about, difficulty, {self.size: (1, self.most)})
        rng = rng_of(self.name, self.about.version, difficulty, index, split=split, seed=seed)
        drawn = rng.randrange(_SEEDS)
        environment = f"{self.name}:{self.size}={difficulty[self.size]},tools={difficulty['tools']},seed={drawn}"
        ends = self.draw(difficulty[self.size], drawn)
        sample = Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=make_environment(environment).goal,
            answer=AnswerType.parse({"json": ends.schema}),
            target=ends.wanted,
            difficulty=dict(difficulty),
            instance={"environment": environment, **ends.instance},
        )
        return with_slips(sample, self.check, ends.others)

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what a final state is worth; the value equals the environment's own score of it."""
        return misshapen(sample, answer) or self.score(sample.instance, answer)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: how a team shares the work is the team's own affair."""
        return None


def environment_of(sample: Sample) -> Environment | None:
    """Return the environment of a sample as it is before anybody acts, None where it is answered without one."""
    instance = sample.instance
    has_one = isinstance(instance, dict) and "environment" in instance
    return make_environment(instance["environment"]) if has_one else None


def lookup() -> Acting:
    """Return the suite of independent queries over tables."""
    return Acting(
        name="lookup",
        about=_about(
            "Independent queries over tables, answered with tools.",
            "Every query has the right answer; the value is the share of those that have.",
            "queries",
            (4, 12, 24),
        ),
        size="queries",
        most=MOST_QUERIES,
        draw=_draw_lookup,
        score=_score_lookup,
    )


def craft() -> Acting:
    """Return the suite of recipes that depend on each other."""
    return Acting(
        name="craft",
        about=_about(
            "Recipes that depend on each other, carried out with tools.",
            "The item asked for is in the inventory.",
            "steps",
            (3, 6, 12),
            chained="steps",
        ),
        size="steps",
        most=MOST_STEPS,
        draw=_draw_craft,
        score=_score_craft,
    )


def _about(summary: str, scoring: str, size: str, sizes: tuple[int, ...], *, chained: str | None = None) -> About:
    return About(
        summary=summary,
        scoring=scoring,
        licence="Apache-2.0, generated",
        axes={size: sizes, "tools": TOOL_COUNTS},
        default=tuple({size: value, "tools": tools} for value in sizes for tools in (3, 16)),
        steps=chained,
    )


def _draw_lookup(queries: int, seed: int) -> Ends:
    random = Random(f"lookup {seed}")  # as the environment draws its own
    tables = draw_tables(random)
    asked = draw_queries(tables, queries, random)
    wanted = {str(query.number): tables.values[query.cell] for query in asked}
    archived = {str(query.number): tables.archive[query.cell] for query in asked}
    last = str(queries - 1)
    text = {"type": "string"}
    return Ends(
        wanted=wanted,
        others=iter([wanted | {last: archived[last]}, dict(list(wanted.items())[:-1]), archived, {}]),
        schema={"type": "object", "properties": dict.fromkeys(wanted, text), "additionalProperties": False},
        instance={"wanted": wanted},
    )


def _score_lookup(instance: Json, state: Json) -> Score:
    wanted = instance["wanted"]
    missed = [number for number, value in wanted.items() if _plain(state.get(number, "")) != _plain(value)]
    share = 1 - len(missed) / len(wanted)
    return wrong(f"query {missed[0]} has no right answer", value=share) if missed else right()


def _draw_craft(steps: int, seed: int) -> Ends:
    recipes = draw_recipes(steps, Random(f"craft {seed}"))  # as the environment draws its own
    number: Json = {"type": "integer", "minimum": 0}
    return Ends(
        wanted={"inventory": {recipes.target: 1}, "made": steps},
        others=(_left(Workshop(recipes), steps, made, wasted) for made, wasted in ((0, True), (0, False), (1, True))),
        schema=closed_object({"inventory": {"type": "object", "additionalProperties": number}, "made": number}),
        instance={"item": recipes.target, "steps": steps},
    )


def _left(workshop: Workshop, steps: int, made: int, is_wasted: bool) -> Json:
    """Return the state after some of the steps, with the material of the next one wasted or not."""
    made = min(made, steps - 1)
    for item in workshop.recipes.chain[:made]:
        workshop.craft(item)
    if is_wasted:
        workshop.craft(workshop.recipes.decoys[made])
    return {"inventory": workshop.inventory(), "made": workshop.made}


def _score_craft(instance: Json, state: Json) -> Score:
    progress = min(1.0, state["made"] / instance["steps"])
    if state["inventory"].get(instance["item"], 0) > 0:
        return right(progress=progress)
    return wrong(f"there is no {instance['item']}", progress=progress)


def _plain(value: str) -> str:
    return value.strip().casefold()
