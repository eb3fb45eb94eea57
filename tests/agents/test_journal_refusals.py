"""What is no journal, no record or nothing but code in disguise is refused in one sentence and left as it is."""

from __future__ import annotations

import ast
import os
import pickle
import random
import sqlite3
from pathlib import Path
from typing import Literal

import pytest

import orchestra_agents
from orchestra_agents.errors import JournalError
from orchestra_agents.journal.chain_records import Snapshot
from orchestra_agents.journal.records import Record, RunEnded, Sampled, SubtaskStarted
from orchestra_agents.journal.registry import dump, load
from orchestra_agents.journal.sqlite import SCHEMA_VERSION, Journal, text_key

Mode = Literal["read", "write"]
MODES: list[Mode] = ["read", "write"]
AGENTS = Path(orchestra_agents.__file__).parent
MODULES = sorted(AGENTS.rglob("*.py"))
ENDED = '{"status":"ok","seconds":1.0}'


def write_journal(path: Path, count: int = 300) -> None:
    """Make a journal of one run with a good deal in it."""
    with Journal(path) as journal, journal.own("run") as run:
        for index in range(count):
            text = f"reply {index} " + "x" * 300
            reply = Sampled(
                node="n",
                input="i",
                model="m",
                policy="p",
                index=index,
                text=text_key(text),
                finish_reason="stop",
                flag=None,
                input_tokens=1,
                output_tokens=1,
                estimated=False,
                cost_usd=0.0,
                attempts=1,
                seconds=0.0,
            )
            run.append(reply, text=text)
            run.append_step(index, f'{{"action":{index},"k":3,"votes":3,"calls":3,"input_tokens":1,"output_tokens":1}}')
        run.append_snapshot(Snapshot(step=count, state=0, sums={}))


def read_journal(path: Path, mode: Mode) -> list[str]:
    """Everything that a journal holds."""
    with Journal(path, mode) as journal:
        steps = [f"{row.step} {row.body}" for run_id in journal.run_ids() for row in journal.steps(run_id)]
        snapshots = [str(journal.snapshot(run_id)) for run_id in journal.run_ids()]
        return [
            *steps,
            *snapshots,
            *(
                f"{run_id} {entry.seq} {dump(entry.record)} {journal.blob(entry.record.text)}"
                for run_id in journal.run_ids()
                for entry in journal.entries(run_id)
                if isinstance(entry.record, Sampled)
            ),
        ]


def refusal(path: Path, mode: Mode) -> JournalError:
    """The error of reading `path` as a journal; the file is the same before and after, to the byte."""
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        read_journal(path, mode)
    assert path.read_bytes() == before
    message = str(caught.value)
    assert message.startswith("journal: ")
    assert str(path) in message
    assert "\n" not in message
    return caught.value


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound journal; tests copy its bytes."""
    path = tmp_path_factory.mktemp("good") / "j.db"
    write_journal(path)
    return path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "content",
    [b"x", b"just a text\n" * 50, random.Random(1).randbytes(10_000), b"SQLite format 3\0", b"\0" * 4096],
    ids=["short", "text", "random", "header", "zeros"],
)
def test_other_files_are_foreign(tmp_path: Path, content: bytes, mode: Mode) -> None:
    """A file that is not SQLite's is refused as no journal, without a file beside it."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    error = refusal(path, mode)
    assert error.code == "journal.foreign"
    assert "is not an orchestra journal; it is left as it is" in str(error)
    assert list(tmp_path.iterdir()) == [path]


def foreign_database(path: Path, *pragmas: str) -> None:
    """Another program's SQLite file."""
    db = sqlite3.connect(path)
    for pragma in pragmas:
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE runs (name TEXT)")
    db.execute("INSERT INTO runs VALUES ('theirs')")
    db.commit()
    db.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pragma", ["journal_mode = DELETE", "journal_mode = WAL", "application_id = 7"])
def test_another_programs_database_is_foreign(tmp_path: Path, pragma: str, mode: Mode) -> None:
    """A SQLite file without our mark is refused, even where it has a table of the same name."""
    path = tmp_path / "theirs.db"
    foreign_database(path, pragma)
    error = refusal(path, mode)
    assert error.code == "journal.foreign"
    assert "another program's SQLite file" in str(error)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", MODES)
def test_another_programs_rollback_journal_does_not_make_it_ours(tmp_path: Path, mode: Mode) -> None:
    """A foreign database that keeps a rollback journal beside it is still foreign and keeps its journal mode."""
    path = tmp_path / "theirs.db"
    foreign_database(path, "journal_mode = PERSIST")
    assert (tmp_path / "theirs.db-journal").exists()
    assert refusal(path, mode).code == "journal.foreign"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_newer_journal_is_refused(good: Path, tmp_path: Path, mode: Mode, checkpointed: bool) -> None:
    """A journal of a later format is refused with both versions, even where the mark still stands in the WAL."""
    path = tmp_path / "newer.db"
    path.write_bytes(good.read_bytes())
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    if checkpointed:
        newer.close()
    error = refusal(path, mode)
    newer.close()
    assert error.code == "journal.newer"
    assert f"format {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}" in str(error)
    assert "upgrade orchestra-mas" in str(error)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [1000, 4096, 40_000, 100_000, 1.0])
def test_a_truncated_journal_is_damaged(good: Path, tmp_path: Path, missing: float, mode: Mode) -> None:
    """A journal whose end is missing, be it little or all but the header, is refused as damaged."""
    path, content = tmp_path / "cut.db", good.read_bytes()
    path.write_bytes(content[: -int(missing) if missing > 1 else 100])
    error = refusal(path, mode)
    assert error.code in ("journal.corrupt", "journal.record")
    assert "is damaged" in str(error) or "refused" in str(error)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page", [0, 1, 2, 3, 7, 20, 30])
def test_an_overwritten_page_is_damage(good: Path, tmp_path: Path, page: int, mode: Mode) -> None:
    """A journal with a page of random bytes in it is refused at the latest where that page is read."""
    path, content = tmp_path / "noise.db", bytearray(good.read_bytes())
    start = 100 if page == 0 else page * 4096  # the first 100 bytes say whose file it is
    content[start : (page + 1) * 4096] = random.Random(page).randbytes((page + 1) * 4096 - start)
    path.write_bytes(content)
    assert refusal(path, mode).code in ("journal.corrupt", "journal.record")


@pytest.mark.parametrize("place", range(12))
def test_flipped_bytes_are_an_error_or_harmless(good: Path, tmp_path: Path, place: int) -> None:
    """With bytes flipped somewhere in its middle a journal reads as before, or is refused; nothing else happens."""
    path, content = tmp_path / "flipped.db", bytearray(good.read_bytes())
    start = 4096 + place * (len(content) - 4096) // 12
    content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    path.write_bytes(content)
    before = read_journal(good, "read")
    try:
        outcome = read_journal(path, "read")
    except JournalError as error:
        outcome = [error.code]
    assert outcome in (before, ["journal.corrupt"], ["journal.record"])
    assert path.read_bytes() == content


def test_an_undamaged_copy_reads_the_same(good: Path, tmp_path: Path) -> None:
    """The bytes of a journal are all of it."""
    path = tmp_path / "copy.db"
    path.write_bytes(good.read_bytes())
    for mode in MODES:
        assert read_journal(path, mode) == read_journal(good, "read")
    assert len(read_journal(path, "read")) == 300 + 300 + 1


def test_a_missing_journal_is_not_made_by_reading(tmp_path: Path) -> None:
    """Reading where nothing was ever written says so and writes nothing; an empty file counts as nothing."""
    for path in (tmp_path / "none.db", tmp_path / "no" / "folder.db"):
        with pytest.raises(JournalError, match="nothing has been run there yet") as caught:
            Journal(path, "read")
        assert caught.value.code == "journal.missing"
    assert list(tmp_path.iterdir()) == []
    empty = tmp_path / "empty.db"
    empty.touch()
    assert refusal(empty, "read").code == "journal.missing"
    with Journal(empty) as journal, journal.own("run") as run:
        run.append(RunEnded(status="ok", seconds=1.0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["/proc/nowhere/j.db", "file.txt/j.db", "file.txt/deeper/j.db", "."])
def test_a_place_that_cannot_hold_a_journal_is_named(tmp_path: Path, where: str, mode: Mode) -> None:
    """Where no file can be, or the path is a folder, one sentence says which path and nothing is written."""
    (tmp_path / "file.txt").write_text("mine")
    path = tmp_path / where
    with pytest.raises(JournalError) as caught:
        Journal(path, mode)
    assert caught.value.code in ("journal.readonly", "journal.missing")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]
    assert (tmp_path / "file.txt").read_text() == "mine"


class Bomb:
    """Something whose unpickling has an effect."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def deep(levels: int) -> str:
    """Nested lists as JSON text."""
    return "[" * levels + "]" * levels


REFUSED: dict[str, tuple[object, object]] = {
    "unknown type": ("evil", ENDED),
    "dotted path as type": ("os.system", '"true"'),
    "no type": ("", ENDED),
    "extra field": ("run.ended", '{"status":"ok","seconds":1.0,"more":1}'),
    "extra field inside": (
        "subtask.ended",
        '{"node":"n","input":null,"status":"failed","seconds":1.0,"cause":{"code":"c","message":"m","extra":1}}',
    ),
    "missing field": ("run.ended", '{"status":"ok"}'),
    "text for a number": ("run.ended", '{"status":"ok","seconds":"1.0"}'),
    "number for a flag": (
        "sample.failed",
        '{"node":"n","input":"i","model":"m","policy":"p","index":0,"code":"c","attempts":1,"calls":0,"unknown":true}',
    ),
    "fraction for an integer": ("sample.asked", '{"node":"n","input":"i","model":"m","policy":"p","index":0.5}'),
    "unknown word": ("run.ended", '{"status":"great","seconds":1.0}'),
    "not a number": ("run.ended", '{"status":"ok","seconds":NaN}'),
    "a list": ("run.ended", "[]"),
    "a text": ("run.ended", '"ok"'),
    "nothing": ("run.ended", ""),
    "not JSON": ("run.ended", "{'status': 'ok', 'seconds': 1.0}"),
    "two values": ("run.ended", ENDED + ENDED),
    "too deep": ("run.ended", f'{{"status":"ok","seconds":1.0,"answer":{deep(5000)}}}'),
    "YAML": ("run.ended", "status: ok\nseconds: 1.0"),
    "bytes": ("run.ended", ENDED.encode()),
}


@pytest.mark.parametrize(("kind", "body"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_of_our_records_is_refused(tmp_path: Path, kind: object, body: object) -> None:
    """A record of unknown type, with a field too many or too few, or that is not JSON text, is refused by name."""
    path = tmp_path / "j.db"
    write_journal(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO records (run, kind, body) VALUES (1, ?, ?)", (kind, body))
    db.close()
    with Journal(path, "read") as journal:
        reading = journal.entries("run")
        assert isinstance(next(reading).record, Sampled)
        with pytest.raises(JournalError, match="refused") as caught:
            next(reading)
    assert caught.value.code == "journal.record"
    assert str(kind) in str(caught.value)
    assert f"record 2 of {path}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("as_text", [True, False])
def test_a_pickle_is_never_loaded(tmp_path: Path, protocol: int, as_text: bool) -> None:
    """A pickle in place of a record or text is refused, and what its loading would do does not happen."""
    blob = pickle.dumps(Bomb(tmp_path / "boom"), protocol)
    body: object = blob.decode("latin-1") if as_text else blob
    path = tmp_path / "j.db"
    write_journal(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO records (run, kind, body) VALUES (1, 'run.ended', ?)", (body,))
        db.execute("INSERT INTO blobs VALUES ('pickle', ?)", (body,))
    db.close()
    with Journal(path, "read") as journal:
        with pytest.raises(JournalError, match="refused"):
            list(journal.entries("run"))
        with pytest.raises(JournalError, match="damaged"):
            journal.blob("pickle")
    assert not (tmp_path / "boom").exists()
    pickle.loads(blob)
    assert (tmp_path / "boom").exists()


def nested(levels: int) -> object:
    """Nested lists."""
    value: object = None
    for _ in range(levels):
        value = [value]
    return value


UNREADABLE: dict[str, Record] = {
    "deep": RunEnded(status="ok", answer=nested(220), seconds=1.0),  # pydantic writes this and does not read it
    "deeper": RunEnded(status="ok", answer=nested(2000), seconds=1.0),
    "surrogate": RunEnded(status="ok", answer="\ud800", seconds=1.0),
    "object": RunEnded(status="ok", answer=object(), seconds=1.0),
    "huge": RunEnded(status="ok", answer=10**5000, seconds=1.0),
    "name": SubtaskStarted(node="\udcff", team="solo"),
}


@pytest.mark.parametrize("record", UNREADABLE.values(), ids=UNREADABLE)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, record: Record) -> None:
    """A record that no reader could load is refused when it is written, so that a journal never locks itself out."""
    with Journal(tmp_path / "j.db") as journal, journal.own("run") as run:
        with pytest.raises(JournalError, match="refused") as caught:
            run.append(record)
        assert caught.value.code == "journal.record"
        assert list(run.entries()) == []
        run.append(RunEnded(status="ok", seconds=1.0))
        assert len(list(run.entries())) == 1


def test_load_takes_text_only() -> None:
    """Only JSON text is ever looked into; None, numbers and bytes are refused before that."""
    for body in (None, 1, b"{}", ["x"], {"status": "ok", "seconds": 1.0}):
        with pytest.raises(JournalError, match="is not JSON text; refused"):
            load("run.ended", body)


LOADERS = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "msgpack", "runpy", "imp", "code"})


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(AGENTS)))
def test_no_module_can_turn_data_into_code(module: Path) -> None:
    """No module of this storey imports a loader of objects, evaluates text, or imports by a name made of data."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                imported = {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=source, names=names):
                imported = {(source or "").partition(".")[0], *(alias.name for alias in names)}
            case ast.Call(func=ast.Name(id=called)) | ast.Call(func=ast.Attribute(attr="import_module" as called)):
                assert called not in {"eval", "exec", "compile", "__import__", "import_module"}, ast.unparse(node)
                continue
            case _:
                continue
        assert not imported & (LOADERS | {"import_module"}), ast.unparse(node)


def test_the_modules_were_found() -> None:
    """The check above looks at every module of the storey."""
    assert len(MODULES) > 20
    assert AGENTS / "journal" / "sqlite.py" in MODULES
