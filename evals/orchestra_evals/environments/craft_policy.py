"""What a simulated agent does in `craft`: it reads the recipes from the last product back, then crafts them forward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestra_agents.models.contract import Truth, canonical_json
from orchestra_agents.tools import Situation
from orchestra_evals.environments.craft_workshop import Workshop
from orchestra_evals.environments.environment import Action, Seen, act, finish, seen


@dataclass(frozen=True, slots=True, kw_only=True)
class CraftPolicy:
    """The right next action and wrong ones; nothing is crafted whose recipe the agent has not read itself.

    Divided, member m of n has the steps m * steps // n up to (m + 1) * steps // n and is told what they end in; where
    the step before is still to be done by somebody else it waits by looking at the inventory. Else everybody does the
    next step of the whole chain that is not done yet. Once the target cannot be reached any more, it looks at the
    inventory and ends. Wrong actions, likeliest first:

    - instead of a recipe, a craft, or waiting: material of the step at hand smelted, where there are such tools, then
      crafted into what nobody needs, either of which puts the target out of reach; a look at a useless recipe, which
      costs a turn; the end before its time;
    - instead of the look before giving up: a false report of success; instead of the end: another look at the
      inventory, which costs a turn.
    """

    workshop: Workshop
    """The environment changes it."""
    has_smelter: bool

    def __call__(self, situation: Situation) -> Truth:
        """Return what is right, and what is wrong, in `situation`."""
        shop, known = self.workshop, list(seen(situation.turns))
        chain = shop.recipes.chain
        begin, end = self._steps(situation)
        if not shop.is_reachable():
            return _end("The target cannot be made any more.") if self._sees(known) else _look()
        if begin == end:
            return _end("No step is mine.")
        if shop.made >= end:
            return _end(f"{chain[end - 1]} is made.")
        step = max(begin, shop.made)
        read = {one.arguments["item"] for one in known if one.tool == "recipe"}
        for later in reversed(range(step, end)):
            if chain[later] not in read:
                return self._choice(act("recipe", item=chain[later]), later)
        return self._choice(act("craft", item=chain[step]) if step == shop.made else act("inventory"), step)

    def _steps(self, situation: Situation) -> tuple[int, int]:
        """Return the first step that is the agent's, and the one after its last."""
        steps, members = len(self.workshop.recipes.chain), situation.members
        if not situation.is_divided:
            return 0, steps
        return situation.member * steps // members, (situation.member + 1) * steps // members

    def _sees(self, known: list[Seen]) -> bool:
        """Tell whether the agent's last look showed the inventory as it is now."""
        looks = [one.text for one in known if one.tool == "inventory"]
        return bool(looks) and looks[-1] == canonical_json(self.workshop.inventory())

    def _choice(self, right: Action, step: int) -> Truth:
        return Truth(answer=right, wrong=(*self._wasteful(step), finish(f"{self.workshop.recipes.target} is made.")))

    def _wasteful(self, step: int) -> Iterable[Action]:
        recipes = self.workshop.recipes
        if self.has_smelter:
            yield act("smelt", item=recipes.materials[step])
        yield act("craft", item=recipes.decoys[step])
        yield act("recipe", item=recipes.decoys[step])


def _look() -> Truth:
    return Truth(answer=act("inventory"), wrong=(finish("The target is made."),))


def _end(text: str) -> Truth:
    return Truth(answer=finish(text), wrong=(act("inventory"),))
