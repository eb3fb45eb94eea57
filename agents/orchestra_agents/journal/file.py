"""The journal's file: what it must look like before SQLite may open it, and what SQLite's complaints about it mean."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from orchestra_agents.errors import JournalError

SCHEMA_VERSION = 2
APPLICATION_ID = 0x4F524348
"""Says in the file's header that it is ours: "ORCH"."""
_HEADER, _HEADER_BYTES = ("application_id", "user_version"), 100


def connect(path: Path, mode: Literal["rwc", "rw", "ro"]) -> sqlite3.Connection:
    """Return a connection in autocommit mode that any thread may use, one at a time."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def check_header(path: Path) -> bool:
    """Tell whether `path` has content; refuse what is no journal we know, without locking it or rolling it back.

    The header is read through SQLite all the same: POSIX drops all locks that a process has on a file as soon as it
    closes any descriptor of it, and only SQLite knows of its own and keeps the descriptor open until they are released.
    """
    foreign = JournalError("journal.foreign", f"journal: {path} is not an orchestra journal; it is left as it is")
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError("journal.readonly", f"journal: cannot read {path}: {error.strerror}") from error
    if not size:
        return False
    if size < _HEADER_BYTES:
        raise foreign
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as header:
            [[application], [version]] = [header.execute(f"PRAGMA {name}").fetchone() for name in _HEADER]
    except sqlite3.OperationalError as error:
        raise JournalError("journal.readonly", f"journal: cannot read {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname != "SQLITE_CORRUPT":
            raise foreign from error
        return True  # half of a checkpoint looks like that, too: who opens it will see
    if not os.path.exists(f"{path}-journal"):  # else SQLite may roll the header back on opening: look again then
        refuse_unknown(path, application, version)
    return True


def refuse_unknown(path: Path, application: int, version: int) -> None:
    """Refuse another program's file, and one of a format that is not known here.

    Raises:
        JournalError: `journal.foreign` or `journal.newer`.
    """
    if application != APPLICATION_ID:
        raise JournalError("journal.foreign", f"journal: {path} is another program's SQLite file; it is left as it is")
    if version > SCHEMA_VERSION:
        raise JournalError(
            "journal.newer",
            f"journal: {path} was written by a newer orchestra (format {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade orchestra-mas to read it",
        )


def operational(path: Path, error: sqlite3.OperationalError) -> JournalError:
    """Return what SQLite's operational errors mean, as one sentence with a code."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return JournalError("journal.locked", f"journal: {path} stayed locked by another program for 10 s")
    if "readonly" in text or "unable to open" in text:
        return JournalError(
            "journal.readonly", f"journal: cannot write {path}: its folder or file is read-only or missing"
        )
    if "disk is full" in text or "disk I/O" in text:
        return JournalError("journal.full", f"journal: cannot write {path}: {text}; nothing recorded so far is lost")
    return JournalError("journal.corrupt", f"journal: {path} is damaged ({text}); it is left as it is")
