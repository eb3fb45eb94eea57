"""The door of the evals: `Suite` makes suites of files, takes classes of anybody's, and loads no more than is used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import orchestra_evals
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals import About, Fields, Sample, Score, Selection, Suite, Wiring, evaluate
from orchestra_evals.suites.file_suite import FileSuite, from_file, from_jsonl
from orchestra_evals.suites.suite import Difficulty, Split
from orchestra_evals.suites.suite import Suite as AnySuite
from orchestra_topologies.graph import TaskGraph

ROOT = Path(__file__).parents[2]
HEAVY = {"scipy", "langgraph", "matplotlib"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubles:
    """A suite of a user's own, made of nothing of ours but the values."""

    name: str
    about: About

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a number to double."""
        question, answer = f"What is twice {index}?", AnswerType("number")
        return Sample(id=f"{index}", question=question, answer=answer, target=2 * index, wrong=(2 * index + 1,))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return whether it is the double."""
        is_right = answer == sample.target
        return Score(value=float(is_right), outcome="right" if is_right else "wrong")

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: it is one question."""
        return None


ABOUT = About(summary="Doubles.", scoring="The double is right.", licence="ours", axes={}, default=({},))


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": f"1 + {number}?", "answer": str(1 + number)} for number in range(10)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def loaded_by(code: str) -> set[str]:
    """Return the packages that a program loads in a fresh interpreter."""
    told = f"{code}\nimport json, sys\nprint(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", told], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_suite_makes_suites_of_files(quiz: Path) -> None:
    """`Suite.from_jsonl` and `Suite.from_file` are the functions of the file suite, and make the same samples."""
    made = Suite.from_jsonl(quiz, input="question", target="answer", scorer="exact")
    assert isinstance(made, FileSuite)
    again = Suite.from_file(quiz, Fields(input="question", target="answer"), scorer="exact")
    samples = [suite.sample({}, 0, split="test", seed=3) for suite in (made, again)]
    assert samples[0] == samples[1]
    assert made.check(samples[0], samples[0].target).outcome == "right"
    assert made.check(samples[0], "no").outcome == "wrong"
    assert (Suite.from_jsonl, Suite.from_file) == (from_jsonl, from_file)
    with pytest.raises(InputError):
        Suite.from_jsonl(quiz, input="asked", target="answer")


def test_suite_asks_for_no_more_than_the_suites_have() -> None:
    """`Suite` has the members of the protocol that the runner takes: what makes suites of files is not among them."""
    assert members(Suite) == members(AnySuite) == {"name", "about", "sample", "check", "graph"}


def members(suite: type) -> set[str]:
    """Return what a class and those that it inherits from declare in public."""
    return {name for one in suite.__mro__ if one is not object for name in vars(one) if not name.startswith("_")}


async def test_a_class_of_a_users_own_is_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen, slotted dataclass with the five members is evaluated, though it inherits from nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    suite: Suite = Doubles(name="doubles", about=ABOUT)
    keeping = orchestra_evals.Keeping(journal=tmp_path / "journal.db")
    systems = {"ours": Wiring(), "theirs": answer}
    found = await evaluate(
        suite, systems=systems, models=["simulated:p=1"], selection=Selection(limit=4), keeping=keeping
    )
    assert [found[name].mean.score for name in systems] == [1.0, 0.5]


async def answer(sample: Sample) -> Json:
    """Return the double of even numbers."""
    number = int(sample.id)
    return 2 * number if number % 2 == 0 else 0


def test_importing_the_door_loads_neither_scipy_nor_langgraph_nor_matplotlib() -> None:
    """The door alone loads none of the four packages below it; suites need no statistics and no graph of agents."""
    at_door = loaded_by("import orchestra_evals")
    assert at_door & {*HEAVY, "numpy", "networkx", "orchestra", "orchestra_agents", "orchestra_topologies"} == set()
    opened = "from orchestra_evals import About, Fields, Sample, Score, Shares, Suite, make_suite"
    assert loaded_by(f"{opened}\nmake_suite('addition')") & HEAVY == set()


def test_documents_take_from_the_door_what_it_names() -> None:
    """No Python in the documents of the evals imports a name of the door from anywhere else."""
    homes: dict[str, str] = orchestra_evals._HOME_OF
    past = [
        (path.name, node.module, alias.name)
        for path in sorted((ROOT / "docs" / "evals").glob("*.md"))
        for code in path.read_text(encoding="utf-8").split("```python\n")[1:]
        for node in ast.walk(ast.parse(code.split("```")[0]))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if homes.get(alias.name) == node.module
    ]
    assert past == []


@pytest.mark.nightly
def test_the_door_is_typed(tmp_path: Path) -> None:
    """Under `mypy --strict` any suite is a `Suite`, to the door and to the runner; a slip is told."""
    written = (
        "from orchestra_evals import Suite, make_suite\n"
        "from orchestra_evals.suites.suite import Suite as AnySuite\n"
        "from tests.evals.test_door import ABOUT, Doubles\n"
        "def ours(suite: Suite) -> None: ...\n"
        "def theirs(suite: AnySuite) -> None: ...\n"
        "made: Suite = make_suite('3sat')\n"
        "for one in (made, Doubles(name='doubles', about=ABOUT), Suite.from_jsonl('q', scorer='exact')):\n"
        "    ours(one)\n"
        "    theirs(one)\n"
        "theirs(made)\n"
    )
    assert checked(tmp_path / "fine.py", written) == ""
    slips = "from orchestra_evals import Suite\nSuite.from_jsonl('q', inputs='x')\nsuite: Suite = 3\n"
    told = checked(tmp_path / "slips.py", slips)
    assert 'slips.py:2: error: Unexpected keyword argument "inputs"' in told
    assert "slips.py:3: error: Incompatible types in assignment" in told


def checked(path: Path, code: str) -> str:
    """Return the errors that mypy finds in a program."""
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--strict", "--no-pretty"]
    done: Any = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=ROOT)
    return "\n".join(line for line in done.stdout.splitlines() if f"{path.name}:" in line)
