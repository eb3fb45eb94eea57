"""Decide whether more agents will help, how to wire them, and run them to the end.

The public names of all storeys but `orchestra_evals`; each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestra.choices import Choices
    from orchestra.decomposition import decompose
    from orchestra.drive_result import DriveResult
    from orchestra.driving import drive, drive_many
    from orchestra.planning import Plan, plan
    from orchestra.result import RunResult
    from orchestra.running import Hooks, resume, run, run_sync, stream
    from orchestra.session import Session
    from orchestra.solving import solve
    from orchestra.subgraph import as_subgraph
    from orchestra_agents.answers import AnswerType
    from orchestra_agents.chains.policy import DrivePolicy
    from orchestra_agents.errors import (
        BudgetExceeded,
        InputError,
        JournalError,
        ModelError,
        ModelUnavailable,
        OrchestraError,
        RedFlag,
    )
    from orchestra_agents.journal.sqlite import Journal
    from orchestra_agents.ledger import Budget
    from orchestra_agents.models.contract import (
        Completion,
        Message,
        Model,
        Prompt,
        Sampling,
        TokenUsage,
        Truth,
    )
    from orchestra_agents.process import Predicted, Process
    from orchestra_agents.voting.jury import Jury
    from orchestra_topologies.graph import Subtask, TaskGraph
    from orchestra_topologies.router import route

_HOMES = {
    "orchestra.decomposition": ("decompose",),
    "orchestra.drive_result": ("DriveResult",),
    "orchestra.driving": ("drive", "drive_many"),
    "orchestra.choices": ("Choices",),
    "orchestra.planning": ("Plan", "plan"),
    "orchestra.result": ("RunResult",),
    "orchestra.running": ("Hooks", "resume", "run", "run_sync", "stream"),
    "orchestra.session": ("Session",),
    "orchestra.solving": ("solve",),
    "orchestra.subgraph": ("as_subgraph",),
    "orchestra_agents.answers": ("AnswerType",),
    "orchestra_agents.chains.policy": ("DrivePolicy",),
    "orchestra_agents.errors": (
        "BudgetExceeded",
        "InputError",
        "JournalError",
        "ModelError",
        "ModelUnavailable",
        "OrchestraError",
        "RedFlag",
    ),
    "orchestra_agents.journal.sqlite": ("Journal",),
    "orchestra_agents.ledger": ("Budget",),
    "orchestra_agents.models.contract": (
        "Completion",
        "Message",
        "Model",
        "Prompt",
        "Sampling",
        "TokenUsage",
        "Truth",
    ),
    "orchestra_agents.process": ("Predicted", "Process"),
    "orchestra_agents.voting.jury": ("Jury",),
    "orchestra_topologies.graph": ("Subtask", "TaskGraph"),
    "orchestra_topologies.router": ("route",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AnswerType",
    "Budget",
    "BudgetExceeded",
    "Choices",
    "Completion",
    "DrivePolicy",
    "DriveResult",
    "Hooks",
    "InputError",
    "Journal",
    "JournalError",
    "Jury",
    "Message",
    "Model",
    "ModelError",
    "ModelUnavailable",
    "OrchestraError",
    "Plan",
    "Predicted",
    "Process",
    "Prompt",
    "RedFlag",
    "RunResult",
    "Sampling",
    "Session",
    "Subtask",
    "TaskGraph",
    "TokenUsage",
    "Truth",
    "as_subgraph",
    "decompose",
    "drive",
    "drive_many",
    "plan",
    "resume",
    "route",
    "run",
    "run_sync",
    "solve",
    "stream",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestra' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
