"""The recipes of `craft`, and the material that there is: a chain of crafts and, for each, one that wastes material."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

_MATERIALS = (
    *("oak", "iron", "clay", "copper", "wool", "glass", "leather", "marble", "silver", "bamboo", "cotton", "amber"),
    *("granite", "linen", "pine", "quartz", "rubber", "slate", "tin", "walnut", "wax", "zinc", "cork", "jade"),
)
_SHAPES = (
    *("frame", "hinge", "panel", "wheel", "lever", "casing", "handle", "valve", "gear", "bracket", "shaft", "spring"),
    *("plate", "socket", "coupling", "bearing", "crank", "drum", "flange", "gauge", "rod", "clamp", "piston", "rail"),
)
_DECOYS = ("bowl", "toy", "vase", "statue", "bench", "crate")
MOST_STEPS = len(_MATERIALS) - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """How things are made; every recipe takes one of each of its ingredients and makes one thing."""

    base: str
    """What the first craft needs beside its material."""
    chain: Sequence[str]
    """What the steps make, in their order; the last is the target. Each needs the product of the step before."""
    materials: Sequence[str]
    """The raw material of each step."""
    decoys: Sequence[str]
    """For each step what uses up its material and is needed by nothing."""
    ingredients: Mapping[str, tuple[str, ...]]
    """Of everything that can be made."""

    @property
    def target(self) -> str:
        """What is to be made."""
        return self.chain[-1]


def draw_recipes(steps: int, random: Random) -> Recipes:
    """Return a chain of `steps` crafts; every name but those of raw materials tells the material of its step."""
    base, *materials = random.sample(_MATERIALS, steps + 1)
    chain = [f"{one} {shape}" for one, shape in zip(materials, random.sample(_SHAPES, steps), strict=True)]
    decoys = [f"{one} {random.choice(_DECOYS)}" for one in materials]
    before = [base, *chain[:-1]]
    ingredients = dict(zip(chain, zip(before, materials, strict=True), strict=True)) | {
        decoy: (material,) for decoy, material in zip(decoys, materials, strict=True)
    }
    return Recipes(base=base, chain=chain, materials=materials, decoys=decoys, ingredients=ingredients)


@dataclass(slots=True)
class Workshop:
    """What is in the inventory; there is exactly as much of every raw material as the chain takes."""

    recipes: Recipes
    stock: Counter[str] = field(default_factory=Counter)
    made: int = 0
    """Steps of the chain that were done; they can be done in their order only, and each once."""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Put everything back to the beginning."""
        self.stock.clear()
        self.stock.update([self.recipes.base, *self.recipes.materials])
        self.made = 0

    def inventory(self) -> dict[str, int]:
        """Return how many there are of each thing that there is, in alphabetical order."""
        return {item: self.stock[item] for item in sorted(self.stock) if self.stock[item]}

    def recipe(self, item: str) -> tuple[str, ...] | None:
        """Return what `item` is made of, None for a raw material.

        Raises:
            ValueError: There is no such thing.
        """
        if item in (self.recipes.base, *self.recipes.materials):
            return None
        if item not in self.recipes.ingredients:
            raise ValueError(f"nothing is called {item!r}")
        return self.recipes.ingredients[item]

    def craft(self, item: str) -> None:
        """Make one `item` and use its ingredients up.

        Raises:
            ValueError: It cannot be made, or an ingredient is missing; nothing is changed then.
        """
        ingredients = self.recipe(item)
        if ingredients is None:
            raise ValueError(f"{item} is a raw material and cannot be made")
        if missing := [one for one in ingredients if not self.stock[one]]:
            raise ValueError(f"{item} needs {' and '.join(ingredients)}; missing: {', '.join(missing)}")
        self.stock.subtract(ingredients)
        self.stock[item] += 1
        self.made += item in self.recipes.chain

    def exchange(self, item: str, result: str | None = None) -> None:
        """Take one `item` away for good and put `result`, if any, in its place.

        Raises:
            ValueError: There is none.
        """
        if not self.stock[item]:
            raise ValueError(f"there is no {item!r} in the inventory")
        self.stock[item] -= 1
        if result is not None:
            self.stock[result] += 1

    def has_target(self) -> bool:
        """Tell whether the target is in the inventory."""
        return self.stock[self.recipes.target] > 0

    def is_reachable(self) -> bool:
        """Tell whether the target is there or can still be made of what is there."""
        if self.made == len(self.recipes.chain):
            return self.has_target()
        before = self.recipes.chain[self.made - 1] if self.made else self.recipes.base
        return all(self.stock[one] for one in (before, *self.recipes.materials[self.made :]))
