"""The model of a system that brings its own: it has a name for the journal, and answers nothing."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra_agents.errors import ModelUnavailable
from orchestra_agents.models.contract import Completion, Evidence, Form, ModelFacts, Prompt, Sampling
from orchestra_agents.prices import FREE, Price


@dataclass(frozen=True, slots=True)
class Nobody:
    """Stands where no model was named."""

    called: str
    """The system that needs none of ours."""

    @property
    def name(self) -> str:
        """Return `own:` and the name of the system."""
        return f"own:{self.called}"

    @property
    def price(self) -> Price:
        """Nothing is asked, so nothing is paid."""
        return FREE

    @property
    def evidence(self) -> Evidence:
        """Real, as far as anybody knows."""
        return "real"

    @property
    def form(self) -> Form:
        """As any other."""
        return "chat"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Refuse to answer.

        Raises:
            ModelUnavailable: Always.
        """
        raise ModelUnavailable(f"model: none was named for the system {self.called}; name one for its client to ask")

    async def probe(self) -> ModelFacts:
        """Return that it cannot be reached."""
        return ModelFacts(reachable=False, problem="no model was named")

    async def aclose(self) -> None:
        """Nothing to give back."""
