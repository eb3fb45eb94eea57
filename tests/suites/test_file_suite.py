"""Suites from a user's file: what is read, what is refused and how, and that splits, orders and samples are steady."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, digest
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.file_names import Settings, Shares, name_of_file, read_name
from orchestra_evals.suites.file_rows import SPLITS, Fields
from orchestra_evals.suites.file_suite import FileSuite, from_file, from_jsonl, judge_of
from orchestra_evals.suites.judging import Judge
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.suite import Sample, Split
from orchestra_evals.suites.tables import Record, read_records
from orchestra_evals.suites.templates import Template, displayed

ALL = Shares(calibrate=0, test=1, held_out=0)
QUIZ = [
    {"question": "Capital of Austria?", "answer": "Vienna", "topic": "places", "level": 1},
    {"question": "Capital of Fiji?", "answer": "Suva", "topic": "places", "level": 2},
    {"question": "Who wrote 'Emma'?", "answer": ["Jane Austen", "Austen"], "topic": "books", "level": 1},
    {"question": 'Author of "Ulysses", 1922?', "answer": "James Joyce", "topic": "books", "level": 2},
]


def written(folder: Path, rows: Json, name: str = "quiz.jsonl") -> Path:
    path = folder / name
    if isinstance(rows, bytes | str):
        path.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def samples(suite: FileSuite, difficulty: Any = None, split: Split = "test", seed: int = 0) -> list[Sample]:
    place = difficulty or {}
    return [suite.sample(place, index, split=split, seed=seed) for index in range(suite.count(place, split))]


def check_suite(suite: FileSuite) -> list[Sample]:
    """Check what holds for the samples of every suite, and return them."""
    made = [one for place in suite.about.default for split in SPLITS for one in samples(suite, place, split)]
    assert len({one.id for one in made}) == len(made) == suite.about.size
    for one in made:
        assert one.answer.problem(one.target) is None
        assert suite.check(one, one.target).outcome == "right"
        assert suite.check(one, None).outcome == suite.check(one, " ").outcome == "malformed"
        for slip in one.wrong:
            assert one.answer.problem(slip) is None
            assert suite.check(one, slip).outcome == "wrong"
            assert slip != one.target
            assert slip not in one.instance["targets"]
        assert json.loads(json.dumps(one.instance)) == one.instance
        assert suite.graph(one) is None
    return made


def test_one_file_in_every_format(tmp_path: Path) -> None:
    """Rows are the same samples whether they are JSONL, JSON, YAML, CSV or TSV."""
    rows = [{"id": f"q{n}", "question": f'{n} + \u00e9, "{n}"?\nSay.', "answer": f"a{n}", "level": n} for n in range(6)]
    made = {
        "a.jsonl": "\ufeff" + "\r\n\n".join(json.dumps(row) for row in rows),
        "a.ndjson": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
        "a.json": json.dumps(rows, indent=2),
        "a.yaml": "# a comment\n"
        + "".join(
            f"- id: {row['id']}\n  level: {row['level']}\n  answer: {row['answer']}\n"
            f"  question: {json.dumps(row['question'])}\n"
            for row in rows
        ),
    }
    for ending, comma in (("csv", ","), ("TSV", "\t")):
        lines = [comma.join(rows[0])]
        for row in rows:
            question = row["question"].replace('"', '""')
            lines += [comma.join([row["id"], f'"{question}"', row["answer"], str(row["level"])]), ""]
        made[f"a.{ending}"] = "\ufeff" + "\r\n".join(lines)
    fields = Fields(input="question", target="answer", difficulty="level")
    prints = {
        name: [
            [one.id, one.digest(), one.target, list(one.wrong), dict(one.difficulty)]
            for one in check_suite(from_file(written(tmp_path, text, name), fields))
        ]
        for name, text in made.items()
    }
    assert len({digest(one) for one in prints.values()}) == 1
    assert [one[0] for one in sorted(prints["a.json"])] == [row["id"] for row in rows]


def test_columns_make_samples(tmp_path: Path) -> None:
    """Question, targets, family and difficulty come from the columns named; any target counts."""
    suite = from_file(
        written(tmp_path, QUIZ),
        Fields(input="{topic}: {question}", target="answer", family="topic", difficulty=["topic", "level"]),
        shares=ALL,
    )
    made = check_suite(suite)
    assert suite.about.axes == {"topic": ("places", "books"), "level": (1, 2)}
    assert [dict(one) for one in suite.about.default] == [
        {"topic": topic, "level": level} for topic in ("places", "books") for level in (1, 2)
    ]
    emma = next(one for one in made if "Emma" in one.question)
    assert emma.question == "books: Who wrote 'Emma'?"
    assert (emma.id, emma.family, emma.target) == ("3", "books", "Jane Austen")
    assert emma.answer == AnswerType("text")
    assert suite.check(emma, " Austen ").outcome == "right"
    assert suite.check(emma, "Joyce").detail == "the answer is not the target"
    assert suite.about.scoring == "The answer is a target, outer white space not counting."
    for bad in ({}, {"topic": "books"}, {"topic": "books", "level": 3}, {"topic": "books", "level": 1, "x": 1}):
        with pytest.raises(InputError, match=r"^difficulty\."):
            suite.sample(bad, 0, split="test", seed=0)


def test_usual_names_need_no_mapping(tmp_path: Path) -> None:
    """Columns called input, target, choices, id and family are used without being named."""
    rows = [{"input": f"{n}?", "target": "no", "choices": ["yes", "no"], "id": 10 + n, "family": "f"} for n in range(5)]
    for one in check_suite(from_jsonl(written(tmp_path, rows))):
        assert one.question == f"{int(one.id) - 10}?\n\nA) yes\nB) no"
        assert (one.answer.choices, one.wrong, one.family) == (("yes", "no"), ("yes",), "f")


def test_answers_have_the_type_that_scores(tmp_path: Path) -> None:
    """A choice where there are choices, a number where targets are or are scored as numbers, else text; or as said."""

    def kind(target: Json, **said: Any) -> str:
        suite = from_file(written(tmp_path, [{"input": "?", "target": target}]), shares=ALL, **said)
        (one,) = check_suite(suite)
        return f"{one.answer.kind} {suite.scorer.name} {one.target!r}"

    assert kind("42") == "text exact '42'"
    assert kind(42.0) == "number numeric 42"
    assert kind("so 1,042.5", scorer="numeric") == "number numeric 1042.5"
    assert kind("so 42", scorer="numeric", answer=AnswerType("text")) == "text numeric 'so 42'"
    assert kind(True) == "text exact 'true'"
    assert kind("b = 1", answer=AnswerType("code")) == "code exact 'b = 1'"
    assert kind("2", answer=AnswerType("choice", choices=("1", "2"))) == "choice choice '2'"
    assert kind([[1, 2]], answer=AnswerType.parse({"json": {"type": "array"}})) == "json exact [1, 2]"
    assert kind("1/3", scorer="numeric:rel=1e-9") == f"number numeric:rel=1e-09 {1 / 3!r}"


def test_targets_of_choices_are_found(tmp_path: Path) -> None:
    """A target is a choice's text, its letter or its place, and is asked for as the text."""
    for target, scorer in (("blue", None), ("B", None), ("(b)", None), (1, "choice:first=0"), (2, "choice:first=1")):
        rows = [{"input": "Pick {one}", "target": target, "choices": ["red", " blue ", 3]}]
        suite = from_jsonl(written(tmp_path, rows), scorer=scorer)
        (one,) = check_suite(suite)
        assert one.target == "blue"
        assert one.question == "Pick {one}\n\nA) red\nB) blue\nC) 3"
        assert suite.check(one, "Answer: (B)").outcome == suite.check(one, "blue").outcome == "right"
        assert suite.check(one, "C.").outcome == "wrong"
        assert suite.check(one, "red or blue").outcome == "malformed"


def test_choices_stand_where_the_template_says(tmp_path: Path) -> None:
    """`{choices}`, or their column's name, stands for the list with letters; other lists have a line for each item."""
    row = {"q": "?", "o": ["x1", "y1"], "t": "y1", "notes": [["N", ["one", "two"]], "three"], "none": None}
    path = written(tmp_path, [row])
    for template in ("{{{choices}}} {q}{none}", "{{{o}}} {q}"):
        suite = from_file(path, Fields(input=template, target="t", choices="o"), shares=ALL)
        assert samples(suite)[0].question == "{A) x1\nB) y1} ?"
    suite = from_file(path, Fields(input="{notes}|{q}", target="t", choices=("q", "t")), shares=ALL)
    assert samples(suite)[0].question == "N one two\nthree|?\n\nA) ?\nB) y1"


def test_choices_are_shuffled_by_row_and_seed(tmp_path: Path) -> None:
    """Each row and seed has an order of its own, the same every time, and letters follow it."""
    rows = [{"input": f"{n}?", "target": "t1", "choices": ["t1", "u2", "v3", "w4"]} for n in range(40)]
    suite = from_file(written(tmp_path, rows), shares=ALL, shuffle_choices=True)
    assert samples(suite) == samples(suite)
    places = Counter(one.instance["choices"].index("t1") for one in check_suite(suite))
    assert set(places) == {0, 1, 2, 3}
    orders = {seed: {one.question[:3]: one.instance["choices"] for one in samples(suite, seed=seed)} for seed in (0, 1)}
    assert sum(orders[0][key] != orders[1][key] for key in orders[0]) > 20
    for one in samples(suite):
        assert list(one.answer.choices) == one.instance["choices"]
        assert suite.check(one, "ABCD"[one.instance["choices"].index("t1")]).outcome == "right"
    assert not {one.id for one in samples(suite)} & {one.id for one in samples(suite, seed=1)}


def test_choices_may_be_text_to_read(tmp_path: Path) -> None:
    """Where a text is asked for, the reply may reason before it names a choice."""
    rows = [{"input": "?", "target": "red", "choices": ["red", "blue"]}]
    suite = from_file(written(tmp_path, rows), answer=AnswerType("text"), shares=ALL)
    (one,) = check_suite(suite)
    assert one.wrong == ("blue",)
    assert suite.check(one, "Blue is cold.\nThe answer is A.").outcome == "right"


def test_keys_of_objects_are_columns(tmp_path: Path) -> None:
    """`answers.text` is a key of an object, unless a column has that very name; JSON in a cell may hold choices."""
    record = Record("x", {"a": {"b": [1]}, "a.c": 2})
    assert (record.value("a.b"), record.value("a.c"), record.has("a.d"), record.has("a.b.c")) == ([1], 2, False, False)
    path = written(tmp_path, 'q,o,t\n?,"[""r"", ""s""]",s\n', "a.csv")
    (one,) = samples(from_file(path, Fields(input="q", target="t", choices="o"), shares=ALL))
    assert one.answer.choices == ("r", "s")


def test_patterns_need_an_example_that_they_match(tmp_path: Path) -> None:
    """A pattern is no answer, so a column names one; it is tried on the pattern when the file is read."""
    rows = [{"input": f"{n}?", "target": f"^{n}+\\z", "right": str(n) * 3} for n in range(5)]
    path = written(tmp_path, rows)
    suite = from_file(path, Fields(example="right"), scorer="regex", shares=ALL)
    for one in check_suite(suite):
        assert one.target == one.question[0] * 3
        assert len(one.wrong) == 4
    with pytest.raises(
        InputError, match=r", line 1: target, given as the answer '\^0.*', is not right .*example=COLUMN$"
    ):
        from_file(path, scorer="regex")
    rows[3]["right"] = "4"
    with pytest.raises(
        InputError, match=r", line 4: right, given as the answer '4', is not right \(the pattern is not "
    ):
        from_file(written(tmp_path, rows), Fields(example="right"), scorer="regex")


def test_own_functions_score(tmp_path: Path) -> None:
    """A function of answer and target scores, and is tried on every target when the file is read."""

    def near(answer: Json, target: Json) -> bool:
        return str(answer).casefold() == target.casefold()

    path = written(tmp_path, QUIZ)
    suite = from_jsonl(path, input="question", target="answer", scorer=near)
    assert suite.name.endswith(",target=answer,scorer=own:test_own_functions_score.<locals>.near")
    for one in check_suite(suite):
        assert suite.check(one, str(one.target).upper()).outcome == "right"
    with pytest.raises(InputError, match=r", line 1: answer, given as the answer 'Vienna', is not right"):
        from_jsonl(path, input="question", target="answer", scorer=lambda answer, target: False)


def test_judges_decide_what_is_not_plainly_right(tmp_path: Path) -> None:
    """The check knows targets only; the judge's two halves are found, also behind pinned axes."""
    path = written(tmp_path, QUIZ)
    suite = from_file(path, Fields(input="question", target="answer", difficulty="level"), scorer="judge", shares=ALL)
    assert judge_of(suite) == suite.judged == Judge()
    for one in check_suite(suite):
        judge = judge_of(suite)
        assert judge is not None
        assert suite.check(one, "something else").outcome == "wrong"
        asked = judge.prompt(one, "something else").content()
        assert one.question in asked
        assert all(str(target) in asked for target in one.instance["targets"])
        assert judge.score("right").outcome == "right"
    kept = make_suite(f"{suite.name},level=2")
    assert judge_of(kept) == Judge()
    assert judge_of(make_suite("addition")) is None


@given(
    st.integers(1, 60),
    st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10)).filter(any),
    st.integers(0, 3),
    st.integers(0, 5),
)
@settings(max_examples=30)
def test_splits_deal_out_all_rows(tmp_path_factory: Any, count: int, parts: Any, deal: int, seed: int) -> None:
    """Every row is in one split, in the share asked for; seeds change the order, and never the split."""
    rows = [{"input": f"{n}?", "target": n} for n in range(count)]
    calibrate, test, held_out = (part / sum(parts) for part in parts)
    shares = Shares(calibrate=calibrate, test=test, held_out=held_out, seed=deal)
    path = written(tmp_path_factory.mktemp("deal"), rows)
    suite = from_file(path, shares=shares)
    dealt = {split: [one.question for one in samples(suite, split=split, seed=seed)] for split in SPLITS}
    assert sorted(one for split in SPLITS for one in dealt[split]) == sorted(row["input"] for row in rows)
    for split in SPLITS:
        assert abs(len(dealt[split]) - count * shares.of(split)) <= 1
        other = [one.question for one in samples(suite, split=split, seed=seed + 1)]
        assert sorted(other) == sorted(dealt[split])
    turned = from_file(written(path.parent, rows[::-1]), shares=shares)
    for split in SPLITS:
        assert {one.question for one in samples(turned, split=split)} == set(dealt[split])


def test_seeds_decide_the_order(tmp_path: Path) -> None:
    """Another seed gives another order, the same seed the same; another deal other splits."""
    path = written(tmp_path, [{"input": f"{n}?", "target": n} for n in range(50)])
    suite = from_file(path)
    assert [suite.count({}, split) for split in SPLITS] == [10, 30, 10]
    assert samples(suite) == samples(suite)
    assert samples(suite) != samples(suite, seed=1)
    dealt = {one.question for one in samples(from_file(path, shares=Shares(seed=1)))}
    assert dealt != {one.question for one in samples(suite)}


def test_equal_questions_share_a_split(tmp_path: Path) -> None:
    """A question that comes twice is not calibrated on and then reported."""
    rows = [{"input": f"{n % 10}?", "target": n % 10} for n in range(40)]
    suite = from_file(written(tmp_path, rows))
    dealt = [{one.question for one in samples(suite, split=split)} for split in SPLITS]
    assert sum(map(len, dealt)) == 10
    assert sum(suite.count({}, split) for split in SPLITS) == 40


def test_each_difficulty_has_all_splits(tmp_path: Path) -> None:
    """Shares hold at each difficulty; a column of splits overrules them."""
    rows = [{"input": f"{n}?", "target": n, "level": n % 2, "part": SPLITS[n % 3]} for n in range(20)]
    suite = from_file(written(tmp_path, rows), Fields(difficulty="level"))
    for level in (0, 1):
        assert [suite.count({"level": level}, split) for split in SPLITS] == [2, 6, 2]
    suite = from_file(written(tmp_path, rows), Fields(split="part"))
    assert [suite.count({}, split) for split in SPLITS] == [7, 7, 6]
    assert {int(one.question[:-1]) % 3 for one in samples(suite)} == {1}
    rows[4]["part"] = "train"
    with pytest.raises(InputError, match=r", line 5: part must be one of calibrate, test, held_out, got 'train'$"):
        from_file(written(tmp_path, rows), Fields(split="part"))


def test_the_end_is_told(tmp_path: Path) -> None:
    """There are as many samples as rows; an index beyond them, and a split without any, are refused."""
    suite = from_file(written(tmp_path, [{"input": f"{n}?", "target": n} for n in range(3)]), shares=ALL)
    for index in (3, -1, 10**9):
        with pytest.raises(InputError, match=rf"^index: must be from 0 to 2, all that test holds here, got {index}$"):
            suite.sample({}, index, split="test", seed=0)
    with pytest.raises(InputError, match=r"^split: calibrate holds no sample of file:.* here; deal out other shares$"):
        suite.sample({}, 0, split="calibrate", seed=0)


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """What becomes of the file later does not matter."""
    path = written(tmp_path, QUIZ)
    suite = from_jsonl(path, input="question", target="answer")
    path.unlink()
    assert len(check_suite(suite)) == 4


def test_one_row_has_a_slip(tmp_path: Path) -> None:
    """Where there is no other row to take a wrong answer from, one is made."""
    for target, slip in (("Rome", "not Rome"), (7, 8)):
        (one,) = check_suite(from_jsonl(written(tmp_path, [{"input": "?", "target": target}])))
        assert one.wrong == (slip,)


@given(
    st.lists(
        st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=3), min_size=1, max_size=8
    )
)
@settings(max_examples=30)
def test_every_target_is_right_and_no_slip_is(tmp_path_factory: Any, targets: list[list[str]]) -> None:
    """Whatever texts the targets are, each is taken for right, and what is called wrong is never one of them."""
    rows = [{"input": f"{n}?", "target": target} for n, target in enumerate(targets)]
    suite = from_jsonl(written(tmp_path_factory.mktemp("laws"), rows))
    for one in check_suite(suite):
        assert all(suite.check(one, target).outcome == "right" for target in one.instance["targets"])
        for slip in one.wrong:
            assert slip.strip() not in [target.strip() for target in one.instance["targets"]]


def fingerprint(folder: str) -> str:
    """Return one digest of samples of a suite of each kind."""
    quiz = from_jsonl(Path(folder) / "quiz.jsonl", input="question", target="answer", family="topic")
    picks = from_file(Path(folder) / "picks.jsonl", shuffle_choices=True)
    made = [one for suite in (quiz, picks) for split in SPLITS for one in samples(suite, split=split, seed=7)]
    return digest([[one.id, one.digest(), one.target, list(one.wrong)] for one in made])


def test_samples_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Equal files and seeds give equal samples, whatever the process, its hash seed and the file's folder."""
    rows = [{"input": f"{n}?", "target": "A", "choices": [f"r{n}", "s", "t"]} for n in range(20)]
    other = tmp_path / "other"
    other.mkdir()
    for folder in (tmp_path, other):
        written(folder, QUIZ)
        written(folder, rows, "picks.jsonl")
    code = f"from tests.suites.test_file_suite import fingerprint; print(fingerprint({str(other)!r}))"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=os.getcwd()
    )
    assert run.stdout.strip() == fingerprint(str(tmp_path))


BAD_FILES: list[tuple[str, str | bytes, str]] = [
    ("a.txt", "x", r": must end in one of \.jsonl, \.ndjson, \.json, \.csv, \.tsv, \.yaml, \.yml$"),
    ("a.jsonl", "", r": has no rows$"),
    ("a.jsonl", "\ufeff\n \n", r": has no rows$"),
    ("a.json", "[]", r": has no rows$"),
    ("a.csv", "input,target\n", r": has no rows$"),
    ("a.jsonl", b"\xff\xfe{\x00}\x00", r": must be UTF-8 text; byte 0 is not$"),
    ("a.jsonl", '{"input": "\0"}', r": must be text, but holds a zero byte$"),
    ("a.jsonl", '\n{"input": ', r", line 2: must be a JSON object: expected value$"),
    ("a.jsonl", '{"input": "?"} {"target": 1}', r", line 1: must be a JSON object: "),
    ("a.jsonl", '{"input": "?", "input": "!"}', r", line 1: must be a JSON object: a key comes twice$"),
    ("a.jsonl", '{"input": "?", "target": NaN}', r", line 1: must be a JSON object: NaN is not a finite number$"),
    ("a.jsonl", '{"input": "?", "target": 1e999}', r", line 1: must be a JSON object: "),
    ("a.jsonl", '{"input": "\\ud800", "target": 1}', r", line 1: must be a JSON object: "),
    ("a.jsonl", "[" * 100_000, r", line 1: must be a JSON object: recursion limit exceeded$"),
    ("a.jsonl", "9" * 10_000, r", line 1: must be a JSON object: number out of range$"),
    ("a.jsonl", "[1, 2]", r", line 1: must be an object whose keys name the columns, got \[1, 2\]$"),
    ("a.json", '{"data": []}', r": must be a list of objects, one for each row$"),
    ("a.json", '[{"input": "?"},\n{"input": }]', r": line 2 is not JSON: expected value$"),
    ("a.json", '[{"input": "?", "target": 1}, 7]', r", row 2: must be an object whose keys name the columns, got 7$"),
    ("a.csv", "input,target\n?,1\n?\n", r", line 3: must have 2 fields as the first line has, got 1$"),
    ("a.csv", 'input,target\n\n"a\nb",1\n?,1,2\n', r", line 5: must have 2 fields as the first line has, got 3$"),
    ("a.csv", "input,input\n?,1\n", r", line 1: must name every column once, got \['input', 'input'\]$"),
    ("a.csv", "input,\n?,1\n", r", line 1: must name every column once, got \['input', ''\]$"),
    ("a.csv", 'input,target\n"?,1\n', r": line 2 is not CSV: unexpected end of data$"),
    ("a.csv", 'input,target\n?,"a"b\n', r": line 2 is not CSV: "),
    ("a.csv", "input,target\n?," + "x" * 200_000, r": line 2 is not CSV: field larger than field limit"),
    ("a.csv", "input;target\n?;1\n", r", line 2: target is missing; there is input;target$"),
    ("a.yaml", "- input: ?x\n  target: [1\n", r": line \d is not YAML: "),
    ("a.yaml", "input: x\n", r": must be a list of objects, one for each row$"),
    ("a.yaml", "- &a {input: x}\n- *a\n", r": line 2 repeats \*a; write aliases out, they are not read here$"),
    ("a.yaml", "- !!python/name:os.system x\n", r": line 1 has the tag .*; tags are not read here$"),
    ("a.yaml", "- {input: x, input: y}\n", r": line 1 is not YAML: a key comes twice in one mapping$"),
    ("a.yaml", "- " + "[" * 200, r": line 1 nests more than 64 levels deep$"),
    ("a.yaml", "- 1: x\n", r", line 1: must be an object whose keys name the columns, got \{1: 'x'\}$"),
    ("a.yaml", "- input: x\n- ? [a]\n  : b\n", r": line 2 is not YAML: .*unhashable key$"),
    ("a.yaml", "- input: 1e999\n", r", line 1: holds a number that is not finite"),
    ("a.yaml", "--- [1]\n--- [2]\n", r": line 2 is not YAML: "),
]


@pytest.mark.parametrize(("name", "text", "problem"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_bad_files_are_refused_in_a_sentence(tmp_path: Path, name: str, text: str | bytes, problem: str) -> None:
    """What is no table names the file, and the line where there is one, and says what is wrong."""
    path = written(tmp_path, text, name)
    with pytest.raises(InputError) as caught:
        from_file(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert re.search(problem, said)


def row(**changes: Json) -> dict[str, Json]:
    return {"input": "?", "target": "a"} | changes


BAD_ROWS: list[tuple[list[Any], dict[str, Any], str]] = [
    ([row(), {"input": "?"}], {}, r"2: target is missing; there is input$"),
    ([row(), {}], {}, r"2: target is missing; there is nothing at all$"),
    ([row(), {"target": "a"}], {}, r"2: input is missing; there is target$"),
    ([row(input=" ")], {}, r"1: input is empty$"),
    ([row(target=None)], {}, r"1: target is empty$"),
    ([row(target=[])], {}, r"1: target is empty$"),
    ([row(target=["a", ""])], {}, r"1: target must not hold an empty target$"),
    ([row(id=1), row(id="1")], {}, r"2: id '1' comes twice, first in .*, line 1$"),
    ([row(id=1), row()], {}, r"2: id is missing; there is input, target$"),
    ([row(id=[1])], {}, r"1: id must be a text or an integer, got \[1\]$"),
    ([row(choices=["a", "b"]), row()], {}, r"2: choices is missing; "),
    ([row(choices="a or b")], {}, r"1: choices must be a JSON list of texts, got 'a or b'$"),
    ([row(choices=["a"])], {}, r"1: choices must be a list of 2 to 26 choices, got \['a'\]$"),
    ([row(choices=list(map(str, range(27))))], {}, r"1: choices must be a list of 2 to 26 choices, got "),
    ([row(choices=["a", "a "])], {}, r"1: choices: a choice needs at least 2 distinct non-empty texts, got "),
    ([row(target="x", choices=["a", "b"])], {}, r"1: target must be one of \['a', 'b'\], or its letter, got 'x'$"),
    ([row(target=1, choices=["a", "b"])], {}, r"1: target must be one of .*; where it is a place, say choice:first=0"),
    ([row(target="x")], {"scorer": "numeric"}, r"1: target must be a number: there is no number$"),
    ([row(target="1/3")], {"scorer": "numeric"}, r"1: target, given as the answer 0\.333.*, is not right"),
    ([row(target="(")], {"scorer": "regex"}, r"1: target must be a regular expression in RE2 syntax, got '\('$"),
    ([row()], {"answer": AnswerType("number")}, r"1: target must be a number: there is no number$"),
    (
        [row(target={"x": 1})],
        {"answer": AnswerType.parse({"json": {"type": "array"}})},
        r"1: target is no answer of the ",
    ),
    ([row()], {"fields": Fields(difficulty="level")}, r"1: level is missing; there is input, target$"),
    ([row(level=[1])], {"fields": Fields(difficulty="level")}, r"1: level must be a number, or a text of at most 100"),
    ([row()], {"fields": Fields(input="{question}")}, r"1: question is missing; there is input, target$"),
]


@pytest.mark.parametrize(("rows", "said", "problem"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_bad_rows_are_refused_in_a_sentence(tmp_path: Path, rows: Any, said: dict[str, Any], problem: str) -> None:
    """What is missing or wrong in a row names the file, the line and the column."""
    path = written(tmp_path, rows)
    with pytest.raises(InputError, match=rf"quiz\.jsonl, line {problem}"):
        from_file(path, **said)


def test_bad_settings_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Shares that are not whole, braces that stand alone, too many difficulties and double choices are named."""
    path = written(tmp_path, [row(level=f"l{n}", choices=["a", "b"]) for n in range(101)])
    for bad in ((0.5, 0.5, 0.5), (-1, 1, 1), (float("nan"), 0, 1)):
        with pytest.raises(InputError, match=r"^shares: must be from 0 to 1 and 1 together, got "):
            Shares(calibrate=bad[0], test=bad[1], held_out=bad[2])
    with pytest.raises(InputError, match=r"^difficulty: level has 101 values; at most 100 make an axis$"):
        from_file(path, Fields(difficulty="level"))
    with pytest.raises(InputError, match=r"^input: has a lone \} in 'input\}'; write it twice for a brace$"):
        from_file(path, Fields(input="input}"))
    with pytest.raises(InputError, match=r"^answer: must not name choices where a column does$"):
        from_file(path, answer=AnswerType("choice", choices=("a", "b")))
    with pytest.raises(InputError, match=r": does not exist$"):
        from_file(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r": must be a file, not a folder or device$"):
        from_file(tmp_path / "folder.csv")
    with pytest.raises(InputError, match=r": (cannot be read|does not exist)"):
        from_file("a\0.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r": must be a file, not a folder or device$"):
        from_file(tmp_path / "pipe.csv")


def test_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of too many bytes or rows is refused before all of it is read."""
    path = written(tmp_path, QUIZ)
    monkeypatch.setattr("orchestra_evals.suites.tables.MAX_ROWS", 3)
    with pytest.raises(InputError, match=r"quiz\.jsonl: must have at most 3 rows$"):
        read_records(path)
    monkeypatch.setattr("orchestra_evals.suites.tables.MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"quiz\.jsonl: must have at most 100 bytes$"):
        read_records(path)


def test_yaml_words_are_not_turned_into_values(tmp_path: Path) -> None:
    """`no`, times, dates and numbers with zeros in front stay texts, as they stand in the file."""
    for said in ("no", "on", "12:30", "010", "1_000", "2024-05-06", "0x1F", ".inf", "=", "<<"):
        (record,) = read_records(written(tmp_path, f"- {{input: q, target: {said}}}\n", "a.yaml"))
        assert record.value("target") == said
    (record,) = read_records(written(tmp_path, "- {a: 1, b: -2.5e3, c: true, d: null, e: ~, f: '1', g: }\n", "a.yaml"))
    assert dict(record.values) == {"a": 1, "b": -2500.0, "c": True, "d": None, "e": None, "f": "1", "g": None}


def test_texts_that_split_lines_elsewhere_do_not_split_rows(tmp_path: Path) -> None:
    """Only a line feed ends a row of JSONL: separators within texts are text."""
    rows = [{"input": "a\u2028b\x85c\x1c?", "target": "x\u2029"}]
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    (one,) = samples(from_file(written(tmp_path, text), shares=ALL))
    assert one.question == "a\u2028b\x85c\x1c?"


SAID = [
    'file:"a,b.jsonl"',
    "file:C:\\quiz=1.jsonl,input=q",
    'file:quiz.jsonl,"input={a}, {b}\\n{c}",target=t,"scorer=numeric:abs=0.1,rel=0.01"',
    "file:quiz.csv,target=t,choices=t|w 1|w 2,difficulty=level|topic,answer=text,shares=0/100/0,deal_seed=3",
    "file:quiz.csv,id=i,family=f,difficulty=level,split=s,example=e,scorer=f1,shuffle=yes,level=2",
    'file:quiz.csv,"answer={""choice"":[""a"",""b""]}",shares=12.5/75/12.5',
    "file:quiz.csv,difficulty=level,shuffle=yes,batch=20,level=2",
    "file:quiz.csv,scorer=regex:pattern=is: (.*)=",
]


@pytest.mark.parametrize("name", SAID)
def test_names_are_read_and_written(name: str) -> None:
    """A name says the settings that it was made of, and settings say the name."""
    path, said = read_name(name.removeprefix("file:"))
    assert name_of_file(path, said) == name


printable = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\\"), min_size=1, max_size=12)


@given(printable, printable, printable)
def test_any_path_can_be_named(path: str, column: str, scorer: str) -> None:
    """Commas, quotes, colons and line breaks in a path or a value come back as they were."""
    said = Settings(fields=Fields(input=column, target=scorer), scorer=scorer)
    assert read_name(name_of_file(path, said).removeprefix("file:")) == (path, said)


def test_suites_are_made_by_name(tmp_path: Path) -> None:
    """A name makes the suite that says it, and an axis in it keeps its value."""
    path = written(tmp_path, QUIZ, "a,b.jsonl")
    name = f'file:"{path}",input=question,target=answer,difficulty=topic|level,shares=0/100/0'
    suite = make_suite(name)
    assert isinstance(suite, FileSuite)
    assert suite.name == name
    check_suite(suite)
    kept = make_suite(f"{name},level=2,topic=books")
    assert isinstance(kept, Pinned)
    assert kept.name == f"{name},level=2,topic=books"
    assert [dict(one) for one in kept.about.default] == [{"topic": "books", "level": 2}]
    sample = kept.sample(kept.about.default[0], 0, split="test", seed=0)
    assert kept.check(sample, "James Joyce").outcome == "right"


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        (
            ",scorer=numeric:abs=0.1,rel=0.1",
            r"^suite: file: 'rel' is no key, and no axis .* \(put a part that holds a comma",
        ),
        (",input", r"^suite: file: 'input' must be key=value, each key once"),
        (",input=", r"^suite: file: 'input=' must be key=value, each key once"),
        (",input=question,input=question", r"^suite: file: 'input=question' must be key=value, each key once"),
        (',"input=q', r"^suite: file: .* cannot be read: unexpected end of data; put a part"),
        (",shares=20/80", r"^suite: file: shares must be three shares in percent, 20/60/20, got '20/80'$"),
        (",shares=a/b/c", r"^suite: file: shares must be three shares in percent, 20/60/20, got 'a/b/c'$"),
        (",shares=1/1/1", r"^shares: must be from 0 to 1 and 1 together, got 0\.01/0\.01/0\.01$"),
        (",shuffle=1", r"^suite: file: shuffle must be yes or no, got '1'$"),
        (",batch=x", r"^suite: file: batch must be an integer, got 'x'$"),
        (",batch=1", r"^batch: must be an integer from 2 to 20, rows asked at once, got 1$"),
        (",deal_seed=x", r"^suite: file: deal_seed must be an integer, got 'x'$"),
        (",answer=prose", r"^answer: must be text, number, code, "),
        (",answer={", r"^suite: file: answer must be JSON where it begins with a brace, got '\{'$"),
        (",input=question,target=answer,scorer=bleu", r"^scorer: must be one of exact, "),
        (
            ",input=question,target=answer,difficulty=level,level=3",
            r"^suite: file: no row of .* has all of \{'level': '3'\}$",
        ),
    ],
)
def test_bad_names_are_refused_in_a_sentence(tmp_path: Path, rest: str, problem: str) -> None:
    """What a name cannot say is named with what is allowed."""
    path = written(tmp_path, QUIZ)
    with pytest.raises(InputError, match=problem):
        make_suite(f"file:{path}{rest}")


def test_a_name_needs_a_path() -> None:
    """Without a path there is nothing to read."""
    for said in ("file", "file:", "file:,input=x"):
        with pytest.raises(InputError, match=r"^suite: file: needs a path: file:PATH,key=value,\.\.\.$"):
            make_suite(said)


def test_templates_have_braces_and_gaps() -> None:
    """A doubled brace is a brace, and each gap is filled by its name alone: nothing in it is run."""
    template = Template.parse("{{{a b}}} {x.__class__} {a b}", "input")
    assert template.names == ("a b", "x.__class__")
    assert template.fill(str.upper) == "{A B} X.__CLASS__ A B"
    assert [displayed(one) for one in (None, 1, {"b": [1]}, [])] == ["", "1", '{"b":[1]}', ""]
