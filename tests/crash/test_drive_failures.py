"""Disks that fill up, journals that vanish or stay locked, endpoints that die: what a chain makes of them."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.fake_openai import failing
from tests.crash.drives import HANOI, Drive, Ended, ended, here, kill
from tests.crash.endpoint import Endpoint, busy, endpoint

STEPS = 2_000
SHORT = (*HANOI, "--steps", str(STEPS))
ROOM = 2**18
"""Bytes of a disk that is too small for so many steps."""


def sentence(done: Ended) -> str:
    """Return the one sentence that says what went wrong, after checking that nothing but the usual stands beside it."""
    lines = [line for line in done.err.splitlines() if line.startswith("orchestra: ")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    return lines[0]


def check_failed(drive: Drive, done: Ended, said: str) -> None:
    """Check that the process failed with a sentence and a JSON document, and that all acknowledged steps stand."""
    assert done.code == 1
    assert said in sentence(done)
    assert (done.result["status"], done.result["steps"]) == ("failed", drive.steps())
    assert done.result["reason"] in sentence(done)
    drive.check_stream()


def finish(drive: Drive, steps: int = STEPS) -> None:
    """Check that the same command goes on to the right end."""
    done = drive.finish()
    assert (done["status"], done["steps"], done["correct"]) == ("ok", steps, True)
    if drive.streams:
        drive.check_whole_stream()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or _mount(folder, f"size={ROOM}") != 0:
        pytest.skip("no small file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(folder: Path, options: str) -> int:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode


def test_a_file_that_may_not_grow_ends_the_attempt_clearly(tmp_path: Path) -> None:
    """Where the system lets the journal grow no further, one sentence says so; without the limit the run finishes."""
    drive = Drive(tmp_path, SHORT, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM)))
    with drive.start() as process:
        check_failed(drive, ended(process), "nothing recorded so far is lost")
    assert 0 < drive.steps() < STEPS
    finish(drive)


@pytest.mark.parametrize("full", ["journal", "stream"])
def test_a_full_disk_ends_the_attempt_and_loses_nothing(tmp_path: Path, small_disk: Path, full: str) -> None:
    """A really full disk under the journal or the stream file is one sentence; with room again the run finishes."""
    drive = Drive(tmp_path, SHORT)
    if full == "journal":
        drive.journal = small_disk / "journal.db"
    else:
        drive.stream = small_disk / "steps.jsonl"
    failed = drive.here()
    check_failed(drive, failed, "No space left" if full == "stream" else "disk is full")
    assert 0 < drive.steps() < STEPS
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    finish(drive)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_a_journal_that_is_taken_away_is_noticed(tmp_path: Path, is_replaced: bool) -> None:
    """Deleted or replaced under a running chain, the journal stops it soon, and what lies there now is left alone."""
    drive = Drive(tmp_path)
    with drive.start() as process:
        drive.wait_for(process, 100)
        if is_replaced:
            (tmp_path / "other").write_text("another file")
            (tmp_path / "other").replace(drive.journal)
        else:
            drive.journal.unlink()
        taken = time.monotonic()
        done = ended(process)
    assert time.monotonic() - taken < 20
    assert done.code == 1
    assert "was deleted or replaced while a run was writing to it" in sentence(done)
    assert "orchestra resume" not in done.err
    assert done.result["status"] == "failed"
    assert done.result["steps"] > 50
    assert drive.journal.exists() == is_replaced
    if is_replaced:
        assert drive.journal.read_text() == "another file"
        again = drive.here()
        assert (again.code, again.out) == (2, "")
        assert "is not an orchestra journal" in sentence(again)


def lock(drive: Drive) -> sqlite3.Connection:
    """Take the journal's lock on writing, as another program would."""
    db = sqlite3.connect(drive.journal, isolation_level=None, timeout=30)
    db.execute("BEGIN EXCLUSIVE")
    return db


def test_a_journal_that_is_locked_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """Another program's lock of two seconds delays the chain and does nothing else."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "9000"))
    with drive.start() as process:
        drive.wait_for(process, 100)
        held = lock(drive)
        known = drive.steps()
        time.sleep(2)
        assert drive.steps() == known
        held.execute("ROLLBACK")
        held.close()
        done = ended(process)
    assert (done.code, done.result["steps"], done.result["status"]) == (0, 9_000, "ok")
    drive.check_whole_stream()


@pytest.mark.nightly
def test_a_journal_that_stays_locked_ends_the_attempt(tmp_path: Path) -> None:
    """A lock that outlasts the patience of ten seconds is one sentence; when it is gone the run finishes."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "9000"))
    with drive.start() as process:
        drive.wait_for(process, 100)
        held = lock(drive)
        done = ended(process)
        check_failed(drive, done, "stayed locked by another program for 10 s")
        held.execute("ROLLBACK")
        held.close()
    finish(drive, 9_000)


def test_a_damaged_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A journal with overwritten pages is refused in one sentence, and no byte of it is changed."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "500"))
    drive.finish()
    with drive.journal.open("r+b") as file:
        file.seek(8_192)
        file.write(b"x" * 20_000)
    before = drive.journal.read_bytes()
    for arguments in (drive.arguments("--steps", "600"), ["show", "r", "--journal", str(drive.journal)]):
        done = here(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "is damaged" in sentence(done)
    assert drive.journal.read_bytes() == before


async def served(drive: Drive, server: Endpoint) -> Ended:
    """Let a drive go to its end while this process serves it."""
    drive.options = ("tests.crash.endpoint:Numbered", "--model", "vllm:test", "--base-url", server.url, "--k", "2")
    return await asyncio.to_thread(drive.end)


@pytest.mark.parametrize("away_s", [2, pytest.param(30, marks=pytest.mark.nightly)])
async def test_an_endpoint_that_comes_back_is_waited_for(tmp_path: Path, away_s: float) -> None:
    """The chain goes on by itself when its endpoint returns; requests turned away by rate limits are sent again."""
    drive = Drive(tmp_path)
    async with endpoint() as server:
        server.refuses = busy
        running = asyncio.create_task(served(drive, server))
        await server.asked_for(40)
        await server.down()
        await asyncio.sleep(away_s)
        await server.up()
        done = await running
    assert (done.code, done.result["status"], done.result["steps"]) == (0, "ok", 50)
    assert done.result["correct"]
    usage = done.result["usage"]
    assert usage["samples"] == 2 * len(server.asked) == 100
    assert usage["attempts"] > usage["calls"] >= 50
    drive.check_whole_stream()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param(401, "auth: HTTP 401: no key", id="refused"),
        pytest.param(None, "transport: no working connection", id="gone", marks=pytest.mark.nightly),
        pytest.param(503, "server: HTTP 503: no key", id="broken", marks=pytest.mark.nightly),
    ],
)
async def test_an_endpoint_that_fails_for_good_ends_the_attempt(tmp_path: Path, status: int | None, told: str) -> None:
    """The attempt fails with the endpoint's words and exit code 1; when the endpoint is back, the run finishes."""
    drive = Drive(tmp_path)
    async with endpoint() as server:
        server.refuses = lambda number: failing(status or 0, "no key") if status and number > 20 else None
        running = asyncio.create_task(served(drive, server))
        await server.asked_for(20)
        if status is None:
            await server.down()
        failed = await running
        assert (failed.code, failed.result["status"]) == (1, "failed")
        assert failed.result["reason"].startswith(told)
        assert f"--run-id r --journal {drive.journal} --base-url {server.url}" in failed.err
        assert failed.result["steps"] == drive.steps() < 50
        if status is None:
            await server.up()
        server.refuses = lambda number: None
        done = await served(drive, server)
    assert (done.code, done.result["steps"], done.result["correct"]) == (0, 50, True)
    drive.check_whole_stream()


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.nightly)])
async def test_no_sample_of_a_recorded_step_is_asked_again(tmp_path: Path, kills: int) -> None:
    """After kill -9 only the open step's samples are asked again, and those in flight are counted as unknown."""
    drive = Drive(tmp_path)
    async with endpoint() as server:
        for _ in range(kills):
            recorded = await killed(drive, server, server.requests + max(1, 40 // kills))
        before = dict(server.asked)
        done = await served(drive, server)
    assert (done.code, done.result["steps"], done.result["correct"]) == (0, 50, True)
    again = {step for (step, seed), times in server.asked.items() if times > before.get((step, seed), 0)}
    assert again == set(range(recorded, 50))
    repeated = {step for (step, _), times in server.asked.items() if times > 1}
    assert len(repeated) <= kills
    assert sum(server.asked.values()) <= 50 + kills
    assert done.result["usage"]["samples"] == 100
    assert done.result["usage"]["unknown"] == 2 * kills
    drive.check_whole_stream()


async def killed(drive: Drive, server: Endpoint, requests: int) -> int:
    """Drive until so many requests came in all, kill the process, and return how many steps are recorded."""
    drive.options = ("tests.crash.endpoint:Numbered", "--model", "vllm:test", "--base-url", server.url, "--k", "2")
    with drive.start() as process:
        await server.asked_for(requests)
        gone = await asyncio.to_thread(kill, process)
    assert gone.code == -signal.SIGKILL
    return drive.steps()


def test_a_budget_that_is_used_up_can_be_raised(tmp_path: Path) -> None:
    """A run stopped by its budget exits 3 without passing the cap, and finishes with a larger one."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "300"))
    stopped = drive.here("--budget-calls", "500")
    assert (stopped.code, stopped.result["status"]) == (3, "budget")
    assert stopped.result["usage"]["calls"] <= 500
    assert 0 < stopped.result["steps"] == drive.steps() < 300
    assert "resume with a larger budget" in stopped.result["reason"]
    assert "and a larger --budget-..." in stopped.err
    same = here("resume", "r", "--journal", str(drive.journal), "--json")
    assert (same.code, same.result["steps"]) == (3, stopped.result["steps"])
    done = drive.finish("--budget-calls", "5000")
    assert (done["status"], done["steps"]) == ("ok", 300)
    drive.check_whole_stream()


def test_an_undecided_step_stops_the_chain_and_may_be_tried_again(tmp_path: Path) -> None:
    """A vote that stays open at its cap exits 5, naming the step and the votes; a resume draws fresh samples."""
    options = ("hanoi:disks=6", "--model", "simulated:p=0.6,seed=3", "--k", "3", "--max-votes", "4")
    drive = Drive(tmp_path, options)
    first = drive.here()
    assert (first.code, first.result["status"], first.result["undecided"]) == (5, "undecided", 1)
    assert first.result["reason"].startswith(f"step {first.result['steps']} is undecided: no answer was")
    again = drive.here()
    assert again.result["steps"] >= first.result["steps"]
    assert again.result["usage"]["samples"] > first.result["usage"]["samples"]
    drive.check_whole_stream()


def test_a_torn_or_shortened_stream_file_is_completed(tmp_path: Path) -> None:
    """A torn last line is cut off, missing lines come from the journal, and a lost file is written anew."""
    drive = Drive(tmp_path, (*HANOI, "--steps", "200"))
    assert drive.here("--budget-calls", "400").code == 3
    lines = drive.stream.read_bytes().splitlines(keepends=True)
    for budget, kept in ((500, b"".join(lines[:50]) + lines[50][:17]), (600, lines[0][:-1]), (700, None)):
        drive.stream.unlink()
        if kept is not None:
            drive.stream.write_bytes(kept)
        assert drive.here("--budget-calls", str(budget)).code == 3
        assert drive.stream.read_bytes().startswith(b"".join(lines))
    drive.finish("--budget-calls", "5000")
    drive.check_whole_stream()


def test_a_stream_file_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Lines of another run, a user's own text with or without a line break, and a pipe are refused."""
    other = Drive(tmp_path, ("hanoi:disks=20", "--model", "simulated:p=0.8,seed=2", "--k", "4", "--steps", "20"))
    other.finish()
    lines = other.stream.read_bytes().splitlines(keepends=True)
    (tmp_path / "mine").mkdir()
    drive = Drive(tmp_path / "mine", SHORT)
    drive.here("--budget-calls", "400")
    kept = drive.stream.read_bytes().splitlines(keepends=True)
    for text in (b"".join(lines), b"dear text\n", b"dear text", kept[0] + b"dear text", kept[0] + kept[2]):
        drive.stream.write_bytes(text)
        refused = drive.here("--budget-calls", "500")
        assert (refused.code, refused.out) == (2, "")
        assert "name a new file" in sentence(refused)
        assert drive.stream.read_bytes() == text
    drive.stream.unlink()
    os.mkfifo(drive.stream)
    assert "is no regular file" in sentence(drive.here())


def test_gc_removes_runs_and_gives_their_space_back(tmp_path: Path) -> None:
    """A finished chain is removed with its steps, the file shrinks, and the other run is as it was."""
    drive = Drive(tmp_path, SHORT, streams=False)
    drive.finish()
    kept = here("drive", *HANOI, "--steps", "50", "--journal", str(drive.journal), "--run-id", "kept", "--json")
    size = drive.journal.stat().st_size
    done = here("gc", "r", "--journal", str(drive.journal), "--json")
    assert (done.code, done.result["runs"], done.result["bytes_after"]) == (0, ["r"], drive.journal.stat().st_size)
    assert drive.journal.stat().st_size < size / 5
    assert drive.steps() == 50
    again = here("resume", "kept", "--journal", str(drive.journal), "--json")
    assert again.result == kept.result
    assert "no run 'r'" in sentence(here("show", "r", "--journal", str(drive.journal)))
