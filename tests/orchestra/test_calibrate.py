"""`orchestra calibrate`: the profile it writes, how it stops and goes on, and what it refuses before spending."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.budget.profile import Profile
from orchestra_agents.models.embedded import stop_servers
from tests.agents.embedded_weights import weights_or_skip
from tests.orchestra.conftest import Call

MODEL = "simulated:p=0.8,rho=0.2,gamma=0.7"
FAMILIES = Path(__file__).parents[2] / "examples" / "calibration"


@pytest.fixture
def rows(home: Path) -> Path:
    """Items in the folder to work in."""
    return write([{"input": f"question {place}", "target": ("yes", "no")[place % 2]} for place in range(14)])


def write(said: list[dict[str, object]]) -> Path:
    """Rows as a file."""
    path = Path("rows.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    return path


def test_a_profile_is_written_and_shown(call: Call, rows: Path) -> None:
    """The table has every figure with its interval, and the file holds the profile."""
    done = call("calibrate", rows, "--model", MODEL, "--messages", "8,16", "--panel", 7, "--out", "profile.json")
    assert done.code == 0, done.err
    for word in ("p ", "rho", "gamma(8)", "gamma(16)", "spoil", "beta", "valid", "panel of 5", "right votes"):
        assert word in done.out
    assert "evidence simulated" in done.out
    assert Profile.load(Path("profile.json")).answers[0].sizes[1].size == 2


def test_json_says_what_the_run_took(call: Call, rows: Path) -> None:
    """One document: run, usage, journal, what is unknown, and the profile itself."""
    options = ("--messages", "none", "--panel", 2, "--chain", 1, "--items", 10, "--json")
    done = call("calibrate", rows, "--model", MODEL, "--out", "p.json", "--run-id", "r", *options)
    assert done.code == 0, done.err
    said = done.document
    assert (said["run_id"], said["status"], said["usage"]["samples"]) == ("r", "ok", 30)
    assert said["profile"]["answers"][0]["sizes"][0]["items"] == 10
    assert any(one.startswith("gamma") for one in said["unknown"])
    assert json.loads(Path("p.json").read_text(encoding="utf-8")) == said["profile"]
    listed = call("runs", "--json").document["runs"]
    assert [(one["kind"], one["status"]) for one in listed] == [("calibrate", "ok")]
    assert call("show", "r", "--json").document["kind"] == "calibrate"
    refused = call("resume", "r")
    assert refused.code == 2
    assert "begun by calibrate" in refused.err


def test_a_budget_ends_with_3_and_the_same_command_goes_on(call: Call, rows: Path) -> None:
    """No profile is written before all is measured; the hint names run and journal."""
    command = ("calibrate", rows, "--model", MODEL, "--out", "p.json", "--run-id", "r", "--messages", "8", "--json")
    done = call(*command, "--budget-calls", 40)
    assert (done.code, Path("p.json").exists()) == (3, False)
    assert "--run-id r --journal" in done.err
    assert "larger --budget" in done.err
    done = call(*command, "--budget-calls", 1000)
    assert done.code == 0, done.err
    whole = call(*command[:7], "again", *command[8:]).document
    assert done.document["profile"] == whole["profile"]
    assert done.document["usage"]["calls"] == whole["usage"]["calls"]


def test_without_targets_accuracy_is_unknown(call: Call) -> None:
    """Agreement stands in its place, and a line says what it is not."""
    path = write([{"input": f"question {place}"} for place in range(6)])
    done = call("calibrate", path, "--model", MODEL, "--choices", "yes, no", "--out", "p.json")
    assert done.code == 0, done.err
    assert "agreement" in done.out
    assert "unknown: accuracy and rho" in done.out


def test_votes_of_a_run_become_a_profile(call: Call, home: Path) -> None:
    """--from-run asks nothing."""
    subtask = {"description": "?", "answer": {"choice": ["a", "b"]}, "truth": {"answer": "a", "wrong": ["b"]}, "k": 3}
    graph = {"subtasks": [{"id": f"s{place}", **subtask} for place in range(12)]}
    Path("graph.json").write_text(json.dumps(graph), encoding="utf-8")
    assert call("run", "graph.json", "--model", MODEL, "--team", "vote", "--run-id", "r").code == 0
    done = call("calibrate", "--from-run", "r", "--out", "p.json", "--json")
    assert done.code == 0, done.err
    assert done.document["profile"]["model"] == MODEL
    assert Profile.load(Path("p.json")).answers[0].sizes[0].items == 12


def test_a_suite_is_measured_by_its_name(call: Call) -> None:
    """Half of the items are subtasks, half whole questions of several sizes; equal seeds ask the same."""
    command = ("calibrate", "addition", "--model", MODEL, "--items", 20, "--messages", "8", "--json")
    done = call(*command, "--out", "p.json")
    assert done.code == 0, done.err
    [answer] = done.document["profile"]["answers"]
    assert answer["kind"] == "json"
    assert [(size["size"], size["items"]) for size in answer["sizes"]] == [(1, 10), (4, 2), (6, 2), (8, 2), (9, 4)]
    assert done.document["profile"]["spoil"]["n"] == done.document["profile"]["channels"][0]["gamma"]["n"] == 10
    assert call(*command, "--out", "q.json").document["profile"] == done.document["profile"]
    assert call(*command, "--out", "q.json", "--seed", 1).document["profile"] != done.document["profile"]
    whole = call("calibrate", "3sat:variables=5", *command[2:], "--out", "p.json").document["profile"]["answers"]
    assert [[(size["size"], size["items"]) for size in one["sizes"]] for one in whole] == [[(1, 20)]]


def test_a_file_as_a_suite_is_dealt_out(call: Call, rows: Path) -> None:
    """Of a user's own rows the split for calibration is measured, with the choices of the file."""
    write([{"input": f"{place} + 1", "target": place + 1} for place in range(40)])
    command = ("--model", MODEL, "--items", 5, "--messages", "none", "--json", "--out", "p.json")
    done = call("calibrate", "file:rows.jsonl", *command)
    assert done.code == 0, done.err
    [answer] = done.document["profile"]["answers"]
    assert (answer["kind"], [size["items"] for size in answer["sizes"]]) == ("number", [5])


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nowhere", (), "suite: must be one of 3sat"),
        ("human-eval", (), "suite: human-eval is answered in code"),
        ("lookup", (), "suite: lookup is acted in with tools"),
        ("addition", ("--chain", 2), "--chain: is for rows of a file"),
        ("addition", ("--question", "Why?"), "--question: is for rows of a file"),
        ("nowhere.jsonl", (), "nowhere.jsonl: cannot be read"),
    ],
)
def test_a_name_that_gives_no_items_is_refused(call: Call, name: str, options: tuple[object, ...], told: str) -> None:
    """One sentence, exit code 2, no journal."""
    done = call("calibrate", name, "--model", MODEL, "--out", "p.json", "--journal", "j.db", *options)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert told in done.err
    assert not Path("j.db").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--out: is missing"),
        (("--out", "p.txt"), "--out: must end in .json"),
        (("--out", "nowhere/p.json"), "a folder that exists"),
        (("--out", "p.json", "--from-run", "r"), "exactly one of them"),
        (("--out", "p.json", "--messages", "a"), "--messages: must be integers"),
        (("--out", "p.json", "--panel", "0"), "panel: must be an integer from 1"),
        (("--out", "p.json", "--budget-calls", "0"), "--budget-calls: must be above 0"),
        (("--out", "p.json", "--choices", "a,b"), "is none of the choices"),
    ],
)
def test_what_cannot_be_is_refused_before_spending(call: Call, rows: Path, options: tuple[str, ...], told: str) -> None:
    """One sentence, exit code 2, no journal."""
    done = call("calibrate", rows, "--model", MODEL, "--journal", "j.db", *options)
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
    assert not Path("j.db").exists()


def test_a_bad_line_is_named(call: Call, rows: Path) -> None:
    """By file and number."""
    with rows.open("a", encoding="utf-8") as file:
        file.write("\n{}\n")
    done = call("calibrate", rows, "--model", MODEL, "--out", "p.json")
    assert (done.code, "rows.jsonl, line 16: input is missing" in done.err) == (2, True)


@pytest.fixture
def weights() -> Iterator[Path]:
    """The cache with the embedded model's weights, looked for before a test gets a home of its own."""
    yield weights_or_skip().parents[1]
    stop_servers()


@pytest.mark.embedded
def test_the_embedded_model_is_calibrated(weights: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six items, for real."""
    monkeypatch.setenv("ORCHESTRA_CACHE_DIR", str(weights))
    options = (
        "--items",
        6,
        "--panel",
        1,
        "--messages",
        4,
        "--examples",
        2,
        "--chain",
        1,
        "--question",
        "Is it good?",
        "--json",
    )
    done = call("calibrate", FAMILIES / "sentiment.jsonl", "--model", "embedded", "--out", "p.json", *options)
    assert done.code == 0, done.err
    profile = done.document["profile"]
    assert (profile["evidence"], profile["model"]) == ("real", "embedded")
    assert profile["answers"][0]["sizes"][0]["valid"]["value"] == 1.0
