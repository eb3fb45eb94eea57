"""Rows as users write them: what is read of them, what is refused, and how items are put together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestra.budget.items import chained, items_of, load_rows, rows_of
from orchestra.budget.measuring import balanced
from orchestra_agents.errors import InputError
from tests.budget.test_pilot import statements


def test_messages_carry_true_and_false_bits_alike() -> None:
    """Half of the items of each target are reported truly, so that a bias for one answer is no gamma."""
    items = items_of(rows_of(statements(40)))
    bits = balanced(items, seed=3)
    assert Counter(zip((item.target for item in items), bits, strict=True)) == {
        ("yes", True): 10,
        ("yes", False): 10,
        ("no", True): 10,
        ("no", False): 10,
    }


def test_chained_items_want_all_answers() -> None:
    """Two items with two choices are one with four, numbers a list; what is left over is left out."""
    pairs = chained(items_of(rows_of(statements(5))), 2)
    assert [(one.target, one.size, len(one.answer.choices)) for one in pairs] == [("yes, no", 2.0, 4)] * 2
    assert pairs[0].input == "1. Is statement 0 true?\n2. Is statement 1 true?"
    [triple] = chained(items_of(rows_of([{"input": "?", "target": one} for one in (1, 2, 3)])), 3)
    assert (triple.answer.kind, triple.target, triple.wrong) == ("json", [1, 2, 3], ([1, 2, 4],))
    assert triple.answer.problem([1, 2]) is not None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "line 2: must be a JSON object"),
        ("[1]", "line 2: must be an object with the keys input and target"),
        ('{"target": "a"}', "line 2: input is missing"),
        ('{"input": "q", "target": "a", "wrong": 1}', "line 2: wrong is not a key here"),
        ('{"input": 3}', "line 2: input input should be a valid string"),
        ('{"input": "q", "input": "r"}', "line 2: must be a JSON object: a key comes twice"),
        ('{"input": "q", "size": 0}', "line 2: size input should be greater than 0"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, line: str, told: str) -> None:
    """The sentence names file, line and key."""
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"input": "q", "target": "a"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_rows(file)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "at least one item"),
        ([{"input": "q", "target": "a"}, {"input": "q"}], r"items\[1\]: has no target but others have"),
        ([{"input": "q"}], "choices: must be named where no targets are"),
        ([{"input": "q", "target": {"a": 1}}], "must be a number in every row"),
        ([{"input": "q", "target": 1}, {"input": "q", "target": "a"}], "must be a number in every row"),
        ([{"input": "q", "target": f"text {place}"} for place in range(20)], "must be a number in every row"),
        ([{"input": "q", "target": "c", "choices": ["a", "b"]}], r"items\[0\].target: 'c' is none of the choices"),
        ([{"input": "q", "target": "a", "choices": ["a"]}], r"items\[0\].choices: a choice needs at least 2"),
        (
            [{"input": "q", "choices": ["a", "b"], "target": "a"}, {"input": "q", "target": "a"}],
            r"items\[1\]: names no choices",
        ),
        (
            [{"input": "q", "choices": [*"ab"], "target": "a"}, {"input": "q", "choices": [*"abc"], "target": "a"}],
            "must be as many in every row",
        ),
    ],
)
def test_rows_without_one_type_of_answer_are_refused(said: list[dict[str, Any]], told: str) -> None:
    """What cannot be counted alike in all rows is refused in a sentence."""
    with pytest.raises(InputError, match=told):
        items_of(rows_of(said))


def test_the_type_of_answer_is_read_from_the_rows() -> None:
    """Numbers make a number, few words a choice, and choices may differ from row to row."""
    assert items_of(rows_of([{"input": "q", "target": 3}]))[0].answer.kind == "number"
    assert items_of(rows_of(statements(4)))[0].answer.choices == ("no", "yes")
    own = items_of(rows_of([{"input": "q", "target": one, "choices": [one, "x"]} for one in "ab"]))
    assert [(item.answer.choices, item.wrong) for item in own] == [(("a", "x"), ("x",)), (("b", "x"), ("x",))]


def test_an_item_is_what_a_simulated_model_may_know() -> None:
    """Without a target there is no truth."""
    [item] = items_of(rows_of([{"input": "q"}]), ["a", "b"])
    assert item.truth is None
