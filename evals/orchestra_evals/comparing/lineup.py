"""Who competes: from topologies, teams and systems of a user's own to systems by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast, get_args

from orchestra.choices import Choices
from orchestra_agents.errors import InputError
from orchestra_evals.comparing.ground import Ground
from orchestra_evals.runner.composing import Systems
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.self_consistency import TEMPERATURE, SelfConsistency
from orchestra_evals.systems.system import System
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.router import Topology
from orchestra_topologies.teams.team import TeamName, TeamSpec

BASELINE = "single x solo"
"""What every other system is compared with."""
RIVAL = "selfconsistency"
"""What is cut to the spend of every other system."""
TOPOLOGIES: tuple[str, ...] = get_args(Topology)
TEAMS: tuple[str, ...] = get_args(TeamName)
Asked: TypeAlias = "str | Sequence[str]"
"""Names; `all` stands for all that there are."""

_BY_DEFAULT: Mapping[str, Sequence[str]] = {"single": TEAMS, "auto": ("auto",)}
_SPLIT_UP = ("solo", "vote")  # the teams of other topologies, where nobody names any


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A system that does not compete."""

    system: str
    """Its name, or a topology, for all systems that have it."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """Who competes."""

    systems: dict[str, System] = field(default_factory=dict)
    """By name, the baseline first."""
    named: set[str] = field(default_factory=set)
    """Those that the user named: what they refuse is an error."""
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, system: str, reason: str) -> None:
        """Take a system out, or leave out a topology."""
        self.systems.pop(system, None)
        if (one := Skipped(system=system, reason=reason)) not in self.skipped:
            self.skipped.append(one)

    def refuse(self, system: str, error: InputError) -> None:
        """Take a system out that cannot answer the samples.

        Raises:
            InputError: The user named it.
        """
        if system in self.named:
            raise error
        self.skip(system, str(error).removeprefix(f"{error.field}: "))


def line_up(
    ground: Ground,
    *,
    systems: Systems | None = None,
    topologies: Asked = "all",
    teams: Asked | None = None,
    choices: Choices,
) -> Lineup:
    """Return who competes; nothing is asked.

    Args:
        ground: The samples.
        systems: Systems of the user's own, beside the others; one takes the place of a like one of its name.
        topologies: Those that are compared.
        teams: Those that each of them gets; None is all where one team answers the whole question, and one agent and a
            vote where samples are split up.
        choices: Margin and sampling of all of them; topology and team are not looked at.

    Raises:
        InputError: A name is wrong, or a team that the user named cannot answer the samples.
    """
    lineup, is_named = Lineup(named={BASELINE}), teams is not None and "all" not in _names(teams)
    for topology, team in dict.fromkeys([("single", "solo"), *_pairs(topologies, teams)]):
        if (reason := ground.bars(topology)) is not None:
            lineup.skip(topology, reason)
            continue
        wired = _wired(choices, topology, team, ground)
        lineup.systems[wired.name] = wired
        if is_named:
            lineup.named.add(wired.name)
        if (reason := ground.refuses(topology, team)) is not None:
            lineup.refuse(wired.name, InputError("teams", reason))
    voting = SelfConsistency(choices=replace(choices, temperature=TEMPERATURE))
    for name, system in ((RIVAL, voting), *_own(systems)):
        held = lineup.systems.get(name)
        if held is not None and type(held) is not type(system):
            raise InputError("systems", f"{name!r} is what another system is called that competes, too")
        lineup.systems[name] = system
        if system is not voting:
            lineup.named.add(name)
        if ground.is_acted_in and isinstance(system, SelfConsistency):
            told = "votes on answers, and an environment is acted in, by one team"
            lineup.refuse(name, InputError("systems", f"{name} {told}"))
    return lineup


def _pairs(topologies: Asked, teams: Asked | None) -> Iterator[tuple[str, str]]:
    """Yield the topologies asked for with their teams, and what is done where nobody decides."""
    listed = _listed(topologies, TOPOLOGIES)
    for topology in listed:
        if topology not in (*TOPOLOGIES, "auto"):
            raise InputError("topologies", f"must be of all, auto, {', '.join(TOPOLOGIES)}, got {topology!r}")
        named = _BY_DEFAULT.get(topology, _SPLIT_UP) if teams is None else _listed(teams, TEAMS)
        for team in named:
            yield topology, str(TeamSpec.parse(team, "teams") or "auto")
    if "all" in _names(topologies) or "auto" in listed:
        yield "auto", "auto"


def _listed(asked: Asked, every: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(one for name in _names(asked) for one in (every if name == "all" else [name])))


def _names(asked: Asked) -> list[str]:
    return [asked] if isinstance(asked, str) else list(asked)


def _wired(choices: Choices, topology: str, team: str, ground: Ground) -> Wiring:
    k = choices.k if team.partition(":")[0] in ("vote", "auto") else None  # nobody else has a margin
    said = replace(choices, topology=cast(Topology, topology), team=team, k=k)
    return Wiring(choices=said, decompose=ground.decompose)


def _own(systems: Systems | None) -> Iterator[tuple[str, System]]:
    """Yield the user's own systems by name.

    Raises:
        InputError: Two have one name.
    """
    pairs = systems.items() if isinstance(systems, Mapping) else [(one.name, one) for one in systems or ()]
    seen: set[str] = set()
    for name, system in pairs:
        if name in seen:
            raise InputError("systems", f"two are called {name!r}; give them as a mapping by names of your own")
        seen.add(name)
        yield name, system if isinstance(system, System) else Own(name, system)
