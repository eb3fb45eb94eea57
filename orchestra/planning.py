"""What will be done, by whom and how: decided before anything is spent, as a value that can be read, kept and run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, Model, Sampling
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_topologies.execution import WHOLE
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.router import Route, Topology, route
from orchestra_topologies.shape import Shape, shape_of
from orchestra_topologies.synthesis import whole_answer
from orchestra_topologies.teams.team import Team, TeamName, choose_team
from orchestra_topologies.wiring import ignored_edges

FORMAT = 1
"""Version of the plan file."""

ModelSpec: TypeAlias = "str | Model | Sequence[str | Model] | Mapping[str, str | Model | Sequence[str | Model]]"
"""One model, a panel of them, or either by role; the role `worker` is everybody who has no role of his own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides; the rest follows from the task's shape."""

    topology: Topology | Literal["auto"] = "auto"
    team: TeamName = "auto"
    k: int | None = None
    """Margin of the votable subtasks, at least 1; None is 3."""
    context: Literal["declared", "layers"] = "declared"
    """What a subtask of a hybrid run is shown: its declared inputs, or the answers of all earlier layers."""
    seed: int = 0
    """Seed of the run's samples, at least 0."""
    temperature: float = 0.3
    """Sampling temperature, in [0, 2]; small models err much more often at higher ones."""
    max_tokens: int = 512
    """Most tokens of one reply, at least 1."""

    def __post_init__(self) -> None:
        allowed = ("auto", *get_args(Topology))
        if self.topology not in allowed:
            raise InputError("topology", f"must be one of {', '.join(allowed)}, got {self.topology!r}")
        if self.team not in get_args(TeamName):
            raise InputError("team", f"must be one of {', '.join(get_args(TeamName))}, got {self.team!r}")
        if self.context not in ("declared", "layers"):
            raise InputError("context", f"must be declared or layers, got {self.context!r}")
        if self.k is not None:
            _check_number("k", self.k, 1, LARGEST_K)
        _check_number("seed", self.seed, 0, 2**63 - 1)
        _check_number("max_tokens", self.max_tokens, 1, 2**31 - 1)
        _check_number("temperature", self.temperature, 0, 2, kind=(int, float))

    def sampling(self) -> Sampling:
        """Return how samples are drawn."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How one task graph will be answered: pure consequence of the graph and the user's choices."""

    shape: Shape
    route: Route
    """What Algorithm 1 says."""
    topology: Topology
    """What the run follows."""
    winner: Literal["route", "user"]
    """Whose decision the topology is."""
    reason: str
    teams: Mapping[str, Team]
    """Who answers each subtask, by id; with `single` also the whole task."""
    ignored_edges: tuple[tuple[str, str], ...] = ()
    """Edges along which the topology passes no upstream text."""

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


def design(graph: TaskGraph, choices: Choices | None = None) -> Design:
    """Return how `graph` will be answered; O(V + E).

    Raises:
        InputError: A team cannot answer a subtask, or something asked for is not built yet.
    """
    choices = choices or Choices()
    shape = shape_of(graph)
    routed = route(shape)
    topology, reason = routed.topology, routed.reason
    if choices.topology != "auto":
        topology, reason = choices.topology, f"asked for by the user; the route says {routed.topology}: {reason}"
    return Design(
        shape=shape,
        route=routed,
        topology=topology,
        winner="route" if choices.topology == "auto" else "user",
        reason=reason,
        teams=_teams(graph, choices, topology),
        ignored_edges=tuple(ignored_edges(graph)) if topology == "parallel" else (),
    )


def _teams(graph: TaskGraph, choices: Choices, topology: Topology) -> dict[str, Team]:
    for subtask in graph:
        for name in ("tools", "verify"):
            if getattr(subtask, name):
                raise InputError(f"subtasks[{subtask.id}].{name}", "is not built yet; remove it to run this graph")
    if topology == "single" and len(graph) > 1:
        answer = whole_answer(graph)
        return {WHOLE: choose_team(choices.team, answer, k=choices.k, field="team")}
    return {
        subtask.id: choose_team(
            subtask.team or ("auto" if choices.team == "vote" and not subtask.answer.votable else choices.team),
            subtask.answer,
            k=subtask.k or choices.k,
            field=f"subtasks[{subtask.id}].team" if subtask.team else "team",
        )
        for subtask in graph
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A task, its models, its budget and the user's choices; `design` says what follows from them."""

    task: TaskGraph | str
    """A graph, or text that a model will decompose first."""
    model: ModelSpec | None = None
    """Who answers; None is the default model."""
    budget: Budget = field(default_factory=Budget)
    choices: Choices = field(default_factory=Choices)
    base_url: str | None = None
    """Where the models' server listens; None leaves it to the session and the provider."""

    def __post_init__(self) -> None:
        if isinstance(self.task, str) and not self.task.strip():
            raise InputError("task", "is empty; give a task graph file, a plan file, or the task in words")
        if isinstance(self.task, str) and not self.task.isascii():
            try:
                self.task.encode()
            except UnicodeEncodeError as error:
                raise InputError("task", "holds half a surrogate pair and is no valid text") from error

    @property
    def design(self) -> Design:
        """How the graph will be answered.

        Raises:
            InputError: The task is text, which has no shape before it is decomposed.
        """
        if isinstance(self.task, str):
            raise InputError(
                "task", "text has no shape before it is decomposed; `await orchestra.decompose(text)` first"
            )
        return design(self.task, self.choices)

    def to_dict(self) -> dict[str, Json]:
        """Return the plan as JSON, for a file that `load` reads back.

        Raises:
            InputError: A model is an object, which has no name a file could hold.
        """
        task = self.task if isinstance(self.task, str) else self.task.to_dict()
        values = {"plan": FORMAT, "task": task, "model": _named(self.model)}
        return values | {"budget": asdict(self.budget), "choices": asdict(self.choices), "base_url": self.base_url}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Return the plan that `values` (see `to_dict`) describes.

        Raises:
            InputError: A key is missing, unknown or of the wrong kind.
        """
        expected = {"plan", "task", "model", "budget", "choices"}
        extra = sorted(set(values) - expected - {"base_url"} - {"shape", "route", "decision", "graph", "forecast"})
        if extra or values.get("plan") != FORMAT or not expected <= set(values):
            raise InputError(
                "plan", f"must be a plan file of format {FORMAT} with the keys {', '.join(sorted(expected))}"
            )
        task = values["task"]
        if not isinstance(task, str | dict):
            raise InputError("plan.task", f"must be a text or a task graph, got {task!r}")
        _check_names(values["model"])
        base_url = values.get("base_url")
        if not isinstance(base_url, str | None):
            raise InputError("plan.base_url", f"must be a text or null, got {base_url!r}")
        plan = cls(
            task=task if isinstance(task, str) else TaskGraph.from_dict(task),
            model=values["model"],
            budget=_part(Budget, values, "budget"),
            choices=_part(Choices, values, "choices"),
            base_url=base_url,
        )
        _check_decision(plan, values.get("decision"))
        return plan


def plan(
    task: TaskGraph | str,
    *,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
    choices: Choices | None = None,
) -> Plan:
    """Return the plan for `task`: pure and free, nothing is asked or written.

    Args:
        task: A graph, or text to be decomposed when the plan is run.
        model: Name, panel of names, or either by role; None is the default model.
        budget: Caps; None caps nothing.
        choices: Topology, team, k and sampling where you want to decide them yourself.

    Raises:
        InputError: The graph cannot be answered as asked.
    """
    made = Plan(task=task, model=model, budget=budget or Budget(), choices=choices or Choices())
    if isinstance(task, TaskGraph):
        design(task, made.choices)
    return made


def read_task(argument: str) -> TaskGraph | str | Plan:
    """Return what a command-line argument means: a file ending in .json, .yaml or .yml or existing on disk, else text.

    Raises:
        InputError: The file cannot be read as a task graph or plan.
    """
    if not argument.strip():
        return argument  # no file, and refused as a task
    path = Path(argument)
    if not argument.endswith((".json", ".yaml", ".yml")) and not _exists(path):
        return argument
    if argument.endswith(".json"):
        values = _peek(path)
        if isinstance(values, dict) and "plan" in values:
            return Plan.from_dict(values)
    return TaskGraph.load(path)


P = TypeVar("P", Budget, Choices)


def _part(kind: type[P], values: Mapping[str, Any], key: str) -> P:
    """Return the part of a plan file that stands under `key`; the part checks its own values."""
    known = [item.name for item in fields(kind)]
    part = values[key]
    if not isinstance(part, dict) or not set(part) <= set(known):
        raise InputError(f"plan.{key}", f"must be a mapping with the keys {', '.join(known)}, got {part!r}")
    try:
        return kind(**part)
    except InputError as error:
        raise InputError(f"plan.{key}", str(error)) from error


def _check_decision(plan: Plan, decision: Json) -> None:
    """Refuse a plan that this version would carry out in another way than the one that made it."""
    if decision is None or isinstance(plan.task, str):
        return
    now = plan.design.decision_dict()
    for key in ("topology", "team"):
        if not isinstance(decision, dict) or decision.get(key) != now[key]:
            told = f"the plan says {decision!r}, this version would choose {now[key]}; plan again"
            raise InputError(f"plan.decision.{key}", told)


def _check_names(spec: Json) -> None:
    """Refuse what is not a model's name, a list of names, or either by role."""
    listed = spec if isinstance(spec, list) else [spec]
    if isinstance(spec, dict):
        for models in spec.values():
            _check_names(models if isinstance(models, str | list) else [models])
    elif spec is not None and not (listed and all(isinstance(name, str) for name in listed)):
        raise InputError("plan.model", f"must be a model's name, a list of names, or either by role, got {spec!r}")


def _check_number(name: str, value: object, low: int, high: int, *, kind: type | tuple[type, ...] = int) -> None:
    """Refuse what is not a number of the kind, from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:  # type: ignore[operator]
        wanted = "an integer" if kind is int else "a number"
        raise InputError(name, f"must be {wanted} from {low} to {high}, got {value!r}")


def _peek(path: Path) -> Json:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # TaskGraph.load says what is wrong with it


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # text too long or too odd to be a path


def _named(spec: ModelSpec | None) -> Json:
    if spec is None or isinstance(spec, str):
        return spec
    if isinstance(spec, Mapping):
        return {role: _named(models) for role, models in spec.items()}
    if isinstance(spec, Sequence):
        return [_named(one) for one in spec]
    raise InputError("model", f"{spec.name} is an object; a plan file holds model names only")
