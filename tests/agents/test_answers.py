"""Answer types: what a file may say, what a reply may say, and which answers are equal."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.json_schema import canonical_value

CHOICE = AnswerType.parse({"choice": ["alpha", "beta"]})
NUMBER = AnswerType.parse("number")
POINT = AnswerType.parse(
    {
        "json": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
            "required": ["x"],
            "additionalProperties": False,
        }
    }
)
ANY_JSON = AnswerType.parse({"json": {}})


def values() -> st.SearchStrategy[Any]:
    """Return all JSON values."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@pytest.mark.parametrize(
    "spec", ["text", "number", "code", {"choice": ["a", "b"]}, {"json": {"type": "object"}}, {"json": {}}]
)
def test_every_spec_is_given_back(spec: Any) -> None:
    """What a file says about an answer survives parsing and writing."""
    assert AnswerType.parse(spec).spec() == spec
    assert AnswerType.parse(AnswerType.parse(spec).spec()) == AnswerType.parse(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("prose", "must be text, number, code"),
        ("choice", "must be text, number, code"),
        ("json", "must be text, number, code"),
        (None, "must be text, number, code"),
        (3, "must be text, number, code"),
        (["a", "b"], "must be text, number, code"),
        ({}, "must be text, number, code"),
        ({"choice": ["a", "b"], "json": {}}, "must be text, number, code"),
        ({"choice": "ab"}, "must be a list of texts"),
        ({"choice": []}, "at least 2 distinct"),
        ({"choice": ["a"]}, "at least 2 distinct"),
        ({"choice": ["a", "a"]}, "at least 2 distinct"),
        ({"choice": ["a", "b", "a"]}, "at least 2 distinct"),
        ({"choice": ["a", " "]}, "at least 2 distinct"),
        ({"choice": [True, False]}, "put it in quotes"),
        ({"choice": ["a", 1]}, "put it in quotes"),
        ({"choice": [["a"], "b"]}, "put it in quotes"),
        ({"json": "object"}, "must be a mapping"),
        ({"json": {"type": "objekt"}}, "type must be one of"),
        ({"json": {"type": [["object"]]}}, "type must be one of"),
        ({"json": {"properties": {"x": {"type": "int"}}}}, "type must be one of"),
        ({"json": {"properties": []}}, "properties must be a mapping"),
        ({"json": {"required": "x"}}, "required must be a list"),
        ({"json": {"enum": "x"}}, "enum must be a list"),
        ({"json": {"items": 3}}, "must be a mapping"),
        ({"json": {"const": math.nan}}, "JSON values"),
        ({"json": {"const": b"x"}}, "JSON values"),
    ],
)
def test_bad_specs_are_refused_by_name(spec: Any, says: str) -> None:
    """Anything else is an input error of the field `answer` that says what is allowed."""
    with pytest.raises(InputError, match=says) as caught:
        AnswerType.parse(spec)
    assert caught.value.field == "answer"
    assert "\n" not in str(caught.value)


def test_a_value_that_contradicts_itself_is_refused() -> None:
    """Choices belong to a choice and a schema to json, also where the type is built by hand."""
    for wrong in (
        lambda: AnswerType("choice"),
        lambda: AnswerType("text", choices=("a", "b")),
        lambda: AnswerType("json"),
        lambda: AnswerType("number", schema="{}"),
        lambda: AnswerType("prose"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert caught.value.field == "answer"


def test_only_text_and_code_are_not_votable() -> None:
    """Votable kinds are those whose equal answers can be counted; only they constrain the reply."""
    for spec, votable in [("text", False), ("code", False), ("number", True)]:
        answer = AnswerType.parse(spec)
        assert answer.votable is votable
        assert (answer.constraint() is not None) is votable
    assert CHOICE.votable
    assert POINT.votable


def test_the_constraint_is_an_object_with_the_answer() -> None:
    """A votable reply is constrained to an object whose only key is `answer`."""
    assert CHOICE.constraint() == (
        '{"additionalProperties":false,"properties":{"answer":{"enum":["alpha","beta"],"type":"string"}},'
        '"required":["answer"],"type":"object"}'
    )
    assert json.loads(NUMBER.constraint() or "")["properties"] == {"answer": {"type": "number"}}
    assert json.loads(POINT.constraint() or "")["properties"]["answer"]["required"] == ["x"]


@pytest.mark.parametrize(
    ("answer", "reply", "value"),
    [
        (CHOICE, '{"answer": "beta"}', "beta"),
        (CHOICE, ' \n{"answer":"alpha"}\t', "alpha"),
        (NUMBER, '{"answer": 3.00}', 3),
        (NUMBER, '{"answer": -0.5e1}', -5),
        (NUMBER, '{"answer": 0.25}', 0.25),
        (NUMBER, '{"answer": 1e30}', 10**30),
        (POINT, '{"answer": {"x": 2.0, "tags": ["a"]}}', {"x": 2, "tags": ["a"]}),
        (ANY_JSON, '{"answer": null}', None),
        (AnswerType("text"), "  some words\n", "some words"),
        (AnswerType("code"), "```python\n    x = 1\n```\n", "    x = 1"),
        (AnswerType("code"), "\n    x = 1\n    y = 2\n", "    x = 1\n    y = 2"),
        (AnswerType("code"), "Here:\n```\nx\n```", "Here:\n```\nx\n```"),
        (AnswerType("code"), "```\nx\n```\n```\ny\n```", "```\nx\n```\n```\ny\n```"),
    ],
)
def test_replies_in_form_are_read(answer: AnswerType, reply: str, value: Any) -> None:
    """A reply in the form asked for gives its typed answer."""
    read = answer.read(reply)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (CHOICE, "beta"),
        (CHOICE, '"beta"'),
        (CHOICE, '{"answer": "Beta"}'),
        (CHOICE, '{"answer": "gamma"}'),
        (CHOICE, '{"answer": ["beta"]}'),
        (CHOICE, '{"answer": "beta", "why": "because"}'),
        (CHOICE, '{"answer": "alpha", "answer": "beta"}'),
        (CHOICE, '{"why": "because"}'),
        (CHOICE, 'Sure! {"answer": "beta"}'),
        (CHOICE, '{"answer": "beta"} as asked'),
        (CHOICE, '```json\n{"answer": "beta"}\n```'),
        (CHOICE, '{"answer": "beta"'),
        (CHOICE, ""),
        (NUMBER, '{"answer": true}'),
        (NUMBER, '{"answer": "3"}'),
        (NUMBER, '{"answer": NaN}'),
        (NUMBER, '{"answer": Infinity}'),
        (NUMBER, '{"answer": 1e999}'),
        (NUMBER, '{"answer": ' + "9" * 5000 + "}"),
        (NUMBER, '{"answer": null}'),
        (POINT, '{"answer": {}}'),
        (POINT, '{"answer": {"x": 1.5}}'),
        (POINT, '{"answer": {"x": true}}'),
        (POINT, '{"answer": {"x": 1, "y": 2}}'),
        (POINT, '{"answer": {"x": 1, "tags": ["a", "c"]}}'),
        (POINT, '{"answer": {"x": 1, "tags": "a"}}'),
        (POINT, '{"answer": {"x": 1, "x": 2}}'),
        (ANY_JSON, '{"answer": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        (AnswerType("text"), " \n "),
        (AnswerType("code"), ""),
        (AnswerType("code"), "```python\n\n```"),
    ],
)
def test_any_deviation_is_a_red_flag(answer: AnswerType, reply: str) -> None:
    """A reply out of form is flagged as unparsable, never repaired."""
    with pytest.raises(RedFlag) as caught:
        answer.read(reply)
    assert caught.value.reason == "unparsable"


def test_enum_tells_true_from_one() -> None:
    """A schema's enum compares JSON values, so neither true nor "1" is 1, but 1.0 is."""
    one = AnswerType.parse({"json": {"enum": [1]}})
    assert one.read('{"answer": 1.0}') == 1
    for reply in ('{"answer": true}', '{"answer": "1"}'):
        with pytest.raises(RedFlag):
            one.read(reply)
    assert AnswerType.parse({"json": {"const": {"a": 1, "b": 2}}}).read('{"answer": {"b": 2, "a": 1}}')


def test_other_keys_may_have_a_schema() -> None:
    """Keys that `properties` does not name are checked by `additionalProperties`."""
    counts = AnswerType.parse({"json": {"type": ["object", "null"], "additionalProperties": {"type": "integer"}}})
    assert counts.read('{"answer": {"a": 1}}') == {"a": 1}
    assert counts.read('{"answer": null}') is None
    with pytest.raises(RedFlag, match=r"answer\.a must be integer"):
        counts.read('{"answer": {"a": "1"}}')


def test_equal_numbers_have_one_text() -> None:
    """3, 3.0 and 3.00 are one answer, so are 1e30 and its digits, while 0.1 + 0.2 is not 0.3."""
    assert {NUMBER.canonical(NUMBER.read(f'{{"answer": {text}}}')) for text in ("3", "3.0", "3.00", "0.3e1")} == {"3"}
    assert NUMBER.canonical(1e30) == NUMBER.canonical(10**30)
    assert NUMBER.canonical(-0.0) == "0"
    assert NUMBER.canonical(0.1 + 0.2) != NUMBER.canonical(0.3)
    assert NUMBER.canonical(10**20) != NUMBER.canonical(10**20 + 1)


def test_json_is_canonical_in_keys_and_numbers() -> None:
    """JSON answers count as equal whatever the order of keys and the spelling of numbers."""
    assert ANY_JSON.canonical({"b": [1.0], "a": 2}) == ANY_JSON.canonical({"a": 2.0, "b": [1]}) == '{"a":2,"b":[1]}'


def test_choices_and_texts_are_their_own_text() -> None:
    """A choice, a text and code count as equal only to themselves."""
    assert CHOICE.canonical("beta") == "beta"
    assert AnswerType("text").canonical("3.0") == "3.0"


@given(values())
def test_canonical_text_is_stable(value: Any) -> None:
    """Reading a canonical text back gives the same canonical text."""
    text = canonical_value(value)
    assert canonical_value(json.loads(text)) == text


@given(values())
def test_every_value_that_is_written_is_read_back(value: Any) -> None:
    """The object around any JSON value is read as an answer with the same canonical text."""
    assert ANY_JSON.canonical(ANY_JSON.read(json.dumps({"answer": value}))) == ANY_JSON.canonical(value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_equal_exactly_where_their_texts_are(one: float, other: float) -> None:
    """Two floats have the same canonical text exactly where they are the same number."""
    assert (NUMBER.canonical(one) == NUMBER.canonical(other)) == (one == other)


@given(st.text())
def test_noise_is_read_or_flagged(reply: str) -> None:
    """No reply whatever makes reading fail with anything but a red flag."""
    for answer in (CHOICE, NUMBER, POINT, AnswerType("text"), AnswerType("code")):
        try:
            value = answer.read(reply)
        except RedFlag:
            continue
        assert answer.problem(value) is None


LINES = [
    (AnswerType("choice", choices=("good", "bad")), " good", "good"),
    (AnswerType("number"), " 7\n", 7),
    (AnswerType("number"), "-2.50", -2.5),
    (AnswerType("text"), " Two stays. ", "Two stays."),
]


@pytest.mark.parametrize(("answer", "line", "value"), LINES)
def test_the_rest_of_a_line_is_read_as_an_answer(answer: AnswerType, line: str, value: object) -> None:
    """What follows the arrow of a pattern is a choice, a number or a text, without the JSON around it."""
    assert answer.read_line(line) == value


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (AnswerType("choice", choices=("good", "bad")), " goodness"),
        (AnswerType("number"), " seven"),
        (AnswerType("number"), " 7 8"),
        (AnswerType("number"), " NaN"),
        (AnswerType("text"), "  "),
    ],
)
def test_any_other_rest_of_a_line_is_a_red_flag(answer: AnswerType, line: str) -> None:
    """A line that is not exactly an answer is unparsable."""
    with pytest.raises(RedFlag, match="unparsable"):
        answer.read_line(line)


def test_closed_lines_have_a_grammar_and_free_ones_none() -> None:
    """A choice's grammar quotes each label; a number's ends the line; text and json have none."""
    assert AnswerType("choice", choices=('a "b"', "c")).grammar() == r'root ::= " a \"b\"" | " c"'
    assert (AnswerType("number").grammar() or "").endswith(r'"\n"')
    assert AnswerType("text").grammar() is None


@pytest.mark.parametrize("reply", [r'{"answer": "\ud800"}', '{"answer": ' + "[" * 195 + "]" * 195 + "}"])
def test_a_reply_that_the_journal_could_not_hold_is_a_red_flag(reply: str) -> None:
    """Half a surrogate pair and bottomless nesting are discarded like any reply that is not the JSON asked for."""
    with pytest.raises(RedFlag, match="unparsable"):
        AnswerType("json", schema="{}").read(reply)
