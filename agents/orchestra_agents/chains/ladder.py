"""What can be tried when votes fail: the same question in other words, then another model."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.chains.chain import Chain
from orchestra_agents.chains.policy import Crew
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import RungChosen
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.models.contract import Model


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to put the questions of a chain."""

    name: str
    models: tuple[Model, ...]
    varied: bool = False
    """Whether the process's other words are used."""


class Ladder:
    """The rungs that a chain has, and the one it stands on; a run climbs and never comes down.

    A single undecided step tries the rungs above for itself; sentinels that err together move the whole run.
    """

    def __init__(self, chain: Chain, crew: Crew, *, journal: RunJournal, state: ChainState) -> None:
        self._journal, self._state = journal, state
        rungs = [Rung("plain", crew.models)]
        if chain.has_variants:
            rungs.append(Rung("variants", crew.models, varied=True))
        if crew.reserve:
            rungs.append(Rung("reserve", crew.reserve))
        reached = next((at for at, rung in enumerate(rungs) if rung.name == state.rung), 0)
        self.ahead = tuple(rungs[reached:])
        """The rung that the run stands on, and those above."""

    @property
    def now(self) -> Rung:
        """The rung that the run stands on."""
        return self.ahead[0]

    def climb(self, step: int, reason: str) -> bool:
        """Take the next rung from `step` on, recorded with its reason; False where there is none."""
        if len(self.ahead) == 1:
            return False
        self.ahead = self.ahead[1:]
        self._journal.append(RungChosen(step=step, rung=self.now.name, reason=reason))
        return True
