"""Actions: how a turn's reply is read, which actions count as equal, and what the schema lets a model say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.actions import ActionType, is_done
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import RedFlag
from orchestra_agents.json_schema import mismatch
from orchestra_agents.models.contract import canonical_json
from orchestra_agents.models.synthetic import member_of
from orchestra_agents.tools import Tool, Toolbox, tool

Json = Any
TEXT, NUMBER, CODE = AnswerType(), AnswerType("number"), AnswerType("code")
CHOICE = AnswerType("choice", choices=("yes", "no"))
SHAPE = AnswerType.parse({"json": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}})
KINDS = (TEXT, NUMBER, CODE, CHOICE, SHAPE)


@tool(effects="none")
async def look(at: str, times: float = 1) -> str:
    """Look at something."""
    return at


TOOLS = Toolbox([look])


def actions(final: AnswerType = TEXT) -> ActionType:
    return ActionType.of(TOOLS, final)


CALL = {"tool": "look", "arguments": {"at": "the sky", "times": 3}}


@pytest.mark.parametrize(
    ("said", "action"),
    [
        (CALL, CALL),
        ({"arguments": {}, "tool": "look"}, {"tool": "look", "arguments": {}}),
        ({"tool": "never granted", "arguments": {"x": [1, {"y": None}]}}, None),
        ({"tool": "", "arguments": {}}, None),
        ({"done": True, "answer": "Lisbon"}, None),
        ({"done": True, "answer": "  Lisbon\n"}, {"done": True, "answer": "Lisbon"}),
    ],
)
def test_an_action_is_read_under_the_key_answer_and_bare(said: Json, action: Json) -> None:
    """Both forms count, whatever the order of their keys; whether a tool is granted is not asked here."""
    wanted = said if action is None else action
    assert actions().read(json.dumps({"answer": said})) == wanted
    assert actions().read(json.dumps(said)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "look at the sky",
        "null",
        "[]",
        "3",
        "{}",
        '{"answer": {}}',
        '{"answer": null}',
        '{"answer": "Lisbon"}',
        '{"tool": "look"}',
        '{"arguments": {}}',
        '{"tool": "look", "arguments": null}',
        '{"tool": "look", "arguments": []}',
        '{"tool": "look", "arguments": "{}"}',
        '{"tool": null, "arguments": {}}',
        '{"tool": ["look"], "arguments": {}}',
        '{"tool": "look", "arguments": {}, "why": "I want to"}',
        '{"tool": "look", "arguments": {}, "done": true}',
        '{"tool": "look", "arguments": {}} and then',
        '```json\n{"tool": "look", "arguments": {}}\n```',
        '{"tool": "look", "tool": "look", "arguments": {}}',
        '{"tool": "look", "arguments": {"times": NaN}}',
        '{"tool": "look", "arguments": {"times": 1e999}}',
        '{"tool": "look", "arguments": {"at": "\\ud83d"}}',
        '{"tool": "look", "arguments": ' + "[" * 300 + "]" * 300 + "}",
        '{"answer": {"tool": "look", "arguments": {}}, "more": 1}',
        '{"answer": {"answer": {"tool": "look", "arguments": {}}}}',
        '{"done": true}',
        '{"done": false, "answer": "Lisbon"}',
        '{"done": 1, "answer": "Lisbon"}',
        '{"done": "true", "answer": "Lisbon"}',
        '{"done": true, "answer": ""}',
        '{"done": true, "answer": "  "}',
        '{"done": true, "answer": null}',
        '{"done": true, "answer": 3}',
        '{"done": true, "answer": {"x": 1}}',
        '{"done": true, "answer": "Lisbon", "sure": true}',
    ],
)
def test_everything_else_is_flagged(text: str) -> None:
    """Nothing is repaired: a reply that is no action counts as no vote."""
    with pytest.raises(RedFlag) as caught:
        actions().read(text)
    assert caught.value.reason == "unparsable"


@pytest.mark.parametrize(
    ("final", "good", "bad"),
    [
        (NUMBER, 3, "3"),
        (CHOICE, "yes", "maybe"),
        (SHAPE, {"x": 1}, {"x": "1"}),
        (TEXT, "words", ["words"]),
        (CODE, "x = 1", 1),
    ],
)
def test_an_answer_that_ends_the_work_is_of_the_kind_wanted(final: AnswerType, good: Json, bad: Json) -> None:
    """Done with an answer of another kind is not done."""
    assert actions(final).read(json.dumps({"done": True, "answer": good})) == {"done": True, "answer": good}
    with pytest.raises(RedFlag):
        actions(final).read(json.dumps({"done": True, "answer": bad}))


def test_code_that_ends_the_work_is_taken_out_of_its_fence() -> None:
    """Words and code are read as they are where nobody acts."""
    fenced = "```python\nx = 1\n\n```"
    said = json.dumps({"done": True, "answer": fenced})
    assert actions(CODE).read(said)["answer"] == CODE.read(fenced) == "x = 1\n"
    with pytest.raises(RedFlag):
        actions(CODE).read(json.dumps({"done": True, "answer": "```\n\n```"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"tool": "look", "arguments": {"at": "x", "times": 3}}', '{"arguments":{"times":3,"at":"x"},"tool":"look"}'),
        ('{"tool": "look", "arguments": {"times": 3}}', '{"answer": {"tool": "look", "arguments": {"times": 3.0}}}'),
        ('{"tool": "look", "arguments": {"times": 3e2}}', '{"tool": "look", "arguments": {"times": 300}}'),
        ('{"done": true, "answer": "It is Lisbon."}', '{"answer": {"answer": "Lisbon", "done": true}}'),
    ],
)
def test_votes_on_equal_actions_agree(one: str, other: str) -> None:
    """Equal calls are one vote however they are written; of answers in words only that the work is over counts."""
    kind = actions()
    assert kind.canonical(kind.read(one)) == kind.canonical(kind.read(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tool": "look", "arguments": {"times": 3}}, {"tool": "look", "arguments": {"times": 4}}),
        ({"tool": "look", "arguments": {"times": 1}}, {"tool": "look", "arguments": {"times": True}}),
        ({"tool": "look", "arguments": {"times": 1}}, {"tool": "look", "arguments": {"times": "1"}}),
        ({"tool": "look", "arguments": {}}, {"tool": "Look", "arguments": {}}),
        ({"tool": "look", "arguments": {}}, {"tool": "look", "arguments": {"at": None}}),
        ({"tool": "done ", "arguments": {}}, {"done": True, "answer": ""}),
        ({"done": True, "answer": "x"}, {"tool": "done", "arguments": {"answer": "x"}}),
    ],
)
def test_votes_on_different_actions_do_not(one: Json, other: Json) -> None:
    """A call with other arguments is another call, and no call is taken for an end."""
    assert actions().canonical(one) != actions().canonical(other)


@pytest.mark.parametrize(("final", "equal", "other"), [(NUMBER, [3, 3.0], 4), (CHOICE, ["yes"], "no")])
def test_answers_that_can_be_counted_agree_by_value(final: AnswerType, equal: list[Json], other: Json) -> None:
    """Where the final answer is votable, so is the action that gives it."""
    kind = actions(final)
    forms = {kind.canonical({"done": True, "answer": one}) for one in equal}
    assert len(forms) == 1
    assert kind.canonical({"done": True, "answer": other}) not in forms


def test_the_schema_names_the_granted_tools_and_nothing_else() -> None:
    """One alternative for each tool with the types of its arguments, and one for being done."""
    constraint = actions(NUMBER).constraint()
    assert constraint is not None
    call, done = json.loads(constraint)["properties"]["answer"]["anyOf"]
    assert call["properties"] == {"tool": {"const": "look"}, "arguments": dict(look.schema)}
    assert done["properties"] == {"done": {"const": True}, "answer": {"type": "number"}}
    for one in (call, done):
        assert (set(one["required"]), one["additionalProperties"]) == (set(one["properties"]), False)


def test_without_tools_there_is_nothing_but_to_be_done() -> None:
    """An agent that was granted nothing is still asked for one of the legal actions."""
    kind = ActionType.of(Toolbox(), CHOICE)
    constraint = kind.constraint()
    assert constraint is not None
    assert is_done(kind.read(member_of(constraint, key="x")))


NAMES = st.text("abcdefgh_-XYZ019", min_size=1, max_size=8).filter(
    lambda name: not name[0].isdigit() and name[0] != "-"
)
LEAVES = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["integer", "null"]}),
    st.integers(0, 5).map(lambda low: {"type": "integer", "minimum": low, "maximum": low + 7}),
    st.integers(1, 5).map(lambda size: {"type": "string", "minLength": size, "maxLength": size + 2}),
    st.lists(st.sampled_from(["a", 1, None, "b c"]), min_size=1, unique_by=str).map(lambda values: {"enum": values}),
    st.sampled_from(["x", 3, True]).map(lambda value: {"const": value}),
)


def objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Return schemas of objects, some of whose properties must be there."""
    return st.dictionaries(NAMES, inner, max_size=4).flatmap(
        lambda properties: st.lists(st.sampled_from(sorted(properties) or [""]), unique=True).map(
            lambda required: {
                "type": "object",
                "properties": properties,
                "required": [name for name in required if name],
                "additionalProperties": False,
            }
        )
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"anyOf": several}),
        objects(inner),
    ),
    max_leaves=6,
)


async def nothing(arguments: dict[str, Json], key: str) -> Json:
    return None


@st.composite
def toolboxes(draw: st.DrawFn) -> Toolbox:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    return Toolbox(
        Tool(name=name, description="", schema=draw(objects(SCHEMAS)), effects="none", invoke=nothing) for name in names
    )


@given(tools=toolboxes(), final=st.sampled_from(KINDS), key=st.text(max_size=5))
def test_whatever_the_schema_allows_is_a_legal_action(tools: Toolbox, final: AnswerType, key: str) -> None:
    """Law: every member of the schema is read, is granted, and has arguments that its tool takes."""
    kind = ActionType.of(tools, final)
    constraint = kind.constraint()
    assert constraint is not None
    text = member_of(constraint, key=key)
    action = kind.read(text)
    assert kind.read(canonical_json(action)) == action
    if is_done(action):
        assert final.problem(action["answer"]) is None
    else:
        assert tools.tools[action["tool"]].problem(action["arguments"]) is None
    assert mismatch({"answer": action}, json.loads(constraint)) is None


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["tool", "arguments", "done", "answer", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    final=st.sampled_from(KINDS),
)
def test_any_reply_is_an_action_or_flagged(value: Json, final: AnswerType) -> None:
    """Law: reading raises nothing but a red flag, and what is read has one canonical form, whatever it is read from."""
    kind = actions(final)
    try:
        action = kind.read(json.dumps(value))
    except RedFlag:
        return
    assert kind.problem(action) is None
    again = kind.read(json.dumps({"answer": action}))
    assert kind.canonical(again) == kind.canonical(action)
