"""CPU a call of HTTP clients against a trivial server on loopback: raw streams, aiohttp, httpx, the openai SDK, ours.

    pip install -e ".[bench]" pyreqwest
    python -m benchmarks.http [--rounds 5] [--calls 2000]

The server is a process of its own and answers every request with one fixed chat completion of 400 bytes. What is
measured is the processor time of the client's process, all threads included, per call; rounds are interleaved and
medians printed, beside the ratio to aiohttp in the same run. Clients that are not installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.machinery import PathFinder
from pathlib import Path

if __name__ == "http":  # `python benchmarks/NAME.py` looks here first for the standard library's package of that name
    _here = str(Path(__file__).parent)
    _spec = PathFinder.find_spec("http", [place for place in sys.path if str(Path(place).absolute()) != _here])
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["http"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["http"])

Call = Callable[[], Awaitable[object]]
Client = Callable[[str, int], AbstractAsyncContextManager[Call]]

_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop", "logprobs": None}
_USAGE = {"prompt_tokens": 120, "completion_tokens": 3, "total_tokens": 123}
_REPLY = {"id": "chatcmpl-" + "x" * 60, "object": "chat.completion", "created": 1764000000, "model": "m" * 40}
_REPLY |= {"choices": [_CHOICE], "usage": _USAGE, "system_fingerprint": "fp_" + "0" * 20}
_QUESTION = "Which peg does disk 3 move to? " * 14
_BODY = {"model": "m", "temperature": 0.7, "top_p": 1.0, "max_tokens": 64, "seed": 7}
_BODY |= {"messages": [{"role": "user", "content": _QUESTION}]}

_SERVER = """
import asyncio, sys
body = sys.argv[1].encode()
reply = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""
    def data_received(self, data):
        self.seen += data
        while (end := self.seen.find(b"\\r\\n\\r\\n")) >= 0:
            head = self.seen[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\\r\\n")[0]) if b"content-length:" in head else 0
            if len(self.seen) < end + 4 + length:
                return
            self.seen = self.seen[end + 4 + length:]
            self.transport.write(reply)

async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@asynccontextmanager
async def raw_streams(url: str, width: int) -> AsyncIterator[Call]:
    """Asyncio streams and hand-written HTTP: about the least that a client in Python can take."""
    host, _, port = url.removeprefix("http://").removesuffix("/v1").partition(":")
    content = json.dumps(_BODY).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(content)}\r\n\r\n".encode()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call() -> object:
        reader, writer = idle.pop() if idle else await asyncio.open_connection(host, int(port))
        writer.write(head + json.dumps(_BODY).encode())
        told = await reader.readuntil(b"\r\n\r\n")
        length = int(told.split(b"content-length: ")[1].split(b"\r\n")[0])
        value = json.loads(await reader.readexactly(length))
        idle.append((reader, writer))
        return value

    yield call
    for _, writer in idle:
        writer.close()


@asynccontextmanager
async def bare_aiohttp(url: str, width: int) -> AsyncIterator[Call]:
    """Aiohttp with a body of bytes, decoded by the standard library."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=width)
    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def call() -> object:
            async with session.post(f"{url}/chat/completions", data=json.dumps(_BODY).encode()) as response:
                return json.loads(await response.read())

        yield call


@asynccontextmanager
async def stock_httpx(url: str, width: int) -> AsyncIterator[Call]:
    """Httpx with its own transport and a pool as wide as the concurrency."""
    import httpx

    limits = httpx.Limits(max_connections=width, max_keepalive_connections=width)
    async with httpx.AsyncClient(limits=limits) as client:

        async def call() -> object:
            response = await client.post(f"{url}/chat/completions", json=_BODY)
            return response.json()

        yield call


@asynccontextmanager
async def httpx_aiohttp(url: str, width: int) -> AsyncIterator[Call]:
    """Httpx over aiohttp, by the httpx-aiohttp package."""
    import aiohttp
    import httpx
    from httpx_aiohttp import AiohttpTransport

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=width))
    async with httpx.AsyncClient(transport=AiohttpTransport(client=session)) as client:

        async def call() -> object:
            response = await client.post(f"{url}/chat/completions", json=_BODY)
            return response.json()

        yield call


@asynccontextmanager
async def httpx_pyreqwest(url: str, width: int) -> AsyncIterator[Call]:
    """Httpx over reqwest (Rust), by the pyreqwest package."""
    import httpx
    from pyreqwest.client import ClientBuilder
    from pyreqwest.compatibility.httpx import HttpxTransport

    async with (
        ClientBuilder().build() as inner,
        httpx.AsyncClient(transport=HttpxTransport(inner)) as client,
    ):

        async def call() -> object:
            response = await client.post(f"{url}/chat/completions", json=_BODY)
            return response.json()

        yield call


@asynccontextmanager
async def openai_sdk(url: str, width: int) -> AsyncIterator[Call]:
    """The openai SDK as it comes, with a pool as wide as the concurrency."""
    import httpx
    import openai

    limits = httpx.Limits(max_connections=width, max_keepalive_connections=width)
    http = httpx.AsyncClient(limits=limits)
    async with openai.AsyncOpenAI(base_url=url, api_key="none", http_client=http) as client:

        async def call() -> object:
            return await client.chat.completions.create(**_BODY)

        yield call


@asynccontextmanager
async def our_client(url: str, width: int) -> AsyncIterator[Call]:
    """httpx.AsyncClient over our Http1Transport."""
    import httpx

    from orchestra_agents.models.http1 import Http1Transport

    async with httpx.AsyncClient(transport=Http1Transport(width=width)) as client:

        async def call() -> object:
            response = await client.post(f"{url}/chat/completions", content=json.dumps(_BODY).encode())
            return json.loads(response.content)

        yield call


@asynccontextmanager
async def our_transport(url: str, width: int) -> AsyncIterator[Call]:
    """Our transport: JSON in, JSON out, errors typed."""
    from orchestra_agents.models.transport import Transport

    transport = Transport(url, concurrency=width)

    async def call() -> object:
        return await transport.post_json("/chat/completions", _BODY)

    yield call
    await transport.aclose()


@asynccontextmanager
async def our_model(url: str, width: int) -> AsyncIterator[Call]:
    """Our model: a prompt in, a checked completion out, limits and retries included."""
    from orchestra_agents.models.contract import Message, Prompt, Sampling
    from orchestra_agents.models.openai import OpenAIModel
    from orchestra_agents.models.transport import Transport

    model = OpenAIModel("m", name="vllm:m", transport=Transport(url, concurrency=width))
    prompt = Prompt(messages=(Message("user", _QUESTION),), step="1")
    samplings = [Sampling(max_tokens=64, index=index) for index in range(64)]
    turn = 0

    async def call() -> object:
        nonlocal turn
        turn += 1
        return await model.sample(prompt, samplings[turn % 64])

    yield call
    await model.aclose()


CLIENTS: dict[str, tuple[Client, str | None]] = {
    "raw asyncio streams": (raw_streams, None),
    "aiohttp": (bare_aiohttp, "aiohttp"),
    "httpx": (stock_httpx, None),
    "httpx + httpx-aiohttp": (httpx_aiohttp, "httpx_aiohttp"),
    "httpx + pyreqwest": (httpx_pyreqwest, "pyreqwest"),
    "openai SDK": (openai_sdk, "openai"),
    "ours under httpx": (our_client, None),
    "ours: Transport": (our_transport, None),
    "ours: OpenAIModel": (our_model, None),
}
"""Each client with the package that it needs."""


async def cpu_us(client: Client, url: str, *, width: int, calls: int) -> float:
    """Return microseconds of processor time a call, `width` calls in flight, after a round to warm up."""
    async with client(url, width) as call:

        async def work(count: int) -> None:
            for _ in range(count):
                await call()

        async def all_of(count: int) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(width):
                    group.create_task(work(count))

        await all_of(2)
        started = time.process_time()
        await all_of(calls // width)
        return 1e6 * (time.process_time() - started) / (calls // width * width)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--widths", default="1,64,256")
    parser.add_argument("--only", default="", help="part of a client's name")
    options = parser.parse_args()
    widths = [int(width) for width in options.widths.split(",")]
    clients = {
        name: client
        for name, (client, package) in CLIENTS.items()
        if options.only in name and (package is None or importlib.util.find_spec(package))
    }
    figures: dict[tuple[str, int], list[float]] = {(name, width): [] for name in clients for width in widths}
    command = [sys.executable, "-c", _SERVER, json.dumps(_REPLY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        with contextlib.ExitStack() as stack:
            stack.callback(server.kill)
            for _ in range(options.rounds):
                for name, client in clients.items():
                    for width in widths:
                        calls = max(width * 4, options.calls if width > 1 else options.calls // 4)
                        figures[name, width].append(asyncio.run(cpu_us(client, url, width=width, calls=calls)))
    print(f"microseconds of processor time a call (ratio to aiohttp), medians of {options.rounds} rounds")
    print(f"{'client':24}" + "".join(f"{f'{width} at once':>18}" for width in widths))
    for name in clients:
        cells = []
        for width in widths:
            median = statistics.median(figures[name, width])
            base = figures.get(("aiohttp", width))
            cells.append(f"{median:9.0f} ({median / statistics.median(base):5.2f})" if base else f"{median:9.0f}")
        print(f"{name:24}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
