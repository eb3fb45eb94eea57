"""An OpenAI-compatible server on loopback in a process of its own, which logs every request and takes its time.

What it answers is a function of the prompt. The last line of the prompt, a subtask's description, may say more before
its first colon: `ID key=value ...: words`, where the keys are

    sleep=S    answer after S seconds
    stall=S    answer the first request after S seconds
    status=N   answer with HTTP status N
    split=N    let the first N answers of a choice alternate between its first two members, then give the first
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.fake_openai import Reply, Request, answering, chat, failing, fake_server

Json = Any
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the server's log."""

    at: float
    """Seconds of the monotonic clock, which all processes share."""
    what: str
    """`asked` or `answered`."""
    asked: float
    """When the request came; equals `at` for `asked`."""
    subtask: str
    """First word of the prompt's last line."""
    seed: int
    prompt: str
    """Digest of the messages."""


@dataclass(frozen=True, slots=True)
class SlowServer:
    """A running server, as tests see it."""

    url: str
    log: Path

    def lines(self, what: str | None = None, *, since: float = 0) -> list[Line]:
        """Return the whole lines logged so far, all or those of one kind, about requests that came after `since`."""
        text = self.log.read_text("utf-8")
        lines = [Line(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if what in (None, line.what) and line.asked >= since]

    def wait_for(self, count: int, what: str, *, of: subprocess.Popen[str], since: float = 0) -> None:
        """Return once `count` lines of a kind, about requests of a live process after `since`, were logged."""
        end = time.monotonic() + 60
        while len(self.lines(what, since=since)) < count:
            assert of.poll() is None, f"the process ended with {of.returncode} before {count} were {what}"
            assert time.monotonic() < end, f"{count} requests were not {what} within a minute"
            time.sleep(0.005)


@contextmanager
def slow_server(log: Path, *, low_s: float = 0.0, high_s: float = 0.0) -> Iterator[SlowServer]:
    """Serve for the length of a `with` block; an answer takes `low_s` to `high_s`, as its seed decides."""
    log.touch()
    arguments = [sys.executable, "-m", "tests.crash.slow_server", str(log), str(low_s), str(high_s)]
    with subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield SlowServer(f"http://127.0.0.1:{port}/v1", log)
        finally:
            process.stdin.close()  # its end is the server's, too, should this process be killed


class _Answers:
    """Answers requests and logs them."""

    def __init__(self, log: Path, low_s: float, high_s: float) -> None:
        self._file = log.open("a", encoding="utf-8", buffering=1)
        self._low_s, self._high_s = low_s, high_s
        self._asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Reply:
        if request.method == "GET":
            return answering(request)
        body = request.body
        prompt = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        head = body["messages"][-1]["content"].splitlines()[-1].partition(":")[0].split()
        subtask, told = head[0], dict(word.split("=") for word in head[1:] if "=" in word)
        place = self._asked[subtask]
        self._asked[subtask] += 1
        line = {"asked": time.monotonic(), "subtask": subtask, "seed": body["seed"], "prompt": prompt}
        self._log("asked", line["asked"], line)
        is_due = asyncio.Event()

        def answer() -> None:
            self._log("answered", time.monotonic(), line)
            is_due.set()

        asyncio.get_running_loop().call_later(self._sleep_s(told, body["seed"], place), answer)
        if "status" in told:
            return Reply(status=int(told["status"]), body=failing(400, "refused here").body, waits_for=is_due)
        number = place % 2 if place < int(told.get("split", 0)) else 0 if "split" in told else int(prompt[:8], 16)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        text = json.dumps(_member(schema, number)) if schema else f"note {prompt[:12]}"
        return Reply(body=chat(text, usage={"prompt_tokens": 20, "completion_tokens": 5}).body, waits_for=is_due)

    def _sleep_s(self, told: dict[str, str], seed: int, place: int) -> float:
        if "stall" in told and place == 0:
            return float(told["stall"])
        spread = seed % 1000 / 1000 * (self._high_s - self._low_s)
        return float(told.get("sleep", self._low_s + spread))

    def _log(self, what: str, at: float, line: Json) -> None:
        self._file.write(json.dumps({"at": at, "what": what, **line}) + "\n")


def _member(schema: Json, number: int) -> Json:
    """Return the value of a schema of choices, numbers, texts, objects and shortest lists that `number` picks."""
    if "enum" in schema:
        return schema["enum"][number % len(schema["enum"])]
    if schema["type"] == "object":
        return {name: _member(part, number) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [_member(schema["items"], number + place) for place in range(schema.get("minItems", 0))]
    return number % 1000 if schema["type"] == "number" else f"note {number % 1000}"


async def _serve(log: Path, low_s: float, high_s: float) -> None:
    async with fake_server(default=_Answers(log, low_s, high_s)) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
