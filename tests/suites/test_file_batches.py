"""Rows of a file asked at once: which rows make a sample, what its parts are worth, and its graph."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.choices import Choices
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import parse_json
from orchestra_agents.models.contract import Json
from orchestra_evals.runner.evaluating import Keeping, evaluate
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.file_rows import SPLITS, Fields
from orchestra_evals.suites.file_suite import FileSuite, from_file, from_jsonl
from orchestra_evals.suites.judging import Judge
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.suite import Sample
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.synthesis import parts
from tests.suites.test_file_suite import ALL, samples, written

REVIEW = AnswerType("choice", choices=("good", "bad"))
REVIEWS = [{"input": f"Review {n}", "target": ("good", "bad")[n % 3 > 1], "id": f"r{n}"} for n in range(23)]
SUMS = [{"input": f"{n} + {n}?", "target": 2 * n, "level": n % 2, "topic": f"t{n % 4}"} for n in range(24)]


def rows_of(sample: Sample) -> list[str]:
    return [row["id"] for row in sample.instance["rows"].values()]


def all_samples(suite: FileSuite, seed: int = 0) -> list[Sample]:
    return [one for place in suite.about.default for split in SPLITS for one in samples(suite, place, split, seed)]


def corrupted(sample: Sample) -> list[Json]:
    """Return the target with one part changed in each way that makes it wrong, and without its shape."""
    target = dict(sample.target)
    first = next(iter(target))
    said: list[Json] = [{**target, "q0": target[first]}, {key: one for key, one in target.items() if key != first}]
    said += [None, " ", [], list(target.values()), json.dumps(target), {}, {"answer": target}]
    for subtask in sample.instance["subtasks"]:
        for slip in (*subtask["truth"]["wrong"], None, "", [], {}, {"answer": target[subtask["id"]]}):
            said.append({**target, subtask["id"]: slip})
    return said


def check_batches(suite: FileSuite, size: int) -> list[Sample]:
    """Check what holds for the samples of every suite that asks rows at once, and return them."""
    made = all_samples(suite)
    assert len({one.id for one in made}) == len(made) == suite.about.size
    assert suite.about.steps is None
    for one in made:
        assert len(rows_of(one)) == len(one.target) == size
        assert one.answer.problem(one.target) is None
        score = suite.check(one, one.target)
        assert (score.value, score.outcome, score.detail) == (1, "right", "")
        assert one.wrong
        for slip in one.wrong:
            assert one.answer.problem(slip) is None
            assert sum(slip[key] != part for key, part in one.target.items()) == 1
            found = suite.check(one, slip)
            assert found.value == pytest.approx(1 - 1 / size)
            assert found.outcome == "wrong"
        for bad in corrupted(one):
            found = suite.check(one, bad)
            assert found.outcome != "right"
            assert found.value < 1
            assert found.detail
        assert parse_json(json.dumps(one.instance)) == one.instance
        graph = suite.graph(one)
        assert graph is not None
        assert {part.name: graph[part.name].truth.answer for part in parts(graph)} == one.target  # type: ignore[union-attr] # each has one
        assert not any(subtask.depends_on for subtask in graph)
        assert [subtask.description in one.question for subtask in graph] == [True] * size
    return made


def test_rows_are_asked_at_once(tmp_path: Path) -> None:
    """A sample has an instruction, the rows' own questions by number, and an object with the answer to each."""
    suite = from_file(written(tmp_path, REVIEWS[:2]), answer=REVIEW, shares=ALL, batch=2)
    (one,) = check_batches(suite, 2)
    assert one.id == "+".join(rows_of(one))
    assert sorted(rows_of(one)) == ["r0", "r1"]
    first, second = (row.removeprefix("r") for row in rows_of(one))
    assert one.question == (
        "Answer each of these 2 questions by itself. The answer is an object with the keys q1 to q2, each with the "
        "answer to the question of that name: the text of one of its choices, without the letter.\n\n"
        f"q1. Review {first}\n\nA) good\nB) bad\n\nq2. Review {second}\n\nA) good\nB) bad"
    )
    assert one.target == {"q1": "good", "q2": "good"}
    part = {"type": "string", "enum": ["good", "bad"]}
    assert json.loads(one.answer.schema or "") == {
        "type": "object",
        "properties": {"q1": part, "q2": part},
        "required": ["q1", "q2"],
        "additionalProperties": False,
    }
    assert {json.dumps(slip, sort_keys=True) for slip in one.wrong} == {
        '{"q1": "bad", "q2": "good"}',
        '{"q1": "good", "q2": "bad"}',
    }
    score = suite.check(one, {"q1": "bad", "q2": "bad"})
    assert (score.value, score.outcome) == (0, "wrong")
    assert score.detail == f"q1, row {rows_of(one)[0]}: the answer is another choice"


def test_each_part_has_its_rows_scorer(tmp_path: Path) -> None:
    """Numbers are near enough where the scorer says so, and any of a row's targets counts."""
    rows = [{"input": f"{n}?", "target": [10 * n, 10 * n + 5]} for n in range(3)]
    suite = from_file(written(tmp_path, rows), scorer="numeric:abs=0.5", shares=ALL, batch=3)
    (one,) = check_batches(suite, 3)
    assert "to the question of that name: a number." in one.question
    near = {key: part + 5.4 for key, part in one.target.items()}
    assert suite.check(one, near).outcome == "right"
    assert suite.check(one, near | {"q2": near["q2"] + 0.2}).value == pytest.approx(2 / 3)
    assert suite.check(one, near | {"q2": "none"}).detail.startswith(f"q2, row {rows_of(one)[1]}: ")
    assert suite.about.scoring == (
        "All 3 parts are right, the value being the share that is; of each part: the last number of the answer is a "
        "target, within 0.5 or 0 times it."
    )


def test_choices_are_those_of_the_row(tmp_path: Path) -> None:
    """Each row has its own choices, in an order of its own where they are shuffled."""
    rows = [{"input": f"{n}?", "target": f"a{n}", "choices": [f"a{n}", f"b{n}", "c"]} for n in range(12)]
    suite = from_file(written(tmp_path, rows), shares=ALL, shuffle_choices=True, batch=12)
    (one,) = check_batches(suite, 12)
    assert list(one.target) == [f"q{n:02}" for n in range(1, 13)] == sorted(one.target)
    for key, row in one.instance["rows"].items():
        (said,) = [subtask for subtask in one.instance["subtasks"] if subtask["id"] == key]
        assert said["answer"]["choice"] == row["choices"]
        assert row["id"].endswith("@0")
        assert sorted(row["choices"])[0] == one.target[key]
    assert len(one.wrong) == 4
    assert suite.sample({}, 0, split="test", seed=1).digest() != one.digest()


@given(
    st.integers(20, 60),
    st.integers(2, 7),
    st.integers(0, 5),
)
@settings(max_examples=20)
def test_batches_are_disjoint_and_whole(tmp_path_factory: Any, count: int, size: int, seed: int) -> None:
    """Each row is in at most one sample, of the split it is in by itself; less than a batch is left out."""
    rows = [{"input": f"{n}?", "target": n} for n in range(count)]
    path = written(tmp_path_factory.mktemp("batches"), rows)
    suite, alone = from_file(path, batch=size), from_file(path)
    for split in SPLITS:
        asked = [row for one in samples(suite, split=split, seed=seed) for row in rows_of(one)]
        own = [one.id for one in samples(alone, split=split, seed=seed)]
        assert asked == own[: len(own) // size * size]
        assert suite.count({}, split) == len(own) // size
    assert samples(suite, seed=seed) == samples(from_file(path, batch=size), seed=seed)
    left = count - size * sum(suite.count({}, split) for split in SPLITS)
    assert suite.about.summary == f"The {count} rows of quiz.jsonl, {size} at once; left out: {left}."


def test_the_seed_decides_which_rows_are_asked_at_once(tmp_path: Path) -> None:
    """Equal seeds give equal samples, another seed other batches of the same split."""
    suite = from_file(written(tmp_path, REVIEWS), answer=REVIEW, shares=ALL, batch=4)
    check_batches(suite, 4)
    assert suite.about.size == 5
    assert all_samples(suite) == all_samples(suite)
    assert {frozenset(rows_of(one)) for one in all_samples(suite)} != {
        frozenset(rows_of(one)) for one in all_samples(suite, 1)
    }


def test_batches_stay_within_a_difficulty(tmp_path: Path) -> None:
    """All rows of a sample are at its difficulty; it has a family where all of them have the same."""
    fields = Fields(difficulty="level", family="topic")
    suite = from_file(written(tmp_path, SUMS), fields, shares=ALL, batch=3)
    made = check_batches(suite, 3)
    assert suite.about.axes == {"level": (0, 1)}
    assert len(made) == 8
    for one in made:
        rows = [SUMS[int(row) - 1] for row in rows_of(one)]
        assert {row["level"] for row in rows} == {one.difficulty["level"]}
        topics = {row["topic"] for row in rows}
        assert one.family == (topics.pop() if len(topics) == 1 else "")
    alike = from_file(written(tmp_path, SUMS), Fields(difficulty="topic", family="topic"), shares=ALL, batch=3)
    assert [one.family for one in check_batches(alike, 3)] == [one.difficulty["topic"] for one in all_samples(alike)]


@pytest.mark.parametrize("topology", ["single", "sequential", "parallel", "hierarchical", "hybrid", "auto"])
@pytest.mark.parametrize("team", ["solo", "vote"])
def test_graphs_answer_the_sample(tmp_path: Path, topology: Any, team: str) -> None:
    """Whoever knows every row scores 1 in every topology, and who splits the sample up asks each row by itself."""
    suite = from_file(written(tmp_path, SUMS[:8] + SUMS[9:13]), shares=ALL, batch=4)
    system = Wiring(choices=Choices(topology=topology, team=team))
    found = asyncio.run(evaluate(suite, systems=[system], models=["simulated:p=1.0"], keeping=Keeping()))
    (cell,) = found.cells
    assert (cell.mean and cell.mean.score, cell.outcomes) == (1.0, {"right": 3})
    made = samples(suite)
    assert [row.output for row in cell.rows] == [one.target for one in made]
    assert {row.graph.nodes for row in cell.rows} == {1 if topology == "single" else 4}
    if team == "solo" and topology in ("single", "parallel", "hybrid"):
        assert cell.spent.calls == (3 if topology == "single" else 12)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"batch": 1}, r"^batch: must be an integer from 2 to 20, rows asked at once, got 1$"),
        ({"batch": 21}, r"^batch: must be an integer from 2 to 20, .*, got 21$"),
        ({"batch": True}, r"^batch: must be an integer from 2 to 20, .*, got True$"),
        ({"batch": 2.0}, r"^batch: must be an integer from 2 to 20, .*, got 2\.0$"),
        (
            {"batch": 2},
            r"^batch: needs answers that are choices or numbers, and not text, as row 1 has; name choices \(answer=",
        ),
        ({"batch": 2, "answer": AnswerType("code")}, r"^batch: needs .* and not code, as row 1 has"),
        (
            {"batch": 2, "scorer": "judge"},
            r"^batch: needs a scorer that decides by itself, not judge; leave batch out$",
        ),
        ({"batch": 2, "scorer": Judge(), "answer": AnswerType("number")}, r"^batch: needs a scorer that decides"),
        (
            {"batch": 5, "answer": AnswerType("number")},
            r"^batch: asks 5 rows of one split and difficulty at once, and none has so many: ask fewer, or ",
        ),
    ],
)
def test_rows_that_cannot_be_asked_at_once_are_refused(tmp_path: Path, said: dict[str, Any], problem: str) -> None:
    """Sizes that are none, texts, code, judges, and batches that no split can fill, are told in a sentence."""
    path = written(tmp_path, [{"input": f"{n}?", "target": str(n)} for n in range(4)])
    with pytest.raises(InputError, match=problem) as caught:
        from_file(path, **said)
    assert "\n" not in str(caught.value)


def test_the_end_of_a_split_is_told(tmp_path: Path) -> None:
    """An index beyond the batches, and a split that fills none, are refused."""
    suite = from_file(written(tmp_path, REVIEWS[:20]), answer=REVIEW, batch=5)
    assert [suite.count({}, split) for split in SPLITS] == [0, 2, 0]
    with pytest.raises(InputError, match=r"^index: must be from 0 to 1, all that test holds here, got 2$"):
        suite.sample({}, 2, split="test", seed=0)
    with pytest.raises(
        InputError, match=r"^split: held_out holds no sample of file:.* here; deal out other shares, or "
    ):
        suite.sample({}, 0, split="held_out", seed=0)


def test_names_say_the_batch(tmp_path: Path) -> None:
    """A name with `batch` makes the suite that says it, its samples and no other ones; axes may be kept beside it."""
    path = written(tmp_path, SUMS)
    name = f"file:{path},difficulty=level,batch=3"
    short = from_jsonl(path, scorer="numeric:abs=0.5", batch=3)
    assert short.name == f"file:{path},scorer=numeric:abs=0.5,batch=3"
    suite, made = make_suite(name), from_file(path, Fields(difficulty="level"), batch=3)
    assert isinstance(suite, FileSuite)
    assert suite.name == made.name == name
    assert all_samples(suite) == all_samples(made)
    other = make_suite(name.replace("batch=3", "batch=2"))
    assert isinstance(other, FileSuite)
    assert not {one.id for one in all_samples(suite)} & {one.id for one in all_samples(other)}
    kept = make_suite(f"{name},level=1")
    assert isinstance(kept, Pinned)
    sample = kept.sample({"level": 1}, 0, split="test", seed=0)
    assert kept.check(sample, sample.target).outcome == "right"
    assert kept.graph(sample) is not None
    for bad in ("1", "x", "2.5", "99"):
        with pytest.raises(InputError, match=re.escape("batch") + r".* must be an integer|^batch: must be an integer"):
            make_suite(name.replace("batch=3", f"batch={bad}"))
