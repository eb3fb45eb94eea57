"""What a resumed run must have in common with its start, and what to say where it has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from orchestra.choices import Choices
from orchestra.planning import Plan
from orchestra_agents.journal.replay import ENDPOINTS
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, digest
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.panel import Panel
from orchestra_topologies.prompts import VERSION

_FREE = frozenset({"base_url", "options", "steps", "forecast", ENDPOINTS})
"""Entries that may differ from one attempt at a run to the next."""


def manifest_of(plan: Plan, panel: Panel) -> dict[str, Json]:
    """Return the manifest of a run: task, models by role, choices, version of the prompts, address of the server."""
    models = {"worker": [model.name for model in panel.default]}
    models |= {role: [model.name for model in members] for role, members in panel.roles.items()}
    return {
        "task": plan.task if isinstance(plan.task, str) else plan.task.to_dict(),
        "models": models,
        "choices": asdict(plan.choices),
        "prompts": VERSION,
        "base_url": plan.base_url,
        **(
            {"tools": {name: digest([tool.spec(), tool.effects]) for name, tool in plan.tools.tools.items()}}
            if plan.tools
            else {}
        ),
        **plan.means_dict(),
        **plan.text_dict(),
    }


def plan_of(manifest: Mapping[str, Json], budget: Budget) -> Plan:
    """Return the plan that a manifest stands for, under a budget, which is not part of it."""
    task = manifest["task"]
    return Plan(
        task=task if isinstance(task, str) else TaskGraph.from_dict(task),
        model=manifest["models"],
        budget=budget,
        choices=Choices(**manifest["choices"]),
        base_url=manifest["base_url"],
        **Plan.read_means(manifest),
        **Plan.read_text_dict(manifest),
    )


def differences(before: Mapping[str, Json], now: Mapping[str, Json], within: str = "") -> list[str]:
    """Return what changed, by key; a changed task is only named, anything else is shown as it was and is.

    Where the server listens may change: a server that moved is still the same model. So may how far a chain is driven,
    and what no decision of it depends on.
    """
    changed = []
    for key in dict.fromkeys([*before, *now]):
        if key in _FREE:
            continue
        then, new = before.get(key), now.get(key)
        if key == "task" or then == new:
            changed += ["task differs"] if then != new else []
        elif isinstance(then, dict) and isinstance(new, dict):
            changed += differences(then, new, f"{key}.")
        else:
            changed.append(f"{within}{key} differs ({then} then, {new} now)")
    return changed
