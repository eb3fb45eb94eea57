"""What will be done, by whom and how: decided before anything is spent, as a value that can be read, kept and run."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, Model, Sampling
from orchestra_agents.roles.cards import RoleCard
from orchestra_agents.tools import NO_TOOLS, Tool, Toolbox
from orchestra_agents.verification import PYTHON, named
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_topologies.conduct import WHOLE, Conduct, Context
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.router import Route, Thresholds, Topology, route
from orchestra_topologies.shape import Shape, shape_of
from orchestra_topologies.synthesis import questions, whole_answer
from orchestra_topologies.teams.team import Team, TeamSpec, choose_team
from orchestra_topologies.wiring import ignored_edges

FORMAT = 1
"""Version of the plan file."""
STEP = 0.2
"""What each re-route adds to the coupling (AdaptOrch, Algorithm 2)."""
MOST_REROUTES = 5
"""Most re-routes of one run (AdaptOrch, proposition 2)."""

ModelSpec: TypeAlias = "str | Model | Sequence[str | Model] | Mapping[str, str | Model | Sequence[str | Model]]"
"""One model, a panel of them, or either by role; the role `worker` is everybody who has no role of his own."""


Instruction = Literal["general", "software"]
"""Which instruction a model decomposes by: any task, or a bug report with its repository (AdaptOrch, section 2.1)."""

Proposed: TypeAlias = "TaskGraph | Mapping[str, Json]"
Decomposer: TypeAlias = "str | PathLike[str] | Callable[[str], Proposed | Awaitable[Proposed]]"
"""Who makes a graph of a text: a model by an `Instruction`, a graph file whose subtasks are used with the text as their
goal, or a function of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides; the rest follows from the task's shape."""

    topology: Topology | Literal["auto"] = "auto"
    team: str = "auto"
    """Name of a team, with options where its defaults do not do: `decentralized:agents=5,rounds=2`."""
    k: int | None = None
    """Margin of the votable subtasks, at least 1; None is 3."""
    context: Context = "declared"
    """What a subtask is shown: its declared inputs, all that those depend on, too, or (hybrid) all earlier layers."""
    fail_fast: bool = False
    """Whether the first subtask that does not end ok cancels all others."""
    timeout_s: float | None = None
    """Seconds, from its first call on, until a subtask that says nothing else has failed, above 0."""
    window: int | None = None
    """Tokens that a prompt and its reply may take together, where the models do not say less; at least 64."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Where the router draws its lines."""
    consistency: float = 0.7
    """Similarity, in [0, 1], from which on answers to one question count as consistent."""
    embedding: str | None = None
    """Model that makes texts comparable, as `provider:model`; None compares their words."""
    reroutes: int = MOST_REROUTES
    """Further passes after answers that contradict each other, 0 to 5; the last one is hierarchical and stands."""
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
        object.__setattr__(self, "team", str(TeamSpec.parse(self.team, "team") or "auto"))
        if self.context not in get_args(Context):
            raise InputError("context", f"must be one of {', '.join(get_args(Context))}, got {self.context!r}")
        if self.k is not None:
            _check_number("k", self.k, 1, LARGEST_K)
        _check_number("seed", self.seed, 0, 2**63 - 1)
        _check_number("max_tokens", self.max_tokens, 1, 2**31 - 1)
        _check_number("temperature", self.temperature, 0, 2, kind=(int, float))
        _check_number("consistency", self.consistency, 0, 1, kind=(int, float))
        _check_number("reroutes", self.reroutes, 0, MOST_REROUTES)
        if self.window is not None:
            _check_number("window", self.window, 64, 2**31 - 1)
        if self.timeout_s is not None and not (_is_number(self.timeout_s) and 0 < self.timeout_s < math.inf):
            raise InputError("timeout_s", f"must be a number of seconds above 0, got {self.timeout_s!r}")
        if not isinstance(self.fail_fast, bool):
            raise InputError("fail_fast", f"must be true or false, got {self.fail_fast!r}")
        if self.embedding is not None and not (isinstance(self.embedding, str) and self.embedding.strip()):
            raise InputError("embedding", f"must be a model's name, got {self.embedding!r}")
        if not isinstance(self.thresholds, Thresholds):
            object.__setattr__(self, "thresholds", _thresholds(self.thresholds))

    def sampling(self) -> Sampling:
        """Return how samples are drawn."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)

    def conduct(self) -> Conduct:
        """Return how a graph is carried out."""
        return Conduct(
            context=self.context,
            fail_fast=self.fail_fast,
            timeout_s=self.timeout_s,
            window=self.window,
            consistency=self.consistency,
        )


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
    reroutes: int = 0
    """Re-routes before this one."""
    is_forced: bool = False
    """Whether this is the last pass, whose result stands without a gate."""

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


def _teams(graph: TaskGraph, choices: Choices, topology: Topology) -> dict[str, Team]:
    _check_questions(graph)
    asked = TeamSpec.parse(choices.team, "team")
    if topology == "single" and len(graph) > 1:
        has_tools = any(subtask.tools for subtask in graph)
        return {WHOLE: choose_team(asked, whole_answer(graph), k=choices.k, field="team", has_tools=has_tools)}
    return {subtask.id: _team(subtask, asked, choices.k) for subtask in graph}


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
    context: str = ""
    """Material of a task that is text: its decomposer reads it, and so may every subtask."""
    decomposer: Decomposer | None = None
    """Who makes a graph of a task that is text; None is a model by the general instruction."""
    tools: Toolbox = NO_TOOLS
    """The tools there are; a subtask is granted those that it names, whoever wrote it. No file holds them."""
    roles: Mapping[str, RoleCard] = field(default_factory=dict)
    """Role cards in place of those that ship, or beside them, by role."""

    def __post_init__(self) -> None:
        if isinstance(self.task, TaskGraph):
            for name, value in (("context", self.context), ("decomposer", self.decomposer)):
                if value:
                    raise InputError(name, "is for a task in words; a graph has its own")
        elif isinstance(self.decomposer, str) and not _is_known(self.decomposer):
            raise InputError("decomposer", f"must be general, software, a file or a function, got {self.decomposer!r}")
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
        values |= {"budget": asdict(self.budget), "choices": asdict(self.choices), "base_url": self.base_url}
        return values | self.roles_dict() | self.text_dict()

    def roles_dict(self) -> dict[str, Json]:
        """Return as JSON the role cards that do not ship, nothing where there are none."""
        return {"roles": {role: card.to_dict() for role, card in self.roles.items()}} if self.roles else {}

    @staticmethod
    def read_roles(values: Mapping[str, Any]) -> dict[str, RoleCard]:
        """Return the role cards that `roles_dict` wrote into `values`.

        Raises:
            InputError: They are none.
        """
        said = values.get("roles", {})
        if not isinstance(said, Mapping):
            raise InputError("plan.roles", f"must be a mapping of role cards by role, got {said!r}")
        return {role: RoleCard.from_dict(role, card) for role, card in said.items()}

    def text_dict(self) -> dict[str, Json]:
        """Return as JSON what only a task in words has, defaults left out; `read_text_dict` reads it back."""
        said: dict[str, Json] = {"context": self.context} if self.context else {}
        if isinstance(self.decomposer, str) or callable(self.decomposer):
            said["decomposer"] = self.decomposer if isinstance(self.decomposer, str) else named(self.decomposer)
        elif self.decomposer is not None:
            said["decomposer"] = {"file": str(self.decomposer)}
        return said

    @staticmethod
    def read_text_dict(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `Plan` that `text_dict` wrote into `values`.

        Raises:
            InputError: They are of the wrong kind.
        """
        context, decomposer = values.get("context", ""), values.get("decomposer")
        if not isinstance(context, str):
            raise InputError("plan.context", f"must be a text, got {context!r}")
        if isinstance(decomposer, dict) and list(decomposer) == ["file"] and isinstance(decomposer["file"], str):
            decomposer = Path(decomposer["file"])
        elif not isinstance(decomposer, str | None):
            raise InputError("plan.decomposer", f"must be a text, null or {{file: PATH}}, got {decomposer!r}")
        return {"context": context, "decomposer": decomposer}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Return the plan that `values` (see `to_dict`) describes.

        Raises:
            InputError: A key is missing, unknown or of the wrong kind.
        """
        expected = {"plan", "task", "model", "budget", "choices"}
        extra = sorted(
            set(values)
            - expected
            - {"base_url", "context", "decomposer", "roles"}
            - {"shape", "route", "decision", "graph", "forecast"}
        )
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
            roles=cls.read_roles(values),
            **cls.read_text_dict(values),
        )
        _check_decision(plan, values.get("decision"))
        return plan


def plan(
    task: TaskGraph | str,
    *,
    model: ModelSpec | None = None,
    budget: Budget | None = None,
    choices: Choices | None = None,
    context: str = "",
    decomposer: Decomposer | None = None,
    tools: Toolbox | Iterable[Tool] = NO_TOOLS,
    roles: Mapping[str, RoleCard] | None = None,
) -> Plan:
    """Return the plan for `task`: pure and free, nothing is asked or written.

    Args:
        task: A graph, or text to be decomposed when the plan is run.
        model: Name, panel of names, or either by role; None is the default model.
        budget: Caps; None caps nothing.
        choices: Topology, team, k and sampling where you want to decide them yourself.
        context: Material of a task in words.
        decomposer: Who makes a graph of a task in words: `general` or `software` (instructions for a model), a graph
            file, or a function; None is `general`.
        tools: The tools there are (`orchestra_agents.tools.tool`); a subtask is granted those that it names.
        roles: Role cards in place of those that ship, or beside them, by role.

    Raises:
        InputError: The graph cannot be answered as asked.
    """
    made = Plan(
        task=task,
        model=model,
        budget=budget or Budget(),
        choices=choices or Choices(),
        context=context,
        decomposer=decomposer,
        tools=toolbox_of(tools),
        roles=roles or {},
    )
    if isinstance(task, TaskGraph):
        design(task, made.choices)
    return made


def toolbox_of(tools: Toolbox | Iterable[Tool]) -> Toolbox:
    """Return a toolbox as it is, and one of tools."""
    return tools if isinstance(tools, Toolbox) else Toolbox(tools)


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


P = TypeVar("P", Budget, Choices, Thresholds)


def _part(kind: type[P], values: Mapping[str, Any], key: str) -> P:
    """Return the part of a plan file that stands under `key`; the part checks its own values."""
    try:
        return _made(kind, values[key], f"plan.{key}")
    except InputError as error:
        raise InputError(f"plan.{key}", str(error).removeprefix(f"plan.{key}: ")) from error


def _thresholds(said: Json) -> Thresholds:
    return _made(Thresholds, said, "thresholds")


def _made(kind: type[P], said: Json, field: str) -> P:
    """Return a settings value made of the mapping that a file or manifest holds."""
    known = [item.name for item in fields(kind)]
    if not isinstance(said, dict) or not set(said) <= set(known):
        raise InputError(field, f"must be a mapping with the keys {', '.join(known)}, got {said!r}")
    return kind(**said)


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


def _is_known(decomposer: str) -> bool:
    return decomposer in get_args(Instruction) or decomposer.startswith(PYTHON)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
