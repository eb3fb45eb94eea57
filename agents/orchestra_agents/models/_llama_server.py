"""llama.cpp servers in child processes, each shared by everything in this process that asks for the same one.

They are children, not threads, for reasons that were measured with xllamacpp 2026.10: stopping an in-process server
while one request is in flight never returns; leaving it running crashed one of five interpreter exits; a failed
assertion of llama.cpp ends its whole process; and it prints to standard error whatever its verbosity.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra_agents.errors import ModelUnavailable

_CHILD = Path(__file__).with_name("_llama_child.py")
_STOP_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What tells one server from another."""

    model: str
    """Path of the GGUF file."""
    slots: int
    """Completions computed at the same time."""
    context_per_slot: int
    """Context window of each, in tokens."""
    threads: int


class LlamaServer:
    """One child process; it is stopped at the latest when this process ends, however that happens."""

    def __init__(self, settings: ServerSettings) -> None:
        self.key = secrets.token_hex(16)
        """What other users of this machine do not know."""
        self._settings = settings
        self._owner = os.getpid()
        self._address: Future[str] = Future()
        self._address.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
        command = [sys.executable, "-P", str(_CHILD)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            # A session of its own: Ctrl-C is for us, who then stop it.
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, start_new_session=True)
        except OSError as error:
            raise ModelUnavailable(f"cannot start a process for llama.cpp: {error}") from error
        threading.Thread(target=self._await_address, daemon=True).start()

    async def address(self) -> str:
        """Return the server's base URL as soon as it serves.

        Raises:
            ModelUnavailable: llama.cpp cannot serve this file.
        """
        return await asyncio.wrap_future(self._address)

    def is_usable(self) -> bool:
        """Whether it serves, or is about to."""
        has_failed = self._address.done() and self._address.exception() is not None
        return not has_failed and self._process.poll() is None

    def stop(self) -> None:
        """End the child process; may be called twice, and does nothing in a fork of the owner."""
        if os.getpid() != self._owner:
            return
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT_S)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _await_address(self) -> None:
        """Tell the child its settings and wait for its answer, in a thread that no exit waits for."""
        settings = asdict(self._settings) | {"key": self.key, "path": [part for part in sys.path if part]}
        line = b""
        with contextlib.suppress(OSError, ValueError):  # the child is gone, or was stopped meanwhile
            if self._process.stdin is not None and self._process.stdout is not None:
                self._process.stdin.write(json.dumps(settings).encode() + b"\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
                self._process.stdout.close()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = {"error": "the process ended without a word"}
        if "address" in answer:
            self._address.set_result(answer["address"])
        else:
            told = f"llama.cpp cannot serve {self._settings.model}: {answer['error']}"
            self._address.set_exception(
                ModelUnavailable(f"{told} (the file may be damaged, or too large for this machine's memory)")
            )


_servers: dict[ServerSettings, LlamaServer] = {}
_lock = threading.Lock()


def shared_server(settings: ServerSettings) -> LlamaServer:
    """Return this process's server with these settings, started if there is none."""
    with _lock:
        server = _servers.get(settings)
        if server is None or not server.is_usable():
            if server is not None:
                server.stop()
            elif not _servers:
                atexit.register(stop_servers)
            server = _servers[settings] = LlamaServer(settings)
        return server


def stop_servers() -> None:
    """Stop all servers of this process; the next sample of a model starts its server again."""
    with _lock:
        for server in _servers.values():
            server.stop()
        _servers.clear()
    atexit.unregister(stop_servers)
