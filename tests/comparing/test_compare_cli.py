"""`orchestra eval compare`: what it prints and writes, what it exits with, and how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestra.cli.main import main
from orchestra_evals.cli.compare_ending import command_line, exit_code, how_to_go_on
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.runner.composing import cells_of
from orchestra_evals.runner.evaluating import Evaluator
from orchestra_evals.runner.selection import Selection
from tests.evals_runner.samples import wired

Json = Any
MODEL = ("--model", "simulated:p=0.9,seed=4")
SMALL = ("addition:digits=10", "--limit", "4", "--topology", "single", "--team", "solo")


class Shell:
    """Runs the command in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Return what the command prints."""
        said = ["eval", "compare", *arguments, "--journal", str(self.folder / "journal.db")]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["orchestra", *said])
            with pytest.raises(SystemExit) as ended:
                main(said)
        printed = self._capsys.readouterr()
        self.err = printed.err
        assert ended.value.code == code, printed.err
        return printed.out

    def document(self, *arguments: str, code: int = 0) -> Json:
        """Return the document that the command prints, which a report can read."""
        found = json.loads(self(*arguments, "--json", code=code))
        ComparisonDocument.of(found)
        return found


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


@pytest.fixture
def own_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module with agents into the current folder."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "my_rivals.py").write_text(
        "async def oracle(sample):\n    return sample.target\n\n"
        "async def offline(sample):\n    raise ConnectionError('no network')\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_rivals", raising=False)


def test_the_document_is_printed_and_stands_beside_the_rows(shell: Shell) -> None:
    """One JSON document on standard output, the same in a file; the rows are one line a sample of each system."""
    told = shell.document(*SMALL, *MODEL, "--out", str(shell.folder / "my.jsonl"))
    assert [row["system"] for row in told["rows"]] == ["single x solo", "selfconsistency"]
    assert json.loads((shell.folder / "my.json").read_text()) == told
    assert told["samples_file"] == str(shell.folder / "my.jsonl")
    assert len((shell.folder / "my.jsonl").read_text().splitlines()) == 8
    assert told["command"].startswith("orchestra eval compare addition:digits=10 --limit 4")
    again = shell.document(*SMALL, *MODEL, "--out", str(shell.folder / "my.jsonl"), "--document", "other.json")
    assert again | {"command": told["command"]} == told


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own, where files named without one are written."""
    monkeypatch.chdir(tmp_path)


def test_people_are_told_the_same(shell: Shell) -> None:
    """A table beside the baseline, one at equal spend, what could have been found, and where things lie."""
    shown = shell("addition:digits=10", "--limit", "4", *MODEL, "--topology", "all")
    words = " ".join(shown.split())
    for part in (
        "addition:digits=10, 4 samples",
        "simulated:p=0.9,seed=4, a SIMULATED model",
        "single x solo 4",
        "at equal tokens",
        "is found with probability 0.8 at level 0.05 of 16 comparisons",
        "regret of auto x auto against 15 others",
        "half as much again as the dearest is estimated to take",
        "graphs by suite: 4, 0 of one subtask",
        "journal.db",
    ):
        assert part in words
    assert max(len(line) for line in shown.splitlines() if str(shell.folder) not in line) <= 80
    [where] = (shell.folder / "evals").glob("*.json")
    assert ComparisonDocument.of(json.loads(where.read_text())).samples == 4


def test_a_dry_run_tells_what_all_will_take_and_asks_nothing(shell: Shell) -> None:
    """Every system with every model, the cap that is estimated, who is left out, and nothing is written."""
    two = (*MODEL, "--model", "openai:gpt-4.1-mini")
    told = json.loads(shell("reachability", "--limit", "30", *two, "--team", "solo", "--dry-run", "--json"))
    assert [(cell["system"], cell["model"]) for cell in told["cells"]][:2] == [
        ("single x solo", "simulated:p=0.9,seed=4"),
        ("single x solo", "openai:gpt-4.1-mini"),
    ]
    assert (told["dry_run"], told["cap_source"], told["mde"]["comparisons"]) == (True, "estimated", 2)
    assert len({json.dumps(cell["cap"]) for cell in told["cells"]}) == 1
    assert {one["reason"] for one in told["skipped"]} == {"the suite splits no sample up"}
    assert told["cost_usd"] > 0
    assert not list(shell.folder.iterdir())
    shown = " ".join(shell("reachability", "--limit", "30", *MODEL, "--dry-run").split())
    assert "hybrid: the suite splits no sample up" in shown


@pytest.mark.usefixtures("own_agents")
def test_systems_of_ones_own_have_the_name_they_are_given(shell: Shell) -> None:
    """`module:function`, or `NAME=module:function`; several compete beside the baseline."""
    own = ("--system", "my_rivals:oracle", "--system", "mine=my_rivals:oracle")
    told = shell.document(*SMALL, *MODEL, *own)
    scores = {row["system"]: row["score"] for row in told["rows"]}
    assert {name: scores[name] for name in ("my_rivals:oracle", "mine")} == {"my_rivals:oracle": 1.0, "mine": 1.0}
    lost = shell.document(*SMALL, *MODEL, "--system", "off=my_rivals:offline", code=5)
    assert {row["system"]: row["statuses"]["infra_error"] for row in lost["rows"]}["off"] == 4
    assert "4 samples were lost, the first to infrastructure: ConnectionError: no network" in shell.err
    assert shell.err.rstrip().endswith("and --retry-errors")


def test_a_cap_that_does_not_pay_exits_with_3(shell: Shell) -> None:
    """Who is too dear is stopped, the others are compared all the same."""
    told = shell.document(*SMALL, "--team", "decentralized", *MODEL, "--budget-calls", "8", code=3)
    assert (told["cap"], told["cap_source"]) == ({"calls": 8}, "given")
    assert {row["system"]: row["n"] for row in told["rows"]} == {
        "single x solo": 4,
        "single x decentralized": 0,
        "selfconsistency": 4,
    }
    assert "and a larger --budget-..." in shell.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("nothing",),
        ("addition", "--topology", "star"),
        ("addition", "--team", "crowd"),
        ("addition", "--k", "0"),
        ("addition", "--decompose", "me"),
        ("addition", "--limit", "0"),
        ("addition", "--profile", "missing.json"),
        ("addition", "--system", "wiring"),
        ("addition", "--system", "=no.such:thing"),
        ("addition", "--system", "no.such:thing"),
        ("addition", "--out", "rows.json"),
        ("addition", *MODEL),
        ("human-eval",),
    ],
)
def test_what_is_wrong_is_one_sentence(shell: Shell, wrong: tuple[str, ...]) -> None:
    """Exit code 2, nothing on standard output, nothing written."""
    assert shell(*wrong, *MODEL, code=2) == ""
    assert shell.err.count("\n") == 1
    assert not list(shell.folder.iterdir())


def test_a_report_is_written_too(shell: Shell) -> None:
    """With --report the folder holds what `eval report` makes of the document."""
    pytest.importorskip("matplotlib")
    shown = shell(*SMALL, *MODEL, "--report", str(shell.folder / "told"))
    assert {"report.md", "report.html"} <= {path.name for path in (shell.folder / "told").iterdir()}
    assert shown.splitlines()[-1].startswith("report ")


def test_a_signal_leaves_a_document_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Ctrl-C exits with 130 after a document of what was asked; nothing of that is asked again."""
    slow = ("--model", "simulated:p=0.9,seed=4,latency_ms=150", "--concurrency", "2")
    asked = ("addition:digits=5", "--limit", "12", "--topology", "single", "--team", "solo", "--budget-calls", "36")
    run = [sys.executable, "-c", "from orchestra.cli.main import main; main()", "eval", "compare", *asked, *slow]
    run += ["--journal", "j.db", "--out", "rows.jsonl", "--json"]
    rows = tmp_path / "rows.jsonl"
    with subprocess.Popen(run, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not rows.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    told = json.loads(out)
    [lone, voting] = told["rows"]
    assert 0 < lone["n"] + voting["n"] < 24
    assert lone["statuses"]["missing"] + voting["statuses"]["missing"] == 24 - lone["n"] - voting["n"]
    assert "go on with: orchestra" in err
    assert (told["command"], json.loads((tmp_path / "rows.json").read_text())) == (command_line(run[3:]), told)
    ended = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    done = json.loads(ended.stdout)
    assert [row["n"] for row in done["rows"]] == [12, 12]
    assert 12 <= done["rows"][0]["spent"]["calls"] <= 14  # two were in flight, and may have been served in vain


def test_a_command_is_told_without_the_folders_of_the_machine() -> None:
    """Of absolute paths only the last name is left; addresses and models stay what they are."""
    told = command_line(
        ["eval", "compare", "file:/home/me/own.jsonl,input=q", "--journal=/tmp/a b/j.db", "--out", "/tmp/rows.jsonl"]
        + ["--base-url", "http://localhost:8000/v1", "--model", "openrouter:a/b", "--model", "gguf:/m/x.gguf"]
    )
    assert told == (
        "orchestra eval compare file:own.jsonl,input=q --journal=j.db --out rows.jsonl "
        "--base-url http://localhost:8000/v1 --model openrouter:a/b --model gguf:x.gguf"
    )


def test_without_any_score_a_comparison_has_failed() -> None:
    """1 where nothing was measured; and there is nothing to go on with but where somebody was cut short."""
    cells = cells_of("addition", [wired()], models=["simulated"], selection=Selection(limit=2))
    [cell] = Evaluator(cells).evaluation().cells
    assert exit_code([cell]) == 1
    assert how_to_go_on([cell], ["eval"], is_cut_short=False) is None
    assert how_to_go_on([cell], ["eval"], is_cut_short=True) == "go on with: orchestra eval"


def test_a_file_that_is_no_comparison_is_not_written_over(shell: Shell) -> None:
    """Neither the one that is named, nor the one beside the rows; a comparison is, by the next."""
    kept = shell.folder / "profile.json"
    kept.write_text('{"schema": "orchestra.profile/1"}')
    for place in (("--document", str(kept)), ("--out", str(kept.with_suffix(".jsonl")))):
        shell(*SMALL, *MODEL, *place, code=2)
        assert "is there and no comparison" in shell.err
    assert kept.read_text() == '{"schema": "orchestra.profile/1"}'
    fresh = ("--document", str(shell.folder / "told.json"))
    assert shell.document(*SMALL, *MODEL, *fresh) == shell.document(*SMALL, *MODEL, *fresh)
