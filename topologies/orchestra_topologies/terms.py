"""On what terms a question is answered: by whom, how they are sampled, within which time, and what may be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestra_agents.flags import Check
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Message, Model, Prompt, Sampling, digest
from orchestra_agents.roles.cards import RoleCard
from orchestra_agents.sampler import Sampler
from orchestra_agents.tools import NO_TOOLS, Toolbox
from orchestra_agents.verification import Verify
from orchestra_topologies.subtask import Repair


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds while a question is answered."""

    models: Sequence[Model]
    """The panel."""
    sampling: Sampling
    card: RoleCard
    """The role of whoever answers."""
    timeout_s: float | None = None
    """Seconds from the first call until the question has failed; None is no limit."""
    verify: Verify | None = None
    """What must pass the answer."""
    repair: Repair | None = None
    """Who mends an answer that does not pass."""
    tools: Toolbox = NO_TOOLS
    """What may be called on the way."""
    sampler: Sampler | None = None
    """Whose calls count as those of the question; None starts anew."""

    @property
    def red_flag(self) -> Check | None:
        """Further reasons to discard a reply."""
        return self.card.red_flag()

    def told(self, question: Question) -> Question:
        """Return the question with the role's words before everything else; a pattern has no room for them."""
        if not self.card.words or question.prompt.text is not None:
            return question
        system, *others = question.prompt.messages
        messages = (Message("system", f"{self.card.words} {system.content}"), *others)
        who = question.prompt.step.rpartition("|")[0]
        step = f"{who}|{digest(Prompt(messages=messages).rendered())}"
        return replace(question, prompt=replace(question.prompt, messages=messages, step=step))
