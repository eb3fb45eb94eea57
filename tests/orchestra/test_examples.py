"""The examples run as they stand, and are short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
