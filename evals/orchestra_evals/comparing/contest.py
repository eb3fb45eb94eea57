"""A contest: every system of a line-up with every model on the same samples, each under the same cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.panel import ModelSpec
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.names import canonical
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_evals.comparing.capping import CapSource, cap_of
from orchestra_evals.comparing.foretelling import Foretold, foretold
from orchestra_evals.comparing.ground import Ground
from orchestra_evals.comparing.lineup import BASELINE, Asked, Lineup, Skipped, line_up
from orchestra_evals.runner.cells import Cell
from orchestra_evals.runner.composing import Systems, cells_of
from orchestra_evals.runner.estimates import DISCORDANCE, Detectable
from orchestra_evals.runner.selection import Selection
from orchestra_evals.statistics.detectable import mde
from orchestra_evals.suites.suite import Suite
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import GraphSource, System
from orchestra_evals.systems.wiring import Wiring

Profiles: TypeAlias = "Profile | Mapping[str, Profile]"
"""What was measured of the model; of several models by their names."""

_SELECTION, _CHOICES = Selection(), Choices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who competes with which model, on what, and under which cap."""

    cells: tuple[Cell, ...]
    """By system, then by model; the baseline first."""
    skipped: tuple[Skipped, ...]
    """Who would compete, and cannot."""
    ground: Ground
    cap_source: CapSource
    """Who set the cap in calls, tokens or dollars."""
    foretold: Mapping[str, Foretold]
    """What is foretold of each wiring, by cell: no cap changes it."""

    @property
    def pick(self) -> str | None:
        """Name of the system that does what is done where nobody decides, None where it does not compete."""
        wired = [(cell.called, cell.system.choices) for cell in self.cells if isinstance(cell.system, Wiring)]
        return next((called for called, said in wired if (said.topology, said.team) == ("auto", "auto")), None)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(cell.model_name for cell in self.cells if cell.called == BASELINE)

    @property
    def comparisons(self) -> int:
        """Systems that are compared with the baseline: one family for each model."""
        return len({cell.called for cell in self.cells}) - 1

    def detectable(self, discordance: float = DISCORDANCE, samples: int | None = None) -> Detectable:
        """Return the least difference from the baseline that would be found.

        Args:
            discordance: Share of samples on which systems differ, or are taken to before anything is known.
            samples: Independent samples that were compared; None is all.
        """
        family, count = max(1, self.comparisons), self.ground.clusters if samples is None else samples
        effect = mde(count, discordance, comparisons=family)
        return Detectable(effect=effect, n=count, comparisons=family, discordance=discordance)


async def contest_of(
    suite: Suite | str,
    *,
    systems: Systems | None = None,
    topologies: Asked = "all",
    teams: Asked | None = None,
    models: Sequence[ModelSpec | None] = (None,),
    budget: Budget | None = None,
    choices: Choices = _CHOICES,
    decompose: GraphSource = "suite",
    profile: Profiles | None = None,
    selection: Selection = _SELECTION,
    name: str = "",
) -> Contest:
    """Return who competes with which model; nothing is asked. See `compare`.

    Raises:
        InputError: Suite, systems, models or a value is wrong, or what the user named cannot answer the samples.
    """
    alone = Wiring(choices=replace(choices, topology="single", team="solo", k=None), decompose=decompose)
    seats = cells_of(suite, {BASELINE: alone}, models=models, selection=selection, name=name)
    ground = Ground.of(seats[0].suite, seats[0].samples, decompose)
    lineup = line_up(ground, systems=systems, topologies=topologies, teams=teams, choices=choices)
    known = _profiles(seats, profile)
    cells = [
        replace(seat, suite=ground.suite, called=called, system=_profiled(system, measured))
        for called, system in lineup.systems.items()
        for seat, measured in zip(seats, known, strict=True)
    ]
    told = await _foretold(cells, lineup)
    repeated = len(ground.samples) * selection.repeats
    takes = [None if one.tokens is None or ground.is_acted_in else one.tokens * repeated for one in told.values()]
    cap = cap_of(budget or Budget(), takes, cells[0])
    if cap.source == "none":
        _leave_out_who_spends_to_the_cap(lineup)
    return Contest(
        cells=tuple(replace(cell, budget=cap.budget) for cell in cells if cell.called in lineup.systems),
        skipped=tuple(lineup.skipped),
        ground=ground,
        cap_source=cap.source,
        foretold=told,
    )


async def _foretold(cells: Sequence[Cell], lineup: Lineup) -> dict[str, Foretold]:
    """Return what is foretold of each wiring, by cell; who refuses the samples is taken out of the line-up.

    Raises:
        InputError: The user named who refuses them.
    """
    found: dict[str, Foretold] = {}
    for cell in cells:
        if isinstance(cell.system, Wiring) and cell.called in lineup.systems:
            try:
                found[cell.id] = await foretold(cell)
            except InputError as error:
                lineup.refuse(cell.called, error)
    return found


def _leave_out_who_spends_to_the_cap(lineup: Lineup) -> None:
    for called, system in list(lineup.systems.items()):
        if isinstance(system, SelfConsistency) and system.samples is None:
            lineup.refuse(called, InputError("budget", f"{called} spends to the cap; give one in calls, tokens or usd"))


def _profiles(seats: Sequence[Cell], profile: Profiles | None) -> list[Profile | None]:
    """Return what was measured of each model; one profile for several models is that of the model it names.

    Raises:
        InputError: A profile is of none of the models.
    """
    if not isinstance(profile, Mapping):
        known = [profile if len(seats) == 1 or _is_of(profile, seat.model_name) else None for seat in seats]
        if profile is not None and not any(known):
            raise InputError("profile", f"is of {profile.model}, which is none of the models")
        return known
    names = [seat.model_name for seat in seats]
    if (other := next((name for name in profile if name not in names), None)) is not None:
        raise InputError("profile", f"is of {other}, but the models are {', '.join(names)}")
    return [profile.get(name) for name in names]


def _is_of(profile: Profile | None, model: str) -> bool:
    """Tell whether a profile is of the model that a user names so."""
    name = canonical(model)
    provider, _, rest = name.partition(":")
    name = SimulatedModel.parse(rest).name if provider == "simulated" else name
    return profile is not None and profile.model == name


def _profiled(system: System, known: Profile | None) -> System:
    """Return a system with what is known of its model; one that brings its own profile keeps it."""
    return replace(system, profile=known) if isinstance(system, Wiring) and system.profile is None else system
