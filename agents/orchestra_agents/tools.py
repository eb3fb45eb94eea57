"""A tool is a typed async function that an agent may call: arguments checked, time and size capped, effects declared.

Nothing in core runs a shell, a browser or code. What a tool does, it does with the user's rights; who may call it is
said by the user alone (see `Toolbox.grant`). Whatever goes wrong in a call is an observation, never an exception.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import SchemaError
from pydantic_core.core_schema import TaggedUnionSchema

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import inlined, mismatch, schema_problem, shown
from orchestra_agents.models.contract import Json, Truth, canonical_json
from orchestra_agents.sections import as_text, cut

Effects = Literal["none", "idempotent", "once"]
"""What a call changes: nothing; the same however often it is made; something that must not be done twice."""
ObservationStatus = Literal["ok", "error", "timeout", "refused"]
Invoke: TypeAlias = "Callable[[dict[str, Json], str], Awaitable[Json]]"
"""Carries out a call, given its arguments and its key, which is the same whenever the same call is repeated."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_WANTED = "must be a list of tools, each made by orchestra_agents.tools.tool or an adapter"
_KEY = "key"
_GIVEN = "given_"  # before the names of parameters where pydantic has names of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """What one call may take.

    Raises:
        InputError: A limit is out of its range.
    """

    seconds: float = 30.0
    """Until the call is cancelled, above 0."""
    characters: int = 8_000
    """Of what it returns that are kept and shown, at least 100; the beginning and the end of more."""

    def __post_init__(self) -> None:
        seconds, characters = self.seconds, self.characters
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise InputError("limits.seconds", f"must be a number above 0, got {shown(seconds)}")
        if isinstance(characters, bool) or not isinstance(characters, int) or characters < 100:
            raise InputError("limits.characters", f"must be an integer of at least 100, got {shown(characters)}")


LIMITS = ToolLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What an agent may call; made by `tool` of a function, or by an adapter.

    Raises:
        InputError: The name, the schema or the effects are none.
    """

    name: str
    """Letters, digits, - and _, at most 64, not beginning with a digit."""
    description: str
    """What it does, for the model."""
    schema: Mapping[str, Json]
    """JSON schema of its arguments, an object."""
    effects: Effects
    invoke: Invoke = field(repr=False)
    limits: ToolLimits = LIMITS
    check: Callable[[dict[str, Json]], str | None] | None = field(default=None, repr=False)
    """What tells what the schema cannot: why arguments are wrong, or None; called before anything is begun."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            told = "must be letters, digits, - and _, at most 64 and not beginning with a digit"
            raise InputError("tool.name", f"{told}, got {shown(self.name)}")
        if self.effects not in get_args(Effects):
            raise InputError(f"tools[{self.name}].effects", f"must be none, idempotent or once, got {self.effects!r}")
        is_mapping = isinstance(self.schema, Mapping)
        problem = schema_problem(dict(self.schema) if is_mapping else self.schema)
        if problem or self.schema.get("type") != "object":
            raise InputError(f"tools[{self.name}].schema", problem or "must be the schema of an object")

    def spec(self) -> dict[str, Json]:
        """Return what a model is told of it, and a manifest keeps."""
        return {"name": self.name, "description": self.description, "arguments": dict(self.schema)}

    async def call(self, arguments: Json, key: str) -> Observation:
        """Return what a call with `arguments` came to; only a cancellation from outside is raised.

        Args:
            arguments: By name, as the schema says.
            key: Tells this call from every other; a repeated call has the same one.
        """
        if problem := self.problem(arguments):
            return refused(problem)
        try:
            async with asyncio.timeout(self.limits.seconds) as limit:
                said = await self.invoke(dict(arguments), key)
            return self._shown("ok", as_text(said))
        except TimeoutError as error:
            return self._late() if limit.expired() else self._failed(error)
        except _Misfit as error:
            return refused(str(error))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._failed(error)  # what the tool waited for was cancelled, not the call
        except Exception as error:  # noqa: BLE001 - the boundary to the tool's code: whatever it raises is observed
            return self._failed(error)

    def problem(self, arguments: Json) -> str | None:
        """Return why a call cannot be made with `arguments`, as far as schema and check tell, or None."""
        try:
            canonical_json(arguments).encode()
        except (TypeError, ValueError, RecursionError):
            return "arguments must be JSON values"
        return mismatch(arguments, dict(self.schema), "arguments") or (self.check(arguments) if self.check else None)

    def _late(self) -> Observation:
        doubt = "" if self.effects == "none" else "; it may have happened all the same"
        return Observation(status="timeout", text=f"no answer within {self.limits.seconds:g} s{doubt}")

    def _failed(self, error: BaseException) -> Observation:
        try:
            words = str(error)
        except Exception:  # noqa: BLE001 - the same boundary: an error may not even be able to say what it is
            words = ""
        return self._shown("error", f"{type(error).__name__}: {words}".removesuffix(": "))

    def _shown(self, status: ObservationStatus, text: str) -> Observation:
        text = text.encode("utf-8", "replace").decode()
        return Observation(status=status, text=cut(text, self.limits.characters), size=len(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a call came to, as the agent is shown it: data, never an instruction."""

    status: ObservationStatus
    text: str
    """What the tool returned, or why it did not."""
    size: int = 0
    """Characters that the tool returned, before they were cut to the tool's limit; 0 where it returned nothing."""


def refused(problem: str) -> Observation:
    """Return the observation of a call that was not made, and why."""
    return Observation(status="refused", text=cut(problem, LIMITS.characters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of an agent: what it decided to do, and what it saw."""

    action: Json
    """`{tool, arguments}`."""
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where an agent stands when it decides its next action."""

    turns: Sequence[Turn]
    """Its own turns so far."""
    member: int = 0
    """Its number in its team, from 0."""
    members: int = 1
    """Agents of its team that work at the same time."""
    is_divided: bool = False
    """Whether the goal is divided among them, so that each has a share, or each has all of it."""


Reference: TypeAlias = "Callable[[Situation], Truth | None]"
"""The right next action and wrong ones, for tests and simulated models only."""


@dataclass(frozen=True, slots=True, init=False)
class Toolbox:
    """The tools that somebody may call.

    Args:
        tools: Those there are.
        reference: What a simulated agent does with them; None has it answer by their schemas.
        is_done: Whether the goal is reached, where the tools act on something that can tell; None is never.

    Raises:
        InputError: Two tools have the same name.
    """

    tools: Mapping[str, Tool]
    reference: Reference | None = field(repr=False)
    is_done: Callable[[], bool] | None = field(repr=False)

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        reference: Reference | None = None,
        is_done: Callable[[], bool] | None = None,
    ) -> None:
        named: dict[str, Tool] = {}
        if not isinstance(tools, Iterable):
            raise InputError("tools", f"{_WANTED}, got {shown(tools)}")
        for one in tools:
            if not isinstance(one, Tool):
                raise InputError("tools", f"{_WANTED}, got {shown(one)}")
            if named.setdefault(one.name, one) is not one:
                raise InputError("tools", f"two tools are called {one.name!r}")
        for name, value in (("tools", named), ("reference", reference), ("is_done", is_done)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.tools)

    def grant(self, names: Iterable[str], *, field: str = "tools") -> Toolbox:
        """Return the toolbox of those `names` alone; there is no other way to a tool.

        Raises:
            InputError: A name is that of no tool here.
        """
        names = list(names)
        for name in names:
            if name not in self.tools:
                known = (
                    f"there are {', '.join(self.tools)}" if self.tools else "none was brought along (tools=, --tools)"
                )
                raise InputError(field, f"no tool is called {shown(name)}; {known}")
        return Toolbox([self.tools[name] for name in names], reference=self.reference, is_done=self.is_done)

    def spec(self) -> list[dict[str, Json]]:
        """Return what models are told of the tools."""
        return [one.spec() for one in self.tools.values()]


NO_TOOLS = Toolbox()

Function: TypeAlias = "Callable[..., Awaitable[Json]]"


@overload
def tool(function: Function, /, *, effects: Effects, name: str | None = None, limits: ToolLimits = LIMITS) -> Tool: ...


@overload
def tool(*, effects: Effects, name: str | None = None, limits: ToolLimits = LIMITS) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    effects: Effects,
    name: str | None = None,
    limits: ToolLimits = LIMITS,
) -> Tool | Callable[[Function], Tool]:
    """Return the tool that an async function with annotated parameters is; also a decorator.

    Its schema comes from the annotations, by pydantic; its description from the docstring's first paragraph. A
    keyword-only parameter `key: str` is not the model's to give: it gets the call's key, by which a function with
    effects can tell a repeated call.

    Args:
        function: What is called; it returns a JSON value.
        effects: `none` where it changes nothing, `idempotent` where calling it again with the same arguments changes
            nothing more, else `once`.
        name: Its name, if not the function's.
        limits: What one call may take.

    Raises:
        InputError: The function is not async, a parameter is not annotated or cannot be named, or its type is none
            that JSON has.

    >>> @tool(effects="none")
    ... async def add(a: int, b: int = 1) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b
    >>> add.name, sorted(add.schema["properties"])
    ('add', ['a', 'b'])
    """
    if function is None:
        return lambda function: tool(function, effects=effects, name=name, limits=limits)
    if not inspect.iscoroutinefunction(function) or not hasattr(function, "__name__"):
        raise InputError("tool", f"must be an async function, got {shown(function)}")
    name = function.__name__ if name is None else name
    arguments, has_key = _arguments(function, name)

    def read(given: dict[str, Json]) -> BaseModel:
        try:
            return arguments.model_validate_json(canonical_json(given), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(["arguments", *(str(part).removeprefix(_GIVEN) for part in first["loc"])])
            raise _Misfit(f"{where}: {first['msg']}") from error

    def check(given: dict[str, Json]) -> str | None:
        try:
            read(given)
        except _Misfit as error:
            return str(error)
        return None

    async def invoke(given: dict[str, Json], key: str) -> Json:
        made = read(given)
        values = {one.removeprefix(_GIVEN): getattr(made, one) for one in arguments.model_fields}
        return await function(**values, **({_KEY: key} if has_key else {}))

    return Tool(
        name=name,
        description=_first_paragraph(inspect.getdoc(function) or ""),
        schema=inlined(arguments.model_json_schema(schema_generator=_Schemas), f"tools[{name}]"),
        effects=effects,
        invoke=invoke,
        limits=limits,
        check=check,
    )


class _Misfit(Exception):
    """Arguments that the types of a function's parameters refuse: the function was not called."""


class _Schemas(GenerateJsonSchema):
    """Writes the schemas of arguments."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Leave it at that: a default that JSON has no word for is not told to models, and serves all the same."""

    def tagged_union_schema(self, schema: TaggedUnionSchema) -> JsonSchemaValue:
        """Write alternatives told apart by a tag like all others, as `anyOf`: fewer servers know `oneOf`."""
        return {"anyOf": super().tagged_union_schema(schema)["oneOf"]}


def _arguments(function: Function, name: str) -> tuple[type[BaseModel], bool]:
    """Return the model of a function's arguments, and whether it wants the call's key."""
    field, fields, has_key = f"tools[{name}]", dict[str, Any](), False
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, SyntaxError, TypeError, AttributeError) as error:
        raise InputError(field, f"its annotations cannot be read: {_first_paragraph(str(error))}") from error
    for one in inspect.signature(function).parameters.values():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY):
            raise InputError(field, f"the parameter {one.name} cannot be given by name")
        if one.name not in hints:
            raise InputError(field, f"the parameter {one.name} has no type annotation")
        if one.name != _KEY or one.kind is not one.KEYWORD_ONLY:
            fields[f"{_GIVEN}{one.name}"] = (hints[one.name], ... if one.default is one.empty else one.default)
        elif hints[_KEY] is str:
            has_key = True
        else:
            raise InputError(field, "the keyword-only parameter key gets the call's key, so it must be a str")
    named = ConfigDict(extra="forbid", alias_generator=lambda given: given.removeprefix(_GIVEN))
    try:
        model = create_model(f"{name} arguments", __config__=named, **fields)
        model.model_json_schema(schema_generator=_Schemas)
    except (PydanticSchemaGenerationError, PydanticUserError, SchemaError, NameError, TypeError) as error:
        raise InputError(field, f"its parameters have no JSON schema: {_first_paragraph(str(error))}") from error
    return model, has_key


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
