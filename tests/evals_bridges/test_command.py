"""`inspect eval` from the command line, with our solver found by its name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import list_eval_logs, read_eval_log

ENTRY_POINTS = "[inspect_ai]\norchestra_evals = orchestra_evals.inspect_bridge.registry\n"
TASK = """
import tiktoken  # the mock model counts tokens with it, and it would download its table


class Words:
    def encode(self, text, **options):
        return text.split()


tiktoken.get_encoding = lambda name: Words()

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes


@task
def tiny():
    return Task(dataset=[Sample(input=f"Question {n}?", target="Default") for n in range(3)], scorer=includes())
"""


def test_inspect_eval_finds_the_solver(tmp_path: Path) -> None:
    """`inspect eval FILE --solver orchestra_evals/orchestra -S ... --model mockllm/model` ends with a log."""
    installed = tmp_path / "installed" / "bridge-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: bridge\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "tiny.py").write_text(TASK)
    python = [str(tmp_path / "installed"), *(place for place in sys.path if place)]
    options = ["--solver", "orchestra_evals/orchestra", "-S", "choices={max_tokens: 64, seed: 5}", "-S", "k=2"]
    ran = subprocess.run(
        [sys.executable, "-m", "inspect_ai", "eval", "tiny.py", *options]
        + ["--model", "mockllm/model", "--log-dir", "logs", "--display", "plain", "--max-samples", "3"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(python), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [found] = list_eval_logs(str(tmp_path / "logs"))
    log = read_eval_log(found)
    assert log.status == "success", ran.stdout
    assert log.eval.solver == "orchestra_evals/orchestra"
    assert log.eval.solver_args_passed == {"choices": {"max_tokens": 64, "seed": 5}, "k": 2}
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1
    assert log.samples is not None
    assert [sample.metadata["orchestra"]["max_tokens"] for sample in log.samples] == [64] * 3
