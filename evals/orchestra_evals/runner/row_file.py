"""The file of rows: each is appended as soon as it is known, and what a kill tore off is cut away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from orchestra_agents.errors import InputError
from orchestra_evals.runner.rows import Row, row_of


class RowFile:
    """A JSONL file of rows; it and its folder are made with the first row.

    Args:
        path: The file; None keeps none.

    Raises:
        InputError: It holds something else than rows, or cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        """The rows that it holds, by the name of their run."""
        self._is_torn = False
        self._fd = -1
        if path is not None:
            try:
                self._read(path)
            except OSError as error:
                raise _unusable(path, error) from error

    def keep(self, is_kept: Callable[[Row], bool]) -> None:
        """Leave out the rows that will be written anew, and a line that was torn off."""
        kept = {name: row for name, row in self.rows.items() if is_kept(row)}
        if self.path is None or (not self._is_torn and len(kept) == len(self.rows)):
            return
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            draft.write_text("".join(row.to_line() for row in kept.values()), encoding="utf-8", errors="replace")
            draft.replace(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from error
        self.rows, self._is_torn = kept, False

    def append(self, row: Row) -> None:
        """Write a row, so that it stands whatever becomes of this process."""
        if self.path is None:
            return
        rest = memoryview(row.to_line().encode("utf-8", "replace"))
        try:
            if self._fd < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise _unusable(self.path, error) from error
        self.rows[row.run_id] = row

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, path: Path) -> None:
        """Read what is there; the line that a kill tore off is the last one, and has no end."""
        if not path.exists():
            return
        *lines, torn = path.read_bytes().split(b"\n")
        self._is_torn = bool(torn)
        for number, line in enumerate(lines, 1):
            try:
                row = row_of(line)
            except ValueError as error:
                told = f"line {number} of {path} is no row of a sample; name another file"
                raise InputError("--out", told) from error
            self._is_torn |= row.run_id in self.rows  # a row that comes twice is written once
            self.rows[row.run_id] = row


def _unusable(path: Path, error: OSError) -> InputError:
    return InputError("--out", f"cannot use {path}: {error.strerror}")
