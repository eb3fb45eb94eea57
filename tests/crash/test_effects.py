"""Killed or interrupted anywhere, a run repeats no call that was recorded, and tells of every one that it repeats."""

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

from tests.crash.effects import ACTING, Settings, perform
from tests.crash.slow_server import ROOT
from tests.crash.test_kill import answers

Json = Any


@dataclass(frozen=True, slots=True)
class Stop:
    """A moment at which the run's process was stopped."""

    recorded: set[str]
    """Keys whose observations stood in the journal then."""
    written: dict[str, int]
    """Lines that stood in each file then."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A run, its journal and the files that its tools write."""

    folder: Path
    turns: int
    sleep_s: float = 0.0

    def settings(self, **more: Any) -> Settings:
        """Return what whoever works at the run is told."""
        return Settings(folder=str(self.folder), turns=self.turns, sleep_s=self.sleep_s, **more)

    def start(self, **settings: Any) -> subprocess.Popen[str]:
        """Start a process that begins the run, or goes on with it."""
        command = [sys.executable, "-m", "tests.crash.effects", self.settings(**settings).as_argument()]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> Json:
        """Go on with the run here, to its end, and return its result."""
        result = asyncio.run(perform(self.settings()))
        return json.loads(json.dumps(result.as_dict()))

    def keys(self, name: str) -> list[str]:
        """Return the keys that a tool wrote, in order."""
        file = self.folder / name
        return file.read_text().split() if file.exists() else []

    def bodies(self, kind: str) -> list[Json]:
        """Return the records of one kind, read beside orchestra and without writing."""
        db = sqlite3.connect(f"{(self.folder / 'journal.db').as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT body FROM records WHERE kind = ? ORDER BY seq", (kind,))
            return [json.loads(body) for (body,) in rows]
        finally:
            db.close()

    def wait(self, process: subprocess.Popen[str], *, effects: int, observed: int = 0) -> None:
        """Return once a live process has brought the run to so many effects and recorded observations."""
        end = time.monotonic() + 60
        while len(self.keys("effects")) < effects or (observed and len(self.bodies("tool.observed")) < observed):
            assert process.poll() is None, f"the run ended before it could be stopped: {process.communicate()}"
            assert time.monotonic() < end, "the run did not come so far within a minute"
            time.sleep(0.002)

    def stopped(self) -> Stop:
        """Return what stands in journal and files."""
        recorded = {body["key"] for body in self.bodies("tool.observed")}
        return Stop(recorded, {name: len(self.keys(name)) for name in ("looks", "effects")})

    def kill(self, process: subprocess.Popen[str]) -> Stop:
        """Kill a live process and return what it left."""
        process.kill()
        process.communicate()
        assert process.returncode == -9
        return self.stopped()


def check_told(bench: Bench, result: Json) -> set[str]:
    """Check that every effect that happened twice is told with its key, and return the keys that did."""
    happened = Counter(bench.keys("effects"))
    repeats = {body["key"]: body["repeats"] for body in bench.bodies("tool.called") if body["effects"] == "once"}
    for key, times in happened.items():
        assert times <= 1 + repeats[key]
        assert any(key in note for note in result["notes"]) == (repeats[key] > 0)
    return {key for key, times in happened.items() if times > 1}


@pytest.mark.parametrize(
    ("kills", "turns", "sleep_s", "moment_s"),
    [
        pytest.param(3, 12, 0.03, 0.06, id="3 kills"),
        pytest.param(20, 60, 0.03, 0.04, id="20 kills", marks=pytest.mark.nightly),
    ],
)
def test_no_effect_happens_twice_without_a_word(
    tmp_path: Path, kills: int, turns: int, sleep_s: float, moment_s: float
) -> None:
    """A run killed at random moments ends like a calm one, and what was recorded is never called again."""
    rng = random.Random(5)
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    calm, bench = (Bench(tmp_path / name, turns, sleep_s) for name in ("calm", "killed"))
    expected = calm.finish()
    assert expected["notes"] == []

    stops: list[Stop] = []
    for _ in range(kills):
        with bench.start() as process:
            bench.wait(process, effects=len(bench.keys("effects")) + 1)
            time.sleep(rng.uniform(0, moment_s))
            stops.append(bench.kill(process))
    result = bench.finish()

    assert answers(result) == answers(expected)
    assert set(bench.keys("effects")) == set(calm.keys("effects"))
    assert len(calm.keys("effects")) == len(set(calm.keys("effects"))) == len(ACTING) * turns // 2
    assert set(bench.keys("looks")) == set(calm.keys("looks"))
    check_told(bench, result)
    assert all(stop.recorded for stop in stops[1:])
    for stop in stops:
        for name, lines in stop.written.items():
            assert not stop.recorded & set(bench.keys(name)[lines:])
    assert result["usage"]["samples"] == expected["usage"]["samples"]


def test_the_window_between_effect_and_record_is_told_whenever_it_was(tmp_path: Path) -> None:
    """An effect without a record happens again with the same key; the notes say so, also after further kills."""
    bench = Bench(tmp_path, turns=4)
    with bench.start(stalls="after", stalls_at=1) as process:
        bench.wait(process, effects=5, observed=8)  # one agent is stuck in its first effect, the others are through
        first = bench.kill(process)
    stuck = {key for key in bench.keys("effects") if key not in first.recorded}
    assert len(stuck) == 1
    with bench.start(stalls="after", stalls_at=2) as process:
        bench.wait(process, effects=7, observed=10)  # it is through with that one, and stuck in its second
        second = bench.kill(process)
    assert stuck <= second.recorded
    result = bench.finish()
    assert result["status"] == "ok"
    twice = check_told(bench, result)
    assert stuck < twice
    assert len(twice) == 2
    for key in twice:
        [note] = [note for note in result["notes"] if key in note]
        assert "called append" in note
        assert f"called again with the same key {key}" in note


def test_ctrl_c_in_a_call_ends_the_run_at_once(tmp_path: Path) -> None:
    """The process is back within three seconds, the run can be resumed, and what was in flight is told."""
    bench = Bench(tmp_path, turns=2)
    with bench.start(stalls="before", stalls_at=1) as process:
        bench.wait(process, effects=2, observed=4)
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        took = time.monotonic() - at
    assert process.returncode == 130, err
    assert took < 3
    assert [body["status"] for body in bench.bodies("run.ended")] == ["interrupted"]
    begun = {body["key"] for body in bench.bodies("tool.called")}
    [open_] = begun - {body["key"] for body in bench.bodies("tool.observed")}
    [told] = bench.bodies("run.ended")[0]["notes"]
    assert f"may have happened, with the key {open_}" in told
    result = bench.finish()
    assert result["status"] == "ok"
    assert Counter(bench.keys("effects")) == dict.fromkeys(bench.keys("effects"), 1)
    [note] = result["notes"]
    assert f"called again with the same key {open_}" in note
    check_told(bench, result)
