"""One owner per run: an OS file lock that the kernel frees when the process dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl  # POSIX only; on Windows orchestra runs under WSL
import os
import time
from pathlib import Path
from typing import Self

from orchestra_agents.errors import RunOwned

_PATIENCE, _MOMENT_S = 3, 0.01


class RunLock:
    """An exclusive lock on a file beside the journal, which holds the owner's process id while it lasts."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: Path, fd: int) -> None:
        self._path, self._fd = path, fd

    @classmethod
    def acquire(cls, journal: Path, run_id: str) -> Self:
        """Take the lock of a run.

        Raises:
            RunOwned: A live process holds it.
        """
        path = _path(journal, run_id)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _lock(fd)
            except OSError as error:
                pid = _pid(fd)
                os.close(fd)
                raise RunOwned(run_id, pid) from error
            if _is_at(path, fd):
                os.truncate(fd, 0)
                os.write(fd, f"{os.getpid()}\n".encode())
                return cls(path, fd)
            os.close(fd)  # the previous owner removed the file between our open and our lock

    @staticmethod
    def owner(journal: Path, run_id: str) -> int | None:
        """Return the process id of the run's live owner, or None; takes nothing."""
        try:
            fd = os.open(_path(journal, run_id), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _pid(fd)
        else:
            return None
        finally:
            os.close(fd)

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def _lock(fd: int) -> None:
    """Take the lock; a moment's patience, because somebody who only asks for the owner holds it for a moment."""
    for _ in range(_PATIENCE):
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_MOMENT_S)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _path(journal: Path, run_id: str) -> Path:
    return journal.with_name(f"{journal.name}.{run_id}.lock")


def _pid(fd: int) -> int:
    text = os.read(fd, 32).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else 0


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
