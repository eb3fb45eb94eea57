"""Predictions for SWE-bench, whose own harness scores them: one patch for each instance, without stray files.

A patch is read as `git diff` or `diff -u` writes it, also between other text or in a fenced block; a hunk is as long as
its header says. Left out is what agents leave behind, new files of `STRAY` anywhere and of `SCRATCH` at the root, and
also binary files and paths that lead out of the repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, canonical_json

STRAY = (
    *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".venv", "venv", "node_modules"),
    *("build", "dist", "*.egg-info", ".coverage", ".DS_Store", ".idea", ".vscode"),
    *("*.pyc", "*.pyo", "*.so", "*.o", "*.orig", "*.rej", "*.bak", "*.swp", "*~", "*.log"),
)
"""Patterns of names of files and folders that are stray where they are new."""
SCRATCH = ("repro*", "debug*", "scratch*", "tmp*", "temp*", "test_*", "*_test.py", "*.patch", "*.diff", "patch.txt")
"""Patterns of names of files that are stray where they are new at the root."""

_HUNK = re.compile(r"@@ -[0-9]+(?:,([0-9]{1,9}))? \+[0-9]+(?:,([0-9]{1,9}))? @@")
_CHANGES = ("new file mode ", "deleted file mode ", "old mode ", "new mode ", "rename ", "copy ")
_OTHER_HEADERS = ("index ", "similarity index ", "dissimilarity index ")
_BINARY = ("Binary files ", "GIT binary patch")


@dataclass(slots=True)
class FilePatch:
    """What a patch does to one file."""

    path: str = ""
    """Where the file is in the end, or was where it is deleted, relative to the root."""
    lines: list[str] = field(default_factory=list)
    """The lines of the patch, headers included."""
    is_new: bool = False


def predictions_of(
    rows: Iterable[Mapping[str, Json]], *, model: str | None = None, is_stray: Callable[[FilePatch], bool] | None = None
) -> str:
    """Return a predictions file as JSON lines: `instance_id`, `model_name_or_path` and `model_patch`.

    Args:
        rows: Rows of a run, with `sample_id`, `output` and `model`, one for each instance; an output that is None or
            holds no patch makes an empty one, which the harness counts as unresolved.
        model: Name to write instead of each row's own.
        is_stray: Which files to leave out; None takes `is_stray_file`.

    Raises:
        InputError: A row has no sample_id or names no model, its output is no text, or an instance comes twice.
    """
    made: dict[str, Json] = {}
    for number, row in enumerate(rows, 1):
        where = f"row {number}"
        instance, name = _named(row, "sample_id", where), model or _named(row, "model", where)
        output = row.get("output")
        if output is not None and not isinstance(output, str):
            raise InputError(where, f"output must be a patch as text, got {shown(output)}")
        if instance in made:
            raise InputError(where, f"{instance} comes twice; the harness takes one patch for each instance")
        patch = clean_patch(output or "", is_stray=is_stray)
        made[instance] = {"instance_id": instance, "model_name_or_path": name, "model_patch": patch}
    return "".join(f"{canonical_json(prediction)}\n" for prediction in made.values())


def clean_patch(text: str, *, is_stray: Callable[[FilePatch], bool] | None = None) -> str:
    r"""Return the patch that stands in a text, without stray files; empty where there is none.

    >>> clean_patch("Done:\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\nThat is all.").splitlines()
    ['--- a/x.py', '+++ b/x.py', '@@ -1 +1 @@', '-a', '+b']
    """
    refused = is_stray or is_stray_file
    kept = (patch for patch in file_patches(text) if not refused(patch))
    return "".join(f"{line}\n" for patch in kept for line in patch.lines)


def is_stray_file(patch: FilePatch) -> bool:
    """Return whether a file is left out by default: it lies outside, or is new and of `STRAY` or `SCRATCH`."""
    path = PurePosixPath(patch.path)
    if path.is_absolute() or ".." in path.parts or ".git" in path.parts:
        return True
    patterns = STRAY if len(path.parts) > 1 else STRAY + SCRATCH
    return patch.is_new and any(fnmatchcase(part, pattern) for part in path.parts for pattern in patterns)


def file_patches(text: str) -> Iterator[FilePatch]:
    """Yield what the patch in a text does to each file but binary ones; what changes nothing is left out."""
    reader = _Reader(text.removesuffix("\n").split("\n"))
    for place in range(len(reader.lines)):
        reader.read(place)
    for patch in reader.found:
        if patch.path and any(_HUNK.match(line) or line.startswith(_CHANGES) for line in patch.lines):
            yield patch


@dataclass(slots=True)
class _Reader:
    """Reads a text line by line; knows from the header of a hunk how many of its lines are still to come."""

    lines: Sequence[str]
    found: list[FilePatch] = field(default_factory=list)
    is_open: bool = False
    """Whether lines belong to the last file found."""
    old: int = 0
    """Lines of the hunk still to come, of the old file."""
    new: int = 0
    """Likewise of the new file."""

    def read(self, place: int) -> None:
        """Take the line at `place` for what it can be here."""
        line = self.lines[place]
        if line.startswith("diff --git "):
            self.found.append(FilePatch(path=_path(line.rpartition(" ")[2]), lines=[line]))
            self.is_open, self.old, self.new = True, 0, 0
        elif self._begins_file(place):
            self._name(line, self.lines[place + 1])
        elif self.old > 0 or self.new > 0:
            self._read_hunk(line)
        elif self.is_open:
            self._read_between(line)

    def _begins_file(self, place: int) -> bool:
        """Return whether `--- old` and `+++ new` stand here, and are not lines of a hunk that say so."""
        first, second = [*self.lines[place : place + 2], ""][:2]
        if not first.startswith("--- ") or not second.startswith("+++ "):
            return False
        if self.old <= 0 and self.new <= 0:
            return True
        third = "".join(self.lines[place + 2 : place + 3])
        return (self.old > 1 or self.new > 1) and _HUNK.match(third) is not None

    def _name(self, old: str, new: str) -> None:
        """Take the names of a file, which `diff --git` may have begun."""
        has_names = not self.is_open or any(line.startswith("--- ") for line in self.found[-1].lines)
        if has_names:
            self.found.append(FilePatch())
        patch = self.found[-1]
        before, after = _path(old[4:]), _path(new[4:])
        patch.path, patch.is_new = after or before, patch.is_new or not before
        patch.lines.append(old)
        self.is_open, self.old, self.new = True, 0, 0

    def _read_hunk(self, line: str) -> None:
        if line[:1] not in ("", " ", "+", "-", "\\", "\r"):
            self.is_open, self.old, self.new = False, 0, 0
            return
        self.found[-1].lines.append(line)
        self.old -= line[:1] not in ("+", "\\")
        self.new -= line[:1] not in ("-", "\\")

    def _read_between(self, line: str) -> None:
        """Take a line outside of hunks: a header, the next hunk, or the end of the file."""
        patch = self.found[-1]
        hunk = _HUNK.match(line)
        if line.startswith(_BINARY):
            self.found.pop()
            self.is_open = False
        elif hunk:
            self.old, self.new = (1 if said is None else int(said) for said in hunk.groups())
        self.is_open = self.is_open and (
            hunk is not None or line.startswith((*_CHANGES, *_OTHER_HEADERS, "+++ ", "\\ No newline"))
        )
        if self.is_open:
            patch.is_new = patch.is_new or line.startswith("new file mode ")
            if line.startswith(("rename to ", "copy to ")):
                patch.path = line.split(" to ", 1)[1].strip()
            patch.lines.append(line)


def _named(row: Mapping[str, Json], key: str, where: str) -> str:
    said = row.get(key)
    if not isinstance(said, str) or not said:
        raise InputError(where, f"{key} must be a text, got {shown(said)}")
    return said


def _path(said: str) -> str:
    """Return the path that a header names, without its `a/` or `b/`; empty for none."""
    path = said.partition("\t")[0].strip().strip('"')
    if path == "/dev/null":
        return ""
    return path[2:] if path.startswith(("a/", "b/")) else path
