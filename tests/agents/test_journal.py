"""The journal on real SQLite files: what was acknowledged is there, once, whoever dies."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestra_agents.errors import InputError, JournalError, RunOwned, UnknownRun
from orchestra_agents.journal.lock import RunLock
from orchestra_agents.journal.records import (
    Asked,
    Record,
    RunStarted,
    Sampled,
)
from orchestra_agents.journal.registry import REGISTRY, dump, load
from orchestra_agents.journal.sqlite import Entry, Journal, text_key

WRITER = """
import os, sys
from pathlib import Path
from orchestra_agents.journal.records import Sampled
from orchestra_agents.journal.sqlite import Journal, text_key

path, run_id, first, count = sys.argv[1:]
with Journal(Path(path)) as journal, journal.own(run_id) as run:
    os.write(1, b"ready\\n")
    sys.stdin.readline()
    for index in range(int(first), int(first) + int(count)):
        text = f"reply {index} of {run_id}"
        reply = Sampled(
            node="n", input="i", model="m", policy="p", index=index, text=text_key(text), finish_reason="stop",
            flag=None, input_tokens=1, output_tokens=1, estimated=False, cost_usd=0.0, attempts=1, seconds=0.0,
        )
        entry = run.append(reply, text=text)
        os.write(1, f"{entry.seq} {index}\\n".encode())
"""
"""A process that owns a run, says so, waits for a line, and reports each record once it is acknowledged."""

texts = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    Any: json_values,
    str: texts,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    NoneType: st.none(),
}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """All values of a record field's type."""
    inner = [item if get_origin(annotation) is Literal else values(item) for item in get_args(annotation)]
    match get_origin(annotation):
        case None:
            if is_dataclass(annotation):
                return st.builds(
                    annotation, **{name: values(hint) for name, hint in get_type_hints(annotation).items()}
                )
            is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
            return built(annotation) if is_model else SCALARS[annotation]
        case origin if origin is Literal:
            return st.sampled_from(inner)
        case origin if origin in (Union, UnionType):
            return st.one_of(inner)
        case origin if origin is list:
            return st.lists(inner[0], max_size=3)
        case origin if origin is tuple:
            return st.tuples(*inner)
        case _:
            return st.dictionaries(inner[0], inner[1], max_size=3)


def built(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """All values of a record type, whatever fields it has."""
    return st.builds(model, **{name: values(field.annotation) for name, field in model.model_fields.items()})


def asked(index: int = 0, *, node: str = "n") -> Asked:
    """A record that may be repeated."""
    return Asked(node=node, input="i", model="m", policy="p", index=index)


def sampled(index: int = 0, *, text: str = "reply", node: str = "n") -> Sampled:
    """A record that may not."""
    return Sampled(
        **asked(index, node=node).model_dump(exclude={"samples", "worst_tokens", "worst_usd"}),
        text=text_key(text),
        finish_reason="stop",
        flag=None,
        input_tokens=1,
        output_tokens=1,
        estimated=False,
        cost_usd=0.0,
        attempts=1,
        seconds=0.5,
    )


def records(entries: Iterable[Entry]) -> list[Record]:
    """The records alone."""
    return [entry.record for entry in entries]


def replies(entries: Iterable[Entry]) -> dict[int, Sampled]:
    """The records of a run that has only replies, by their numbers."""
    return {entry.seq: entry.record for entry in entries if isinstance(entry.record, Sampled)}


@contextmanager
def process(path: Path, run_id: str, *, first: int = 0, count: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A writer that owns its run by now and waits for a line; whatever happens, it is gone afterwards."""
    arguments = [sys.executable, "-c", WRITER, str(path), run_id, str(first), str(count)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
            yield writer
        finally:
            writer.kill()


def start(writer: subprocess.Popen[str]) -> None:
    """Let a writer go."""
    assert writer.stdin
    writer.stdin.write("go\n")
    writer.stdin.flush()


@pytest.mark.parametrize("kind", REGISTRY)
@given(data=st.data())
@settings(deadline=None)
def test_every_record_reads_back_as_it_was(kind: str, data: st.DataObject) -> None:
    """Whatever stands in its fields, a record of any type is equal to what its JSON text is loaded as."""
    record = data.draw(built(REGISTRY[kind]))
    assert load(kind, dump(record)) == record


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_all_types_read_back_from_a_file(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Records of all types come back from the file equal and in order, under rising numbers."""
    path, run_id = tmp_path_factory.getbasetemp() / "all_types.db", uuid4().hex
    written: list[Record] = [data.draw(built(record)) for record in REGISTRY.values()]
    with Journal(path) as journal, journal.own(run_id) as run:
        entries = [run.append(record) for record in written]
    with Journal(path, "read") as journal:
        assert list(journal.entries(run_id)) == entries
    assert [entry.record for entry in entries] == written
    assert all(before.seq < after.seq for before, after in pairwise(entries))


def test_a_sample_is_replied_to_once(tmp_path: Path) -> None:
    """A second reply to a sample is refused and leaves nothing behind, its text included; questions may repeat."""
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run:
        for _ in range(3):
            run.append(asked())
        run.append(sampled(text="first"), text="first")
        with pytest.raises(JournalError, match="identity already") as caught:
            run.append(sampled(text="second"), text="second")
        assert caught.value.code == "journal.record"
        with pytest.raises(JournalError):
            journal.blob(text_key("second"))
        run.append(sampled(1))
        assert records(run.entries()) == [asked(), asked(), asked(), sampled(text="first"), sampled(1)]


def test_identity_counts_within_a_run(tmp_path: Path) -> None:
    """The same sample may stand in another run of the file, and a run starts once."""
    started = RunStarted(what="graph", manifest={}, evidence="simulated", at="now")
    with Journal(tmp_path / "j.db") as journal, journal.own("one") as one, journal.own("two") as two:
        for run in (one, two):
            assert run.started() is None
            run.append(started)
            run.append(sampled())
            assert run.started() == started
            with pytest.raises(JournalError, match="identity already"):
                run.append(started)


@given(text=texts)
@settings(max_examples=25, deadline=None)
def test_a_text_is_stored_once(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A text is one blob however often it is said, in whatever run, and reads back as it was."""
    path = tmp_path_factory.getbasetemp() / "blobs.db"
    with Journal(path) as journal, journal.own("one") as one, journal.own("two") as two:
        for run in (one, two, one):
            run.append(asked(), text=text)
        assert journal.blob(text_key(text)) == text
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM blobs WHERE hash = ?", (text_key(text),)).fetchone() == (1,)
    db.close()


@pytest.mark.parametrize(
    "damage", ["UPDATE blobs SET text = 'other'", "UPDATE blobs SET text = x'00'", "DELETE FROM blobs"]
)
def test_a_text_is_verified_when_read(tmp_path: Path, damage: str) -> None:
    """A text that is not the one that was stored, or is gone, is an error and not an answer."""
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run:
        run.append(sampled(), text="reply")
        journal.blob(text_key("reply"))
        with sqlite3.connect(tmp_path / "j.db") as db:
            db.execute(damage)
        db.close()
        with pytest.raises(JournalError, match="missing or damaged") as caught:
            journal.blob(text_key("reply"))
    assert caught.value.code == "journal.corrupt"


def test_listeners_are_told_after_the_commit(tmp_path: Path) -> None:
    """When a listener hears of a record, another reader finds it in the file already; listeners are told in order."""
    heard: list[tuple[str, Entry]] = []
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run, Journal(tmp_path / "j.db", "read") as reader:

        def check(entry: Entry) -> None:
            assert list(reader.entries("run"))[-1] == entry
            assert reader.blob(text_key("reply")) == "reply"
            heard.append(("first", entry))

        run.listen(check)
        run.listen(lambda entry: heard.append(("second", entry)))
        one, two = run.append(sampled(), text="reply"), run.append(asked())
        with pytest.raises(JournalError):
            run.append(sampled())
    assert heard == [("first", one), ("second", one), ("first", two), ("second", two)]


def test_many_records_are_read_in_pages(tmp_path: Path) -> None:
    """More records than one page come back whole, from any place on, and no page keeps writers out."""
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run:
        entries = [run.append(asked(index)) for index in range(1203)]
        assert list(journal.entries("run")) == entries
        for start_at in (0, 1, 499, 500, 501, 1000, 1202, 1203):
            after = entries[start_at - 1].seq if start_at else 0
            assert list(journal.entries("run", after=after)) == entries[start_at:]
        reading = journal.entries("run")
        first = next(reading)
        late = run.append(asked(9999))
        assert [first, *reading] == [*entries, late]


def test_runs_share_a_file(tmp_path: Path) -> None:
    """Two runs in one file keep their records apart and are listed, oldest first, once they have any."""
    with Journal(tmp_path / "j.db") as journal, journal.own("b") as one, journal.own("a") as two:
        assert journal.run_ids() == []
        for index in range(5):
            one.append(asked(index, node="one"))
            two.append(asked(index, node="two"))
        with journal.own("silent"):
            assert journal.run_ids() == ["b", "a"]
        assert records(one.entries()) == [asked(index, node="one") for index in range(5)]
        assert records(two.entries()) == [asked(index, node="two") for index in range(5)]


def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    """A run that is not there is an error for readers, and simply empty for who is about to write it."""
    with Journal(tmp_path / "j.db") as journal:
        with pytest.raises(UnknownRun, match="no run 'x'"):
            list(journal.entries("x"))
        with journal.own("x") as run:
            assert list(run.entries()) == []
            assert run.started() is None


@pytest.mark.parametrize("name", ["with space.db", "a?b=c.db", "100%25.db", "#1.db", "größe.db", "deep/er/j.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """A journal lies exactly where it is asked for, in folders that are made for its owner alone."""
    path = tmp_path / name
    with Journal(path) as journal, journal.own("run") as run:
        run.append(asked())
    assert path.is_file()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.parent == tmp_path or path.parent.stat().st_mode & 0o777 == 0o700
    with Journal(path, "read") as journal:
        assert journal.run_ids() == ["run"]


def test_a_failed_first_record_leaves_no_run_behind(tmp_path: Path) -> None:
    """Where the first record of a run cannot be written, nothing is, and later runs do not mix with it."""
    with Journal(tmp_path / "j.db") as journal, journal.own("one") as one, journal.own("two") as two:
        [pages] = journal._db.execute("PRAGMA page_count").fetchone()
        journal._db.execute(f"PRAGMA max_page_count = {pages}")  # the disk is full
        with pytest.raises(JournalError, match="full; nothing recorded so far is lost") as caught:
            one.append(asked(), text="x" * 100_000)
        assert caught.value.code == "journal.full"
        journal._db.execute("PRAGMA max_page_count = 100000")
        two.append(asked(node="two"))
        one.append(asked(node="one"))
        assert records(one.entries()) == [asked(node="one")]
        assert records(two.entries()) == [asked(node="two")]
        assert journal.run_ids() == ["two", "one"]


def test_a_locked_file_says_so(tmp_path: Path) -> None:
    """Where another program keeps the file locked, the append fails with a sentence and works afterwards."""
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run:
        journal._db.execute("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked by another program") as caught:
            run.append(asked())
        assert caught.value.code == "journal.locked"
        other.close()
        run.append(asked())
        assert len(list(run.entries())) == 1


def test_two_processes_write_one_file_at_once(tmp_path: Path) -> None:
    """Two processes that append to two runs of a new file at the same time lose nothing."""
    path, count = tmp_path / "j.db", 150
    with process(path, "one", count=count) as one, process(path, "two", count=count) as two:
        start(one)
        start(two)
        assert (one.wait(), two.wait()) == (0, 0)
    with Journal(path, "read") as journal:
        both = {run_id: replies(journal.entries(run_id)) for run_id in ("one", "two")}
        for run_id, found in both.items():
            assert [reply.index for reply in found.values()] == list(range(count))
            texts_found = [journal.blob(reply.text) for reply in found.values()]
            assert texts_found == [f"reply {index} of {run_id}" for index in range(count)]
    assert sorted([*both["one"], *both["two"]]) == list(range(1, 2 * count + 1))


LOOK = "import sys; from pathlib import Path; from orchestra_agents.journal.sqlite import Journal; "
LOOK += "Journal(Path(sys.argv[1]), 'read').close()"


def test_a_look_from_elsewhere_takes_nothing_from_a_process_that_opened_the_file_twice(tmp_path: Path) -> None:
    """POSIX drops all locks of a process on a file as soon as it closes one descriptor of it, however it was opened.

    Who then looks at the journal believes to be alone, and takes the log of what was written away as he leaves.
    """
    path = tmp_path / "journal.db"
    with Journal(path) as journal, journal.own("run") as run:
        run.append(sampled(0), text="reply")
        for index in range(1, 4):
            with Journal(path) as second:
                subprocess.run([sys.executable, "-c", LOOK, path], check=True)
                assert path.with_name("journal.db-wal").exists()
                run.append(sampled(index), text="reply")
                assert len(list(second.entries("run"))) == index + 1
    with Journal(path, "read") as journal:
        assert [one.index for one in records(journal.entries("run")) if isinstance(one, Sampled)] == [0, 1, 2, 3]


def test_a_run_has_one_owner(tmp_path: Path) -> None:
    """While a process works on a run nobody else gets it, other runs are free, and SIGKILL frees it."""
    path = tmp_path / "j.db"
    with Journal(path) as journal, process(path, "night", count=3) as owner:
        with pytest.raises(RunOwned, match=f"process {owner.pid}; wait or stop it") as caught:
            journal.own("night")
        assert (caught.value.pid, caught.value.run_id, caught.value.code) == (owner.pid, "night", "journal.owned")
        assert RunLock.owner(path, "night") == owner.pid
        with journal.own("day") as free:
            free.append(asked())
        start(owner)
        assert owner.stdout
        for _ in range(3):
            owner.stdout.readline()
        owner.kill()
        owner.wait()
        assert RunLock.owner(path, "night") is None
        with journal.own("night") as run:
            assert [reply.index for reply in replies(run.entries()).values()] == [0, 1, 2]
            run.append(sampled(3))


def test_ownership_ends_with_its_release(tmp_path: Path) -> None:
    """In one process too a run has one owner; a released run is free, and its lock file gone."""
    with Journal(tmp_path / "j.db") as journal:
        with journal.own("run"):
            with pytest.raises(RunOwned):
                journal.own("run")
            assert RunLock.owner(journal.path, "run") is not None
        assert RunLock.owner(journal.path, "run") is None
        assert not list(tmp_path.glob("*.lock"))
        with journal.own("run") as again:
            again.release()
            again.release()


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", "-x", ".x", "a b", "x\n", "x" * 101, "é", "a\0"])
def test_run_ids_are_plain_names(tmp_path: Path, run_id: str) -> None:
    """A run's name is made of letters, digits and a few signs, so that it can be part of a file name."""
    with Journal(tmp_path / "j.db") as journal, pytest.raises(InputError, match="run_id: must be 1 to 100 letters"):
        journal.own(run_id)
    assert [file.name for file in tmp_path.iterdir()] == ["j.db"]


@pytest.mark.parametrize("kills", [3, pytest.param(15, marks=pytest.mark.nightly)])
def test_sigkill_loses_no_acknowledged_record(tmp_path: Path, kills: int) -> None:
    """Killed at random moments and taken up again each time, a run holds every acknowledged record with its text."""
    path, moments = tmp_path / "j.db", random.Random(kills)
    acknowledged: dict[int, int] = {}
    for _ in range(kills):
        with process(path, "run", first=len(acknowledged), count=1_000_000) as writer:
            start(writer)
            assert writer.stdout
            lines = [writer.stdout.readline() for _ in range(moments.randint(1, 300))]
            writer.kill()
            lines += [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        acknowledged |= {int(seq): int(index) for seq, index in map(str.split, lines)}
        with Journal(path) as journal, journal.own("run") as run:
            there = replies(run.entries())
            assert {seq: there[seq].index for seq in acknowledged} == acknowledged
            assert [reply.index for reply in there.values()] == list(range(len(there)))
            assert len(there) <= len(acknowledged) + 1  # what was committed and not yet told
            assert all(journal.blob(reply.text) == f"reply {reply.index} of run" for reply in there.values())
        acknowledged = {seq: reply.index for seq, reply in there.items()}
