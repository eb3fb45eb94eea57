"""How a graph is carried out, and by what means: what the user decides beside the graph itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestra_agents.acting import Allow, allow_nothing
from orchestra_agents.roles.cards import RoleCard, shipped_cards
from orchestra_agents.tools import NO_TOOLS, Toolbox

WHOLE = "<whole>"
"""Node of one agent that answers for all subtasks; no subtask can be called so."""
Context = Literal["declared", "ancestors", "layers"]
"""What a subtask is shown: its declared inputs, all that those depend on, too, or (hybrid) all earlier layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How a graph is carried out, whatever its topology."""

    context: Context = "declared"
    """What a subtask is shown."""
    fail_fast: bool = False
    """Whether the first subtask that does not end ok cancels all others."""
    timeout_s: float | None = None
    """Seconds from its first call until a subtask that says nothing else has failed."""
    window: int | None = None
    """Tokens that a prompt and its reply may take together, where the models do not say less."""
    consistency: float = 0.7
    """Similarity, in [0, 1], from which on answers to one question count as consistent (AdaptOrch's theta CS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What agents of a run may use, all of it brought along by the user."""

    cards: Mapping[str, RoleCard] = field(default_factory=shipped_cards)
    """Role cards by role."""
    tools: Toolbox = NO_TOOLS
    """The tools there are; a subtask is granted those that it names."""
    allow: Allow = allow_nothing
    """Who allows calls that must not happen twice."""


PLAIN = Conduct()
NO_MEANS = Means()
