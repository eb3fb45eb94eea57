"""How a task graph will be answered: what follows from its shape, the choices, and what is known of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from orchestra.budget.abilities import abilities_of
from orchestra.budget.forecast import Candidate, Forecast, forecast_graph
from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.router import Route, Topology, route
from orchestra_topologies.shape import Shape, shape_of
from orchestra_topologies.synthesis import lost_together, questions, whole_answer
from orchestra_topologies.teams.team import Team, TeamSpec, choose_team
from orchestra_topologies.wiring import ignored_edges

STEP = 0.2
"""What each re-route adds to the coupling (AdaptOrch, Algorithm 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How one task graph will be answered: pure consequence of the graph and the user's choices."""

    shape: Shape
    route: Route
    """What Algorithm 1 says."""
    topology: Topology
    """What the run follows."""
    winner: Literal["route", "user", "forecast"]
    """Whose decision the topology is."""
    reason: str
    teams: Mapping[str, Team]
    """Who answers each subtask, by id; with `single` also the whole task."""
    ignored_edges: tuple[tuple[str, str], ...] = ()
    """Edges along which the topology passes no upstream text."""
    reroutes: int = 0
    """Re-routes before this one."""
    is_forced: bool = False
    """Whether this is the last pass, whose result stands without a gate."""
    forecast: Forecast | None = None
    """What was forecast of this way and others; None where nobody looked."""

    @property
    def stronger(self) -> float:
        """What re-routes have added to the coupling of every edge."""
        return round(STEP * self.reroutes, 6)

    @property
    def team(self) -> str:
        """The teams in words: `vote(k=3)`, or `vote(k=3) + solo` where subtasks differ."""
        return " + ".join(sorted({str(team) for team in self.teams.values()}, reverse=True))

    def route_dict(self) -> dict[str, Json]:
        """Return what Algorithm 1 says, as JSON."""
        return {
            "topology": self.route.topology,
            "team": self.team,
            "reason": self.route.reason,
            "rule": self.route.rule,
        }

    def decision_dict(self) -> dict[str, Json]:
        """Return what the run follows, as JSON."""
        return {"topology": self.topology, "team": self.team, "reason": self.reason, "winner": self.winner}


def design(graph: TaskGraph, choices: Choices | None = None, *, reroutes: int = 0) -> Design:
    """Return how `graph` will be answered; O(V + E).

    Args:
        graph: The subtasks.
        choices: The user's.
        reroutes: Passes whose answers contradicted each other; each raises the coupling by 0.2, at most to 1, and after
            the last allowed one the topology is hierarchical (AdaptOrch, Algorithm 2 with holes 2 and 3).

    Raises:
        InputError: A team cannot answer a subtask, or something asked for is not built yet.
    """
    choices = choices or Choices()
    shape = shape_of(graph)
    if reroutes:
        shape = replace(shape, coupling=min(1.0, round(shape.coupling + STEP * reroutes, 6)))
    routed = route(shape, choices.thresholds)
    topology, reason = routed.topology, routed.reason
    is_forced = 0 < choices.reroutes <= reroutes
    if is_forced:
        topology = "hierarchical"
        reason = (
            f"answers still contradict each other after {reroutes - 1} re-routes, so a lead reconciles them for good"
        )
    elif reroutes:
        reason = f"re-route {reroutes}, because answers contradicted each other: {reason}"
    if choices.topology != "auto":
        topology, reason = choices.topology, f"asked for by the user; the route says {routed.topology}: {reason}"
    return Design(
        shape=shape,
        route=routed,
        topology=topology,
        winner="route" if choices.topology == "auto" else "user",
        reason=reason,
        teams=_teams(graph, choices, topology),
        ignored_edges=tuple(ignored_edges(graph, STEP * reroutes)) if topology == "parallel" else (),
        reroutes=reroutes,
        is_forced=is_forced,
    )


NO_CAPS = Budget()
RIVALS = ("solo", "vote", "independent", "decentralized", "centralized", "peers", "tree")
"""Teams that a forecast compares with the route's, where the user leaves the team open."""


def decide(
    graph: TaskGraph, choices: Choices, *, profile: Profile | None = None, budget: Budget = NO_CAPS, reroutes: int = 0
) -> Design:
    """Return how `graph` will be answered: as the user says, else as routed, unless a forecast promises more.

    Without a profile of the model the decision is the route; so it is after re-routes, whose answers contradicted each
    other whatever was promised.

    Raises:
        InputError: A team cannot answer a subtask.
    """
    if profile is not None and choices.k == "auto":
        choices = replace(choices, k=_worth(graph, choices, profile, budget))
    made = design(graph, choices, reroutes=reroutes)
    if profile is None or reroutes:
        return made
    found = forecast_of(graph, choices, profile=profile, budget=budget)
    best = found.recommended
    if made.winner == "user" or best is found.route:
        return replace(made, forecast=found)
    other = design(graph, replace(choices, topology=best.topology, team=best.asked))
    reason = f"{found.reason}, by the profile of {profile.model}; the route says {made.topology}: {made.reason}"
    return replace(other, route=made.route, winner="forecast", reason=reason, forecast=found)


def forecast_of(
    graph: TaskGraph, choices: Choices, *, profile: Profile | None = None, budget: Budget = NO_CAPS
) -> Forecast:
    """Return what answering `graph` as routed or asked for, and in other ways, would bring and take; pure and free.

    Raises:
        InputError: A team cannot answer a subtask.
    """
    made = design(graph, choices)
    return forecast_graph(graph, _candidates(choices, graph, made), abilities_of(profile), budget)


def _worth(graph: TaskGraph, choices: Choices, profile: Profile, budget: Budget) -> int | None:
    """Return the margin that is worth its price, the largest that the budget allows; None where nothing is voted on."""
    choices = replace(choices, topology=design(graph, choices).topology)
    most = forecast_of(graph, choices, profile=profile, budget=budget).k
    for k in range(most or 0, 1, -1):
        if forecast_of(graph, replace(choices, k=k), profile=profile, budget=budget).route.within_budget:
            return k
    return None if most is None else 1


def _candidates(choices: Choices, graph: TaskGraph, made: Design) -> list[Candidate]:
    """Return the ways that the user leaves open; the plan's own first.

    One agent for a whole graph is no alternative where that would merge grants or drop a check.
    """
    others: Sequence[Topology] = get_args(Topology) if choices.topology == "auto" else ()
    if len(graph) > 1 and lost_together(graph):
        others = [topology for topology in others if topology != "single"]
    teams = ("auto", *RIVALS) if choices.team == "auto" else (choices.team,)
    found: dict[tuple[str, str], Candidate] = {}
    for topology in dict.fromkeys([made.topology, *others]):
        for team in teams:
            try:
                one = design(graph, replace(choices, topology=topology, team=team))
            except InputError:  # this team cannot answer every subtask
                continue
            found.setdefault((topology, one.team), Candidate(topology, one.team, team, one.teams))
    return list(found.values())


def _teams(graph: TaskGraph, choices: Choices, topology: Topology) -> dict[str, Team]:
    _check_questions(graph)
    asked = TeamSpec.parse(choices.team, "team")
    if topology == "single" and len(graph) > 1:
        has_tools = any(subtask.tools for subtask in graph)
        return {WHOLE: choose_team(asked, whole_answer(graph), k=choices.margin, field="team", has_tools=has_tools)}
    return {subtask.id: _team(subtask, asked, choices.margin) for subtask in graph}


def _team(subtask: Subtask, asked: TeamSpec | None, k: int | None) -> Team:
    """Return who answers a subtask: its own team, else the run's where that can answer it, else the default."""
    field = f"subtasks[{subtask.id}].team"
    own = None if subtask.team is None else TeamSpec.parse(subtask.team, field)
    if subtask.select is not None:
        if subtask.tools or (own is not None and own.name != "solo"):
            beside = "tools" if subtask.tools else f"the team {own}"
            raise InputError(f"subtasks[{subtask.id}].select", f"picks one of several samples; leave out {beside}")
        return Team("solo", select=subtask.select, samples=subtask.samples)
    if subtask.team is None and asked is not None and not subtask.answer.votable:
        asked = None if asked.name == "vote" and not subtask.tools else replace(asked, join=None)
    spec, has_tools = (own if subtask.team is not None else asked), bool(subtask.tools)
    k = subtask.k or k
    return choose_team(spec, subtask.answer, k=k, field=field if subtask.team else "team", has_tools=has_tools)


def _check_questions(graph: TaskGraph) -> None:
    """Refuse a question that is answered in different ways: such answers cannot be compared."""
    for question, members in questions(graph).items():
        if question in graph and question not in members:
            raise InputError(
                f"subtasks[{members[0]}].answers", f"{question!r} is the id of another subtask; rename one"
            )
        first, *others = (graph[one] for one in members)
        odd = next((other for other in others if other.answer != first.answer), None)
        if odd is not None:
            kinds = f"{odd.answer.kind}, but {first.id} answers it as another type, {first.answer.kind}"
            raise InputError(f"subtasks[{odd.id}].answers", f"answers the question {question!r} as {kinds}")
