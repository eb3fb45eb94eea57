"""Every mistake a user can make is one sentence that names the field and what is allowed, and changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.journal.sqlite import Journal
from tests.orchestra.conftest import Call

Json = Any
GRAPH = "subtasks:\n- {id: a, description: First.}\n- {id: b, description: Second., answer: {choice: [x, y]}}\n"


def graph(*subtasks: str) -> str:
    """Return a graph file of subtasks, each given as the inside of a YAML mapping."""
    return "subtasks:\n" + "".join(f"- {{{subtask}}}\n" for subtask in subtasks)


FILES = {
    "g.yaml": GRAPH,
    "broken.yaml": "subtasks: [",
    "broken.json": '{"subtasks": [}',
    "list.yaml": "- a\n- b\n",
    "empty.yaml": "",
    "none.yaml": "subtasks: []",
    "cycle.yaml": graph("id: a, description: A, depends_on: [b]", "id: b, description: B, depends_on: [a]"),
    "self.yaml": graph("id: a, description: A, depends_on: [a]"),
    "stranger.yaml": graph("id: a, description: A, depends_on: [zoe]"),
    "twice.yaml": graph("id: a, description: A", "id: a, description: B"),
    "key.yaml": graph("id: a, description: A, colour: red"),
    "word.yaml": graph("id: a, description: A, estimated_tokens: many"),
    "k.yaml": graph("id: a, description: A, answer: number, k: three"),
    "coupling.yaml": graph("id: a, description: A", "id: b, description: B, depends_on: {a: tight}"),
    "answer.yaml": graph("id: a, description: A, answer: essay"),
    "choice.yaml": graph("id: a, description: A, answer: {choice: [x]}"),
    "outside.yaml": "context: [../secret.txt]\n" + GRAPH,
    "tools.yaml": graph("id: a, description: A, tools: [search]"),
    "verify.yaml": graph("id: a, description: A, verify: no-such-program --all"),
    "vote.yaml": graph("id: a, description: A, team: vote"),
    "hosted.yaml": graph("id: a, description: A, model: 'nowhere:x'"),
    "old.json": json.dumps({"plan": 99, "task": "x"}),
    "odd.json": json.dumps({"plan": 1, "task": "x", "model": None, "budget": {"euros": 1}, "choices": {}}),
    "model.json": json.dumps({"plan": 1, "task": "x", "model": 5, "budget": {}, "choices": {}}),
    "task.json": json.dumps({"plan": 1, "task": 7, "model": None, "budget": {}, "choices": {}}),
    "calls.json": json.dumps({"plan": 1, "task": "x", "model": None, "budget": {"calls": "many"}, "choices": {}}),
    "notes.txt": "not a journal",
}
RUN = "run g.yaml --model simulated"

REFUSALS: dict[str, tuple[str, list[str]]] = {
    "unknown command": ("dance", ["dance"]),
    "unknown option": ("run g.yaml --frobnicate", ["--frobnicate"]),
    "missing argument": ("run", ["FILE|TEXT|PLAN"]),
    "topology": (f"{RUN} --topology ring", ["topology", "ring", "single", "hybrid"]),
    "topology of a plan": ("plan g.yaml --topology ring", ["topology", "ring", "single", "hybrid"]),
    "team": (f"{RUN} --team crowd", ["team", "crowd", "solo", "vote"]),
    "no such team": (f"{RUN} --team swarm", ["team", "swarm", "solo", "vote", "tree"]),
    "option of another team": (f"{RUN} --team independent:rounds=2", ["team", "rounds", "agents, turns"]),
    "team too large": (f"{RUN} --team tree:fan_in=9,depth=9", ["team", "2,000 agents"]),
    "option out of range": (f"{RUN} --team decentralized:agents=1", ["team.agents", "from 2 to 64", "1"]),
    "k of 0": (f"{RUN} --k 0", ["--k", "from 1 to 1000", "'0'"]),
    "k below 0": (f"{RUN} --k -2", ["--k", "from 1 to 1000", "'-2'"]),
    "k in words": (f"{RUN} --k three", ["--k", "auto", "integer", "'three'"]),
    "k as a fraction": (f"{RUN} --k 1.5", ["--k", "auto", "integer", "'1.5'"]),
    "k beyond any vote": (f"{RUN} --k 1{'0' * 30}", ["--k", "integer"]),
    "calls of 0": (f"{RUN} --budget-calls 0", ["--budget-calls", "above 0"]),
    "calls below 0": (f"{RUN} --budget-calls -5", ["--budget-calls", "above 0", "-5"]),
    "calls in words": (f"{RUN} --budget-calls many", ["--budget-calls", "integer"]),
    "tokens as a fraction": (f"{RUN} --budget-tokens 1.5", ["--budget-tokens", "integer"]),
    "dollars of nan": (f"{RUN} --budget-usd nan", ["--budget-usd", "above 0", "nan"]),
    "dollars in words": (f"{RUN} --budget-usd five", ["--budget-usd", "number"]),
    "seconds of 0": (f"{RUN} --budget-seconds 0", ["--budget-seconds", "above 0"]),
    "budget of a resume": ("resume r --budget-calls 0", ["--budget-calls", "above 0"]),
    "dollars without a price": ("run g.yaml --model openai:gpt-x --budget-usd 1", ["budget", "usd", "openai:gpt-x"]),
    "missing file": ("run missing.yaml --model simulated", ["missing.yaml", "does not exist"]),
    "missing file of a plan": ("plan missing.json", ["missing.json", "does not exist"]),
    "a folder": ("run . --model simulated", ["folder"]),
    "broken YAML": ("run broken.yaml --model simulated", ["broken.yaml", "line", "YAML"]),
    "broken JSON": ("run broken.json --model simulated", ["broken.json", "line 1", "JSON"]),
    "a list": ("plan list.yaml", ["list.yaml", "mapping", "subtasks"]),
    "an empty file": ("plan empty.yaml", ["empty.yaml", "mapping"]),
    "no subtask": ("plan none.yaml", ["subtasks", "at least one"]),
    "a cycle": ("plan cycle.yaml", ["a", "b", "depend"]),
    "itself": ("plan self.yaml", ["a", "itself"]),
    "unknown dependency": ("plan stranger.yaml", ["depends_on", "zoe"]),
    "one id twice": ("plan twice.yaml", ["subtasks[a].id", "unique"]),
    "unknown key": ("plan key.yaml", ["colour", "description", "depends_on"]),
    "tokens in words": ("plan word.yaml", ["subtasks[a].estimated_tokens", "number", "'many'"]),
    "k of a subtask": ("plan k.yaml", ["subtasks[a].k", "integer from 1 to 1000", "'three'"]),
    "coupling": ("plan coupling.yaml", ["depends_on[a]", "weak", "strong", "'tight'"]),
    "answer type": ("plan answer.yaml", ["answer", "number", "choice", "'essay'"]),
    "a choice of one": ("plan choice.yaml", ["answer", "at least 2"]),
    "context outside": ("plan outside.yaml", ["context", "../secret.txt"]),
    "tools": ("run tools.yaml --model simulated", ["subtasks[a].tools", "search", "none was brought along"]),
    "verify": ("run verify.yaml --model simulated", ["subtasks[a].verify", "no-such-program", "not found"]),
    "vote on text": ("run vote.yaml --model simulated", ["subtasks[a].team", "text", "solo"]),
    "plan of another format": ("run old.json --model simulated", ["plan", "format 1", "choices"]),
    "plan with an unknown key": ("run odd.json --model simulated", ["plan", "euros"]),
    "plan with a number as model": ("run model.json", ["model", "5"]),
    "plan with a number as task": ("run task.json", ["task", "7"]),
    "plan with calls in words": ("run calls.json", ["budget.calls", "many"]),
    "plan into no folder": ("plan g.yaml --out nowhere/p.json", ["--out", "nowhere/p.json"]),
    "text of spaces": ("run '  ' --model simulated", ["task", "empty"]),
    "no text": ("run '' --model simulated", ["task", "empty"]),
    "unknown provider": ("run g.yaml --model nope:x", ["model", "nope:x", "openai", "simulated"]),
    "provider of a subtask": ("run hosted.yaml --model simulated", ["model", "nowhere:x", "openai"]),
    "no provider": ("run g.yaml --model gpt", ["model", "'gpt'", "PROVIDER:MODEL"]),
    "hosted without a key": ("run g.yaml --model anthropic:claude", ["anthropic", "ANTHROPIC_API_KEY"]),
    "role without a model": ("run g.yaml --model judge=", ["model", "role=provider:model", "judge="]),
    "simulated parameter": ("run g.yaml --model simulated:q=1", ["model", "q=1", "rho", "seed"]),
    "simulated range": ("run g.yaml --model simulated:p=2", ["model", "p", "[0, 1]", "2"]),
    "simulated in words": ("run g.yaml --model simulated:p=high", ["model", "p", "number", "high"]),
    "gguf without a file": ("run g.yaml --model gguf:/nowhere/x.gguf", ["/nowhere/x.gguf"]),
    "address": ("run g.yaml --model vllm:x --base-url ftp://h", ["base_url", "http", "ftp://h"]),
    "address of simulated": (f"{RUN} --base-url http://h", ["base_url", "vllm", "simulated"]),
    "run id": (f"{RUN} --run-id ../x", ["run_id", "letters, digits", "../x"]),
    "unknown run": ("resume nope", ["no", "journal"]),
    "unknown run to show": ("show nope", ["no", "journal"]),
    "runs of no journal": ("runs --journal none.db", ["journal", "none.db"]),
    "page": ("show r --page 0", ["--page", "at least 1", "0"]),
    "page size": ("show r --page-size 99999", ["--page-size", "1 to 10000"]),
    "foreign file": (f"{RUN} --journal notes.txt", ["journal", "notes.txt", "not an orchestra journal"]),
    "foreign database": (f"{RUN} --journal foreign.db", ["journal", "foreign.db", "another program"]),
    "newer journal": (f"{RUN} --journal newer.db", ["journal", "newer.db", "upgrade"]),
    "newer journal to show": ("show r --journal newer.db", ["journal", "newer.db", "upgrade"]),
    "corrupt journal": (f"{RUN} --journal corrupt.db", ["journal", "corrupt.db", "damaged"]),
    "journal below a file": (f"{RUN} --journal notes.txt/j.db", ["journal", "notes.txt/j.db"]),
    "journal below /proc": (f"{RUN} --journal /proc/nowhere/j.db", ["journal", "/proc/nowhere"]),
    "a folder as journal": (f"{RUN} --journal .", ["journal"]),
    "approval without a terminal": (f"{RUN} --approve", ["--approve", "terminal"]),
    "log level": ("--log-level loud runs", ["--log-level", "warning"]),
    "weights": ("models pull nonsense", ["nonsense", "embedded"]),
}


def journals() -> None:
    """Put a foreign, a newer and a corrupt SQLite file into the working folder."""
    for name in ("newer.db", "corrupt.db"):
        Journal(Path(name)).close()
    for name, statement in (("newer.db", "PRAGMA user_version = 99"), ("foreign.db", "CREATE TABLE theirs (x)")):
        db = sqlite3.connect(name)
        db.execute(statement)
        db.close()
    damaged = bytearray(Path("corrupt.db").read_bytes())
    damaged[100:] = b"\xff" * (len(damaged) - 100)
    Path("corrupt.db").write_bytes(damaged)


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return all below `folder`, with the time of change and the content of each file."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else (0, b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(
            *refusal,
            id=name,
        )
        for name, refusal in REFUSALS.items()
    ],
)
def test_a_refusal_is_one_sentence_and_touches_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: list[str]
) -> None:
    """Exit 2, one sentence on stderr naming field and remedy, an empty stdout, and no file changed anywhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    for name, text in FILES.items():
        Path(name).write_text(text)
    journals()
    before = everything_in(tmp_path)
    done = call(*shlex.split(line))
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("orchestra: ")
    assert done.err.count("\n") == 1
    assert [words for words in told if words not in done.err] == []
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("line", [f"{RUN} --k 0 --json", "run cycle.yaml --json", "show nope --json"])
def test_json_does_not_change_a_refusal(call: Call, line: str) -> None:
    """With --json a refusal is the same sentence on stderr, and stdout stays empty."""
    for name, text in FILES.items():
        Path(name).write_text(text)
    said, plain = call(*line.split()), call(*line.replace(" --json", "").split())
    assert (said.code, said.out, said.err) == (2, "", plain.err)


def test_no_run_of_that_name_in_a_journal_that_has_others(call: Call) -> None:
    """An unknown run is refused by name, with the command that lists those there are."""
    Path("g.yaml").write_text(GRAPH)
    assert call(*RUN.split(), "--journal", "j.db", "--run-id", "r").code == 0
    for command in ("resume", "show"):
        done = call(command, "nope", "--journal", "j.db")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "nope" in done.err
        assert "orchestra runs" in done.err


def test_reading_a_journal_leaves_its_folder_as_it_is(call: Call, tmp_path: Path) -> None:
    """`runs`, `show` and `doctor` write nothing, not even beside the journal they read."""
    Path("g.yaml").write_text(GRAPH)
    assert call(*RUN.split(), "--journal", "j.db", "--run-id", "r").code == 0
    before = sorted(os.listdir())
    for command in (["runs"], ["show", "r"], ["doctor"]):
        assert call(*command, "--journal", "j.db").code == 0
    assert sorted(os.listdir()) == before
