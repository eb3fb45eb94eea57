"""A long-horizon process: code keeps the state and the strategy, a model answers one small question a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from orchestra_agents.models.contract import Prompt
from orchestra_agents.voting.jury import Jury

State: TypeAlias = Any
"""A JSON value, or a frozen dataclass of JSON values."""
Action: TypeAlias = Any
"""What a step decides: a JSON value, a frozen dataclass of JSON values, or a `Predicted` pair."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """An action together with the next state as the model sees it: votes are cast on the pair (MAKER, algorithm 3)."""

    action: Action
    state: State


class Process(Protocol):
    """A chain of steps. Everything but `observe` is a pure function of its arguments.

    A process may have more, each found by its name:

    - `reference(state) -> Action`: the right action; for tests, simulated models and `correct`;
    - `distractors(state) -> Sequence[Action]`: wrong actions that a simulated model gives, likeliest first;
    - `render(action) -> str`: what a model would write for an action (default: a text as it is, else JSON);
    - `is_correct(state) -> bool`: whether a final state is what the process was for;
    - `length: int`: how many steps it has, where that is known;
    - `variants(state) -> Sequence[Prompt]`: the same question in other words, for when votes err together;
    - `sentinel(number) -> State`: a state that is no part of the chain, whose `reference` is known;
    - `canonical(action) -> str`: equal for actions that are one answer (default: their JSON);
    - `red_flag(completion) -> str | None`: further reasons to discard a reply;
    - `concurrency: int`: calls in flight that suit it, and `slots: int`: prompts that a model computed on this machine
      should keep at hand, where nobody says otherwise;
    - `sampling: Sampling`: how its votes are drawn, where the user does not say;
    - `async observe(state, action, key) -> Observation`: an effect, run after the action's commit; its result, a JSON
      value, is recorded before the next step. After a kill in between it is repeated with the same `key`;
    - `absorb(state, observation) -> State`: the state that an observation leads to.
    """

    def first(self) -> State:
        """Return the state before the first step."""

    def prompt(self, state: State) -> Prompt | Jury | str:
        """Return the question of the step that begins in `state`; a text is one user message."""

    def parse(self, text: str, state: State) -> Action:
        """Return the action that a reply stands for.

        Raises:
            RedFlag: It cannot be read; the reply is discarded, never repaired.
        """

    def advance(self, state: State, action: Action) -> State:
        """Return the state after `action`; not called for a `Predicted` pair, whose state is the next."""

    def is_done(self, state: State) -> bool:
        """Tell whether the process has ended in `state`."""
