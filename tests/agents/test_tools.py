"""Tools: what an async function becomes, what is refused, and what a call comes to whatever the tool does."""

from __future__ import annotations

import asyncio
import datetime
import enum
import functools
import json
import tracemalloc
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import inlined
from orchestra_agents.models.contract import canonical_json
from orchestra_agents.tools import Observation, Tool, Toolbox, ToolLimits, tool

Json = Any


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Place(BaseModel):
    street: str
    floor: int = 0


class Person(BaseModel):
    name: str
    home: Place


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Knot(BaseModel):
    parts: list[Knot] = []


class Opaque:
    pass


def refuse(value: int) -> int:
    raise ValueError("no " * 100_000)


def named(name: str, effects: Any = "none", **settings: Any) -> Tool:
    """Return a tool of a name that takes nothing and returns it."""

    async def invoke(arguments: dict[str, Json], key: str) -> Json:
        return name

    return Tool(name=name, description="", schema={"type": "object"}, effects=effects, invoke=invoke, **settings)


def returning(value: object, **settings: Any) -> Tool:
    """Return a tool that returns a value, or raises it."""

    @tool(effects="none", **settings)
    async def give() -> Json:
        if isinstance(value, BaseException):
            raise value
        return value

    return give


async def call(given: Tool, /, **arguments: Json) -> Observation:
    return await given.call(arguments, "key-1")


def test_the_schema_comes_from_the_annotations() -> None:
    """Nested models stand where they are used, choices as enum, optional ones beside null, defaults and bounds too."""

    @tool(effects="none")
    async def move(
        who: Person,
        colour: Colour,
        on: datetime.date,
        note: str | None = None,
        floors: Annotated[int, Field(ge=1, le=9, description="How many.")] = 2,
        tags: list[str] = [],  # noqa: B006 - pydantic gives every call its own
    ) -> None: ...

    place = {"street": {"type": "string"}, "floor": {"type": "integer", "default": 0}}
    home = {"type": "object", "properties": place, "required": ["street"]}
    person = {"type": "object", "properties": {"name": {"type": "string"}, "home": home}, "required": ["name", "home"]}
    assert move.schema == {
        "type": "object",
        "properties": {
            "who": person,
            "colour": {"type": "string", "enum": ["red", "green"]},
            "on": {"type": "string", "format": "date"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "floors": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many.", "default": 2},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        },
        "required": ["who", "colour", "on"],
        "additionalProperties": False,
    }


async def test_a_function_gets_the_types_that_it_names() -> None:
    """Arguments arrive as models, members of enums and dates, and what is left out as the default."""
    seen: list[object] = []

    @tool(effects="none")
    async def move(who: Person, colour: Colour, on: datetime.date, floors: int = 2, anything: Any = Opaque) -> None:
        seen.extend([who, colour, on, floors, anything])

    who = {"name": "Ann", "home": {"street": "Elm"}}
    assert (await call(move, who=who, colour="red", on="2020-01-02")).status == "ok"
    home = Person(name="Ann", home=Place(street="Elm"))
    assert seen == [home, Colour.RED, datetime.date(2020, 1, 2), 2, Opaque]
    assert "default" not in move.schema["properties"]["anything"]  # JSON has no word for it


async def test_a_default_is_never_shared_between_calls() -> None:
    """A call that changes its default leaves the next one's alone."""

    @tool(effects="none")
    async def grow(items: list[int] = []) -> Json:  # noqa: B006 - what is tested
        items.append(1)
        return items

    assert [(await call(grow)).text for _ in range(2)] == ["[1]", "[1]"]


async def test_alternatives_told_apart_by_a_tag_are_alternatives_like_others() -> None:
    """A discriminated union is `anyOf` without pointers to definitions that are not sent."""

    @tool(effects="none")
    async def keep(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> str:
        return type(pet).__name__

    assert [one["required"] for one in keep.schema["properties"]["pet"]["anyOf"]] == [
        ["kind", "lives"],
        ["kind", "tricks"],
    ]
    assert "$defs" not in canonical_json(dict(keep.schema))
    assert (await call(keep, pet={"kind": "dog", "tricks": ["sit"]})).text == "Dog"
    assert (await call(keep, pet={"kind": "dog", "lives": 9})).status == "refused"


@pytest.mark.parametrize(
    "name", ["schema", "copy", "json", "dict", "model_config", "model_fields", "model_dump", "_hidden", "self", "title"]
)
async def test_a_parameter_may_be_called_anything(name: str) -> None:
    """No name of pydantic's own takes a parameter away, or warns of one."""
    space: dict[str, Any] = {}
    exec(f"async def give({name}: int, other: int = 1): return {name} + other", space)
    made = tool(space["give"], effects="none")
    assert made.schema["required"] == [name]
    assert await made.call({name: 2}, "k") == Observation(status="ok", text="3", size=1)


async def test_the_key_of_a_call_is_not_the_model_s_to_give() -> None:
    """A keyword-only parameter `key` gets the call's key; in any other place it is an argument like others."""

    @tool(effects="once")
    async def send(to: str, *, key: str) -> str:
        return f"{to} {key}"

    @tool(effects="none")
    async def open_door(key: str) -> str:
        return key

    assert list(send.schema["properties"]) == ["to"]
    assert (await call(send, to="Ann")).text == "Ann key-1"
    assert (await call(send, to="Ann", key="forged")).status == "refused"
    assert (await call(open_door, key="brass")).text == "brass"


def test_what_a_model_is_told_is_the_name_the_first_paragraph_and_the_schema() -> None:
    """Of the docstring the first paragraph counts, on one line; effects and limits are nobody's business."""

    @tool(effects="once", name="post")
    async def send(to: str) -> None:
        """Send a letter,
        wherever it is to go.

        Args:
            to: Not told.
        """

    assert send.spec() == {
        "name": "post",
        "description": "Send a letter, wherever it is to go.",
        "arguments": dict(send.schema),
    }

    @tool(effects="none")
    async def mute() -> None: ...

    assert (mute.name, mute.description, mute.schema["properties"]) == ("mute", "", {})


async def plain(a: int) -> None: ...
async def many(*a: int) -> None: ...
async def more(**a: int) -> None: ...
async def placed(a: int, /) -> None: ...
async def untyped(a, b: int) -> None: ...  # type: ignore[no-untyped-def]
async def opaque(a: Opaque) -> None: ...
async def callback(a: Callable[[int], int]) -> None: ...
async def knotted(a: Knot) -> None: ...
async def unknown(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def unclosed(a: Annotated[str, Field(pattern="(")]) -> None: ...
async def numbered(*, key: int) -> None: ...


def sync(a: int) -> None: ...
async def generated(a: int) -> Any:
    yield a


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (sync, "tool: must be an async function"),
        (generated, "tool: must be an async function"),
        (functools.partial(plain, a=1), "tool: must be an async function"),
        (print, "tool: must be an async function"),
        (many, r"tools\[many\]: the parameter a cannot be given by name"),
        (more, "cannot be given by name"),
        (placed, "cannot be given by name"),
        (untyped, "the parameter a has no type annotation"),
        (opaque, "its parameters have no JSON schema: .*Opaque"),
        (callback, "its parameters have no JSON schema"),
        (knotted, "the type 'Knot' refers to itself"),
        (unknown, "its annotations cannot be read: name 'Nowhere' is not defined"),
        (unclosed, "its parameters have no JSON schema: .*unclosed group"),
        (numbered, "key gets the call's key, so it must be a str"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function: Any, told: str) -> None:
    """The refusal says which tool and what is wrong with it, as an error of the user's."""
    with pytest.raises(InputError, match=told) as caught:
        tool(function, effects="none")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "1st", "a.b", "ü", "x" * 65, "a\n", 3])
def test_a_name_that_models_could_not_say_is_refused(name: Any) -> None:
    """A name is letters, digits, - and _, at most 64, and does not begin with a digit."""
    with pytest.raises(InputError, match=r"tool\.name: must be letters"):
        tool(plain, effects="none", name=name)


@pytest.mark.parametrize("effects", ["", "twice", None, True])
def test_effects_that_are_none_are_refused(effects: Any) -> None:
    """There are three kinds of effects, and nobody guesses one."""
    with pytest.raises(InputError, match=r"tools\[plain\]\.effects: must be none, idempotent or once"):
        tool(plain, effects=effects)


@pytest.mark.parametrize(
    "schema", [None, [], {}, {"type": "array"}, {"type": "text"}, {"type": "object", "properties": [1]}]
)
def test_a_schema_that_is_not_an_object_s_is_refused(schema: Any) -> None:
    """An adapter can bring no schema along that arguments by name could not follow."""
    with pytest.raises(InputError, match=r"tools\[x\]\.schema"):
        Tool(name="x", description="", schema=schema, effects="none", invoke=named("x").invoke)


@pytest.mark.parametrize(
    "limits",
    [
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": "3"},
        {"seconds": None},
        {"seconds": True},
        {"characters": 99},
        {"characters": 200.5},
        {"characters": "200"},
        {"characters": None},
    ],
)
def test_limits_that_are_none_are_refused(limits: Any) -> None:
    """A limit of the wrong kind is found when it is said, not in the middle of a call."""
    with pytest.raises(InputError, match=rf"limits\.{next(iter(limits))}: must be"):
        ToolLimits(**limits)


@pytest.mark.parametrize("given_tools", [[named("a"), named("a")], [plain], named("a"), "ab", None, {"a": named("a")}])
def test_a_toolbox_holds_tools_each_name_once(given_tools: Any) -> None:
    """Two tools of one name, and anything that is no tool, are refused."""
    with pytest.raises(InputError, match=r"tools: (two tools are called 'a'|must be a list of tools)"):
        Toolbox(given_tools)


def test_a_grant_is_of_tools_that_are_there() -> None:
    """What is granted is a toolbox of those alone; a name of none is refused with those there are."""
    box = Toolbox([named("a"), named("b"), named("c")], is_done=lambda: True)
    granted = box.grant(["c", "a", "c"])
    assert (list(granted.tools), granted.is_done) == (["c", "a"], box.is_done)
    assert len(box.grant([])) == 0
    with pytest.raises(InputError, match=r"subtasks\[x\]\.tools: no tool is called 'd'; there are a, b, c"):
        box.grant(["d"], field="subtasks[x].tools")
    with pytest.raises(InputError, match="none was brought along"):
        Toolbox().grant(["a"])
    with pytest.raises(InputError, match="no tool is called 'b'"):
        granted.grant(["b"])


@tool(effects="none")
async def measure(
    count: int = 0,
    size: float = 0.0,
    flag: bool = False,
    word: Annotated[str, Field(max_length=3)] = "",
    colour: Colour = Colour.RED,
    even: Annotated[int, AfterValidator(lambda value: value // (value % 2 == 0))] = 0,
    place: Place | None = None,
) -> str:
    return "called"


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": "3"},
        {"count": 3.5},
        {"count": True},
        {"count": None},
        {"size": "3"},
        {"size": float("nan")},
        {"size": float("inf")},
        {"flag": 1},
        {"flag": "true"},
        {"word": 3},
        {"word": "four"},
        {"word": "\ud83d"},
        {"colour": "blue"},
        {"colour": float("nan")},
        {"colour": Colour.RED},
        {"place": {}},
        {"place": {"street": "Elm", "floor": "1"}},
        {"nowhere": 1},
        {"\ud83d": 1},
        {1: 1},
        {"count": object()},
        {"word": b"abc"},
        [1],
        [],
        "count",
        None,
        3,
    ],
)
async def test_an_argument_outside_its_schema_is_refused_and_the_function_never_called(arguments: Any) -> None:
    """Arguments are strict, "3" is not 3, and what is not even JSON is refused like everything else."""
    seen = await measure.call(arguments, "k")
    assert (seen.status, seen.size) == ("refused", 0), seen
    assert seen.text.startswith("arguments")


async def test_an_argument_that_only_its_type_refuses_says_where() -> None:
    """What the schema has no word for is refused by the type, before the function is called."""

    @tool(effects="once")
    async def book(on: list[datetime.date], row: tuple[int, str] = (1, "a")) -> str:
        raise AssertionError

    seen = await call(book, on=["2020-01-01", "someday"])
    assert seen.status == "refused"
    assert seen.text.startswith("arguments.on.1: Input should be a valid date")
    seen = await call(book, on=[], row=["3", "a"])
    assert seen == Observation(status="refused", text="arguments.row.0: Input should be a valid integer")
    assert book.problem({"on": [], "row": ["3", "a"]}) == seen.text  # known before the call is begun
    assert book.problem({"on": ["2020-01-01"]}) is None


async def test_whole_floats_are_floats_only() -> None:
    """A number without a fraction serves as a float; strictness is about kinds, not about how a number is written."""
    assert (await call(measure, size=3, count=3)).status == "ok"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text as it is", "text as it is"),
        ({"b": 1.0, "a": [None, True]}, '{"a":[null,true],"b":1.0}'),
        (None, "null"),
        ((1, "a"), '[1,"a"]'),
        ("", ""),
        ("half \ud83d", "half ?"),
        (["\udc00"], '["?"]'),
    ],
)
async def test_a_call_returns_text_as_it_is_and_all_else_as_json(value: Json, text: str) -> None:
    """Half a surrogate pair, which no journal could keep, is a question mark."""
    assert await call(returning(value)) == Observation(status="ok", text=text, size=len(text))


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], object(), {1, 2}, b"bytes", {("a", "b"): 1}, {"a": Opaque()}, [10**5000]]
)
async def test_a_value_that_is_not_json_is_an_error(value: object) -> None:
    """The tool broke its promise; the agent is told so."""
    seen = await call(returning(value))
    assert seen.status == "error"
    assert seen.text.startswith(("ValueError", "TypeError"))


async def test_a_value_that_holds_itself_is_an_error() -> None:
    """Neither a circle nor a nesting without end takes the run with it."""
    circle: list[object] = []
    circle.append(circle)
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]
    assert (await call(returning(circle))).status == "error"
    assert (await call(returning(deep))).status == "error"


class Speechless(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LookupError("no such country"), "LookupError: no such country"),
        (ValueError(), "ValueError"),
        (Speechless(), "Speechless"),
        (TimeoutError("the server's own"), "TimeoutError: the server's own"),
        (InputError("to", "is nobody"), "InputError: to: is nobody"),
        (ExceptionGroup("two", [ValueError("a"), ValueError("b")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (RuntimeError("half \ud83d"), "RuntimeError: half ?"),
        (StopIteration(), "RuntimeError: coroutine raised StopIteration"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_whatever_a_tool_raises_is_an_observation(error: BaseException, text: str) -> None:
    """The error's kind and words; also of one that cannot say what it is, and of something cancelled deep inside."""
    seen = await call(returning(error))
    assert (seen.status, seen.text) == ("error", text)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_to_end_the_program_passes_through(kind: type[BaseException]) -> None:
    """Only errors are observations: whoever presses Ctrl-C is not talking to the agent."""
    invoke = returning(kind()).invoke
    made = Tool(name="x", description="", schema={"type": "object"}, effects="none", invoke=invoke)
    coroutine = made.call({}, "k")
    with pytest.raises(kind):
        coroutine.send(None)


async def test_a_cancellation_from_outside_passes_through() -> None:
    """A run that is cancelled ends its calls, and no call swallows that."""
    begun = asyncio.Event()

    @tool(effects="none")
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(call(wait))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_of_the_tool_s_own_that_was_cancelled_is_its_error() -> None:
    """The agent goes on: what was cancelled is something that the tool waited for."""

    @tool(effects="none")
    async def wait() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert (await call(wait)).status == "error"


@pytest.mark.parametrize(("effects", "doubt"), [("none", ""), ("once", "; it may have happened all the same")])
async def test_a_call_out_of_time_is_cancelled(effects: Any, doubt: str) -> None:
    """It ends at its limit, the tool can tidy up, and of one with effects it is said that nobody knows."""
    tidied = []

    @tool(effects=effects, limits=ToolLimits(seconds=0.05))
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            tidied.append(True)

    assert await call(wait) == Observation(status="timeout", text=f"no answer within 0.05 s{doubt}")
    assert tidied == [True]


async def test_a_time_limit_around_the_call_is_not_the_tool_s() -> None:
    """Whoever gives the call less time gets their own TimeoutError."""

    @tool(effects="none")
    async def wait() -> None:
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await call(wait)


async def test_ten_megabytes_are_cut_and_counted() -> None:
    """The beginning and the end are kept with how much is left out; what was returned is let go."""
    huge = ("é" * 9 + "\n") * 1_000_000
    made = returning(huge, limits=ToolLimits(characters=1000))
    tracemalloc.start()
    try:
        seen = await call(made)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (seen.status, seen.size) == ("ok", 10_000_000)
    assert len(seen.text) <= 1000
    assert seen.text.startswith("é" * 9)
    assert "characters left out" in seen.text
    assert kept < 200_000


async def test_an_error_is_cut_like_an_answer() -> None:
    """So is a refusal, whose words may be a validator's."""

    @tool(effects="none")
    async def strict(value: Annotated[int, AfterValidator(refuse)]) -> None: ...

    failed = await call(returning(LookupError("x" * 300_000)))
    assert (failed.status, failed.size) == ("error", 300_013)
    assert len(failed.text) <= 8000
    refused = await call(strict, value=1)
    assert refused.status == "refused"
    assert len(refused.text) <= 8000


async def test_an_adapter_that_is_no_coroutine_is_an_error() -> None:
    """An `invoke` that returns at once breaks its own call only."""
    broken: Any = lambda arguments, key: "at once"  # noqa: E731
    made = Tool(name="x", description="", schema={"type": "object"}, effects="none", invoke=broken)
    assert (await made.call({}, "k")).status == "error"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(arguments=JSON | st.dictionaries(st.sampled_from([*measure.schema["properties"], "x"]), JSON, max_size=3))
async def test_no_arguments_at_all_raise(arguments: Json) -> None:
    """Law: a call ends in an observation whatever it is given, and what is accepted fits the schema and is kept."""
    seen = await measure.call(arguments, "k")
    assert seen.status in ("ok", "refused", "error")
    if seen.status == "ok":
        json.dumps(arguments, allow_nan=False).encode()
    assert seen.text.encode()


@given(value=JSON)
async def test_no_value_at_all_raises(value: Json) -> None:
    """Law: whatever a tool returns is an observation that a journal can keep."""
    seen = await call(returning(value))
    assert seen.status in ("ok", "error")
    assert len(seen.text.encode().decode()) <= 8000


def test_a_schema_is_written_out_within_bounds_and_values_in_it_stay_values() -> None:
    """Definitions that name one another twice are refused before they fill the memory; a default is no schema."""
    bomb = {f"d{place}": {"anyOf": [{"$ref": f"#/$defs/d{place + 1}"}] * 2} for place in range(40)}
    with pytest.raises(InputError, match="at most 10,000 parts"):
        inlined({"$defs": bomb | {"d40": {"type": "null"}}, "$ref": "#/$defs/d0"}, "schema")

    @tool(effects="none")
    async def titled(labels: dict[str, str] = {"title": "x"}) -> str:  # noqa: B006 - a value that looks like a keyword
        return str(labels)

    assert titled.schema["properties"]["labels"]["default"] == {"title": "x"}
