"""A server on loopback that speaks the OpenAI interface, fails in every way that real ones do, and counts what it did.

    python -m tests.agents.fault_server --seed 1 [--port 0] [--faults voting]

prints its port, serves until SIGTERM, and then prints its counts as JSON; `GET /stats` tells them meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import socket
import struct
import zlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

Json = Any
Answer = Callable[[Json, int], str]
"""Returns the text of a choice, given the request's body and the choice's place."""

VOTING: Mapping[str, float] = {
    "none": 63,
    "refuse": 5,
    "away": 0.1,
    "reset": 3,
    "cut": 2,
    "stall": 0.6,
    "trickle": 1,
    "429:seconds": 0.1,
    "429:date": 0.03,
    "429:ms": 0.3,
    "429:openai": 0.3,
    "429:anthropic": 0.3,
    "429:none": 0.5,
    "storm": 0.3,
    "ignore-n": 1,
    "no-usage": 4,
    "truncated": 2,
    "html": 2,
    "utf8": 2,
    "nan": 2,
    "drop": 4,
    "duplicate": 1,
    "swap": 3,
}
"""Weights of everything that a patient client gets over. A connection is refused, a request meets one of the others."""
KEEPING_N = {fault: weight for fault, weight in VOTING.items() if fault not in ("ignore-n", "duplicate")}
"""The same without what makes a client stop asking for several choices at a time."""
FINAL = {"401": 0.3, "context": 0.3, "bomb": 0.05, "endless": 0.05, "huge": 0.05}
"""Weights of what no asking again helps."""
MIXES = {"voting": VOTING, "keeping-n": KEEPING_N, "final": {**VOTING, **FINAL}, "none": {"none": 1}}

REFUSED = frozenset({"429", "storm", "401", "context", "limit"})
"""Faults that do no work; all others may be billed."""
SPOILT = frozenset({"truncated", "html", "utf8", "nan", "bomb", "endless", "huge"})
"""Faults that answer 2xx with something of no use."""
BROKEN = frozenset({"reset", "cut", "stall"})
"""Faults that answer nothing whole."""

_ASKED_S = 0.25
"""Seconds that a 429 asks for, where it asks for seconds."""
_GRACE_S = 0.1
"""Seconds after which a client has surely read that it should wait."""
_AWAY_S = 0.05
_TRICKLE_S = 0.15
_STORM_STATUSES = (500, 502, 503, 529)
_HTML = b"<html><body><h1>Bad gateway</h1></body></html>"
_PIECE = b"x" * 65_536
_LENGTH = re.compile(rb"\ncontent-length:\s*(\d+)", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+")


@dataclass
class Counts:
    """What the server did so far."""

    connections: int = 0
    received: int = 0
    """Requests received whole."""
    worked: int = 0
    """Requests among them that a model would have worked on: answered 2xx, or broken off."""
    answered: int = 0
    """Requests answered 2xx whole."""
    good: int = 0
    """Requests among them whose answer was as promised."""
    samples: int = 0
    """Choices in good answers, those with an index of their own."""
    tokens: int = 0
    """Tokens of good answers, input and output together."""
    worked_tokens: int = 0
    """Tokens of all requests that were worked on."""
    dropped: int = 0
    """Requests whose connection the server closed before it answered."""
    most_in_flight: int = 0
    asked_while_held: int = 0
    """Requests that came although a `Retry-After` had asked for none."""
    faults: Counter[str] = field(default_factory=Counter)
    served: dict[tuple[str, Json, int], list[int]] = field(default_factory=dict)
    """For each step, seed and number of choices: how often it was answered well, and its choices the last time."""
    worked_by_step: Counter[str] = field(default_factory=Counter)

    def work(self, step: str, tokens: int) -> None:
        """Count a request that is worked on."""
        self.worked += 1
        self.worked_tokens += tokens
        self.worked_by_step[step] += 1

    def serve(self, step: str, body: Json, fresh: int, tokens: int) -> None:
        """Count a good answer."""
        self.good += 1
        self.samples += fresh
        self.tokens += tokens
        known = self.served.setdefault((step, body.get("seed"), body.get("n", 1)), [0, 0])
        known[0], known[1] = known[0] + 1, fresh

    def samples_by_step(self) -> dict[str, int]:
        """Return the choices that each step can have been given, an identity that was served again counted once."""
        steps: Counter[str] = Counter()
        for (step, _, _), (_, fresh) in self.served.items():
            steps[step] += fresh
        return dict(steps)

    def as_dict(self) -> dict[str, Json]:
        """Return the counts as JSON."""
        plain = {name: value for name, value in vars(self).items() if name != "served"}
        repeated = sum(times > 1 for times, _ in self.served.values())
        return plain | {
            "identities": len(self.served),
            "repeated": repeated,
            "samples_by_step": self.samples_by_step(),
        }


class Draws:
    """Which fault is next: the ones of a script in turn, then none; or drawn by weight from a seed."""

    def __init__(self, faults: Mapping[str, float] | Sequence[str], seed: int) -> None:
        mix = faults if isinstance(faults, Mapping) else {}
        self._script = deque(() if isinstance(faults, Mapping) else faults)
        self._refused = mix.get("refuse", 0) / (sum(mix.values()) or 1)
        self._names = [name for name in mix if name != "refuse"]
        self._weights = [mix[name] for name in self._names]
        self._requests, self._connections = random.Random(f"{seed} requests"), random.Random(f"{seed} connections")

    def refuses(self) -> bool:
        """Whether the next connection is refused."""
        if self._script and self._script[0] == "refuse":
            self._script.popleft()
            return True
        return self._connections.random() < self._refused

    def fault(self) -> str:
        """Return the fault of the next request."""
        if self._names:
            return self._requests.choices(self._names, self._weights)[0]
        return self._script.popleft() if self._script else "none"


def walking(seed: int, *, wrong: float = 0.08, unreadable: float = 0.03) -> Answer:
    """Return what answers `...: you stand at 17 of 97` with the next place, 52, and a number that no other answer has.

    To a question for JSON it says `{"answer": 52}`, to one without numbers what its JSON schema allows, or `ok`.

    Args:
        seed: Makes a request's answer the same whenever it is asked.
        wrong: Share of answers that name another place.
        unreadable: Share of answers that name none.
    """
    serial = 0

    def answer(body: Json, index: int) -> str:
        nonlocal serial
        serial += index == 0
        content = body["messages"][-1]["content"]
        numbers = _NUMBERS.findall(content)[-2:]
        if len(numbers) < 2:
            return _allowed(body)
        place, size = map(int, numbers)
        draw = random.Random(f"{seed} {content} {body.get('seed')} {index}")
        luck, told = draw.random(), (3 * place + 1) % size
        if luck < wrong:
            told = (told + draw.randrange(1, size)) % size
        if luck > 1 - unreadable:
            return f"no idea #{serial}.{index}"
        wants_json = "JSON" in body["messages"][0]["content"]
        return json.dumps({"answer": told}) if wants_json else f"{told} #{serial}.{index}"

    return answer


def _allowed(body: Json) -> str:
    """Return the first answer that a schema of enums allows, `ok` without a schema."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    members = {name: part["enum"][0] for name, part in schema.get("properties", {}).items() if "enum" in part}
    return json.dumps(members) if members else "ok"


class FaultServer:
    """Serves, fails and counts.

    Args:
        faults: Weights by fault, or faults to meet in turn; a script's `refuse` is the next new connection.
        seed: What faults, latencies and storms are drawn from.
        answer: What a choice says.
        latency_s: Shortest and longest time until an answer.
        limit: Most requests in flight; those above it are told 429. None is no limit.
        keep: Requests after which a connection is closed without a word; None never.
    """

    def __init__(
        self,
        faults: Mapping[str, float] | Sequence[str] = (),
        *,
        seed: int = 0,
        answer: Answer | None = None,
        latency_s: tuple[float, float] = (0.0, 0.0),
        limit: int | None = None,
        keep: int | None = None,
    ) -> None:
        self.counts = Counts()
        self.rng = random.Random(f"{seed} times")
        self.answer = answer or walking(seed)
        self.draws = Draws(faults, seed)
        self.latency_s, self.limit, self.keep = latency_s, limit, keep
        self.port = 0
        self.in_flight = 0
        self.held_until = 0.0
        self.peers: set[_Peer] = set()
        self._storm: tuple[int, int] = (0, 0)
        self._anchor: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Base URL of the interface."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def up(self, port: int = 0) -> None:
        """Listen."""
        # A bound socket that never listens keeps the port ours while the other one is closed.
        self._anchor = _bound(port)
        self.port = self._anchor.getsockname()[1]
        await self._listen()

    async def down(self) -> None:
        """Break all connections and stop."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.reset()
        if self._anchor is not None:
            self._anchor.close()
        await asyncio.sleep(0)

    def go_away(self) -> None:
        """Close the listening side for a moment."""
        if not self._tasks:
            task = asyncio.create_task(self._away())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def fault(self) -> str:
        """Return what happens to the next request."""
        drawn = self.draws.fault()
        left, status = self._storm
        if left:
            self._storm = (left - 1, status)
            return f"storm:{status}"
        if self.limit is not None and self.in_flight > self.limit:
            return "limit"
        if drawn == "storm":
            status = self.rng.choice(_STORM_STATUSES)
            self._storm = (self.rng.randrange(3, 12), status)
            return f"storm:{status}"
        return drawn

    async def _away(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(_AWAY_S)
        await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Peer(self), sock=_bound(self.port), backlog=4096)


class _Peer(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.is_writable = True
        self._seen = b""
        self._requests = 0
        self._exchange: _Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.peers.add(self)
        self.server.counts.connections += 1
        if self.server.draws.refuses():
            self.server.counts.faults["refuse"] += 1
            self.reset()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        end = self._seen.find(b"\r\n\r\n")
        if end < 0 or self._exchange is not None:
            return
        head, rest = self._seen[:end], self._seen[end + 4 :]
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if len(rest) < length:
            return
        self._seen = rest[length:]
        if head.startswith(b"GET"):
            told = self.server.counts.as_dict() if b"/stats" in head else {"data": [{"id": "faulty"}]}
            self.write(_message(200, json.dumps(told).encode()))
            return
        self._exchange = _Exchange(self, json.loads(rest[:length]))
        self._exchange.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.peers.discard(self)
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        if self._exchange is not None:
            self._exchange.pump()

    def write(self, data: bytes) -> None:
        """Send something."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Wait for the next request, or leave without a word."""
        self._exchange = None
        self._requests += 1
        if self.server.keep is not None and self._requests >= self.server.keep:
            self.transport.close()

    def leave(self) -> None:
        """Close the connection, whatever came meanwhile."""
        if self._exchange is not None and not self.transport.is_closing():
            self.server.counts.dropped += 1
        self.transport.close()

    def reset(self) -> None:
        """Break the connection with a RST."""
        if not self.transport.is_closing():
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


class _Exchange:
    """One request, and what becomes of it."""

    def __init__(self, peer: _Peer, body: Json) -> None:
        self._peer, self._server, self._body = peer, peer.server, body
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_pumping = False
        server, counts = self._server, self._server.counts
        server.in_flight += 1
        counts.received += 1
        counts.most_in_flight = max(counts.most_in_flight, server.in_flight)
        now = self._loop.time()
        counts.asked_while_held += server.held_until - (_ASKED_S - _GRACE_S) < now < server.held_until
        self._fault = server.fault()
        if body.get("n", 1) == 1 and self._fault in ("ignore-n", "duplicate", "swap"):
            self._fault = "none"
        counts.faults[self._fault] += 1
        self._kind, _, self._form = self._fault.partition(":")
        self._step = body["messages"][-1]["content"].partition(":")[0]
        self._choices: list[Json] = []
        if self._kind not in REFUSED:
            self._work()

    def begin(self) -> None:
        """Answer, in a while."""
        self._later(self._server.rng.uniform(*self._server.latency_s), self._answer)

    def close(self) -> None:
        """Take it out of flight."""
        self._server.in_flight -= 1
        if self._timer is not None:
            self._timer.cancel()

    def pump(self) -> None:
        """Go on with an answer that never ends, for as long as the client reads it."""
        if self._is_pumping and self._peer.is_writable and not self._peer.transport.is_closing():
            self._peer.write(_PIECE if self._kind == "huge" else b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))
            self._loop.call_soon(self.pump)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        if delay_s:
            self._timer = self._loop.call_later(delay_s, act)
        else:
            act()

    def _work(self) -> None:
        """Do what a model would, and count it as that."""
        body, answer = self._body, self._server.answer
        count = 1 if self._kind == "ignore-n" else body.get("n", 1)
        texts = [answer(body, index) for index in range(count)]
        self._choices = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ]
        if self._kind == "duplicate":
            self._choices[-1] = self._choices[0]
        if self._kind == "swap":
            self._choices.reverse()
        self._input = sum(_tokens(message["content"]) for message in body["messages"])
        self._output = sum(map(_tokens, texts))
        self._server.counts.work(self._step, self._input + self._output)

    def _answer(self) -> None:
        if self._peer.transport.is_closing():
            return
        if self._kind in REFUSED:
            self._refuse()
        elif self._kind in BROKEN:
            self._break()
        elif self._kind in SPOILT:
            self._spoil()
        elif self._kind == "trickle":
            self._trickle(_message(200, self._good_body()), 0)
        else:
            self._send(200, self._good_body())
            self._serve()

    def _good_body(self) -> bytes:
        body: Json = {"id": "x", "object": "chat.completion", "choices": self._choices}
        if self._kind != "no-usage":
            body["usage"] = {"prompt_tokens": self._input, "completion_tokens": self._output}
        return json.dumps(body).encode()

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        """Answer whole; header names are given with underscores."""
        self._peer.write(_message(status, body, **headers))
        self._server.counts.answered += status == 200
        self.close()
        self._peer.finish()

    def _serve(self) -> None:
        """Count a good answer, and do what may follow it."""
        fresh = len({choice["index"] for choice in self._choices})
        self._server.counts.serve(self._step, self._body, fresh, self._input + self._output)
        if self._kind == "drop":
            self._loop.call_later(self._server.rng.uniform(0, 0.005), self._peer.leave)
        if self._kind == "away":
            self._server.go_away()

    def _trickle(self, message: bytes, sent: int) -> None:
        """Send a good answer byte by byte."""
        self._peer.write(message[sent : sent + 1])
        if sent + 1 < len(message):
            self._later(_TRICKLE_S / len(message), lambda: self._trickle(message, sent + 1))
            return
        self._server.counts.answered += 1
        self._serve()
        self.close()
        self._peer.finish()

    def _refuse(self) -> None:
        """Answer that nothing was done."""
        if self._kind == "401":
            self._send(401, _error("Incorrect API key provided", "invalid_api_key"))
        elif self._kind == "context":
            self._send(400, _error("This model's maximum context length is 8 tokens", "context_length_exceeded"))
        elif self._kind == "storm":
            status = int(self._form)
            self._send(status, _HTML if status == 502 else _error("overloaded", "server_error"))
        else:
            self._send(429, _error("slow down", "rate_limit_exceeded"), **self._asked())

    def _asked(self) -> dict[str, str]:
        """Return the headers in which a 429 says how long to wait."""
        now = datetime.now(UTC)
        soon = now + timedelta(seconds=0.05)
        headers = {
            "seconds": {"retry_after": str(_ASKED_S)},
            "date": {"retry_after": format_datetime(now + timedelta(seconds=1), usegmt=True)},
            "ms": {"retry_after_ms": "20"},
            "openai": {"x_ratelimit_reset_requests": "30ms", "x_ratelimit_reset_tokens": "0.05s"},
            "anthropic": {"anthropic_ratelimit_tokens_reset": soon.isoformat()},
        }
        if self._form == "seconds":
            self._server.held_until = self._loop.time() + _ASKED_S
        return headers.get(self._form, {})

    def _break(self) -> None:
        """Answer in part, or not at all."""
        if self._kind == "stall":
            return
        message = _message(200, self._good_body())
        self._peer.write(message[: len(message) - len(message) // 3])
        self._later(0.001, self._peer.reset if self._kind == "reset" else self._peer.transport.close)

    def _spoil(self) -> None:
        """Answer 2xx with something of no use."""
        body = self._good_body()
        if self._kind == "truncated":
            self._send(200, body[: -len(body) // 3])
        elif self._kind == "html":
            self._send(200, _HTML, content_type="text/html")
        elif self._kind == "utf8":
            self._send(200, body.replace(b'"content": "', b'"content": "\xff\xfe', 1))
        elif self._kind == "nan":
            self._send(200, body.replace(b'"prompt_tokens": ', b'"prompt_tokens": NaN, "was": ', 1))
        elif self._kind == "bomb":
            self._send(200, _bomb(), content_encoding="gzip")
        else:
            length = "content-length: 1073741824" if self._kind == "huge" else "transfer-encoding: chunked"
            self._peer.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{length}\r\n\r\n".encode())
            self._is_pumping = True
            self.pump()


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """Return a gibibyte of blanks, compressed; only its end, which nobody should ever read, is missing."""
    packer, blank = zlib.compressobj(wbits=31), b" " * 2**20
    first = packer.compress(blank) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + 1023 * (packer.compress(blank) + packer.flush(zlib.Z_FULL_FLUSH))


def _tokens(text: str) -> int:
    return -(-len(text) // 4)


def _error(message: str, code: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()


def _message(status: int, body: bytes, **headers: str) -> bytes:
    named = {"content_type": "application/json", "content_length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Word", *lines, "", ""]).encode() + body


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock


@asynccontextmanager
async def fault_server(faults: Mapping[str, float] | Sequence[str] = (), **options: Any) -> AsyncIterator[FaultServer]:
    """Serve on a free loopback port for the length of a `with` block; takes what `FaultServer` takes."""
    server = FaultServer(faults, **options)
    await server.up()
    try:
        yield server
    finally:
        await server.down()


async def _main(options: argparse.Namespace) -> None:
    server = FaultServer(
        MIXES[options.faults],
        seed=options.seed,
        latency_s=(options.latency_ms / 2000, options.latency_ms / 500),
        limit=options.limit,
        keep=options.keep,
    )
    await server.up(options.port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(server.port, flush=True)
    await ended.wait()
    await server.down()
    print(json.dumps(server.counts.as_dict()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", choices=MIXES, default="voting")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="geometric mean of a latency")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--keep", type=int)
    asyncio.run(_main(parser.parse_args()))
