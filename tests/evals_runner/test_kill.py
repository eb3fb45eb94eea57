"""Killed with SIGKILL at any moment, an evaluation goes on to the same table and asks no finished sample again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestra_evals.runner.evaluating import evaluate
from orchestra_evals.runner.selection import Selection
from tests.evals_runner.samples import kept, rows_in, wired

Json = Any
RUN = [sys.executable, "-c", "from orchestra.cli.main import main; main()", "eval", "run"]
TABLE = ("n", "score", "interval", "statuses", "outcomes", "by_difficulty", "graphs")
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Bench:
    """An evaluation in a folder, in processes of its own."""

    folder: Path
    arguments: tuple[str, ...]

    def start(self) -> subprocess.Popen[str]:
        """Start a process that begins the evaluation, or goes on with it."""
        self.folder.mkdir(exist_ok=True)
        where = ["--journal", str(self.folder / "journal.db"), "--out", str(self.folder / "rows.jsonl"), "--json"]
        command = [*RUN, *self.arguments, *where]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, *codes: int) -> Json:
        """Let the evaluation go to its end and return what it says."""
        with self.start() as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode in (codes or (0,)), err
        return json.loads(out)

    def count(self, kind: str) -> Counter[str]:
        """Return how many records of one kind there are, by run, read beside orchestra and without writing."""
        query = "SELECT name FROM records JOIN runs USING (run) WHERE kind = ?"
        path = self.folder / "journal.db"
        if not path.exists():
            return Counter()
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return Counter(name for (name,) in db.execute(query, (kind,)))
        except sqlite3.OperationalError:  # the file is just being made
            return Counter()
        finally:
            db.close()

    def kill_after(self, replies: int, rng: random.Random) -> Counter[str]:
        """Go on, be killed a moment after so many further replies, and return what finished runs had asked."""
        wanted = self.count("sample.replied").total() + replies
        began = time.monotonic()
        with self.start() as process:
            while self.count("sample.replied").total() < wanted:
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() - began < PATIENCE_S
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.04))
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        ended, asked = self.count("run.ended"), self.count("sample.asked")
        return Counter({run: asked[run] for run in ended})


SYSTEMS = {
    "graphs": ("hybrid", "vote"),
    "one agent": ("single", "solo"),
    "debate": ("single", "decentralized:rounds=2"),
}


def undisturbed(folder: Path, suite: str, model: str, system: tuple[str, str], limit: int) -> Json:
    """Return what an evaluation comes to that nobody kills."""
    selection, systems = Selection(limit=limit), [wired(*system)]
    more: Json = {"models": [model], "selection": selection, "keeping": kept(folder)}
    return asyncio.run(evaluate(suite, systems=systems, **more)).cells[0].as_dict()


@pytest.mark.parametrize(
    ("suite", "system", "kills", "limit"),
    [
        pytest.param("addition", "graphs", 2, 6, id="graphs, 2 kills"),
        pytest.param("addition", "graphs", 10, 30, id="graphs, 10 kills", marks=pytest.mark.nightly),
        pytest.param("lookup", "one agent", 10, 20, id="environment, 10 kills", marks=pytest.mark.nightly),
        pytest.param("3sat", "debate", 10, 40, id="debate, 10 kills", marks=pytest.mark.nightly),
    ],
)
def test_killed_and_resumed_an_evaluation_ends_with_the_same_table(
    tmp_path: Path, suite: str, system: str, kills: int, limit: int
) -> None:
    """An evaluation killed at random moments ends like an undisturbed one, under its cap and without asking twice."""
    rng = random.Random(kills)
    model = "simulated:p=0.8,seed=4,latency_ms=15"
    calm = undisturbed(tmp_path / "calm", suite, model, SYSTEMS[system], limit)
    calls = calm["usage"]["calls"]
    topology, team = SYSTEMS[system]
    arguments = (suite, "--model", model, "--topology", topology, "--team", team, "--limit", str(limit))
    bench = Bench(tmp_path / "killed", (*arguments, "--budget-calls", str(calls + 8 * kills)))
    most = max(1, int(0.7 * calls / kills))
    finished = [bench.kill_after(rng.randint(most // 2, most), rng) for _ in range(kills)]
    resumed = bench.finish()

    assert {name: resumed[name] for name in TABLE} == {name: calm[name] for name in TABLE}
    asked = bench.count("sample.asked")
    assert all(asked[run] == before[run] for before in finished for run in before)
    assert any(finished)
    assert resumed["spent"]["calls"] <= resumed["cap"]["calls"]
    assert resumed["usage"]["samples"] == calm["usage"]["samples"]
    assert resumed["usage"]["calls"] == asked.total() == calls + resumed["usage"]["unknown"]
    rows = rows_in(tmp_path / "killed")
    assert len({row.run_id for row in rows}) == len(rows) == limit
    assert {row.run_id: (row.score, row.output) for row in rows} == {
        row.run_id: (row.score, row.output) for row in rows_in(tmp_path / "calm")
    }


@pytest.mark.nightly
@pytest.mark.parametrize("system", ["wiring", "selfconsistency"])
def test_a_cap_that_binds_holds_over_kills(tmp_path: Path, system: str) -> None:
    """What calls in flight at a kill may have taken counts against the cap, so that no number of kills passes it."""
    rng = random.Random(5)
    model = "simulated:p=0.8,seed=4,latency_ms=15"
    team = ("--topology", "hybrid", "--team", "vote") if system == "wiring" else ("--system", system)
    cap = 600
    bench = Bench(tmp_path / "b", ("addition", "--model", model, *team, "--limit", "30", "--budget-calls", str(cap)))
    for _ in range(10):
        bench.kill_after(rng.randint(3, 10), rng)
    found = bench.finish(0, 3)
    assert found["spent"]["calls"] <= cap
    assert found["statuses"]["ok"] + found["statuses"]["budget"] == 30
    assert bench.count("sample.asked").total() <= cap


def test_a_signal_ends_an_evaluation_that_can_be_gone_on_with(tmp_path: Path) -> None:
    """Ctrl-C prints what there is, says how to go on, and exits 130; the same command then asks only the rest."""
    arguments = ("addition", "--model", "simulated:p=0.8,latency_ms=60", "--topology", "single", "--limit", "60")
    bench = Bench(tmp_path / "b", arguments)
    with bench.start() as process:
        while not bench.count("run.ended"):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    told = json.loads(out)
    assert 0 < told["statuses"]["ok"] < 60
    assert told["statuses"]["ok"] + told["statuses"]["missing"] == 60
    assert "go on with: orchestra eval run addition" in err
    assert bench.finish()["statuses"]["ok"] == 60
