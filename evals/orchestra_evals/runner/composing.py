"""From what a user names to the cells of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from orchestra.panel import ModelSpec
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.scoring import check_programs
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.suite import Suite
from orchestra_evals.systems.own import Function, Own
from orchestra_evals.systems.system import System
from orchestra_evals.systems.wiring import Wiring

Systems: TypeAlias = "Mapping[str, System | Function] | Sequence[System]"
"""Who competes: systems, or functions of a user's own by name."""

_SELECTION, _NO_CAPS = Selection(), Budget()


def cells_of(
    suite: Suite | str,
    systems: Systems | None = None,
    *,
    models: Sequence[ModelSpec | None] = (None,),
    budget: Budget | None = None,
    selection: Selection = _SELECTION,
    name: str = "",
) -> tuple[Cell, ...]:
    """Return the cells of an evaluation: each system with each model; nothing is asked.

    Raises:
        InputError: Suite, systems or a value is wrong.
    """
    found = selection.narrowed(make_suite(suite) if isinstance(suite, str) else suite)
    samples = selection.samples(found)
    check_programs(found, samples)
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    cells = [
        Cell(
            suite=found,
            samples=samples,
            selection=selection,
            called=called,
            system=system,
            model=model,
            budget=budget or _NO_CAPS,
            name=name,
        )
        for called, system in _named(systems).items()
        for model in several or (None,)
    ]
    if len({cell.id for cell in cells}) < len(cells):
        raise InputError("models", "the same model, or the same system, was given twice")
    return tuple(cells)


def _named(systems: Systems | None) -> dict[str, System]:
    if systems is None:
        systems = [Wiring()]
    pairs = systems.items() if isinstance(systems, Mapping) else [(system.name, system) for system in systems]
    if not pairs:
        raise InputError("systems", "must name at least one")
    named: dict[str, System] = {}
    for called, system in pairs:
        if called in named:
            raise InputError("systems", f"two are called {called!r}; give them as a mapping by names of your own")
        named[called] = system if isinstance(system, System) else Own(called, system)
    return named
