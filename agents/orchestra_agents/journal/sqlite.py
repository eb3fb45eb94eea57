"""The journal in SQLite: append-only, keyed by identity, one writer a run, safe against kill -9."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar, get_args

from orchestra_agents.errors import InputError, JournalError, UnknownRun
from orchestra_agents.journal.chain_records import Snapshot, StepDecided
from orchestra_agents.journal.file import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    check_header,
    connect,
    operational,
    refuse_unknown,
)
from orchestra_agents.journal.group import GroupCommit
from orchestra_agents.journal.lock import RunLock
from orchestra_agents.journal.records import Record, RunStarted
from orchestra_agents.journal.registry import dump, load

_BUSY_TIMEOUT_MS = 10_000
_PAGE = 500
_INSERT_STEP = "INSERT INTO steps (key, body) VALUES (?, ?)"
_PAGE_SIZE = 2048
_STEP_BITS = 40
"""A step's key is its run's number and its own, in one integer: a third faster to insert than a key of two columns."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SCHEMA = f"""
CREATE TABLE runs (run INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind TEXT NOT NULL, identity TEXT, body TEXT NOT NULL);
CREATE UNIQUE INDEX record_identity ON records (run, kind, identity) WHERE identity IS NOT NULL;
CREATE INDEX record_run ON records (run, seq);
CREATE TABLE blobs (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
"""
_CHAIN_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS steps (key INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS snapshots (
    run INTEGER NOT NULL, step INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, step)) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""  # format 2; a file of format 1 is given these tables when it is next written to
_SNAPSHOTS_KEPT = 2

Durability = Literal["process", "power"]
"""What a committed record survives: the death of the process (kill -9), or a loss of power too."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its place in the journal."""

    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class StepEntry:
    """A decided step of a chain, and the text that stands for it."""

    step: int
    body: str
    record: StepDecided


class Journal:
    """A journal file; several runs may share it.

    Args:
        path: The SQLite file.
        mode: `write` creates the file and its folder where they are missing, `read` changes no record.
        durability: `process` survives kill -9 at no cost; `power` waits for the disk at every commit, the steps of
            chains in groups and off the event loop.

    Raises:
        JournalError: The file is of a newer version, corrupt, not a journal, or cannot be written.
    """

    def __init__(
        self, path: Path, mode: Literal["read", "write"] = "write", *, durability: Durability = "process"
    ) -> None:
        if durability not in get_args(Durability):
            raise InputError("durability", f"must be process or power, got {durability!r}")
        self.path, self.durability = path, durability
        self._group: GroupCommit | None = None
        if not check_header(path) and mode == "read":
            raise JournalError("journal.missing", f"journal: no file {path}; nothing has been run there yet")
        with self._guard():
            if mode == "write":
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # a reader that may write leaves no -wal and -shm behind; where it may not, it makes do
            is_writable = mode == "write" or os.access(path, os.W_OK)
            self._db = connect(path, "rwc" if mode == "write" else "rw" if is_writable else "ro")
        try:
            with self._guard():
                self._db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
                if mode == "write":
                    self._prepare()
                else:
                    self._db.execute("PRAGMA query_only = ON")
                    self._check_format()
        except BaseException:
            self._db.close()
            raise
        found = os.stat(path)
        self._place = found.st_dev, found.st_ino

    def close(self) -> None:
        """Close the file."""
        if self._group is not None:
            self._group.close()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def own(self, run_id: str) -> RunJournal:
        """Return the writing end of run `run_id`, creating the run if it is new; one owner at a time.

        Raises:
            RunOwned: A live process owns the run.
            InputError: `run_id` is not a legal name.
        """
        check_run_id(run_id)
        with self._guard():
            lock = RunLock.acquire(self.path, run_id)
        return RunJournal(self, run_id, lock)

    def run_ids(self) -> list[str]:
        """Return the names of all runs that started, oldest first."""
        with self._guard():
            rows = self._db.execute(
                "SELECT name FROM runs WHERE EXISTS (SELECT 1 FROM records WHERE records.run = runs.run) ORDER BY run"
            )
            return [name for (name,) in rows]

    def entries(self, run_id: str, *, after: int = 0) -> Iterator[Entry]:
        """Yield the records of a run in order, read in short transactions of a few hundred.

        Raises:
            UnknownRun: No such run.
            JournalError: A record is not one of ours.
        """
        run = self.run_number(run_id)
        while True:
            with self._guard():
                rows = self._db.execute(
                    "SELECT seq, kind, body FROM records WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
                    (run, after, _PAGE),
                ).fetchall()
            for seq, kind, body in rows:
                yield Entry(seq, self._record(seq, kind, body))
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def steps(self, run_id: str, *, first: int = 0, count: int | None = None) -> Iterator[StepEntry]:
        """Yield `count` decided steps of a chain (None: all there are) from number `first` on, in short transactions.

        Raises:
            UnknownRun: No such run.
            JournalError: A row is not one of ours, or a step is missing.
        """
        keys, end = step_keys(self.run_number(run_id)), None if count is None else first + count
        while end is None or first < end:
            page = _PAGE if end is None else min(_PAGE, end - first)
            with self._guard():
                rows = self._db.execute(
                    "SELECT key, body FROM steps WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
                    (keys.start + first, keys[-1], page),
                ).fetchall()
            for key, body in rows:
                step = key - keys.start
                if step != first:
                    raise JournalError(
                        "journal.corrupt", f"journal: {self.path} is damaged: step {first} of {run_id} is missing"
                    )
                yield StepEntry(step, body, self._step(step, body))
                first += 1
            if len(rows) < page:
                return

    def step_count(self, run_id: str) -> int:
        """Return how many steps of a chain are decided; 0 in a journal that never held a chain."""
        if not self._has_chains():
            return 0
        keys = step_keys(self.run_number(run_id))
        with self._guard():
            row = self._db.execute(
                "SELECT max(key) FROM steps WHERE key BETWEEN ? AND ?", (keys.start, keys[-1])
            ).fetchone()
        return 0 if row[0] is None else int(row[0]) - keys.start + 1

    def snapshot(self, run_id: str) -> Snapshot | None:
        """Return the latest snapshot of a chain, None before the first."""
        if not self._has_chains():
            return None
        run = self.run_number(run_id)
        with self._guard():
            row = self._db.execute(
                "SELECT step, body FROM snapshots WHERE run = ? ORDER BY step DESC LIMIT 1", (run,)
            ).fetchone()
        if row is None:
            return None
        snapshot = self._record(row[0], Snapshot.kind, row[1])
        assert isinstance(snapshot, Snapshot)
        return snapshot

    def _step(self, step: int, body: str) -> StepDecided:
        record = self._record(step, StepDecided.kind, body)
        assert isinstance(record, StepDecided)
        return record

    def _has_chains(self) -> bool:
        """Tell whether the file has the tables of format 2; one of format 1 that is only read has not."""
        with self._guard():
            return bool(self._db.execute("PRAGMA user_version").fetchone()[0] >= 2)

    def started(self, run_id: str) -> RunStarted | None:
        """Return the record of a run's start; None where it holds nothing yet, or a decomposition alone.

        Raises:
            UnknownRun: No such run.
        """
        first = next(self.entries(run_id), None)
        return first.record if first is not None and isinstance(first.record, RunStarted) else None

    def kind(self, run_id: str) -> str | None:
        """Return what a run does, `graph`, `drive` or `solve`; None where it has not started.

        Raises:
            UnknownRun: No such run.
        """
        started = self.started(run_id)
        return None if started is None else started.what

    def blob(self, key: str) -> str:
        """Return the text stored under `key`.

        Raises:
            JournalError: It is missing, or not the text that was stored.
        """
        with self._guard():
            row = self._db.execute("SELECT text FROM blobs WHERE hash = ?", (key,)).fetchone()
        if row is None or not isinstance(row[0], str) or _hash(row[0]) != key:
            raise JournalError("journal.corrupt", f"journal: the text {key} in {self.path} is missing or damaged")
        return row[0]

    def run_number(self, run_id: str) -> int:
        """Return the internal number of a run that exists.

        Raises:
            UnknownRun: No such run.
        """
        with self._guard():
            row = self._db.execute("SELECT run FROM runs WHERE name = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRun(run_id, str(self.path))
        return int(row[0])

    def check_in_place(self) -> None:
        """Refuse to go on where the file was deleted or replaced: what is written now would be lost.

        Raises:
            JournalError: `journal.missing`.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._place:
            told = "was deleted or replaced while a run was writing to it; what it held is lost with it"
            raise JournalError("journal.missing", f"journal: {self.path} {told}")

    def group(self) -> GroupCommit:
        """Return the thread that commits steps in groups, started on first use."""
        if self._group is None:
            self._group = GroupCommit(connect(self.path, "rw"), lambda error: self._error(error))
        return self._group

    def _error(self, error: Exception) -> Exception:
        """Return what `_guard` makes of an error."""
        try:
            with self._guard():
                raise error
        except Exception as translated:  # noqa: BLE001 - the error is handed on, to whoever waits for the commit
            return translated

    def _record(self, seq: int, kind: str, body: str) -> Record:
        try:
            return load(kind, body)
        except JournalError as error:
            raise JournalError(error.code, f"{error} (record {seq} of {self.path})") from error

    def _prepare(self) -> None:
        """Create the tables in a new file, then switch to WAL; a file that is a journal already is left as it is."""
        self._db.execute(f"PRAGMA page_size = {_PAGE_SIZE}")  # of a new file; half the default, and half of it to log
        with self.transaction():
            if self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                self._check_format()
            else:
                self._create(_SCHEMA)
            if self._db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                self._create(_CHAIN_SCHEMA)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'power' else 'NORMAL'}")

    def _create(self, schema: str) -> None:
        for statement in filter(str.strip, schema.split(";")):
            self._db.execute(statement)

    def _check_format(self) -> None:
        """Refuse what the header on disk did not show yet: it may stand in a WAL, or be about to be rolled back."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        refuse_unknown(self.path, application, version)

    def compact(self) -> None:
        """Give the space of what was removed back to the file system."""
        with self._guard():
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write several things or nothing."""
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into one sentence."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise operational(self.path, error) from error
        except sqlite3.IntegrityError as error:
            raise JournalError(
                "journal.record", f"journal: {self.path} holds a record of that identity already ({error}); refused"
            ) from error
        except sqlite3.DatabaseError as error:
            raise JournalError(
                "journal.corrupt", f"journal: {self.path} is damaged ({error}); it is left as it is"
            ) from error
        except OSError as error:
            raise JournalError("journal.readonly", f"journal: cannot write {self.path}: {error.strerror}") from error


class RunJournal:
    """The writing end of one run. Every append is committed before it returns, then told to the listeners."""

    def __init__(self, journal: Journal, run_id: str, lock: RunLock) -> None:
        self.journal, self.run_id = journal, run_id
        self._lock = lock
        self._run: int | None = None
        self._first_key = 0
        self._listeners: list[Callable[[Entry], None]] = []

    def append(self, record: Record, *, text: str | None = None) -> Entry:
        """Commit `record`, and `text` as a blob if given; a record of an identity that stands already is refused.

        Raises:
            JournalError: It could not be written; nothing was.
        """
        return self.append_all([(record, text)])[0]

    def append_all(self, records: Sequence[tuple[Record, str | None]]) -> list[Entry]:
        """Commit records, each with its text as a blob where there is one: all of them, or none.

        Raises:
            JournalError: They could not be written; nothing was.
        """
        entries = []
        bodies = [dump(record) for record, _ in records]
        with self.journal.transaction() as db:
            run = self._run
            if run is None:
                db.execute("INSERT OR IGNORE INTO runs (name) VALUES (?)", (self.run_id,))
                run = int(db.execute("SELECT run FROM runs WHERE name = ?", (self.run_id,)).fetchone()[0])
            for (record, text), body in zip(records, bodies, strict=True):
                if text is not None:
                    db.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (_hash(text), text))
                cursor = db.execute(
                    "INSERT INTO records (run, kind, identity, body) VALUES (?, ?, ?, ?)",
                    (run, record.kind, record.identity(), body),
                )
                entries.append(Entry(cursor.lastrowid or 0, record))
        self._run = run  # only now: had the transaction failed, the number would be the next run's
        self._first_key = step_keys(run).start
        for entry in entries:
            for listener in self._listeners:
                listener(entry)
        return entries

    def append_step(self, step: int, body: str) -> Awaitable[None] | None:
        """Commit a decided step, given as the JSON text of a `StepDecided`; None, or what to await until it stands.

        The text is not checked here: this is the one write of a chain's hot path, and its only writer is tested
        against the registry.

        Raises:
            JournalError: It could not be written; nothing was.
        """
        if self.journal.durability == "power":
            return self.journal.group().append(_INSERT_STEP, (self._first_key + step, body))
        try:
            self.journal._db.execute(_INSERT_STEP, (self._first_key + step, body))
        except sqlite3.Error:
            with self.journal._guard():
                raise
        return None

    def append_snapshot(self, snapshot: Snapshot) -> None:
        """Commit the state of a chain, and forget all snapshots but the two latest."""
        body = dump(snapshot)
        with self.journal.transaction() as db:
            db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (self._run, snapshot.step, body))
            db.execute(
                "DELETE FROM snapshots WHERE run = ?1 AND step NOT IN"
                " (SELECT step FROM snapshots WHERE run = ?1 ORDER BY step DESC LIMIT ?2)",
                (self._run, _SNAPSHOTS_KEPT),
            )

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call `listener` with every record after its commit."""
        self._listeners.append(listener)

    def entries(self) -> Iterator[Entry]:
        """Yield this run's records in order; none where the run is new."""
        try:
            yield from self.journal.entries(self.run_id)
        except UnknownRun:
            return

    def started(self) -> RunStarted | None:
        """Return the record of the run's start, or None where it is new."""
        first = next(self.entries(), None)
        return first.record if first is not None and isinstance(first.record, RunStarted) else None

    def release(self) -> None:
        """Give up ownership."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def check_run_id(run_id: str) -> None:
    """Refuse what cannot name a run.

    Raises:
        InputError: It is not 1 to 100 letters, digits, dots, underscores or hyphens, the first a letter or digit.
    """
    if not _RUN_ID.fullmatch(run_id):
        allowed = "1 to 100 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        raise InputError("run_id", f"must be {allowed}, got {run_id!r}")


def step_keys(run: int) -> range:
    """Return the keys that the steps of a run may have."""
    return range(run << _STEP_BITS, (run + 1) << _STEP_BITS)


def text_key(text: str) -> str:
    """Return the key under which `text` is stored as a blob."""
    return _hash(text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
