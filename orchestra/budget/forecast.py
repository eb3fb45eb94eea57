"""What each way of answering a graph would bring and take, before anything is spent, and which one to follow.

Every candidate is a topology with its teams. Accuracies have two ends, pessimistic and optimistic, and are null where
nothing was measured of the model; decisions are made on the pessimistic end of what was measured. Costs are those of
the prompts as they would be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from orchestra.budget.abilities import Measured
from orchestra.budget.composition import compose
from orchestra.budget.regime import Interval, Judgement, Setting, judge_intervals
from orchestra.budget.spending import spending
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, TokenUsage
from orchestra_agents.prices import Price
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.router import Topology
from orchestra_topologies.teams.team import Team

WORTH = 0.002
"""Gain in accuracy below which another vote is not worth its price."""
LEAST_GAIN = 1e-9
"""Gain that is more than rounding."""
MOST_K = 12
"""Largest margin that is looked at."""


class Candidate(NamedTuple):
    """One way of answering a graph."""

    topology: Topology
    team: str
    """The teams in words."""
    asked: str
    """What has to be asked for to get them."""
    teams: Mapping[str, Team]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one candidate brings and takes."""

    topology: Topology
    team: str
    asked: str
    """What `--team` says for it."""
    accuracy: dict[str, float] | None
    """`pessimistic` and `optimistic`, and `low`: the pessimistic end at the pessimistic ends of the profile."""
    calls: float
    input_tokens: float
    output_tokens: float
    rounds: float
    """Calls one after the other: its time, in calls."""
    within_budget: bool

    def cost(self, price: Price | None) -> float | None:
        """Return what it costs in US dollars, None where the price is not known."""
        if price is None:
            return None
        tokens = TokenUsage(input_tokens=round(self.input_tokens), output_tokens=round(self.output_tokens))
        return price.cost(tokens, requests=self.calls)

    @property
    def low(self) -> float:
        """What decisions look at; -1 where nothing is known."""
        return -1.0 if self.accuracy is None else self.accuracy["low"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected of a plan."""

    rows: tuple[Row, ...]
    """The route first, then the others by what they promise."""
    route: Row
    recommended: Row
    """The best within the budget by its pessimistic end; the route where nothing is better for certain."""
    reason: str
    k: int | None
    """The margin beyond which a further vote is not worth its price; None where nothing is known."""
    next_vote: float | None
    """What one more vote of margin would add to the pessimistic accuracy of the route."""
    panel: Judgement | None
    """Whether agents that read one another gain at this model, and what binds; None where it was not measured."""
    assumed: tuple[str, ...]
    """What was not measured."""

    @property
    def gain(self) -> float:
        """What the recommended way promises over the route, by pessimistic ends; 0 where it is the route."""
        return self.recommended.low - self.route.low

    def as_dict(self, price: Price | None = None) -> dict[str, Json]:
        """Return the forecast as JSON, with what each way costs where the model's price is known."""
        panel = self.panel
        return {
            "regime": panel.regime if panel else "unsure",
            "binding": panel.binding if panel else None,
            "panel_reason": panel.reason if panel else "nothing was measured of how messages are read",
            "rows": [asdict(row) | {"cost_usd": row.cost(price)} for row in self.rows],
            "recommended": {"topology": self.recommended.topology, "team": self.recommended.team},
            "gain": self.gain,
            "reason": self.reason,
            "k": self.k,
            "next_vote": self.next_vote,
            "assumed": list(self.assumed),
        }


def forecast_graph(
    graph: TaskGraph, candidates: Sequence[Candidate], measured: Measured, budget: Budget, fan_in: int = 3
) -> Forecast:
    """Return what the candidates bring and take; the first of them is the route.

    Args:
        graph: The subtasks.
        candidates: Ways of answering it, at least one.
        measured: What the model is able to.
        budget: Caps that a candidate has to keep.
        fan_in: Agents of the panel whose regime is told.
    """
    rows = [_row(graph, one, measured, budget) for one in candidates]
    route = rows[0]
    within = [row for row in rows if row.within_budget]
    best = max(within, key=lambda row: (row.low, -row.rounds, -row.input_tokens), default=route)
    is_better = measured.is_known and best.low > route.low + LEAST_GAIN
    recommended = best if is_better or (best.within_budget and not route.within_budget) else route
    k, gain = _margin(graph, candidates[0], measured)
    others = sorted(rows[1:], key=lambda row: -row.low)
    return Forecast(
        rows=(route, *others),
        route=route,
        recommended=recommended,
        reason=_reason(route, recommended, measured),
        k=k,
        next_vote=gain,
        panel=_panel(measured, fan_in),
        assumed=measured.middle.assumed,
    )


def accuracy_of(
    graph: TaskGraph, topology: Topology, teams: Mapping[str, Team], measured: Measured
) -> dict[str, float] | None:
    """Return how likely one way of answering is right, as `Row.accuracy`; None where nothing was measured."""
    if not measured.is_known:
        return None
    ends = compose(graph, topology, teams, measured.middle)
    low = compose(graph, topology, teams, measured.low).pessimistic
    return {"pessimistic": ends.pessimistic, "optimistic": ends.optimistic, "low": low}


def _row(graph: TaskGraph, candidate: Candidate, measured: Measured, budget: Budget) -> Row:
    topology, teams = candidate.topology, candidate.teams
    taken = spending(graph, topology, teams, measured.middle)
    fits = (budget.calls is None or taken.calls <= budget.calls) and (
        budget.tokens is None or taken.tokens <= budget.tokens
    )
    return Row(
        topology=topology,
        team=candidate.team,
        asked=candidate.asked,
        accuracy=accuracy_of(graph, topology, teams, measured),
        calls=round(taken.calls, 2),
        input_tokens=round(taken.input_tokens),
        output_tokens=round(taken.output_tokens),
        rounds=round(taken.rounds, 2),
        within_budget=fits,
    )


def _reason(route: Row, recommended: Row, measured: Measured) -> str:
    if not measured.is_known:
        return "nothing was measured of the model's accuracy, so the route stands"
    if recommended is route:
        return f"no other way promises more than the route's {route.low:.3f} at its pessimistic end"
    if not route.within_budget:
        return f"the route would take about {route.calls:.0f} calls, more than the budget; this one keeps it"
    told = f"{recommended.low:.3f} against the route's {route.low:.3f}"
    return f"the forecast promises more at its pessimistic end: {told}"


def _margin(graph: TaskGraph, route: Candidate, measured: Measured) -> tuple[int | None, float | None]:
    """Return the margin from which on another vote gains less than it is worth, and what the next one would gain."""
    voting = [one for one, team in route.teams.items() if team.name == "vote"]
    if not measured.is_known or not voting:
        return None, None
    before = _with_margin(graph, route, 1, measured)
    for k in range(1, MOST_K + 1):
        after = _with_margin(graph, route, k + 1, measured)
        if after - before < WORTH:
            return k, after - before
        before = after
    return MOST_K, None


def _with_margin(graph: TaskGraph, route: Candidate, k: int, measured: Measured) -> float:
    teams = {one: replace(team, k=k) if team.name == "vote" else team for one, team in route.teams.items()}
    return compose(graph, route.topology, teams, measured.low).pessimistic


def _panel(measured: Measured, fan_in: int) -> Judgement | None:
    if not measured.is_known or measured.low.gamma == measured.middle.gamma == 1.0:
        return None
    low, middle = measured.low, measured.middle
    rho = max(skill.rho for skill in low.skills.values()), min(skill.rho for skill in middle.skills.values())
    return judge_intervals(
        fan_in,
        gamma=Interval(low=low.gamma, high=middle.gamma),
        rho=Interval(low=min(rho), high=max(rho)),
        beta=None if measured.beta is None else Interval(low=max(0.0, measured.beta[0]), high=measured.beta[1]),
        setting=Setting(mu0=max(0.0, 2 * low.default.p - 1)),
    )
