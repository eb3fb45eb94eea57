"""An OpenAI-compatible endpoint on loopback that answers a walk's questions, goes away and comes back."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestra_agents.models.contract import Prompt
from orchestra_agents.voting.jury import Jury
from tests.agents.fake_openai import FakeServer, Reply, Request, chat, failing
from tests.chains.walk import Walk

_NUMBERS = re.compile(r"\d+")


class Numbered(Walk):
    """A walk whose questions all differ, so that a server can tell its steps apart."""

    spec = "tests.crash.endpoint:Numbered"

    def prompt(self, state: list[int]) -> Prompt | Jury | str:
        """Ask for the next place, and say which step it is."""
        return f"Step {state[1]}: {super().prompt(state)}"


class Endpoint:
    """Answers every question rightly, unless `refuses` says otherwise for its number."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[int, int]] = Counter()
        """How often each request was answered, by step and seed."""
        self.requests = 0
        self.refuses: Callable[[int], Reply | None] = lambda number: None
        self._fake = FakeServer([], self._answer)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[tuple[int, asyncio.Event]] = []

    @property
    def url(self) -> str:
        """Base URL of the interface."""
        return self._fake.url

    async def up(self) -> None:
        """Listen, at the same address each time."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._fake.port)
        self._fake.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Break all connections and refuse new ones."""
        assert self._server is not None
        self._server.close()
        self._fake.drop_connections()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def asked_for(self, requests: int) -> None:
        """Return once so many requests came."""
        came = asyncio.Event()
        self._waiting.append((requests, came))
        async with asyncio.timeout(120):
            await came.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._fake.serve(reader, writer)
        finally:
            self._tasks.discard(task)

    def _answer(self, request: Request) -> Reply:
        self.requests += 1
        for requests, came in self._waiting:
            if self.requests >= requests:
                came.set()
        if (refusal := self.refuses(self.requests)) is not None:
            return refusal
        body = request.body
        step, place, size = map(int, _NUMBERS.findall(body["messages"][-1]["content"]))
        self.asked[step, body["seed"]] += 1
        texts = [str((3 * place + 1) % size)] * body.get("n", 1)
        return chat(*texts, usage={"prompt_tokens": 20, "completion_tokens": len(texts)})


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """Serve for the length of a `with` block."""
    served = Endpoint()
    await served.up()
    try:
        yield served
    finally:
        await served.down()


def busy(number: int) -> Reply | None:
    """Refuse every 25th request for a moment."""
    return None if number % 25 else failing(429, "slow down", retry_after="0")
