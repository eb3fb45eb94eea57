"""Recipes that depend on each other: sequential work, in which one wasted piece of material loses the goal."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from orchestra_agents.models.contract import Json
from orchestra_agents.tools import Toolbox, tool
from orchestra_evals.environments.craft_distractors import CraftDistractors
from orchestra_evals.environments.craft_policy import CraftPolicy
from orchestra_evals.environments.craft_workshop import MOST_STEPS, Workshop, draw_recipes
from orchestra_evals.environments.environment import Deeds, check_integer, check_tools, replay

_GOAL = """Make one {target}. The task is done when {target} is in the inventory.
inventory tells what there is; recipe tells the ingredients of an item; craft makes one item.
A craft takes one of each ingredient, uses them up for good, and fails without harm if one of them is missing.
{target} needs another item that has to be made first, which may need another, and so on; the rest is raw material.
There is exactly as much raw material as {target} takes: anything used otherwise puts {target} out of reach.
Items with a recipe, in alphabetical order, some of which are not needed: {items}."""


class Craft:
    """A chain of crafts, each of which needs the product of the one before and the only piece of its material.

    With 3 tools there are `inventory`, `recipe` and `craft`; 5 and 16 add distractors, of which `smelt`, `discard` and
    `trade` destroy material.

    Args:
        steps: How many crafts, 1 to 20.
        tools: 3, 5 or 16.
        seed: Fixes the recipes, at least 0.

    Raises:
        InputError: One of them is out of its range.
    """

    def __init__(self, steps: int = 6, tools: int = 3, seed: int = 0) -> None:
        check_integer("craft: steps", steps, low=1, high=MOST_STEPS)
        check_tools("craft: tools", tools)
        check_integer("craft: seed", seed, low=0)
        self._workshop = Workshop(draw_recipes(steps, Random(f"craft {seed}")))
        self._tool_count = tools
        self._deeds = Deeds()

    @property
    def goal(self) -> str:
        """The task in words."""
        recipes = self._workshop.recipes
        return _GOAL.format(target=recipes.target, items=", ".join(sorted(recipes.ingredients)))

    @property
    def progress(self) -> float:
        """Share of the steps that were done, in [0, 1], whether or not the target can still be reached."""
        return self._workshop.made / len(self._workshop.recipes.chain)

    def toolbox(self) -> Toolbox:
        """Return as many tools as asked for, with `CraftPolicy`; the goal is reached when the target is there."""
        reads = [tool(function, effects="none") for function in (self.inventory, self.recipe)]
        distractors = CraftDistractors(self._workshop, self._deeds).tools(self._tool_count - 3)
        policy = CraftPolicy(workshop=self._workshop, has_smelter=bool(distractors))
        tools = [*reads, tool(self.craft, effects="idempotent"), *distractors]
        return Toolbox(tools, reference=policy, is_done=self._workshop.has_target)

    def score(self) -> float:
        """Return 1 where the target is in the inventory, else 0, as the study scores it; see also `progress`."""
        return float(self._workshop.has_target())

    def state(self) -> Json:
        """Return the inventory and how many steps were done."""
        return {"inventory": self._workshop.inventory(), "made": self._workshop.made}

    async def restore(self, calls: Iterable[tuple[str, Json]]) -> None:
        """Put all material back, then repeat recorded calls."""
        self._workshop.reset()
        self._deeds.forget()
        await replay(self.toolbox(), calls)

    async def inventory(self) -> Json:
        """Return how many there are of each item in the inventory."""
        return self._workshop.inventory()

    async def recipe(self, item: str) -> str:
        """Return the ingredients of an item."""
        ingredients = self._workshop.recipe(item)
        if ingredients is None:
            return f"{item} is a raw material and cannot be made."
        return f"One {item} is made of one {' and one '.join(ingredients)}."

    async def craft(self, item: str, *, key: str) -> str:
        """Make one item, which uses its ingredients up for good.

        A craft made again would use up more, so by nature it is no idempotent effect. It is made one by its key: a
        key that was carried out is told its first result again and changes nothing.
        """
        return str(self._deeds.once(key, lambda: self._craft(item)))

    def _craft(self, item: str) -> str:
        self._workshop.craft(item)
        return f"One {item} is made."
