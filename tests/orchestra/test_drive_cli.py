"""`orchestra drive` on the command line: its document, its exit codes, its refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestra.conftest import Call

KEYS = {
    "run_id",
    "status",
    "steps",
    "correct",
    "final",
    "votes",
    "red_flags",
    "undecided",
    "k",
    "p_estimate",
    "distinct_questions",
    "usage",
    "evidence",
    "seconds",
    "steps_per_second",
}
RUN = """
import sys
from orchestra.cli.main import _main
code = _main(sys.argv[1:])
loaded = sorted(name for name in sys.modules if name.split(".")[0] == "langgraph")
print(loaded, file=sys.stderr)
sys.exit(code)
"""


def orchestra(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which ends by saying what of LangGraph it imported."""
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def document(call: Call, *arguments: object, code: int = 0) -> dict[str, Any]:
    """The JSON document of a command that ends with `code`."""
    done = call(*arguments, "--json")
    assert done.code == code, done.err
    loaded: dict[str, Any] = json.loads(done.out)
    return loaded


def test_a_chain_is_driven_shown_listed_and_collected(call: Call, tmp_path: Path) -> None:
    """The promised keys are there; `show` pages decisions, `runs` lists the chain, `gc` removes it."""
    journal = ["--journal", str(tmp_path / "j.db")]
    told = document(
        call, "drive", "hanoi:disks=5", "--model", "simulated:p=0.9,seed=1", "--k", "5", "--run-id", "h", *journal
    )
    assert told.keys() >= KEYS
    assert (told["status"], told["steps"], told["correct"], told["k"], told["evidence"]) == (
        "ok",
        31,
        True,
        5,
        "simulated",
    )
    assert (told["state_by"], told["p_estimate"]["basis"]) == ("model", "agreement")
    shown = document(call, "show", "h", "--page", "4", "--page-size", "10", *journal)
    assert shown.keys() >= {"run_id", "kind", "status", "steps", "usage", "manifest", "decisions"}
    assert (shown["kind"], shown["pages"], [one["step"] for one in shown["decisions"]]) == ("drive", 4, [30])
    assert shown["final"] == told["final"]
    [row] = document(call, "runs", *journal)["runs"]
    assert (row["run_id"], row["kind"], row["subtasks"]) == ("h", "drive", "31 steps")
    again = document(call, "resume", "h", *journal)
    assert again == told
    gone = document(call, "gc", "h", *journal)
    assert gone["runs"] == ["h"]
    assert document(call, "runs", *journal)["runs"] == []


def test_drive_never_imports_langgraph(tmp_path: Path) -> None:
    """A chain needs none of it, not even on the command line."""
    ran = orchestra("drive", "hanoi:disks=3", "--model", "simulated:p=1", "--journal", str(tmp_path / "j.db"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[-1] == "[]"


def test_k_auto_is_announced_with_its_reason_and_forecast(call: Call, tmp_path: Path) -> None:
    """Before the first call the margin's reason and the forecast are said, with what they assume; at p=0.99 k is 4."""
    line = ["drive", "hanoi:disks=20", "--model", "simulated:p=0.99,seed=1", "--k", "auto", "--target", "0.95"]
    done = call(*line, "--budget-calls", "50", "--journal", tmp_path / "j.db", "--json")
    assert done.code == 3, done.err
    told, said = json.loads(done.out), " ".join(done.err.split())
    assert (told["k"], told["status"]) == (4, "budget")
    assert "k=4 (least k for reliability 0.95 over 1,048,575 steps at p=0.99 (stated by the simulated model))" in said
    assert "forecast if errors of a step's votes are shared with rho=0" in said
    assert "orchestra resume" in said


def test_undecided_exits_5_and_prints_its_document(call: Call, tmp_path: Path) -> None:
    """A vote at its cap is an outcome: exit 5, one document, resumable."""
    line = ["drive", "hanoi:disks=6", "--model", "simulated:p=0.5,seed=3", "--k", "3", "--max-votes", "3"]
    told = document(call, *line, "--adaptive", "off", "--journal", str(tmp_path / "j.db"), code=5)
    assert told["status"] == "undecided"
    assert told["undecided"] == 1
    assert "is undecided" in told["reason"]


def test_a_process_of_the_current_folder_is_driven(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module.path:Name` finds a user's own process where the command is called."""
    (tmp_path / "mine.py").write_text(
        "class Count:\n"
        "    def first(self): return 0\n"
        "    def prompt(self, state): return f'After {state}?'\n"
        "    def parse(self, text, state): return int(text)\n"
        "    def advance(self, state, action): return action\n"
        "    def is_done(self, state): return state >= 5\n"
        "    def reference(self, state): return state + 1\n"
    )
    monkeypatch.chdir(tmp_path)
    told = document(call, "drive", "mine:Count", "--model", "simulated:p=1", "--journal", "j.db")
    assert (told["steps"], told["final"], told["correct"]) == (5, 5, True)


def test_an_error_of_the_process_itself_is_told_and_can_be_gone_on_from(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1 with the traceback on stderr and the document on stdout; mended, the same command goes on."""
    source = (
        "class Fragile:\n"
        "    def first(self): return 0\n"
        "    def prompt(self, state): return f'After {state}?'\n"
        "    def parse(self, text, state): return int(text)\n"
        "    def advance(self, state, action): return action if action < LIMIT else 1 / 0\n"
        "    def is_done(self, state): return state >= 5\n"
        "    def reference(self, state): return state + 1\n"
    )
    (tmp_path / "fragile.py").write_text(f"LIMIT = 4\n{source}")
    monkeypatch.chdir(tmp_path)
    line = ["drive", "fragile:Fragile", "--model", "simulated:p=1", "--journal", "j.db", "--run-id", "f", "--json"]
    broken = call(*line)
    assert broken.code == 1
    told = json.loads(broken.out)
    assert (told["status"], told["steps"]) == ("failed", 4)
    assert "ZeroDivisionError" in told["reason"]
    assert "Traceback" in broken.err
    assert "go on with the same command and --run-id f" in " ".join(broken.err.split())
    monkeypatch.setattr("fragile.LIMIT", 10)
    done = document(call, *line[:-1])
    assert (done["final"], done["steps"], done["correct"]) == (5, 5, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--k", "0"], "k: must be an integer from 1 to 1000"),
        (["--k", "many"], "--k: must be auto or an integer"),
        (["--target", "1"], "target: must be"),
        (["--steps", "0"], "steps: must be an integer of at least 1"),
        (["--sentinels", "2"], "sentinels: must be a number from 0 to 1"),
        (["--record", "some"], "record: must be one of decisions, disagreements, all"),
        (["--adaptive", "maybe"], "--adaptive: must be on or off"),
        (["--on-undecided", "guess"], "--on-undecided: must be stop or ask"),
        (["--durability", "none"], "--durability: must be process or power"),
        (["--concurrency", "0"], "concurrency: must be an integer of at least 1"),
        (["--max-votes", "2", "--k", "3"], "max_votes: must be an integer from 3"),
        (["--budget-calls", "0"], "--budget-calls: must be above 0"),
        (["--stream", "/nowhere/steps.jsonl"], "--stream: cannot write"),
        (["--run-id", "a b"], "run_id: must be"),
        (["--model", "simulated:p=0.5"], "no margin reaches 0.95"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_options_are_one_sentence_and_write_nothing(
    call: Call, options: list[str], said: str, tmp_path: Path
) -> None:
    """Exit 2, an empty stdout, one line that names the option and what is allowed, and no journal."""
    model = [] if "--model" in options else ["--model", "simulated:p=0.9"]
    done = call("drive", "hanoi:disks=3", *model, *options, "--journal", tmp_path / "own" / "j.db", "--json")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "own").exists()
