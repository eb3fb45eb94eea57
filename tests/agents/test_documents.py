"""Documents: what a bare word of YAML is, where the items of a list begin, and which name an error has."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.documents import Document, Scalars, parse_document, parse_yaml, read_document, read_text
from orchestra_agents.errors import InputError

words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | words, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=10)


@given(value=values)
def test_json_is_yaml_too(value: Any) -> None:
    """A JSON text is the same value by either name, numbers and words as they stand."""
    text = json.dumps(value)
    assert parse_document(text, "a.JSON") == parse_document(text, "a.yaml", scalars="json") == value


@pytest.mark.parametrize(
    ("scalars", "value"),
    [
        ("yaml", [False, 750, 8, date(2026, 1, 15), 1.5, None]),
        ("undated", [False, 750, 8, "2026-01-15", 1.5, None]),
        ("json", ["no", "12:30", "010", "2026-01-15", 1.5, None]),
    ],
)
def test_bare_words_are_values_or_text(scalars: Scalars, value: Any) -> None:
    """The caller says whether dates, or all that JSON has no word for, stay as they are written."""
    assert parse_document("[no, 12:30, 010, 2026-01-15, 1.5, null]", "a.yaml", scalars=scalars) == value


def test_items_of_a_list_have_lines() -> None:
    """Each item of the outermost list comes with the line on which it begins; nothing else has lines."""
    assert parse_yaml("# two\n- a: 1\n  b: [2,\n  3]\n\n- c\n", "a.yaml") == Document(
        [{"a": 1, "b": [2, 3]}, "c"], (2, 6)
    )
    assert parse_yaml("a: [1]", "a.yaml") == Document({"a": [1]}, ())
    assert parse_yaml("", "a.yaml") == Document(None, ())


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    """The limit counts bytes, the byte order mark among them, which is no part of the text."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\x9f")
    assert read_text(path, max_bytes=8) == "a: ß"
    assert read_document(path, max_bytes=8) == {"a": "ß"}
    with pytest.raises(InputError, match="must have at most 7 bytes") as caught:
        read_document(path, max_bytes=7)
    assert caught.value.field == str(path)


def test_the_caller_says_what_is_refused(tmp_path: Path) -> None:
    """An error can name the option that named the file."""

    def refuse(problem: str) -> InputError:
        return InputError("option", f"a.txt {problem}")

    for name, problem in (("a.txt", "does not exist"), ("a\0", "(does not exist|cannot be read: .*null)")):
        with pytest.raises(InputError, match=f"^option: a.txt {problem}"):
            read_text(tmp_path / name, max_bytes=1, refuse=refuse)
