"""Checks of answers: what a program or a function says, and that nothing of it outlives its time."""

from __future__ import annotations

import asyncio
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
    assert _sleeping("27.1828") == 0


def _sleeping(marker: str) -> int:
    """Return how many processes sleep for so long."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found += (folder / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", marker.encode()]
        except OSError:
            continue
    return found


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


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (lambda answer: answer == "x", Verdict(True, "")),
        (lambda answer: False, Verdict(False, "refused")),
        (lambda answer: "too short", Verdict(False, "too short")),
        (awaited, Verdict(True, "")),
        (raising, Verdict(False, "ValueError: in it")),
        (slow, Verdict(False, "not done within 0.4 s")),
    ],
)
async def test_a_function_says_true_or_what_is_wrong(check: Verify, verdict: Verdict) -> None:
    """True passes; False, a text, an exception or too much time does not."""
    assert await verify(check, "x", limits=QUICK) == verdict


async def test_a_function_that_says_nothing_is_a_mistake_not_a_verdict() -> None:
    """A forgotten return must not pass, and must not count as a wrong answer either."""
    with pytest.raises(InputError, match="must return True, False or what is wrong, got None"):
        await verify(lambda answer: None, "x")  # type: ignore[arg-type,return-value]


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
