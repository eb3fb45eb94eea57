"""The margin of a run: chosen once, reviewed at ever longer intervals, every choice recorded with its reason."""

from __future__ import annotations

from orchestra_agents.chains.policy import DrivePolicy
from orchestra_agents.journal.chain import ChainState, Sums
from orchestra_agents.journal.chain_records import MarginChosen
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.models.contract import Json, Model
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.voting.ahead import AheadByK
from orchestra_agents.voting.margin import (
    PILOT_STEPS,
    Evidence,
    Margin,
    first_margin,
    margin_after_pilot,
    margin_for_hard_steps,
    pilot_margin,
)


class Margins:
    """Holds the rule that votes are decided by.

    Args:
        policy: What the user asked for.
        models: Who answers; simulated ones state their p.
        steps: How many steps the chain has.
    """

    def __init__(
        self,
        policy: DrivePolicy,
        models: tuple[Model, ...],
        steps: int,
        *,
        journal: RunJournal,
        state: ChainState,
    ) -> None:
        self._policy, self._steps = policy, steps
        self._journal, self._state = journal, state
        self._models = models
        self.rule = AheadByK()
        self.next_review = 0

    def open(self) -> None:
        """Choose the margin of step 0, or go on with the one that was reached."""
        if not self._state.margins:
            self._choose(0, self.first())
        self._set()
        self._schedule(self._state.steps)

    def first(self) -> Margin:
        """Return the margin of step 0.

        Raises:
            InputError: No margin reaches the target.
        """
        return opening_margin(self._policy, self._models, self._steps)

    def check(self) -> None:
        """Refuse, before anything is written, what no margin can reach.

        Raises:
            InputError: No margin reaches the target.
        """
        if not self._state.margins:
            self.first()

    def known(self) -> dict[str, Json] | None:
        """Return what the forecast is made of, None where the accuracy of a vote is not known."""
        p = known_p(self._policy, self._models)
        if not p:
            return None
        facts: dict[str, Json] = {"p": p, "steps": self._steps, "target": self._policy.target}
        told = self._models[0]
        if len(self._models) == 1 and isinstance(told, SimulatedModel):
            rho = told.rho if told.corr == "mixture" else 0.0
            return facts | {"rho": max(rho, self._policy.rho), "valid": told.valid, "wrong": told.wrong}
        return facts | {"rho": self._policy.rho}

    def review(self, step: int, sums: Sums) -> None:
        """Raise the margin from `step` on, where what was seen so far asks for it."""
        self._schedule(step)
        seen = Evidence(
            steps=step,
            votes=sums.sampled_votes,
            agreeing=sums.sampled_agreeing,
            contested=sums.contested,
            late_votes=sums.late_votes,
            late_agreeing=sums.late_agreeing,
        )
        policy = self._policy
        raised = None
        if step == PILOT_STEPS and policy.k is None and known_p(self._policy, self._models) is None:
            raised = margin_after_pilot(seen, self.rule.k, steps=self._steps, target=policy.target, rho=policy.rho)
        if raised is None:
            raised = margin_for_hard_steps(seen, self.rule.k, steps=self._steps, target=policy.target)
        if raised is not None:
            self._choose(step, raised)
            self._set()

    def _schedule(self, step: int) -> None:
        """Review next when the number of steps has doubled since the pilot, if margins may change at all."""
        if not self._policy.adaptive:
            self.next_review = self._steps + 1
            return
        self.next_review = PILOT_STEPS
        while self.next_review <= step:
            self.next_review *= 2

    def _choose(self, step: int, margin: Margin) -> None:
        self._journal.append(MarginChosen(step=step, k=margin.k, reason=margin.reason))

    def _set(self) -> None:
        policy, k = self._policy, self._state.k
        cap = None if policy.max_votes is None else max(policy.max_votes, k)
        self.rule = AheadByK(k, cap, wary=policy.adaptive)


def opening_margin(policy: DrivePolicy, models: tuple[Model, ...], steps: int) -> Margin:
    """Return the margin of a chain's first step: stated, by the law, or safe for a pilot.

    Raises:
        InputError: No margin reaches the target.
    """
    if policy.k is not None:
        return Margin(policy.k, "stated")
    p = known_p(policy, models)
    if p is None:
        return pilot_margin(steps=steps, target=policy.target)
    source = "given" if policy.p is not None else "stated by the simulated model"
    return first_margin(p, steps=steps, target=policy.target, rho=policy.rho, source=source)


def known_p(policy: DrivePolicy, models: tuple[Model, ...]) -> float | None:
    """Return the accuracy of a vote, where it is given or all models state it."""
    if policy.p is not None:
        return policy.p
    stated = [model.p for model in models if isinstance(model, SimulatedModel) and model.beta is None]
    return min(stated) if stated and len(stated) == len(models) else None
