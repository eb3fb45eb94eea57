"""`orchestra eval report`: what it reads, where it writes, what it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orchestra_agents.errors import InputError
from orchestra_evals.cli.report_command import report_command
from tests.report.documents import document, without_scores

APP = typer.Typer()
APP.command()(report_command)


def run(*arguments: object) -> str:
    """Return what the command prints; errors are raised as they come to `orchestra`."""
    found = CliRunner().invoke(APP, list(map(str, arguments)), catch_exceptions=True)
    if found.exception is not None:
        raise found.exception
    return found.stdout


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a file with a document of which nothing was measured, which has no figures."""
    path = tmp_path / "night.json"
    path.write_text(json.dumps(without_scores()), encoding="utf-8")
    return path


def test_report_lies_beside_the_document_and_its_files_are_printed(saved: Path) -> None:
    """The folder is named after the file."""
    folder = saved.with_name("night-report")
    assert run(saved).splitlines() == [str(folder / "report.md"), str(folder / "report.html")]
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.md"]


def test_several_documents_make_one_report(saved: Path, tmp_path: Path) -> None:
    """As JSON the paths are told by what they are."""
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document()), encoding="utf-8")
    told = json.loads(run(saved, other, "--out", tmp_path / "here" / "both", "--json"))
    folder = tmp_path / "here" / "both"
    figures = [str(folder / f"hanoi-2-{kind}.svg") for kind in ("spend", "forecast", "survival")]
    assert told == {"markdown": str(folder / "report.md"), "html": str(folder / "report.html"), "figures": figures}
    assert all(Path(path).is_file() for path in figures)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", r"night\.json: line 1 is not JSON"),
        ('{"suite": "hanoi"}', r"night\.json: must be a document of `orchestra eval compare`"),
        ("[]", r"night\.json: must be a document of `orchestra eval compare`"),
        ('{"document": "orchestra.comparison/1", "suite": 3}', r"night\.json: suite: "),
    ],
)
def test_other_files_are_refused_by_name(saved: Path, text: str, sentence: str) -> None:
    """Nothing is written."""
    saved.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        run(saved)
    assert not saved.with_name("night-report").exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(InputError, match=r"nothing\.json: does not exist"):
        run(tmp_path / "nothing.json")


def test_without_matplotlib_nothing_is_written(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"orchestra-mas\[plots\]"):
        run(saved)
    assert not saved.with_name("night-report").exists()
