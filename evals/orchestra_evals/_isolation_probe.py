"""What an isolated program may open, and a hostile program that shows whether it can do more."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

PYTHON = (sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8")
"""How the interpreter is started: from an empty environment, without site-packages and files of byte code."""

_PATIENCE_S = 60.0
_NO_STANDARD = ("site-packages", "dist-packages")
_DYNAMIC = ("/etc/ld.so.cache", "/dev/urandom")
_SURVEY = """
import contextlib, importlib, os, sysconfig, warnings
warnings.simplefilter("ignore")
with contextlib.suppress(FileNotFoundError):
    for file in os.listdir(os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")):
        with contextlib.suppress(Exception):
            importlib.import_module(file.partition(".")[0])
with open("/proc/self/maps") as maps:
    mapped = {line.split(maxsplit=5)[5].rstrip() for line in maps if ".so" in line}
print("\\n".join(mapped))
"""  # the shared libraries that modules of the standard library load
_HOSTILE = """
import _thread, os, resource, socket, sys

def fork():
    if not os.fork():
        os._exit(0)

done = []
for attempt in (
    lambda: open(MARK).read(),
    lambda: open(MARK, "w"),
    lambda: os.truncate(MARK, 0),
    lambda: os.chmod(MARK, 0o600),
    lambda: os.rename(MARK, MARK + "s"),
    lambda: os.unlink(MARK),
    lambda: os.symlink(MARK, MARK + "s"),
    lambda: os.mkdir(MARK + "s"),
    lambda: os.listdir(os.path.dirname(MARK)),
    lambda: open(sys.executable, "rb"),
    lambda: os.open(os.devnull, os.O_RDONLY | os.O_TRUNC),
    lambda: open(f"/proc/{os.getppid()}/environ"),
    lambda: open("/proc/self/environ"),
    lambda: os.environ.popitem(),
    lambda: os.kill(os.getppid(), 0),
    lambda: socket.socket(socket.AF_INET),
    lambda: socket.socket(socket.AF_UNIX),
    lambda: socket.socketpair(),
    lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
    lambda: bytearray(2**28),
    lambda: _thread.start_new_thread(print, ()),
    lambda: os.execv("/bin/true", ["true"]),
    fork,
):
    try:
        attempt()
    except (OSError, RuntimeError, MemoryError, KeyError, ValueError):
        continue
    done.append(attempt.__code__.co_firstlineno)
print("done:", done)
"""


def readable_files() -> dict[str, list[str]]:
    """Return what a program may open: the standard library and what it loads, but no package that was installed."""
    homes = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    entries = [entry.path for home in homes for entry in os.scandir(home) if entry.name not in _NO_STANDARD]
    surveyed = subprocess.run(
        [*PYTHON, "-c", _SURVEY], env={}, capture_output=True, check=True, text=True, timeout=_PATIENCE_S
    )
    return {
        "listed": sorted(homes),
        "read": sorted({*entries, *surveyed.stdout.splitlines(), *filter(os.path.exists, _DYNAMIC)}),
        "written": [os.devnull],
    }


def hostile_program(mark: str) -> str:
    """Return a program that tries to get out, and prints `done: []` where it could not.

    Args:
        mark: Path of a file that it tries to read, change and delete.
    """
    return _HOSTILE.replace("MARK", repr(mark))
