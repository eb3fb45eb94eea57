"""The examples run as they stand, and are short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import orchestra
from orchestra_agents.journal.replay import RunState
from orchestra_topologies.router import Topology

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs_and_stays_under_60_lines(example: Path, tmp_path: Path) -> None:
    """Each example program ends well without arguments, network or key."""
    assert len(example.read_text(encoding="utf-8").splitlines()) < 60
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, example], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


@pytest.mark.embedded
def test_the_shipped_graph_is_answered_by_the_real_model(tmp_path: Path) -> None:
    """`run examples/reviews.yaml --model embedded` samples the model, votes on closed answers and says it was real."""
    code = "from orchestra.cli.main import main; main()"
    line = ["run", str(EXAMPLES / "reviews.yaml"), "--model", "embedded", "--topology", "hybrid", "--json"]
    command = [sys.executable, "-c", code, *line, "--journal", str(tmp_path / "j.db")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if "needs the" in ran.stderr or "are not here" in ran.stderr:
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["status"], result["evidence"]) == ("ok", "real")
    assert result["usage"]["estimated"] is False
    assert min(result["usage"]["input_tokens"], result["usage"]["output_tokens"]) > 0
    assert result["usage"]["samples"] >= 25
    voted = [one for one, subtask in result["subtasks"].items() if subtask["voted"]]
    assert len(voted) == 8
    assert result["subtasks"]["nights_b"]["answer"] == 7


SHOWN = ("single", "sequential", "parallel", "hierarchical", "hybrid")


@pytest.mark.parametrize("topology", SHOWN)
def test_an_example_of_each_topology_is_routed_to_it_by_itself(topology: Topology) -> None:
    """No option is needed: the shape of the graph decides."""
    graph = orchestra.TaskGraph.load(EXAMPLES / "topologies" / f"{topology}.yaml")
    assert orchestra.plan(graph).design.topology == topology


@pytest.mark.embedded
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("sequential", "hierarchical") else pytest.mark.nightly)
        for name in (*SHOWN, "disputed")
    ],
)
def test_the_real_model_ends_an_example_of_each_topology(tmp_path: Path, name: str) -> None:
    """It ends ok and shows graph, reason and outcome; the disputed one is arbitrated and reconciled."""
    code = "from orchestra.cli.main import main; main()"
    line = ["run", str(EXAMPLES / "topologies" / f"{name}.yaml"), "--model", "embedded"]
    command = [sys.executable, "-c", code, *line, "--journal", str(tmp_path / "j.db")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if "needs the" in ran.stderr or "are not here" in ran.stderr:
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr
    graph = orchestra.TaskGraph.load(EXAMPLES / "topologies" / f"{name}.yaml")
    with orchestra.Journal(tmp_path / "j.db", "read") as journal:
        [run_id] = journal.run_ids()
        state = RunState.of(journal.entries(run_id))
    assert all(one in ran.stderr and one in ran.stdout for one in graph.order)
    reason = orchestra.plan(graph).design.reason
    assert " ".join(reason.split()) in " ".join(ran.stderr.split())
    assert "answered by a real model" in " ".join(ran.stdout.split())
    assert len(state.passes) == (6 if name == "disputed" else 1)
