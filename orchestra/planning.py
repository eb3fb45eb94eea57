"""What will be done, by whom and how: decided before anything is spent, as a value that can be read, kept and run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from orchestra.budget.profile import Profile
from orchestra.choices import Choices, made_of
from orchestra.designing import Design, decide, design
from orchestra.panel import ModelSpec
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json
from orchestra_agents.roles.cards import RoleCard
from orchestra_agents.tools import NO_TOOLS, Tool, Toolbox
from orchestra_agents.verification import PYTHON, named
from orchestra_topologies.graph import TaskGraph

FORMAT = 1
"""Version of the plan file."""

Instruction = Literal["general", "software"]
"""Which instruction a model decomposes by: any task, or a bug report with its repository (AdaptOrch, section 2.1)."""

Proposed: TypeAlias = "TaskGraph | Mapping[str, Json]"
Decomposer: TypeAlias = "str | PathLike[str] | Callable[[str], Proposed | Awaitable[Proposed]]"
"""Who makes a graph of a text: a model by an `Instruction`, a graph file whose subtasks are used with the text as their
goal, or a function of the text."""


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
    profile: Profile | None = None
    """What was measured of the model; with it a forecast may overrule the route."""

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
        return self.decide(self.task)

    def decide(self, graph: TaskGraph, *, reroutes: int = 0) -> Design:
        """Return how a graph of this plan will be answered; see `designing.decide`.

        Raises:
            InputError: A team cannot answer a subtask.
        """
        return decide(graph, self.choices, profile=self.profile, budget=self.budget, reroutes=reroutes)

    def to_dict(self) -> dict[str, Json]:
        """Return the plan as JSON, for a file that `load` reads back.

        Raises:
            InputError: A model is an object, which has no name a file could hold.
        """
        task = self.task if isinstance(self.task, str) else self.task.to_dict()
        values = {"plan": FORMAT, "task": task, "model": _named(self.model)}
        values |= {"budget": asdict(self.budget), "choices": asdict(self.choices), "base_url": self.base_url}
        return values | self.means_dict() | self.text_dict()

    def means_dict(self) -> dict[str, Json]:
        """Return as JSON the role cards that do not ship and the profile, nothing where there are none."""
        said: dict[str, Json] = {}
        if self.roles:
            said["roles"] = {role: card.to_dict() for role, card in self.roles.items()}
        if self.profile is not None:
            said["profile"] = self.profile.to_dict()
        return said

    @staticmethod
    def read_means(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `Plan` that `means_dict` wrote into `values`.

        Raises:
            InputError: They are none.
        """
        said, profile = values.get("roles", {}), values.get("profile")
        if not isinstance(said, Mapping):
            raise InputError("plan.roles", f"must be a mapping of role cards by role, got {said!r}")
        cards = {role: RoleCard.from_dict(role, card) for role, card in said.items()}
        return {"roles": cards, "profile": None if profile is None else Profile.from_dict(profile)}

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
            - {"base_url", "context", "decomposer", "roles", "profile"}
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
            **cls.read_means(values),
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
    profile: Profile | None = None,
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
        profile: What `orchestra calibrate` measured of the model; with it a forecast may overrule the route.

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
        profile=profile,
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


P = TypeVar("P", Budget, Choices)


def _part(kind: type[P], values: Mapping[str, Any], key: str) -> P:
    """Return the part of a plan file that stands under `key`; the part checks its own values."""
    try:
        return made_of(kind, values[key], f"plan.{key}")
    except InputError as error:
        raise InputError(f"plan.{key}", str(error).removeprefix(f"plan.{key}: ")) from error


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


def _is_known(decomposer: str) -> bool:
    return decomposer in get_args(Instruction) or decomposer.startswith(PYTHON)


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
