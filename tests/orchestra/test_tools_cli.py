"""Tools, servers of tools and role cards on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestra.conftest import Call

Json = Any
SERVER = Path(__file__).parents[1] / "agents" / "mcp_server.py"
MODULE = '''
from orchestra_agents.tools import tool

@tool(effects="once")
async def ping(host: str, *, key: str) -> str:
    """Ping a host."""
    with open("pinged.txt", "a") as file:
        file.write(f"{key}\\n")
    return f"pong {host}"
'''


def graph(*tools: str, **said: Json) -> str:
    """Return a graph of eight subtasks: a simulated agent says at once that it is done in about half of them."""
    one = {"tools": list(tools), **said}
    return json.dumps({"subtasks": [one | {"id": name, "description": name} for name in "abcdefgh"]})


def observed(call: Call) -> list[tuple[str, str]]:
    """Return the tools that were called by the run r, with what came of it."""
    decisions = call("show", "r", "--journal", "j.db", "--json").document["decisions"]
    return [(one["tool"], one["status"]) for one in decisions if one["kind"] == "tool.observed"]


@pytest.fixture
def work(home: Path) -> Path:
    """A folder with a graph and a module of tools."""
    folder = Path.cwd()
    (folder / "pings.py").write_text(MODULE)
    (folder / "graph.json").write_text(graph("ping"))
    return folder


RUN = ("run", "graph.json", "--run-id", "r", "--journal", "j.db", "--json", "--team", "solo:turns=3")
SEEDED = ("--model", "simulated:seed=5")


def test_an_effect_is_refused_unless_it_is_allowed(call: Call, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --allow-effects a call of a `once` tool is refused as an observation; with it the call is made."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(work)])
    assert call(*RUN, *SEEDED, "--tools", "pings:ping").code == 0
    assert {status for _, status in observed(call)} == {"refused"}
    assert not (work / "pinged.txt").exists()
    Path("j.db").unlink()
    assert call(*RUN, *SEEDED, "--tools", "pings:ping", "--allow-effects").code == 0
    calls = [status for _, status in observed(call)]
    assert set(calls) == {"ok"}
    assert len((work / "pinged.txt").read_text().splitlines()) == len(calls)


def test_a_server_brings_its_tools(call: Call, work: Path) -> None:
    """--mcp starts a server for the length of the run; --effects says what its tools change."""
    server = f"{sys.executable} {SERVER}"
    (work / "graph.json").write_text(graph("echo"))
    done = call(*RUN, *SEEDED, "--mcp", server, "--effects", "*=none")
    assert done.code == 0, done.err
    assert {tool for tool, _ in observed(call)} == {"echo"}
    wrong = call(*RUN, *SEEDED, "--mcp", server, "--effects", "nothing=none")
    assert (wrong.code, wrong.out) == (2, "")
    assert "no tool called 'nothing'" in wrong.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "subtasks[a].tools: no tool is called 'ping'"),
        (("--tools", "pings"), "tools: must be module.path:name"),
        (("--tools", "pings:nothing"), "tools: pings:nothing cannot be made"),
        (("--tools", "json:dumps"), "tools: json:dumps is no tool"),
        (("--tools", "pings:ping", "--effects", "ping=none"), "--effects: says what tools of MCP servers change"),
        (("--mcp", "no-such-program"), "no-such-program"),
        (("--mcp", "true", "--effects", "ping"), "--effects: must be NAME=none"),
        (("--roles", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_brought_is_one_sentence(
    call: Call, work: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    """Exit status 2, one sentence, nothing written."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(work)])
    done = call(*RUN, *SEEDED, *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("j.db").exists()


def test_role_cards_of_a_folder_stand_in_the_manifest(call: Call, work: Path) -> None:
    """Only cards that do not ship are kept, and a run is not resumed under others."""
    (work / "graph.json").write_text(graph(role="critic"))
    (work / "roles").mkdir()
    (work / "roles" / "critic.yaml").write_text("words: Name one fault.\n")
    assert call(*RUN, *SEEDED, "--roles", "roles").code == 0
    assert call("show", "r", "--journal", "j.db", "--json").document["manifest"]["roles"].keys() == {"critic"}
    (work / "roles" / "critic.yaml").write_text("words: Name two faults.\n")
    changed = call(*RUN, *SEEDED, "--roles", "roles")
    assert changed.code == 2
    assert "words" in changed.err
