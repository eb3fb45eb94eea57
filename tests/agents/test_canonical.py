"""Which answers count as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import RedFlag
from orchestra_agents.models.contract import Json
from orchestra_agents.voting.canonical import Canonical, exact, numeric, stripped, structure

numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "answers",
    [
        (1, 1.0, "1", "1.00", "1e0", " 1\n", "+1", "0.1e1", 10e-1),
        (100, "1e2", "100.000", 1e2),
        (0, -0.0, "-0", "0.000", "0e9"),
        (-0.5, "-.5", "-5e-1"),
        (0.1, "0.1", "1e-1"),
        (10**50 + 1, str(10**50 + 1), f"{10**50 + 1}.0"),
        (1e300, "1e300", 10**300),
        (10**6000, "1e6000"),
    ],
)
def test_equal_numbers_are_one_answer(answers: Sequence[Json]) -> None:
    """Numbers count as one by their value, however they are written."""
    assert len({numeric(answer) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [(1, 2), (1, -1), ("0.1", "0.10000000000000000000000000000000001"), (10**50, 10**50 + 1)]
)
def test_different_numbers_are_two_answers(one: Json, other: Json) -> None:
    """No digit is lost, however many there are."""
    assert numeric(one) != numeric(other)


@given(one=numbers, other=numbers)
def test_numbers_are_one_answer_exactly_if_they_are_equal(one: Decimal, other: Decimal) -> None:
    """The canonical text is the number: it reads back as itself, and differs where numbers differ."""
    assert Fraction(numeric(str(one))) == Fraction(one)
    assert numeric(numeric(str(one))) == numeric(str(one))
    assert (numeric(str(one)) == numeric(str(other))) == (one == other)


@pytest.mark.parametrize(
    "answer",
    ["", "one", "1,000", "1_000", "nan", "Infinity", "-inf", "1 2", "0x10", "1/2", "1e", True, None, [1], {"n": 1}]
    + [float("nan"), float("inf"), "1e99999999999999999999999"],
)
def test_what_is_no_number_is_flagged(answer: Json) -> None:
    """Everything else is a red flag: nothing is guessed and nothing repaired."""
    with pytest.raises(RedFlag) as flag:
        numeric(answer)
    assert flag.value.reason == "not_a_number"


@given(value=values)
def test_structure_is_canonical_json(value: Json) -> None:
    """A value and what its JSON reads back as are one answer, with keys in any order."""
    assert structure(json.loads(json.dumps(value))) == structure(value)
    assert json.loads(structure(value)) == value
    if isinstance(value, dict):
        assert structure(dict(reversed(value.items()))) == structure(value)


@pytest.mark.parametrize("answer", [float("nan"), {1, 2}, object()])
def test_what_json_cannot_say_is_flagged(answer: Json) -> None:
    """A value without JSON text is a red flag."""
    with pytest.raises(RedFlag) as flag:
        structure(answer)
    assert flag.value.reason == "not_json"


@given(text=st.text())
def test_texts_count_as_they_are(text: str) -> None:
    """Exact takes a text as it is, stripped without outer white space; other values are canonical JSON to both."""
    assert exact(text) == text
    assert stripped(f"\t{text} \n") == text.strip()
    assert exact([1, "a"]) == stripped([1, "a"]) == '[1,"a"]'


def test_a_plain_function_is_a_canonical_form() -> None:
    """Any function from an answer to a text will do."""

    def first_letter(answer: Json) -> str:
        return str(answer)[0]

    forms: list[Canonical] = [exact, stripped, structure, numeric, first_letter]
    assert [form("7.0") for form in forms] == ["7.0", "7.0", '"7.0"', "7", "7"]
