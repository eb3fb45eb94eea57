"""What can be tried when votes fail: the same question in other words, then another model."""

from __future__ import annotations

from collections.abc import Iterator
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
        self._rungs = [Rung("plain", crew.models)]
        if chain.has_variants:
            self._rungs.append(Rung("variants", crew.models, varied=True))
        if crew.reserve:
            self._rungs.append(Rung("reserve", crew.reserve))
        self._place = next((at for at, rung in enumerate(self._rungs) if rung.name == state.rung), 0)

    @property
    def now(self) -> Rung:
        """The rung that the run stands on."""
        return self._rungs[self._place]

    def above(self) -> Iterator[Rung]:
        """Yield the rungs above, nearest first."""
        yield from self._rungs[self._place + 1 :]

    def climb(self, step: int, reason: str) -> bool:
        """Take the next rung from `step` on, recorded with its reason; False where there is none."""
        if self._place + 1 == len(self._rungs):
            return False
        self._place += 1
        self._journal.append(RungChosen(step=step, rung=self.now.name, reason=reason))
        return True
