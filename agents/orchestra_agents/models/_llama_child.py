"""The process that serves one GGUF file over loopback. Run by path; it imports nothing of orchestra.

It reads its settings as one JSON line from standard input, answers with one JSON line on standard output, and serves
until standard input ends, which it does however the parent process ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def _leave_with_parent() -> None:
    """End this process, whatever llama.cpp is doing, once the parent is gone."""
    sys.stdin.read()
    os._exit(0)


def _serve(settings: dict[str, Any]) -> tuple[object, str]:
    """Return the running server, which must be kept, and its address."""
    import xllamacpp  # noqa: PLC0415 - optional, and found on the parent's path only

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["context_per_slot"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.n_threads_http = 4 * settings["slots"] + 4  # an idle connection occupies one of them
    params.cache_ram_mib = 256
    params.api_keys = [settings["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.endpoint_slots = False  # it would show other users' prompts
    params.ui = False
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    return server, server.listening_address


def main() -> None:
    """Serve until the parent is gone."""
    settings = json.loads(sys.stdin.readline())
    sys.path[:] = settings["path"]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what llama.cpp prints must not pass for the answer
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    server: object = None
    try:
        server, address = _serve(settings)
        answer = {"address": address}
    except Exception as error:  # noqa: BLE001 - the boundary of this process: the parent tells the user
        answer = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(answer) + "\n")
    answers.close()
    if server is not None:
        threading.Event().wait()


if __name__ == "__main__":
    main()
