"""The recipes as they are written down, on small files of the same formats, and the predictions for SWE-bench."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.file_suite import FileSuite
from orchestra_evals.suites.suite import Sample
from orchestra_evals.swe_bench import FilePatch, clean_patch, file_patches, predictions_of

RECIPES = Path(__file__).parents[2] / "docs" / "evals" / "recipes.md"
DATA = Path(__file__).parent / "data"
FIX = (
    "diff --git a/adder/sum.py b/adder/sum.py\n--- a/adder/sum.py\n+++ b/adder/sum.py\n"
    "@@ -1,2 +1,2 @@\n def f():\n-    a\n+    b\n"
)
ROW = {"sample_id": "tiny__adder-1", "output": FIX, "model": "simulated:p=1", "score": 0.0, "status": "ok"}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python of the recipes where its files are, and return what it makes."""
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True)
    (tmp_path / "quiz.jsonl").write_text('{"question": "1 / 8?", "answer": 0.125}\n')
    (tmp_path / "a,b.jsonl").write_text('{"input": "1 / 8?", "target": 0.125}\n')
    reviews = [{"input": f"Review {n}", "target": ("good", "bad")[n % 2]} for n in range(10)]
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reviews))
    (tmp_path / "samples.jsonl").write_text(json.dumps(ROW) + "\n")
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", RECIPES.read_text(), re.DOTALL):
        exec(code, made)
    return made


def all_samples(suite: FileSuite) -> list[Sample]:
    splits = ("calibrate", "test", "held_out")
    return [
        suite.sample(place, index, split=split, seed=0)
        for place in suite.about.default
        for split in splits
        for index in range(suite.count(place, split))
    ]


def test_names_in_the_recipes_make_suites(recipes: dict[str, Any]) -> None:
    """Every `file:` line makes a suite whose targets are right; those beside Python code make the same samples."""
    names = re.findall(r"^    (file:.*)$", RECIPES.read_text(), re.MULTILINE)
    assert len(names) == 5
    for name in names:
        suite = make_suite(name)
        assert isinstance(suite, FileSuite)
        for sample in all_samples(suite):
            assert suite.check(sample, sample.target).outcome == "right"
    for name, written in ((names[1], "reviews"), (names[2], "gpqa"), (names[3], "hotpot")):
        assert all_samples(make_suite(name)) == all_samples(recipes[written])  # type: ignore[arg-type] # both are files
        assert recipes[written].name == name


def test_gpqa_has_shuffled_choices(recipes: dict[str, Any]) -> None:
    """The right answer stands anywhere among four choices, without the white space of its cell."""
    made = all_samples(recipes["gpqa"])
    assert sorted(one.id for one in made) == ["rec1@0", "rec2@0", "rec3@0", "rec4@0"]
    for one in made:
        assert len(one.answer.choices) == 4
        assert len(one.wrong) == 3
        letter = "ABCD"[one.answer.choices.index(one.target)]
        assert f"\n{letter}) {one.target}" in one.question
        assert recipes["gpqa"].check(one, f"Thinking.\nAnswer: {letter}").outcome == "right"
        assert recipes["gpqa"].check(one, one.wrong[0]).outcome == "wrong"
    push = next(one for one in made if one.id == "rec1@0")
    assert (push.target, push.family) == ("2 m/s^2", "Mechanics")
    assert "3 m/s^2" in push.answer.choices


def test_hotpot_is_scored_by_words(recipes: dict[str, Any]) -> None:
    """Paragraphs come before the question, words count, and yes has nothing in common with more words."""
    suite = recipes["hotpot"]
    assert suite.about.axes == {"level": ("hard", "easy")}
    made = {one.id: one for one in all_samples(suite)}
    town = made["h1"]
    assert town.question.startswith("Harl Bridge Harl Bridge was built by Ada Quill.  It has nine arches.\nAda Quill ")
    assert town.question.endswith("\n\nIn which town was the builder of the Harl Bridge born?")
    assert suite.check(town, "Town of Ostmere.").outcome == "right"
    score = suite.check(town, "Ostmere")
    assert (score.value, score.parts["exact"]) == (pytest.approx(0.5), 0.0)
    assert suite.check(made["h2"], "Yes").outcome == "right"
    assert suite.check(made["h2"], "yes, both are").value == 0


def test_swe_bench_rows_become_predictions(recipes: dict[str, Any]) -> None:
    """Issues are the questions, under the names that predictions need; the reference patch is its own prediction."""
    made = {one.id: one for one in all_samples(recipes["swe_bench"])}
    assert list(sorted(made)) == ["tiny__adder-1", "tiny__adder-7"]
    assert "add() subtracts" in made["tiny__adder-1"].question
    assert made["tiny__adder-1"].answer.kind == "code"
    for one in made.values():
        assert clean_patch(one.target) == one.target
    assert [json.loads(line) for line in recipes["predictions"].splitlines()] == [
        {"instance_id": "tiny__adder-1", "model_name_or_path": "simulated:p=1", "model_patch": FIX}
    ]


def new_file(path: str, line: str = "x") -> str:
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..587be6b\n"
    return f"{head}--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n"


STRAYS = (
    *("reproduce.py", "repro_issue.py", "test_bug.py", "debug.sh", "my.patch", "a/__pycache__/b.cpython-311.pyc"),
    *("build/lib/x.py", "pkg.egg-info/PKG-INFO", "src/x.py.orig", "src/x.py.rej", "notes.log", ".venv/lib/y.py"),
    *("node_modules/z.js", "../outside.py", "/etc/passwd", "a/../../b.py", ".git/config"),
)


@pytest.mark.parametrize("path", STRAYS)
def test_stray_files_are_left_out(path: str) -> None:
    """What agents leave behind is no part of a prediction, wherever it stands in the patch."""
    assert clean_patch(new_file(path) + FIX) == clean_patch(FIX + new_file(path)) == FIX


@pytest.mark.parametrize(
    "path", ["adder/test_sum.py", "src/debug.py", "lib/rebuild/x.py", "adder/new.py", "README.md", "tests/repro.py"]
)
def test_other_new_files_stay(path: str) -> None:
    """A new source file or test inside the repository is part of the patch; so is a changed one at the root."""
    assert clean_patch(new_file(path) + FIX) == new_file(path) + FIX
    for old in ("test_sum.py", "build/sum.py"):
        changed = FIX.replace("adder/sum.py", old)
        assert clean_patch(changed) == changed


def test_the_caller_may_decide_what_is_stray() -> None:
    """A function of the file's patch replaces the rule."""
    text = new_file("reproduce.py") + FIX
    assert clean_patch(text, is_stray=lambda patch: False) == text
    assert clean_patch(text, is_stray=lambda patch: not patch.is_new) == new_file("reproduce.py")
    seen: list[FilePatch] = list(file_patches(text))
    assert [(one.path, one.is_new) for one in seen] == [("reproduce.py", True), ("adder/sum.py", False)]


def test_a_patch_is_found_between_words() -> None:
    """Fences and prose around a patch are left out; lines that look like headers within hunks are not."""
    plain = FIX.partition("\n")[2]
    for text in (FIX, plain):
        for around in (
            f"Here it is:\n```diff\n{text}```\nThat is all.",
            f"{text}\n- It is fixed.\n",
            text.rstrip("\n"),
        ):
            assert clean_patch(around) == text
    tricky = "--- a/x.sql\n+++ b/x.sql\n@@ -1,3 +1,3 @@\n a\n--- old comment\n+++ new comment\n b\n"
    assert clean_patch(tricky + plain) == tricky + plain
    assert [one.path for one in file_patches(tricky + plain)] == ["x.sql", "adder/sum.py"]
    two = plain + "@@ -9 +9 @@ def g():\n-1\n+2\n\\ No newline at end of file\n"
    assert clean_patch(f"{two}```\n{FIX}") == two + FIX
    assert (
        clean_patch("no patch\n--- at all\n+++ here") == clean_patch("") == clean_patch("@@ -1 +1 @@\n-a\n+b\n") == ""
    )


def test_headers_without_hunks() -> None:
    """Renames, modes and deletions stay, binary files do not, nor what changes nothing."""
    moved = "diff --git a/a b.py b/c d.py\nsimilarity index 100%\nrename from a b.py\nrename to c d.py\n"
    mode = "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
    gone = "diff --git a/old.py b/old.py\ndeleted file mode 100644\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    binary = "diff --git a/i.png b/i.png\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ?wbhEHbRA4Y*\n\n"
    other = "diff --git a/j.png b/j.png\nBinary files a/j.png and b/j.png differ\n"
    nothing = "diff --git a/n.py b/n.py\nindex 1..2 100644\n"
    assert clean_patch(moved + mode + binary + gone + other + nothing) == moved + mode + gone
    assert [one.path for one in file_patches(moved + mode + gone)] == ["c d.py", "run.sh", "old.py"]


def test_a_hunk_that_promises_too_much_does_not_take_the_next_file() -> None:
    """Counts of models are often wrong; the next file begins all the same."""
    long = FIX.replace("-1,2 +1,2", "-1,9 +1,9")
    assert [one.path for one in file_patches(long + FIX)] == ["adder/sum.py"] * 2
    plain = long.partition("\n")[2]
    assert [one.path for one in file_patches(plain + plain)] == ["adder/sum.py"] * 2


@given(
    st.lists(st.sampled_from([*FIX.split("\n"), *new_file("x.py").split("\n"), "", "```", "text", "\\", "@@", "--- "]))
)
def test_no_text_makes_the_reader_fail(lines: list[str]) -> None:
    """Whatever a model writes, there is a patch or none, and cleaning it again changes nothing."""
    once = clean_patch("\n".join(lines))
    assert clean_patch(once) == once
    assert once == "" or once.endswith("\n")


def test_rows_must_say_what_predictions_need() -> None:
    """An empty output makes an empty patch; a row without an id or a model, or an instance twice, is refused."""
    said = predictions_of([ROW | {"output": None}, ROW | {"sample_id": "b", "output": "I give up."}], model="mine")
    assert [json.loads(line) for line in said.splitlines()] == [
        {"instance_id": one, "model_name_or_path": "mine", "model_patch": ""} for one in ("tiny__adder-1", "b")
    ]
    assert predictions_of([]) == ""
    for row, problem in (
        ({"sample_id": None}, "sample_id must be a text, got None"),
        ({"sample_id": "b", "model": ""}, "model must be a text, got ''"),
        ({"sample_id": "b", "output": ["x"]}, r"output must be a patch as text, got \['x'\]"),
        ({}, "tiny__adder-1 comes twice; the harness takes one patch for each instance"),
    ):
        with pytest.raises(InputError, match=f"^row 2: {problem}$"):
            predictions_of([ROW, ROW | row])
