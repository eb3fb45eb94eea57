"""Killed with SIGKILL at any moment, a run resumes to the same answers and asks nothing twice that was answered."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.slow_server import Line, SlowServer, slow_server

Json = Any
MARGIN_S = 0.3
"""A reply sent so long before a kill must be recorded by then."""
LAYERS, IN_LAYER = 12, 5
ANSWERS: tuple[Json, ...] = ({"choice": ["alpha", "beta", "gamma"]}, "number", "text")
RUN = [sys.executable, "-c", "from orchestra.cli.main import main; main()"]


def sixty_subtasks() -> Json:
    """Return a graph of 60 subtasks in 12 layers, each but the first layer's with one to three inputs."""
    rng = random.Random(60)
    subtasks = []
    for layer in range(LAYERS):
        for place in range(IN_LAYER):
            name = f"s{layer:02}{place}"
            before = rng.sample(range(IN_LAYER), rng.randint(1, 3)) if layer else []
            labels = {f"s{layer - 1:02}{one}": rng.choice(["weak", "weak", "strong"]) for one in before}
            answer = ANSWERS[(layer + place) % len(ANSWERS)]
            subtasks.append({"id": name, "description": f"{name}: say it.", "answer": answer, "depends_on": labels})
    return {"goal": "Sixty answers", "subtasks": subtasks}


@dataclass(frozen=True, slots=True)
class Kill:
    """A moment at which the run's process was killed."""

    at: float
    """Before the signal, on the clock of the server's log."""
    gone: float
    """After the process's end; what the server hears later is the next process's."""
    recorded: Counter[str]
    """Replies that stood in the journal then, by subtask."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A graph file, a journal and a server."""

    folder: Path
    server: SlowServer
    k: int

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    def start(self, run_id: str, *, is_new: bool) -> subprocess.Popen[str]:
        """Start a process that begins the run, or goes on with it."""
        arguments = ["resume", run_id]
        if is_new:
            model = ["--model", "vllm:test", "--base-url", self.server.url, "--topology", "hybrid", "--k", str(self.k)]
            arguments = ["run", str(self.folder / "graph.json"), "--run-id", run_id, *model]
        arguments += ["--no-probe"]  # the server's requests are to be the run's votes
        command = [*RUN, *arguments, "--journal", str(self.journal), "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, run_id: str, *, is_new: bool) -> Json:
        """Let the run go to its end and return its result."""
        with self.start(run_id, is_new=is_new) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out)

    def bodies(self, kind: str, run_id: str) -> list[Json]:
        """Return the records of one kind, read beside orchestra and without writing."""
        query = "SELECT body FROM records JOIN runs USING (run) WHERE kind = ? AND name = ? ORDER BY seq"
        db = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)
        try:
            return [json.loads(body) for (body,) in db.execute(query, (kind, run_id))]
        finally:
            db.close()

    def kill_at_random(self, run_id: str, rng: random.Random, *, is_new: bool, replies: int) -> Kill:
        """Start or resume the run and kill it a random while after up to `replies` further replies were sent."""
        began = time.monotonic()
        with self.start(run_id, is_new=is_new) as process:
            self.server.wait_for(rng.randint(1, replies), "answered", of=process, since=began)
            time.sleep(rng.uniform(0, 0.1))
            at = time.monotonic()
            process.kill()
            out, err = process.communicate()
        assert process.returncode == -9, f"the run ended before it could be killed: {out}{err}"
        return Kill(at, time.monotonic(), Counter(record["node"] for record in self.bodies("sample.replied", run_id)))


def answers(result: Json) -> Json:
    """Return what must not depend on kills: the answer, and all about each subtask but its time."""
    without_time = {one: {**subtask, "seconds": 0} for one, subtask in result["subtasks"].items()}
    return {name: result[name] for name in ("status", "topology", "team", "answer")} | {"subtasks": without_time}


def check_nothing_asked_twice(kills: list[Kill], log: list[Line], samples: Counter[str]) -> None:
    """Check against the server's log that after each kill exactly the samples without a recorded reply are asked.

    Every sample is sent its own seed, so distinct seeds are distinct samples.
    """
    assert seeds_of(log) == samples
    replies = [line for line in log if line.what == "answered"]
    received = [line for line in replies if not any(line.asked < kill.gone and kill.at < line.at for kill in kills)]
    for kill in kills:
        later = [line for line in log if line.what == "asked" and line.at > kill.gone]
        assert seeds_of(later) == samples - kill.recorded
        assert not {line.seed for line in received if line.at < kill.at - MARGIN_S} & {line.seed for line in later}


def seeds_of(log: list[Line]) -> Counter[str]:
    """Return how many different samples were asked for, by subtask."""
    return Counter(subtask for subtask, _ in {(line.subtask, line.seed) for line in log})


@pytest.mark.parametrize(
    ("kills", "k", "replies", "low_s", "high_s"),
    [
        pytest.param(3, 3, 35, 0.02, 0.05, id="3 kills"),
        pytest.param(20, 5, 8, 0.06, 0.15, id="20 kills", marks=pytest.mark.nightly),
    ],
)
def test_killed_and_resumed_a_run_answers_the_same_and_repeats_nothing(
    tmp_path: Path, kills: int, k: int, replies: int, low_s: float, high_s: float
) -> None:
    """A 60-subtask run killed at random moments ends like an undisturbed one, and no recorded vote is asked again."""
    (tmp_path / "graph.json").write_text(json.dumps(sixty_subtasks()))
    rng = random.Random(7)
    with slow_server(tmp_path / "calm.log", low_s=low_s, high_s=high_s) as server:
        calm = Bench(tmp_path, server, k).finish("calm", is_new=True)
    with slow_server(tmp_path / "killed.log", low_s=low_s, high_s=high_s) as server:
        bench = Bench(tmp_path, server, k)
        killed = [bench.kill_at_random("r", rng, is_new=not place, replies=replies) for place in range(kills)]
        resumed = bench.finish("r", is_new=False)

    assert answers(resumed) == answers(calm)
    asked, replied = bench.bodies("sample.asked", "r"), bench.bodies("sample.replied", "r")
    sent = server.lines("asked")
    assert all(kill.recorded for kill in killed)
    check_nothing_asked_twice(killed, server.lines(), Counter(record["node"] for record in replied))

    usage = resumed["usage"]
    assert usage["samples"] == len(replied) == calm["usage"]["samples"] == 20 + 40 * k
    assert usage["calls"] == len(asked)
    assert usage["unknown"] == len(asked) - len(replied)
    assert usage["unknown"] >= len(sent) - len(replied) > 0
