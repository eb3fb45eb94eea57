"""The commands: their help, their JSON documents, their exit codes, and how a stopped run goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.slow_server import SlowServer
from tests.orchestra.conftest import Call

Json = Any
COMMAND = [sys.executable, "-c", "from orchestra.cli.main import main; main()"]
SUBTASKS: list[Json] = [
    {"id": "facts", "description": "facts: List them."},
    {"id": "judge", "description": "judge: Which one?", "answer": {"choice": ["a", "b"]}, "depends_on": ["facts"]},
    {"id": "count", "description": "count: How many?", "answer": "number", "depends_on": ["facts"]},
    {"id": "close", "description": "close: Say it.", "depends_on": ["judge", "count"]},
]
CALLS = 1 + 3 + 3 + 1
RUN_KEYS = {"run_id", "status", "topology", "team", "reason", "answer", "subtasks", "usage", "journal", "evidence"}
USAGE_KEYS = {"calls", "samples", "input_tokens", "output_tokens", "cost_usd", "estimated", "attempts", "unknown"}
BUDGET = ["--budget-calls", "--budget-tokens", "--budget-usd", "--budget-seconds"]
OPTIONS = {
    "plan": ["--model", "--topology", "--team", "--json", "--mermaid", "--out"],
    "run": ["--model", "--topology", "--team", "--k", *BUDGET, "--journal", "--run-id", "--approve", "--json"],
    "resume": ["--journal", *BUDGET, "--json"],
    "runs": ["--journal", "--json"],
    "show": ["--journal", "--json"],
    "doctor": ["--model", "--json"],
    "models list": ["--json"],
    "models pull": ["NAME"],
}


def write_graph(subtasks: list[Json] = SUBTASKS, name: str = "graph.json") -> str:
    """Write a graph file into the working folder and return its name."""
    Path(name).write_text(json.dumps({"goal": "Compare", "subtasks": subtasks}))
    return name


def described(**directives: str) -> list[Json]:
    """Return the usual subtasks, with what the server shall do for some of them."""
    return [
        {**one, "description": f"{one['id']} {directives[one['id']]}: {one['description']}"}
        if one["id"] in directives
        else one
        for one in SUBTASKS
    ]


def of(server: SlowServer) -> list[str]:
    """Return the options that send a run to `server`, with a journal in the working folder."""
    return ["--model", "vllm:test", "--base-url", server.url, "--journal", "j.db", "--json"]


def asked(server: SlowServer) -> list[tuple[str, int]]:
    return [(line.subtask, line.seed) for line in server.lines("asked")]


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_promised_option(call: Call, command: str) -> None:
    """Each command's --help exits 0 and names the options that interfaces.md promises."""
    done = call(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert [option for option in OPTIONS[command] if option not in done.out] == []


def test_help_lists_all_commands(call: Call) -> None:
    """The command line's own --help names every command."""
    done = call("--help")
    assert done.code == 0
    assert all(command.split()[0] in done.out for command in OPTIONS)


VECTORS: dict[str, tuple[dict[str, dict[str, str]], str]] = {
    "1 node": ({"a": {}}, "single"),
    "4 nodes, no edge": ({name: {} for name in "abcd"}, "parallel"),
    "chain of 4": ({"a": {}, "b": {"a": "strong"}, "c": {"b": "strong"}, "d": {"c": "strong"}}, "sequential"),
    "V=6, all c=.7, omega=2": (
        {"a": {}, "b": {}, "c": dict.fromkeys("ab", "strong")}
        | {"d": {"c": "strong"}, "e": {"d": "strong"}, "f": {"e": "strong"}},
        "hierarchical",
    ),
    "V=6, omega=4, gamma=.3": (
        {"a": {}} | {name: {"a": "weak"} for name in "bcde"} | {"f": dict.fromkeys("bcde", "weak")},
        "parallel",
    ),
    "V=6, omega=2, gamma=.45": (
        {"a": {}, "b": {}, "c": dict.fromkeys("ab", "weak"), "d": dict.fromkeys("ab", "weak")}
        | {"e": {"c": "weak", "d": "strong"}, "f": dict.fromkeys("cd", "strong")},
        "hybrid",
    ),
    "V=8, omega=5, gamma=.60": (
        {"a": {}, "g": {}, "h": {}, "b": {"a": "weak"}, "c": {"a": "weak"}}
        | {"d": {"a": "strong"}, "e": {"a": "strong"}, "f": {"a": "critical"}},
        "parallel",
    ),
    "V=8, omega=5, gamma=.61": (
        {"a": {}, "h": {}, "b": {"a": "weak"}, "c": {"a": "weak"}, "d": {"a": "weak"}, "e": {"a": "strong"}}
        | {"f": {"a": "strong"}, "g": {"f": "critical"} | dict.fromkeys("bcde", "strong")},
        "hierarchical",
    ),
}
"""The check vectors of adaptorch.md, section 2.3: the dependencies of each subtask, and the route."""


@pytest.mark.parametrize("vector", VECTORS)
def test_plan_gives_the_route_of_the_check_vectors(call: Call, home: Path, vector: str) -> None:
    """`plan --json` routes the vectors of adaptorch.md 2.3 as it says, with their figures, and spends nothing."""
    edges, topology = VECTORS[vector]
    graph = write_graph([{"id": one, "description": one, "depends_on": before} for one, before in edges.items()])
    done = call("plan", graph, "--json")
    assert done.code == 0
    shape = done.document["shape"]
    for name, figure in (part.split("=") for part in vector.replace("all c", "gamma").split(", ") if "=" in part):
        told = shape[{"V": "subtasks", "omega": "width", "gamma": "coupling"}[name]]
        assert told == pytest.approx(float(figure))
    assert shape.keys() >= {"subtasks", "edges", "width", "depth", "coupling", "ratio"}
    assert done.document["route"]["topology"] == done.document["decision"]["topology"] == topology
    assert done.document["route"].keys() >= {"topology", "team", "reason"}
    assert [subtask["id"] for subtask in done.document["graph"]["subtasks"]] == list(edges)
    assert list(home.iterdir()) == []


def test_a_written_plan_is_run_exactly(call: Call) -> None:
    """`plan --out` keeps task, model and choices; `run plan.json` follows them though nothing is said again."""
    graph = write_graph()
    choices = ["--topology", "sequential", "--k", "2", "--model", "simulated:p=1,seed=4"]
    planned = call("plan", graph, *choices, "--out", "plan.json", "--json")
    assert (planned.code, planned.document["decision"]["winner"]) == (0, "user")
    Path(graph).unlink()
    done = call("run", "plan.json", "--journal", "j.db", "--run-id", "r", "--json")
    assert done.code == 0
    decision = planned.document["decision"]
    assert {name: done.document[name] for name in ("topology", "team", "reason")} == {
        name: decision[name] for name in ("topology", "team", "reason")
    }
    assert [done.document["subtasks"][one]["votes"] for one in ("judge", "count")] == [2, 2]
    manifest = call("show", "r", "--journal", "j.db", "--json").document["manifest"]
    assert manifest["models"] == {"worker": ["simulated:p=1.0,seed=4"]}
    assert manifest["task"] == planned.document["graph"]


@pytest.mark.parametrize(
    ("topology", "nodes"),
    [
        ("single", ["answer"]),
        ("sequential", ["next_subtask"]),
        ("parallel", ["fan_out"]),
        ("hierarchical", ["plan", "delegate", "monitor", "reconcile"]),
        ("hybrid", ["next_group"]),
    ],
)
def test_mermaid_draws_topology_and_subtasks(call: Call, topology: str, nodes: list[str]) -> None:
    """`plan --mermaid` is a flowchart that names the topology's own nodes and every subtask."""
    done = call("plan", write_graph(), "--topology", topology, "--mermaid")
    assert done.code == 0
    assert done.out.startswith("flowchart ")
    assert [name for name in [*nodes, *(one["id"] for one in SUBTASKS)] if f'["{name}"]' not in done.out] == []
    assert topology in done.out


def test_run_answers_and_show_runs_and_resume_tell_of_it(call: Call, home: Path) -> None:
    """A run's document has the promised keys; `runs`, `show` and `resume` give the same run from the user's journal."""
    done = call("run", write_graph(), "--model", "simulated", "--run-id", "r", "--json")
    result = done.document
    assert done.code == 0
    assert result.keys() >= RUN_KEYS | {"seconds"}
    assert result["usage"].keys() >= USAGE_KEYS
    assert all(one.keys() >= {"status", "answer", "voted", "votes"} for one in result["subtasks"].values())
    assert (result["run_id"], result["status"], result["evidence"]) == ("r", "ok", "simulated")
    assert result["usage"]["calls"] == result["usage"]["samples"] == CALLS
    assert {one: subtask["votes"] for one, subtask in result["subtasks"].items()} == {
        "facts": 0,
        "judge": 3,
        "count": 3,
        "close": 0,
    }
    assert Path(result["journal"]) == home / "state" / "orchestra" / "journal.db"

    [row] = call("runs", "--json").document["runs"]
    assert (row["run_id"], row["kind"], row["status"], row["calls"]) == ("r", "graph", "ok", CALLS)
    shown = call("show", "r", "--json")
    assert shown.code == 0
    assert shown.document.keys() >= {"run_id", "kind", "status", "subtasks", "usage", "manifest", "decisions"}
    assert {one["node"] for one in shown.document["decisions"]} == {one["id"] for one in SUBTASKS}
    resumed = call("resume", "r", "--json")
    assert (resumed.code, resumed.document) == (0, result)


def test_people_get_tables_and_progress_goes_to_stderr(call: Call) -> None:
    """Without --json the result stands on stdout, and what happens on the way on stderr."""
    done = call("run", write_graph(), "--model", "simulated", "--journal", "j.db", "--run-id", "r")
    assert done.code == 0
    assert all(one["id"] in done.out and f"{one['id']}: ok" in done.err for one in SUBTASKS)
    assert "SIMULATED" in done.out
    for command in (["runs"], ["show", "r"]):
        shown = call(*command, "--journal", "j.db")
        assert (shown.code, shown.err) == (0, "")
        assert "ok" in shown.out


def test_show_pages_its_decisions(call: Call) -> None:
    """Decisions come in pages that together hold every one once, in order."""
    call("run", write_graph(), "--model", "simulated", "--journal", "j.db", "--run-id", "r", "--json")
    pages = [
        call("show", "r", "--journal", "j.db", "--json", "--page-size", "3", "--page", page).document
        for page in (1, 2, 3)
    ]
    assert [len(page["decisions"]) for page in pages] == [3, 1, 0]
    assert {page["pages"] for page in pages} == {2}
    numbers = [one["seq"] for page in pages for one in page["decisions"]]
    assert numbers == sorted(set(numbers))


def test_doctor_and_models_list_say_what_is_here(call: Call, home: Path, server: SlowServer) -> None:
    """`doctor --json` tells versions, extras, journal and what an endpoint does; `models list` what can be pulled."""
    done = call("doctor", "--model", "vllm:fake", "--base-url", server.url, "--json")
    assert done.code == 0
    assert done.document.keys() >= {"python", "packages", "extras", "journal", "model"}
    assert done.document["model"].keys() >= {"reachable", "n", "seed", "logprobs", "json_schema", "context"}
    assert (done.document["model"]["reachable"], done.document["model"]["context"]) == (True, 4096)
    listed = call("models", "list", "--json")
    assert listed.code == 0
    assert "embedded" in [one["name"] for one in listed.document["models"]]
    assert list(home.iterdir()) == []


def test_doctor_exits_1_where_the_model_cannot_be_reached(call: Call) -> None:
    """A server that is not there is reported, with the reason, as a document and exit code 1."""
    done = call("doctor", "--model", "vllm:test", "--base-url", "http://127.0.0.1:9/v1", "--json")
    assert done.code == 1
    assert done.document["model"]["reachable"] is False
    assert done.document["model"]["problem"]


def test_a_failed_subtask_exits_1_and_skips_its_dependants(call: Call, server: SlowServer) -> None:
    """Siblings finish, dependants are skipped because of the root, and the exit code is 1."""
    done = call("run", write_graph(described(judge="status=400")), *of(server))
    subtasks = done.document["subtasks"]
    assert (done.code, done.document["status"]) == (1, "failed")
    assert {one: subtask["status"] for one, subtask in subtasks.items()} == {
        "facts": "ok",
        "judge": "failed",
        "count": "ok",
        "close": "skipped",
    }
    assert subtasks["judge"]["cause"]["code"] == "invalid"
    assert subtasks["close"]["cause"]["because"] == "judge"
    assert "close" not in [subtask for subtask, _ in asked(server)]


def test_a_spent_budget_exits_3_and_a_larger_one_finishes_without_repeating(call: Call, server: SlowServer) -> None:
    """--budget-calls stops before the cap is passed; resuming with more asks only for what is missing."""
    stopped = call("run", write_graph(), *of(server), "--run-id", "r", "--budget-calls", "3")
    assert (stopped.code, stopped.document["status"]) == (3, "budget")
    assert len(asked(server)) == stopped.document["usage"]["calls"] == 3
    assert "orchestra resume r --journal j.db" in stopped.err
    done = call("resume", "r", "--journal", "j.db", "--budget-calls", CALLS, "--json")
    assert (done.code, done.document["status"]) == (0, "ok")
    assert done.document["usage"]["calls"] == CALLS
    assert len(asked(server)) == len(set(asked(server))) == CALLS


def test_an_undecided_vote_exits_5_and_goes_further_when_resumed(call: Call, server: SlowServer) -> None:
    """A vote at its cap is undecided, never a plurality; resuming adds to its votes and may decide it."""
    stopped = call("run", write_graph(described(judge="split=30")), *of(server), "--run-id", "r")
    judge = stopped.document["subtasks"]["judge"]
    assert (stopped.code, stopped.document["status"]) == (5, "undecided")
    assert (judge["status"], judge["answer"], judge["votes"]) == ("undecided", None, 30)
    assert "orchestra resume r --journal j.db" in stopped.err
    done = call("resume", "r", "--journal", "j.db", "--json")
    judge = done.document["subtasks"]["judge"]
    assert (done.code, judge["answer"], judge["votes"]) == (0, "a", 33)
    assert len(asked(server)) == len(set(asked(server))) == CALLS + 30


def test_a_finished_run_asks_nothing_again(call: Call, server: SlowServer) -> None:
    """`resume` and `run --run-id` of a finished run print the stored result, byte for byte."""
    graph = write_graph()
    first = call("run", graph, *of(server), "--run-id", "r")
    assert first.code == 0
    again = [call("resume", "r", "--journal", "j.db", "--json"), call("run", graph, *of(server), "--run-id", "r")]
    assert [(done.code, done.out) for done in again] == [(0, first.out)] * 2
    assert len(asked(server)) == CALLS


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["graph.json", "--model", "simulated:seed=1", "--k", "4"], "4"),
        (["graph.json", "--model", "simulated:seed=2"], "simulated:seed=2"),
        (["other.json", "--model", "simulated:seed=1"], "task"),
    ],
)
def test_a_changed_run_is_refused_unless_the_change_is_accepted(call: Call, change: list[str], told: str) -> None:
    """Another k, model or graph under an existing --run-id exits 2 naming it; --accept-change goes on."""
    where = ["--journal", "j.db", "--run-id", "r", "--json"]
    assert call("run", write_graph(), "--model", "simulated:seed=1", *where).code == 0
    write_graph(SUBTASKS[:2], "other.json")
    refused = call("run", *change, *where)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "run_id" in refused.err
    assert told in refused.err
    assert "--accept-change" in refused.err
    assert call("run", *change, *where, "--accept-change").code == 0


def test_text_is_decomposed_before_it_is_run(call: Call) -> None:
    """An argument that is no file is the task in words: a model makes the graph, and the run answers it."""
    done = call("run", "Compare two engines", "--model", "simulated", "--journal", "j.db", "--json")
    assert (done.code, done.document["status"]) == (0, "ok")
    assert done.document["subtasks"]
    assert done.document["usage"]["calls"] > len(done.document["subtasks"])


def test_the_plan_is_run_only_if_the_person_asked_agrees(call: Call) -> None:
    """With --approve a no ends in exit 5 with nothing asked, resumable; a yes runs it."""
    command = [*COMMAND, "run", write_graph(), "--model", "simulated", "--journal", "j.db", "--run-id", "r"]
    seen = []
    for reply in (b"n\n", b"y\n"):
        terminal, its_end = pty.openpty()
        os.write(terminal, reply)
        done = subprocess.run([*command, "--approve", "--json"], stdin=its_end, capture_output=True, timeout=30)
        os.close(terminal)
        os.close(its_end)
        assert b"Run it?" in done.stderr
        seen.append((done.returncode, json.loads(done.stdout)["status"], json.loads(done.stdout)["usage"]["calls"]))
    assert seen == [(5, "interrupted", 0), (0, "ok", CALLS)]


@pytest.mark.parametrize("present", [True, False])
def test_without_a_default_model_the_refusal_says_how_to_get_one(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    """Without --model and without the embedded model's extra or weights, exit 2 names the command that helps."""
    monkeypatch.setitem(sys.modules, "xllamacpp", sys if present else None)  # None hides an installed one
    done = call("run", write_graph(), "--json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "orchestra models pull embedded" in done.err
    assert ("pip install" in done.err) is not present
    assert list(home.iterdir()) == []


def start(server: SlowServer, *, wait_for: int) -> subprocess.Popen[str]:
    """Start a run called r in a process of its own and return it once the server was asked so often."""
    graph = write_graph(described(judge="stall=30"))
    command = [*COMMAND, "run", graph, *of(server), "--run-id", "r"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    server.wait_for(wait_for, "asked", of=process)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_interrupts_and_the_run_goes_on_later(
    call: Call, server: SlowServer, number: signal.Signals, code: int
) -> None:
    """SIGINT and SIGTERM end with their codes, the state as JSON and the resume command; resuming finishes."""
    with start(server, wait_for=CALLS - 3) as process:
        shown = call("show", "r", "--journal", "j.db", "--json").document
        owned = call("resume", "r", "--journal", "j.db", "--json")
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=30)
    assert shown["status"] == "running"
    assert (owned.code, owned.out, owned.err.count("\n")) == (2, "", 1)
    assert str(process.pid) in owned.err

    result = json.loads(out)
    assert (process.returncode, result["status"]) == (code, "interrupted")
    assert result["subtasks"]["judge"]["status"] == "cancelled"
    assert result["usage"]["unknown"] >= 1
    assert "orchestra resume r --journal j.db" in err
    done = call("resume", "r", "--journal", "j.db", "--json")
    assert (done.code, done.document["status"]) == (0, "ok")
    assert done.document["usage"]["samples"] == CALLS
    assert done.document["usage"]["unknown"] == result["usage"]["unknown"]
    repeated = len(asked(server)) - len(set(asked(server)))
    assert repeated == result["usage"]["unknown"]


def test_a_dispute_is_shown_with_its_figures(call: Call) -> None:
    """`show --json` tells of every pass: what was compared and how, what the arbiter saw, what followed."""
    one = {"description": "Safe?", "answer": {"choice": ["yes", "no"]}, "answers": "verdict"}
    disputed = [one | {"id": name, "truth": {"answer": said}} for name, said in (("a", "yes"), ("b", "no"))]
    call("run", write_graph(disputed), "--model", "simulated:p=1", "--run-id", "r", "--json")
    shown = call("show", "r", "--json").document
    assert (shown["topology"], shown["reroutes"]) == ("hierarchical", 5)
    assert [one["verdict"] for one in shown["synthesis"]] == ["rerouted"] * 5 + ["forced"]
    [question] = shown["synthesis"][0]["questions"]
    assert (question["operator"], question["consistency"], question["threshold"]) == ("arbitrate", 0.0, 0.7)
    assert {"<arbitrate verdict>", "<lead>"} <= {decision["node"] for decision in shown["decisions"]}
    told = call("show", "r")
    assert "hierarchical x vote(k=3): answers still contradict each other" in told.out
    assert "(6 passes)" in told.out


def test_a_failed_run_names_its_root_cause_and_whom_it_kept(call: Call) -> None:
    """The report says who is to blame, why, and what did not happen because of it."""
    chain = [{"id": "a", "description": "word " * 200}, {"id": "b", "description": "B", "depends_on": ["a"]}]
    done = call("run", write_graph(chain), "--model", "simulated", "--window", "64", "--max-tokens", "16")
    assert done.code == 1
    assert "cause   a failed (and with it b): a takes" in done.out
    assert "a window of 64" in done.out


def test_text_is_decomposed_by_a_recipe_and_may_have_material(call: Call) -> None:
    """`--decomposer FILE` uses its subtasks with the text as goal; `--context` reaches them."""
    Path("notes.txt").write_text("the notes", encoding="utf-8")
    recipe = write_graph([{"id": "read", "description": "Read it."}])
    options = ["--decomposer", recipe, "--context", "notes.txt"]
    planned = call("plan", "Review this", *options, "--json").document
    assert (planned["graph"]["goal"], planned["graph"]["context"]) == ("Review this", "the notes")
    done = call("run", "Review this", *options, "--model", "simulated", "--run-id", "r", "--json")
    assert (done.code, list(done.document["subtasks"])) == (0, ["read"])
    manifest = call("show", "r", "--json").document["manifest"]
    assert (manifest["context"], manifest["decomposer"]) == ("the notes", {"file": recipe})
