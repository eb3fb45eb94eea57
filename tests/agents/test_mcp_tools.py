"""Tools of MCP servers: against a real server over stdio, made with the official package (mcp_server.py)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.errors import InputError, ToolsUnavailable
from orchestra_agents.mcp_tools import mcp_tools
from orchestra_agents.tools import Observation, Tool, Toolbox, ToolLimits

SERVER = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]
QUICK = ToolLimits(seconds=0.5, characters=1000)


@contextlib.asynccontextmanager
async def shop(*arguments: str, **settings: Any) -> AsyncIterator[dict[str, Tool]]:
    """The tools of the test's server by name; nothing that was started here is left when it is over."""
    before = set(_children())
    async with mcp_tools([*SERVER, *arguments], **settings) as tools:
        yield dict(Toolbox(tools).tools)
    assert set(_children()) <= before


def _stat(pid: int) -> list[str]:
    """The state, parent and so on of a process, or nothing if it is not there (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _children() -> list[int]:
    """The processes that are children of this one, whether they are running or not yet waited for."""
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if _stat(pid)[1:2] == [str(os.getpid())]]


def _is_running(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


async def _is_gone(pid: int) -> bool:
    """Whether a process that was killed is gone, at the latest after the moment that the kernel may take."""
    for _ in range(50):
        if not _is_running(pid):
            return True
        await asyncio.sleep(0.02)
    return False


async def _call(tool: Tool, **arguments: Any) -> Observation:
    return await tool.call(arguments, "key-1")


async def test_the_tools_of_all_pages_are_listed() -> None:
    """Every page is read; a tool has the server's name, words and schema, with definitions where they are used."""
    async with shop() as tools:
        assert len(tools) == 13
        assert tools["key"].description == "It is called key."
        point = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
        assert tools["place"].schema == {"type": "object", "properties": {"at": point}}


async def test_a_call_returns_what_the_server_said() -> None:
    """Texts are joined, a structured value alone is JSON, all else is named and not dumped; the key is in `_meta`."""
    async with shop() as tools:
        assert await _call(tools["echo"], text="hi") == Observation(status="ok", text="hi\nagain: hi", size=12)
        assert (await _call(tools["place"], at={"x": 3})).text == '{"x":3}'
        assert (await _call(tools["key"])).text == "key-1"
        assert (await _call(tools["media"])).text.splitlines() == [
            "a picture",
            "[image image/png, 1,234 bytes]",
            "[audio audio/wav, 1,234 bytes]",
            "[resource file:///a.txt text/plain, 22 bytes]",
            "[resource file:///b, 1,234 bytes]",
            "[link file:///c]",
        ]


async def test_calls_from_several_tasks_go_on_at_the_same_time() -> None:
    """A slow call holds up no other, whichever task makes it."""
    async with shop() as tools:
        slow = asyncio.create_task(_call(tools["slow"], seconds=0.5))
        said = await asyncio.gather(*(_call(tools["echo"], text=str(number)) for number in range(20)))
        assert [one.text.splitlines()[0] for one in said] == [str(number) for number in range(20)]
        assert not slow.done()
        assert (await slow).text == "done at last"


async def test_arguments_out_of_schema_are_refused_before_anything_is_sent() -> None:
    """The server never hears of such a call."""
    wrong: list[Any] = [{}, {"text": 3}, {"text": "x" * 41}, ["hi"]]
    async with shop() as tools:
        assert [(await tools["echo"].call(one, "key-1")).status for one in wrong] == ["refused"] * 4
        assert (await _call(tools["count"])).text == "count"


async def test_an_error_of_the_tool_is_an_observation() -> None:
    """What the server marks as an error, or answers with one, is an error; the next call works."""
    async with shop() as tools:
        failed = await _call(tools["fail"])
        assert (failed.status, failed.text) == ("error", "ToolFailed: no such ticket")
        assert (await _call(tools["broken"])).status == "error"
        assert (await _call(tools["echo"], text="hi")).status == "ok"


async def test_a_call_that_is_too_slow_is_cancelled_and_the_next_one_works() -> None:
    """It ends at its limit, also while the server reads nothing at all, and leaves the session usable."""
    async with shop(limits=QUICK) as tools:
        for name, seconds in (("slow", 60), ("busy", 0.8)):
            begun = time.monotonic()
            assert (await _call(tools[name], seconds=seconds)).status == "timeout"
            assert time.monotonic() - begun < 2
            assert (await _call(tools["echo"], text="hi")).text.startswith("hi")


async def test_a_huge_result_is_cut() -> None:
    """10 MB arrive; the beginning and the end are kept, and how much it was."""
    async with shop(limits=ToolLimits(characters=1000)) as tools:
        seen = await _call(tools["huge"], characters=10_000_000)
        assert (seen.status, seen.size) == ("ok", 10_000_000)
        assert len(seen.text) <= 1100
        assert "characters left out" in seen.text


async def test_a_message_past_all_bounds_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message larger than what is read at most is an error, and so is every later call."""
    monkeypatch.setattr("orchestra_agents._server_process._MESSAGE_BYTES", 100_000)
    async with shop() as tools:
        seen = await _call(tools["huge"], characters=1_000_000)
        assert seen.status == "error"
        assert "a message of more than 100,000 bytes" in seen.text
        assert (await _call(tools["echo"], text="hi")).status == "error"


async def test_a_server_that_dies_is_an_error_and_never_a_hang() -> None:
    """The call that it died of says how it ended, but not what it wrote to standard error; later calls say the same."""
    async with shop() as tools:
        dead = await _call(tools["die"])
        assert (dead.status, dead.text.rpartition(": ")[2]) == ("error", "it ended with exit status 7")
        assert await _call(tools["echo"], text="hi") == dead


async def test_a_call_after_the_context_is_an_error() -> None:
    """The tools of a server that was left can be held on to, and say so."""
    async with shop() as tools:
        pass
    assert "has been left" in (await _call(tools["echo"], text="hi")).text


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("", "must be a program"),
        ([], "must be a program"),
        ("python 'x", "quotes closed"),
        ("/nonexistent/program --key secret", "'/nonexistent/program' cannot be started: No such file or directory"),
    ],
)
async def test_a_command_that_is_none_is_refused(command: Any, told: str) -> None:
    """A program that is not there is the user's to mend; what else is on the command line is not repeated."""
    with pytest.raises(InputError, match=told) as caught:
        async with mcp_tools(command):
            pytest.fail("never entered")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sleep 60", "did not list its tools within 1 s"),
        ("yes", "within 1 s; what it wrote is no MCP message: 'y'"),
        ("cat", "did not list its tools"),
        ("sh -c 'echo first >&2; echo last >&2; exit 3'", "ended with exit status 3; its last words: 'last'"),
        ("sh -c 'exec >&-; sleep 60'", "closed the connection"),
    ],
)
async def test_a_program_that_is_no_server_is_a_clear_error(command: str, told: str) -> None:
    """It is found out within the limit for starting, whatever it does, and is ended."""
    before, begun = set(_children()), time.monotonic()
    with pytest.raises(ToolsUnavailable, match=told):
        async with mcp_tools(command, start_s=1.0):
            pytest.fail("never entered")
    assert time.monotonic() - begun < 4
    assert set(_children()) <= before


@pytest.mark.parametrize(("mode", "told"), [("dotted", "'a.dotted name'"), ("recursive", "'recursive'")])
async def test_a_tool_that_cannot_be_one_of_ours_is_named(mode: str, told: str) -> None:
    """A name or schema that we have no word for is refused, with the server's name and the tool's."""
    with pytest.raises(InputError, match=rf"mcp_server\.py\] tool {told}: cannot be used"):
        async with shop(mode):
            pytest.fail("never entered")


async def test_effects_are_what_the_user_says() -> None:
    """A server's own hints count for nothing: once, unless the user names the tool or says it of all others."""
    async with shop() as tools:
        assert {one.effects for one in tools.values()} == {"once"}
    async with shop(effects={"echo": "none", "*": "idempotent"}) as tools:
        assert tools["echo"].effects == "none"
        assert {one.effects for name, one in tools.items() if name != "echo"} == {"idempotent"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"effects": {"ecko": "none"}}, "has no tool called 'ecko'; it has 'echo, count"),
        ({"effects": {"*": "some"}}, "must be none, idempotent or once"),
        ({"start_s": 0}, "start_s: must be a number above 0"),
    ],
)
async def test_settings_that_are_none_are_refused(settings: dict[str, Any], told: str) -> None:
    """Effects of a tool that is not there are a mistake, never ignored."""
    with pytest.raises(InputError, match=told):
        async with shop(**settings):
            pytest.fail("never entered")


async def test_keys_of_ours_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sees what the user hands over and a few harmless variables, and nothing else of the environment."""
    monkeypatch.setenv("FAKE_API_KEY", "sk-fake")
    async with shop(env={"SHOP": "open"}, limits=ToolLimits(characters=100_000)) as tools:
        seen = json.loads((await _call(tools["environment"])).text)
    assert seen["SHOP"] == "open"
    assert "FAKE_API_KEY" not in seen
    assert set(seen) <= {
        "SHOP",
        "HOME",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TERM",
        "USER",
        "LC_CTYPE",
        "__CF_USER_TEXT_ENCODING",
    }


@pytest.mark.parametrize("mode", ["plain", "stubborn"])
async def test_no_process_is_left(mode: str) -> None:
    """The server ends, if need be by force, and so does what it started, although that holds its output open."""
    async with shop(mode) as tools:
        server, child = map(int, (await _call(tools["child"])).text.split())
        assert _is_running(server)
        assert _is_running(child)
    assert await _is_gone(server)
    assert await _is_gone(child)


async def test_what_a_dead_server_leaves_is_ended_at_once() -> None:
    """A child of a server that died does not live on until the context is left, and holds up no call."""
    async with shop() as tools:
        _, child = map(int, (await _call(tools["child"])).text.split())
        assert (await _call(tools["die"])).status == "error"
        assert await _is_gone(child)


async def test_an_error_of_the_user_comes_out_as_it_is() -> None:
    """No exception group stands around what the body raised, and the server is ended all the same."""
    before = set(_children())
    with pytest.raises(ZeroDivisionError):
        async with mcp_tools(SERVER):
            raise ZeroDivisionError
    assert set(_children()) <= before


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_a_cancellation_passes_through(is_waiting: bool) -> None:
    """Cancelled while the server starts or while it is used, the context ends it and is cancelled."""
    before, entered = set(_children()), asyncio.Event()

    async def use() -> None:
        async with mcp_tools(SERVER):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(use())
    await (entered.wait() if is_waiting else asyncio.sleep(0.2))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(_children()) <= before


async def test_a_context_may_be_left_by_another_task() -> None:
    """What one task entered, another can leave, as fixtures and exit stacks do."""
    stack = contextlib.AsyncExitStack()
    tools = await asyncio.create_task(stack.enter_async_context(mcp_tools(SERVER)))
    assert (await _call(tools[0], text="hi")).status == "ok"
    await asyncio.create_task(stack.aclose())


def test_importing_the_module_does_not_load_the_package() -> None:
    """Who uses no server pays for none, and the module can be imported without the extra."""
    alone = "import sys, orchestra_agents.mcp_tools; sys.exit('mcp' in sys.modules or 'mcp_types' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", alone], check=False).returncode == 0


async def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Using a server without the package says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolsUnavailable, match=r'pip install "orchestra-mas\[mcp\]"'):
        async with mcp_tools(SERVER):
            pytest.fail("never entered")
