"""Each topology, killed or cancelled at any moment: resumed to the same result, nothing recorded asked twice."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.models.contract import Sampling
from tests.crash.slow_server import SlowServer, slow_server
from tests.crash.test_kill import RUN, answers

Json = Any
WAYS = ("single", "sequential", "parallel", "hierarchical", "hybrid", "auto")
"""The topologies; `auto` routes a graph again and again, because its answers contradict each other."""
ANSWERS: tuple[Json, ...] = ({"choice": ["alpha", "beta", "gamma"]}, "number", "text")
SEED = 5


def graph(way: str) -> Json:
    """Return nine subtasks in three layers, and three that answer one question without ever agreeing.

    One agent gets a graph whose whole answer is a choice, so that there are votes to be stopped between.
    """
    subtasks: list[Json] = []
    for place in range(9):
        before = {f"s{one}": "strong" for one in range(place - 3, place) if 0 <= one // 3 < place // 3}
        one = {"id": f"s{place}", "description": f"s{place}: say it.", "depends_on": before}
        subtasks.append(one | {"answer": ANSWERS[place % len(ANSWERS)]})
    if way == "single":
        subtasks.append(
            {"id": "s9", "description": "s9: say it.", "answer": ANSWERS[0], "depends_on": ["s6", "s7", "s8"]}
        )
        return {"goal": "Ten answers", "subtasks": subtasks}
    choices = [f"verdict {number}" for number in range(97)]
    for name in ("r0", "r1", "r2"):
        one = {"id": name, "description": f"{name}: say it.", "answers": "verdict"}
        subtasks.append(one | {"answer": {"choice": choices}})
    return {"goal": "Twelve answers", "subtasks": subtasks}


@dataclass(frozen=True, slots=True)
class Bench:
    """A graph, a journal and a server."""

    folder: Path
    server: SlowServer
    way: str
    margin: int
    team: str = "auto"

    @property
    def k(self) -> str:
        """The margin: one agent alone has nothing but its votes to be stopped between."""
        return "25" if self.way == "single" else str(self.margin)

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    def start(self, run_id: str, *, is_new: bool) -> subprocess.Popen[str]:
        """Start a process that begins the run, or goes on with it."""
        arguments = ["resume", run_id]
        if is_new:
            model = ["--model", "vllm:test", "--base-url", self.server.url, "--k", self.k, "--seed", str(SEED)]
            ways = ["--topology", self.way, "--team", self.team]
            arguments = ["run", str(self.folder / "graph.json"), "--run-id", run_id, *ways, *model]
        command = [*RUN, *arguments, "--no-probe", "--journal", str(self.journal), "--json"]  # probes are no samples
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, run_id: str, *, is_new: bool) -> Json:
        """Let the run go to its end and return its result."""
        with self.start(run_id, is_new=is_new) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out)

    def recorded(self, run_id: str) -> set[int]:
        """Return the seeds of all samples whose replies stand in the journal; each sample has a seed of its own."""
        query = "SELECT body FROM records JOIN runs USING (run) WHERE kind = 'sample.replied' AND name = ?"
        db = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)
        try:
            bodies = [json.loads(body) for (body,) in db.execute(query, (run_id,))]
        finally:
            db.close()
        return {_seed(body) for body in bodies}


def _seed(body: Json) -> int:
    """Return the seed that a recorded sample was sent: of the run's seed, who asked what, and its index."""
    asker = "<lead>" if body["node"].startswith("<lead") else re.sub(r" repair \d+>$", ">", body["node"])
    seed = Sampling(seed=SEED).seed_of(f"{asker}|{body['input']}", body["index"])
    assert seed is not None
    return seed


@dataclass(frozen=True, slots=True)
class Stop:
    """A moment at which the run's process was stopped."""

    gone: float
    """After its end, on the clock of the server's log."""
    recorded: set[int]
    took_s: float
    """From the signal to its end."""


def stop_at_random(
    bench: Bench, rng: random.Random, number: signal.Signals, replies: int, *, is_new: bool
) -> Stop | None:
    """Begin the run or go on, send a signal a random while after some replies; None where it ended before."""
    began = time.monotonic()
    with bench.start("r", is_new=is_new) as process:
        try:
            bench.server.wait_for(rng.randint(1, replies), "answered", of=process, since=began)
        except AssertionError:
            assert process.wait(60) == 0
            return None
        time.sleep(rng.uniform(0, 0.08))
        at = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        gone = time.monotonic()
    if process.returncode == 0:
        return None
    if number is signal.SIGINT:
        assert process.returncode == 130, err
        assert json.loads(out)["status"] == "interrupted"
        assert "orchestra resume r" in err
    else:
        assert process.returncode == -number, err
    return Stop(gone, bench.recorded("r"), gone - at)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("number", "stops", "limit_s"),
    [
        pytest.param(signal.SIGKILL, 2, 30.0, id="killed"),
        pytest.param(signal.SIGINT, 1, 3.0, id="cancelled"),
        pytest.param(signal.SIGKILL, 10, 30.0, id="killed 10 times", marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, 10, 1.0, id="cancelled 10 times", marks=pytest.mark.nightly),
    ],
)
def test_a_topology_stopped_anywhere_ends_the_same_and_asks_nothing_twice(
    tmp_path: Path, way: str, number: signal.Signals, stops: int, limit_s: float
) -> None:
    """Stopped and resumed at random moments, a run ends like a calm one; a cancelled one is back within its limit."""
    (tmp_path / "graph.json").write_text(json.dumps(graph(way)))
    rng = random.Random(f"{way}{number}{stops}")
    margin = 2 if stops < 10 else 8
    slow = 2.0 if way == "single" else 0.04 if stops < 10 else 0.3
    replies = 2 if stops == 10 or way == "single" else 4
    with slow_server(tmp_path / "calm.log", low_s=0, high_s=0.01) as server:
        calm = Bench(tmp_path, server, way, margin).finish("calm", is_new=True)
    with slow_server(tmp_path / "stopped.log", low_s=slow / 4, high_s=slow) as server:
        bench = Bench(tmp_path, server, way, margin)
        found = []
        for place in range(stops):
            stopped = stop_at_random(bench, rng, number, replies, is_new=not place)
            if stopped is None:
                break
            found.append(stopped)
        resumed = bench.finish("r", is_new=False)
        asked = server.lines("asked")
    assert len(found) == stops, "the run ended before it could be stopped so often"
    assert answers(resumed) == answers(calm)
    assert (resumed["reroutes"], resumed["synthesis"]) == (calm["reroutes"], calm["synthesis"])
    assert calm["reroutes"] == (5 if way == "auto" else 0)
    for stopped in found:
        assert stopped.recorded & {line.seed for line in asked if line.at > stopped.gone} == set()
        assert stopped.took_s <= limit_s


def test_ctrl_c_takes_a_running_check_with_it(tmp_path: Path) -> None:
    """A check in flight is killed with all its processes, and the run is back at once and resumable."""
    marker = "31.4159"
    subtask = {"id": "a", "description": "a: say it.", "verify": f"sh -c 'sleep {marker} & sleep {marker}; false'"}
    (tmp_path / "graph.json").write_text(json.dumps({"subtasks": [subtask]}))
    with slow_server(tmp_path / "log") as server:
        bench = Bench(tmp_path, server, "single", 2)
        with bench.start("r", is_new=True) as process:
            end = time.monotonic() + 30
            while len(_sleeping(marker)) < 2:
                assert time.monotonic() < end, "the check never began"
                time.sleep(0.02)
            at = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            took = time.monotonic() - at
    assert (process.returncode, json.loads(out)["status"]) == (130, "interrupted"), err
    assert took <= 3.0
    assert _sleeping(marker) == []


def _sleeping(marker: str) -> list[str]:
    """Return the processes that sleep for so long."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", marker.encode()]:
            found.append(folder.name)
    return found
