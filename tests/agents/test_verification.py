"""Checks of answers: what a program or a function says, and that nothing of it outlives its time."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.errors import InputError
from orchestra_agents.verification import (
    Verdict,
    Verify,
    VerifyLimits,
    check_runnable,
    named,
    parse_command,
    verify,
)

QUICK = VerifyLimits(seconds=0.4, output_bytes=2000)


@pytest.mark.parametrize(
    ("command", "answer", "verdict"),
    [
        ("true", "x", Verdict(True, "exit status 0")),
        ("false", "x", Verdict(False, "exit status 1")),
        ("grep -qx fine", "fine", Verdict(True, "exit status 0")),
        ("cat", {"b": 1, "a": [2]}, Verdict(True, 'exit status 0: {"a":[2],"b":1}')),
        ("head -c 3 {file}", "abcdef", Verdict(True, "exit status 0: abc")),
        ("sh -c 'echo first; echo last >&2; exit 3'", "x", Verdict(False, "exit status 3: last")),
        ("sh -c 'kill -9 $$'", "x", Verdict(False, "killed by signal 9")),
        ("echo a ; false $(false) | cat", "x", Verdict(True, "exit status 0: a ; false $(false) | cat")),
        ("/nonexistent/program", "x", Verdict(False, "cannot be started: No such file or directory")),
    ],
)
async def test_the_exit_status_decides(command: str, answer: Any, verdict: Verdict) -> None:
    """The answer comes on standard input or as a file, JSON unless it is text; no shell looks at the command."""
    assert await verify(command, answer) == verdict


async def test_a_program_need_not_read_its_input() -> None:
    """A large answer that nobody reads blocks nothing."""
    assert (await verify("true", "x" * 5_000_000)).passed


@pytest.mark.parametrize(
    ("command", "told"), [("sleep 60", "not done within 0.4 s"), ("yes", "wrote more than 2,000 bytes")]
)
async def test_time_and_output_are_capped(command: str, told: str) -> None:
    """What hangs or floods does not pass."""
    assert await verify(command, "x", limits=QUICK) == Verdict(False, told)


async def test_what_a_program_leaves_behind_is_killed_with_it() -> None:
    """Its whole process group goes, whether it ended, was too slow, or is cancelled; nothing waits for leftovers."""
    began = time.monotonic()
    assert (await verify("sh -c 'sleep 27.1828 & exit 0'", "x")).passed
    await verify("sh -c 'sleep 27.1828 & sleep 27.1828'", "x", limits=QUICK)
    task = asyncio.create_task(verify("sh -c 'sleep 27.1828 & sleep 27.1828'", "x"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 10
    assert _sleepers("27.1828") == []


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_program_that_is_being_started_is_killed_with_its_group(turns: int) -> None:
    """The run may be cancelled in any turn of the event loop: nothing is left, and nobody waits for it."""
    task = asyncio.create_task(verify("sh -c 'sleep 27.1832 & sleep 27.1832'", "x"))
    for _ in range(turns):
        await asyncio.sleep(0)
    until = time.monotonic() + 2
    while turns > 1 and len(_sleepers("27.1832")) < 2 and time.monotonic() < until:
        time.sleep(0.01)  # noqa: ASYNC251 - the program gets ahead while the event loop stands still
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert time.monotonic() - began < 5
    assert _sleepers("27.1832") == []


def _sleepers(marker: str) -> list[int]:
    """Return the processes that sleep for so long."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", marker.encode()]:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


ALONE = """
import asyncio, time
from orchestra_agents.verification import VerifyLimits, verify

def hung(answer):
    print("called", flush=True)
    time.sleep(60)

print(asyncio.run(verify({check}, "x", limits=VerifyLimits(seconds={seconds}))), flush=True)
"""
"""A program that makes one check and ends; `check` and `seconds` are filled in."""


def _alone(check: str, seconds: float) -> subprocess.Popen[str]:
    """Start the program, where Python complains of everything that it was left to clean up."""
    command = [sys.executable, "-X", "dev", "-c", ALONE.format(check=check, seconds=seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("echo done; exit 0", Verdict(True, "exit status 0: done")),
        ("echo done; exit 3", Verdict(False, "exit status 3: done")),
        ("exec sleep 27.1829", Verdict(False, "not done within 3 s")),
    ],
)
def test_a_program_is_judged_by_its_own_end(ending: str, verdict: Verdict) -> None:
    """What it detached may hold its pipes open, and live on: it is not waited for, and the pipes are closed."""
    check = repr(f"sh -c 'setsid sleep 27.1830 & sleep 0.3; sleep 27.1829 & {ending}'")
    with _alone(check, 3) as program:
        out, err = program.communicate(timeout=30)
    detached = _sleepers("27.1830")
    for pid in detached:
        os.kill(pid, signal.SIGKILL)
    assert (out, err) == (f"{verdict}\n", "")
    assert (len(detached), _sleepers("27.1829")) == (1, [])


async def test_an_answer_that_nobody_reads_does_not_keep_the_pipe_open() -> None:
    """What a program detached may hold the unread answer, too."""
    script = "import subprocess, sys; subprocess.Popen(['sleep', '27.1831'], start_new_session=True)"
    began = time.monotonic()
    assert await verify(f'{sys.executable} -c "{script}"', "x" * 5_000_000) == Verdict(True, "exit status 0")
    detached = _sleepers("27.1831")
    for pid in detached:
        os.kill(pid, signal.SIGKILL)
    assert len(detached) == 1
    assert time.monotonic() - began < 4


def test_a_program_that_goes_on_silently_is_waited_for() -> None:
    """The end of its output is not its own end."""
    with _alone(repr("sh -c 'exec >&- 2>&-; sleep 0.5; exit 4'"), 5) as program:
        assert program.communicate(timeout=30) == (f"{Verdict(False, 'exit status 4')}\n", "")


async def test_credentials_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees the environment without what looks like a credential."""
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "DB_PASSWORD", "AWS_SESSION", "MY_SECRETS"):
        monkeypatch.setenv(name, "sk-hidden")
    monkeypatch.setenv("HARMLESS", "shown")
    seen = (await verify(f"{sys.executable} -c 'import os; print(sorted(os.environ.items()))'", "x")).detail
    assert "sk-hidden" not in seen
    assert (await verify("sh -c 'test \"$HARMLESS\" = shown'", "x")).passed


async def slow(answer: Any) -> bool:
    await asyncio.sleep(30)
    return True


async def awaited(answer: Any) -> bool:
    return bool(answer == "x")


def raising(answer: Any) -> bool:
    raise ValueError("no number\nin it")


def impatient(answer: Any) -> bool:
    raise TimeoutError("the database")


def leaving(answer: Any) -> bool:
    sys.exit("no more")


def silent(answer: Any) -> Any:
    return None


async def counting(answer: Any) -> Any:
    return 1


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (lambda answer: answer == "x", Verdict(True, "")),
        (lambda answer: False, Verdict(False, "refused")),
        (lambda answer: "too short", Verdict(False, "too short")),
        (awaited, Verdict(True, "")),
        (raising, Verdict(False, "ValueError: in it")),
        (impatient, Verdict(False, "TimeoutError: the database")),
        (leaving, Verdict(False, "SystemExit: no more")),
        (lambda answer: next(iter(())), Verdict(False, "StopIteration")),
        (lambda answer: time.sleep(1), Verdict(False, "not done within 0.4 s")),
        (slow, Verdict(False, "not done within 0.4 s")),
    ],
)
async def test_a_function_says_true_or_what_is_wrong(check: Verify, verdict: Verdict) -> None:
    """True passes; False, a text, an exception or too much time does not."""
    assert await verify(check, "x", limits=QUICK) == verdict


@pytest.mark.parametrize(("check", "got"), [(silent, "None"), (counting, "1")])
async def test_a_function_that_says_something_else_does_not_pass(check: Verify, got: str) -> None:
    """A forgotten return fails the answer, and says why; it is not the end of the run."""
    told = f"python:{__name__}:{named(check).rpartition(':')[2]} must return True, False or what is wrong, got {got}"
    assert await verify(check, "x") == Verdict(False, told)


async def test_a_function_sees_the_context_of_the_run() -> None:
    """Context variables reach the function's thread."""
    who = contextvars.ContextVar("who", default="nobody")
    who.set("the run")
    assert await verify(lambda answer: who.get() == "the run", "x") == Verdict(True, "")


def test_a_function_whose_time_is_up_is_not_waited_for() -> None:
    """Neither the event loop nor the end of the program waits for its thread."""
    began = time.monotonic()
    with _alone("hung", 0.5) as program:
        out, err = program.communicate(timeout=30)
    assert (out, err) == (f"called\n{Verdict(False, 'not done within 0.5 s')}\n", "")
    assert time.monotonic() - began < 10


def test_ctrl_c_ends_a_program_whose_function_hangs() -> None:
    """A run that is cancelled leaves the function's thread behind, too."""
    with _alone("hung", 60) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "called\n"
        began = time.monotonic()
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert (out, err.splitlines()[-1]) == ("", "KeyboardInterrupt")
    assert time.monotonic() - began < 10


def test_names_and_refusals() -> None:
    """Functions have a name that is written down but never brought back; commands must name a program that is there."""
    assert named(slow) == f"python:{__name__}:slow"
    assert named("pytest -q") == "pytest -q"
    assert parse_command("a 'b c' d") == ["a", "b c", "d"]
    check_runnable("true -x")
    check_runnable(slow)
    for wrong, told in (("no-such-program", "not found"), (named(slow), "Python function"), ("'", "quotes closed")):
        with pytest.raises(InputError, match=told):
            check_runnable(wrong)
