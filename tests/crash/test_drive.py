"""A chain killed at any moment goes on where its journal ends: nothing acknowledged is lost, nothing decided twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

import orchestra
from orchestra import DriveResult
from tests.chains.walk import Ledgered
from tests.crash.drives import HANOI, ROOT, Drive, Json, comparable, ended, here, kill, wait_until

EFFECTS = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.crash.test_drive import with_effects

os._exit = lambda code: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(with_effects(Path(sys.argv[1]), int(sys.argv[2]), dies=sys.argv[3]))
"""


async def with_effects(folder: Path, length: int, *, dies: str | None = None) -> DriveResult:
    """Drive a walk whose steps have effects; the process dies in the effect whose key is `dies`."""
    walk = Ledgered(folder / "ledger", length)
    walk.die_at = dies
    return await orchestra.drive(walk, model="simulated:p=1", k=1, journal=folder / "j.db", run_id="w")


def show(drive: Drive) -> Json:
    """Return what `orchestra show` says of the run."""
    said = here("show", "r", "--journal", str(drive.journal), "--json", "--page-size", "1")
    assert said.code == 0, said.err
    return said.result


def kill_somewhere(drive: Drive, rng: random.Random, lines: int) -> bool:
    """Start or resume the run and kill it at a random moment; False where it ended before."""
    with drive.start() as process:
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0, 0.8))  # a moment of the start, too, though nothing tells which
        else:
            drive.wait_for(process, rng.randint(1, lines))
            time.sleep(rng.uniform(0, 0.02))
        return kill(process).code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("steps", "kills", "lines"),
    [
        pytest.param(12_000, 4, 1_200, id="4 kills"),
        pytest.param(200_000, 30, 10_000, id="30 kills", marks=pytest.mark.nightly),
    ],
)
def test_killed_at_random_moments_a_chain_ends_as_if_nothing_had_happened(
    tmp_path: Path, steps: int, kills: int, lines: int
) -> None:
    """Steps never get fewer or change, the stream file stays gap-free, and one attempt alone decides each step."""
    (tmp_path / "calm").mkdir()
    options = (*HANOI, "--steps", str(steps))
    calm, drive = Drive(tmp_path / "calm", options), Drive(tmp_path, options)
    undisturbed = calm.finish()
    rng, known, seen = random.Random(steps), 0, list[str]()
    killed = 0
    for place in range(kills):
        killed += kill_somewhere(drive, rng, lines)
        if place % 2:  # else the next attempt itself finds what the kill left
            said = show(drive) if drive.steps() else {"steps": 0}
            assert said["steps"] == drive.steps()
        drive.check_stream()
        assert drive.steps() >= known
        assert drive.bodies(0, known) == seen
        seen += drive.bodies(known)
        known = len(seen)
    last = drive.here()
    result = last.result
    assert last.code == 0
    assert killed >= kills - 1
    assert f"going on at step {known:,}" in last.err or known in (0, steps)
    assert comparable(result) == comparable(undisturbed)
    assert drive.bodies() == calm.bodies()
    drive.check_whole_stream()
    left = (steps - known) / steps
    assert result["seconds"] < 4 * left * undisturbed["seconds"] + 2  # of the last attempt: killed ones are not told


@pytest.mark.parametrize(
    ("length", "die_at"),
    [
        pytest.param(4, [0, 3], id="4 steps"),
        pytest.param(4_003, [3_999, 4_000, 4_002], id="snapshot", marks=pytest.mark.nightly),
    ],
)
async def test_an_effect_cut_short_is_repeated_once_with_its_key(
    tmp_path: Path, length: int, die_at: list[int]
) -> None:
    """Killed between an effect and its record, the chain repeats it with the same key, and never again afterwards."""
    for step in die_at:
        arguments = ["-c", EFFECTS, str(tmp_path), str(length), f"w/{step}"]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
        assert await process.wait() == -signal.SIGKILL
    expected = [f"w/{step}" for step in range(length) for _ in range(1 + (step in die_at))]
    for _ in range(2):
        result = await with_effects(tmp_path, length)
        assert [line.split()[0] for line in (tmp_path / "ledger").read_text().splitlines()] == expected
        assert (result.status, result.steps, result.final[2]) == ("ok", length, len(expected))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_between_steps(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """SIGINT and SIGTERM end the attempt with one JSON document and the hint how to go on; the run then finishes."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "9000"))
    with drive.start() as process:
        drive.wait_for(process, 100)
        os.kill(process.pid, number)
        stopped = ended(process)
    assert stopped.code == code
    result = stopped.result
    assert (result["status"], result["steps"]) == ("interrupted", drive.steps())
    assert "orchestra resume r --journal" in stopped.err
    drive.check_whole_stream()
    if number == signal.SIGINT:
        done = drive.finish()
        assert (done["status"], done["steps"], done["final"]["moves"]) == ("ok", 9_000, 9_000)
        drive.check_whole_stream()


def test_a_run_has_one_owner(tmp_path: Path) -> None:
    """A second drive, a resume and a gc of a live run are refused by the owner's process id, and do not disturb it."""
    drive = Drive(tmp_path)
    with drive.start() as process:
        drive.wait_for(process, 100)
        journal = ["--journal", str(drive.journal)]
        for arguments in (drive.arguments(), ["resume", "r", *journal], ["gc", "r", *journal]):
            refused = here(*arguments)
            assert (refused.code, refused.out) == (2, "")
            assert f"run 'r' is being worked on by process {process.pid}" in refused.err
        assert show(drive)["status"] == "running"
        known = drive.steps()
        wait_until(lambda: drive.steps() > known + 50, process)
        kill(process)
    assert show(drive)["status"] == "interrupted"
    drive.check_stream()


@pytest.mark.parametrize(
    ("steps", "kills"), [(600, 1), pytest.param(20_000, 10, marks=pytest.mark.nightly)], ids=["1 kill", "10 kills"]
)
def test_power_durability_loses_nothing_acknowledged_either(tmp_path: Path, steps: int, kills: int) -> None:
    """Steps committed in groups off the event loop are told only after their commit: a kill finds all of them."""
    drive = Drive(tmp_path, (*HANOI, "--steps", str(steps), "--durability", "power"))
    rng = random.Random(3)
    for _ in range(kills):
        with drive.start() as process:
            drive.wait_for(process, rng.randint(1, steps // (2 * kills)))
            kill(process)
        drive.check_stream()
    assert drive.finish()["steps"] == steps
    drive.check_whole_stream()
