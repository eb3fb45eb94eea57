"""Who answers: the models of a run, by default, by role and by name."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Evidence, Model

WORKER = "worker"
"""Role of everybody who has no role of his own."""
SUMMARISER = "summariser"
"""Role of those who condense what another one reads."""
ROLES = ("arbiter", "decomposer", "judge", "lead", SUMMARISER)
"""Roles that are there in every run, beside `worker` and those that subtasks name."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Who answers: a default list of models, and lists by role."""

    default: tuple[Model, ...]
    roles: Mapping[str, tuple[Model, ...]] = field(default_factory=dict)
    named: Mapping[str, Model] = field(default_factory=dict)
    """Models that single subtasks ask for by name."""

    def choose(self, *, role: str | None = None, name: str | None = None) -> tuple[Model, ...]:
        """Return the model called `name`, else those of `role`, else the default ones."""
        if name is not None:
            return (self.named[name],)
        return self.roles.get(role or "", self.default)

    @property
    def evidence(self) -> Evidence:
        """Simulated as soon as one member is."""
        return "simulated" if any(model.evidence == "simulated" for model in self.everyone()) else "real"

    def check_roles(self, used: Set[str]) -> None:
        """Refuse models for roles that nobody has.

        Raises:
            InputError: A role is neither one of ours nor one that a subtask names.
        """
        known = sorted({*ROLES, *used})
        for role in self.roles:
            if role not in known:
                told = f"no subtask has the role {role!r}; roles here are worker, {', '.join(known)}"
                raise InputError("model", told)

    def everyone(self) -> tuple[Model, ...]:
        """Return every model once, in order."""
        by_role = [model for models in self.roles.values() for model in models]
        return tuple({id(model): model for model in [*self.default, *by_role, *self.named.values()]}.values())
