"""A key appears in no file, log line or exception, whatever a server says and however a run ends."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from orchestra.session import Session
from orchestra_agents.errors import ModelError
from orchestra_agents.models.contract import Message, Prompt, Sampling
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.transport import Transport
from tests.agents.fake_openai import FakeServer, Reply, Request, chat, failing, fake_server
from tests.crash.drives import COMMAND, Ended

Json = Any

KEY = "pl4nted" + "/k3y+with~every=" + "k1nd(of)ch4racter"
"""A key that no shape gives away, and that is written in other ways in URLs, JSON and base64."""
SHAPED = "sk" + "-proj-" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 2
"""A key as it looks at a well-known provider."""

WAYS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "percent": lambda key: quote(key, safe=""),
    "lower": lambda key: "".join(one if len(one) == 1 else one.lower() for one in (quote(c, safe="") for c in key)),
    "json": lambda key: json.dumps(key).replace("/", "\\/"),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "cut": lambda key: f"{key[: len(key) // 2]}***",
}
"""Ways in which a server repeats a key."""


def signs(key: str) -> list[str]:
    """Return what nothing may hold: the key in every form, in base64 at any place, and its first twelve letters."""
    forms = {way(key) for name, way in WAYS.items() if name in ("raw", "percent", "lower")}
    raw = key.encode()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw).decode()
        forms.add(coded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6])
    return [*forms, json.dumps(key)[1:-1].replace("/", "\\/"), key[:12], quote(key[:12], safe="")]


def leaks(text: str | bytes, key: str) -> list[str]:
    """Return the signs of the key in a text."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return [sign for sign in signs(key) if sign in plain]


def key_of(request: Request) -> str:
    """Return the key that came with a request."""
    return request.headers["authorization"].removeprefix("Bearer ")


def echo(request: Request, way: str, status: int, **headers: str) -> Reply:
    """Return a refusal that repeats the key in its message and in a header."""
    told = WAYS[way](key_of(request))
    return failing(status, f"no access with {told}", code=told, x_seen=told.replace("\\", ""), **headers)


def elsewhere(request: Request, way: str, status: int, other: FakeServer) -> Reply:
    """Return a redirect to another server with the key in its query."""
    told = quote(WAYS[way](key_of(request)), safe="%")
    return Reply(status=status, body={}, headers={"location": f"{other.url}/chat/completions?api_key={told}&x={told}"})


class Host:
    """A server that does to each subtask what its name says, `what-way-...`, and to some only once.

    `401`, `400` and `403` refuse; `302` and `307` lead to another server; `500`, `429` and `garbage` come before
    an answer; `stall` never answers the first request.
    """

    def __init__(self, other: FakeServer) -> None:
        self.stalled = asyncio.Event()
        self.keys: Counter[str] = Counter()
        """How often each key came."""
        self._other = other
        self._asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Reply:
        if "authorization" in request.headers:
            self.keys[key_of(request)] += 1
        subtask = "401-raw"
        if request.method == "POST":
            subtask = request.body["messages"][-1]["content"].splitlines()[-1].partition(":")[0]
        what, _, way = subtask.partition("-")
        if way not in WAYS:  # a question of `doctor`
            what, way = "401", "raw"
        self._asked[subtask] += 1
        if what in ("401", "400", "403"):
            return echo(request, way, int(what))
        if what in ("302", "307"):
            return elsewhere(request, way, int(what), self._other)
        if self._asked[subtask] == 1 and what != "fine":
            return self._first(request, what, way)
        return chat("well", usage={"prompt_tokens": 20, "completion_tokens": 5})

    def _first(self, request: Request, what: str, way: str) -> Reply:
        if what == "stall":
            self.stalled.set()
            return Reply(waits_for=asyncio.Event())
        if what == "garbage":
            return Reply(body=b"<p>" + WAYS[way](key_of(request)).encode())
        return echo(request, way, int(what), retry_after="0")


class Place:
    """A home of its own for processes of the command, and all that they printed."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url
        self.printed: list[Ended] = []
        for name in ("home", "work", "temporary"):
            (folder / name).mkdir()

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin a command with the key in its environment and every log line switched on."""
        home = self.folder / "home"
        environ = {
            "OPENAI_API_KEY": KEY,
            "HOME": str(home),
            "TMPDIR": str(self.folder / "temporary"),
            "PATH": "/usr/bin:/bin",
        }
        environ |= {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("STATE", "CACHE", "CONFIG", "DATA")}
        pipes: Json = {
            "stdin": asyncio.subprocess.DEVNULL,
            "stdout": asyncio.subprocess.PIPE,
            "stderr": asyncio.subprocess.PIPE,
        }
        command = [*COMMAND, "--log-format", "json", "--log-level", "debug", *arguments]
        return await asyncio.create_subprocess_exec(*command, cwd=self.folder / "work", env=environ, **pipes)

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        """Return how a process ended, and keep what it printed."""
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode is not None
        self.printed.append(Ended(process.returncode, out.decode(), err.decode()))
        return self.printed[-1]

    async def run(self, *arguments: str) -> Ended:
        """Let a command go to its end."""
        return await self.end(await self.start(*arguments))

    def graph(self, name: str, subtasks: list[str]) -> list[str]:
        """Write a graph of independent subtasks and return the arguments that run it."""
        path = self.folder / "work" / f"{name}.json"
        rows = [{"id": one, "description": f"{one}: say it."} for one in subtasks]
        path.write_text(json.dumps({"goal": "Say it all", "subtasks": rows}))
        return ["run", path.name, "--model", "openai:fake", "--base-url", self._url, "--run-id", name]

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file and everything printed, by name."""
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            yield str(path.relative_to(self.folder)), path.read_bytes()
        for place, ended in enumerate(self.printed):
            yield f"standard output {place}", ended.out.encode()
            yield f"standard error {place}", ended.err.encode()


def logged(err: str) -> list[Json]:
    """Return the log lines among what went to standard error."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]


def found_in(place: Place) -> dict[str, list[str]]:
    """Return what gives the key away, by where it stands."""
    return {name: found for name, text in place.texts() if (found := leaks(text, KEY))}


REFUSED = [f"{status}-{way}" for status in (401, 400) for way in WAYS]
REFUSED += ["403-raw", "302-raw", "307-percent", "302-cut"]
DELAYED = ["500-raw", "429-percent", "429-cut", "garbage-raw", "stall-raw", "fine-raw"]


async def test_a_planted_key_is_found_nowhere(tmp_path: Path) -> None:
    """After refusals, redirects, retries, a kill -9 and a resume, no file and no line of output holds the key."""
    async with fake_server() as other:
        host = Host(other)
        async with fake_server(default=host) as server:
            place = Place(tmp_path, server.url)
            journal = ["--journal", str(tmp_path / "work" / "journal.db")]

            async def killed() -> Ended:
                process = await place.start(*place.graph("killed", DELAYED), *journal)
                async with asyncio.timeout(60):
                    await host.stalled.wait()
                await asyncio.sleep(0.2)
                process.kill()
                return await place.end(process)

            refused, asked, cut = await asyncio.gather(
                place.run(*place.graph("refused", REFUSED), "--json"),
                place.run("doctor", "--model", "openai:fake", "--base-url", server.url),
                killed(),
            )
            assert (tmp_path / "work" / "journal.db-wal").stat().st_size > 0
            assert found_in(place) == {}
            resumed = await place.run("resume", "killed", *journal, "--json")
        assert (refused.code, asked.code, cut.code, resumed.code) == (1, 1, -9, 0), place.printed
        assert {one["status"] for one in refused.result["subtasks"].values()} == {"failed"}
        assert set(host.keys) == {KEY}
        assert other.requests == []

    said = json.dumps(refused.result, ensure_ascii=False)
    assert said.count("[redacted]") >= 2 * len(WAYS), "the server's words did not come through: nothing was tested"
    assert {"sample.asked", "sample.failed", "subtask.ended"} <= {line["event"] for line in logged(refused.err)}
    assert {"work/journal.db", "home/state/orchestra/journal.db"} <= {name for name, _ in place.texts()}
    assert found_in(place) == {}


PROMPT = Prompt(messages=(Message("user", "Say it."),))
STATUSES = (302, 400, 401, 403, 404, 408, 409, 429, 500, 503)
BROKEN: dict[str, Callable[[str], Reply]] = {
    "not JSON": lambda key: Reply(body=f"<p>{key}".encode()),
    "not a completion": lambda key: Reply(body={"choices": key, key: key}),
    "an error in plain text": lambda key: Reply(status=400, body=f"Authorization: Bearer {key}".encode()),
    "an error of another form": lambda key: Reply(
        status=400, body={"headers": {"authorization": key}, "detail": [key]}
    ),
    "a line that is no header": lambda key: Reply(body={}, headers={f"no header {key}": key}),
    "a length that is no number": lambda key: Reply(body={}, headers={"content-length": key}),
    "an unknown encoding": lambda key: Reply(body=b"{}", headers={"content-encoding": key}),
    "a wrong encoding": lambda key: Reply(body=key.encode(), headers={"content-encoding": "gzip", "x-key": key}),
    "a wait that is none": lambda key: failing(429, key, retry_after=key, x_ratelimit_reset_tokens=key),
    "no answer": lambda key: Reply(breaks=True),
}
"""Answers that are no refusal in the usual form."""


def shown(error: BaseException) -> str:
    """Return all that a log, a debugger's hover or a traceback would show of an error and its causes."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    told = [f"{one} {one!r} {one.args!r}" for one in causes]
    return "\n".join([*traceback.format_exception(error), *told, repr(vars(error))])


@pytest.mark.parametrize("key", [KEY, SHAPED], ids=["without a shape", "with a shape"])
async def test_no_exception_shows_the_key(key: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever an answer does with the key, no error, cause, traceback, repr or log line of a library holds it."""
    caplog.set_level(logging.DEBUG)
    refusals = {f"{status} {way}": WAYS[way](key) for status in STATUSES for way in WAYS}
    found: dict[str, list[str]] = {}
    async with fake_server() as server:
        model = OpenAIModel(
            "fake", name="openai:fake", transport=Transport(server.url, api_key=key), retry=Retry(attempts=1)
        )
        replies = {
            name: failing(int(name.split()[0]), told, location=f"{server.url}/?api_key={quote(told)}")
            for name, told in refusals.items()
        }
        replies |= {name: broken(key) for name, broken in BROKEN.items()}
        for name, reply in replies.items():
            server.replies = [reply]
            with pytest.raises(ModelError) as caught:
                await model.sample(PROMPT, Sampling())
            if leaked := leaks(shown(caught.value), key):
                found[name] = leaked
        await model.aclose()
        assert {key_of(request) for request in server.requests} == {key}
    assert found == {}
    assert leaks(caplog.text, key) == []


async def test_no_repr_shows_the_key() -> None:
    """A transport, also with all its fields, a model and a session show no key, before and after they were used."""
    async with fake_server() as server:
        for key in (KEY, SHAPED):
            transport = Transport(server.url, api_key=key)
            model = OpenAIModel("fake", name="openai:fake", transport=transport)
            session = Session(model="openai:fake", base_url=server.url, environ={"OPENAI_API_KEY": key})
            async with session:
                members = session.panel(None).everyone()
                for _ in range(2):
                    things = [transport, model, session, vars(transport), vars(model), *members, *map(vars, members)]
                    assert leaks(repr(things), key) == []
                    await model.sample(PROMPT, Sampling())
                    await members[0].sample(PROMPT, Sampling())
                await model.aclose()
            assert {key_of(request) for request in server.requests} == {key}
            server.requests.clear()
