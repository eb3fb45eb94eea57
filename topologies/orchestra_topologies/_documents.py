"""Graph files and the context files they name, read from disk as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path

from orchestra_agents.documents import read_document, read_text
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json

MAX_GRAPH_BYTES = 50_000_000
"""Largest graph file."""
MAX_CONTEXT_BYTES = 1_000_000
"""Largest context file."""


def read_graph(path: Path) -> dict[str, Json]:
    """Return the mapping that a graph file holds: JSON where the name ends in .json, else YAML.

    Raises:
        InputError: The file cannot be read, is too large, is not what its name promises, or not a mapping.
    """
    document = read_document(path, max_bytes=MAX_GRAPH_BYTES, scalars="undated")
    if not isinstance(document, dict):
        told = f"must be a mapping with goal, context and subtasks, got {type(document).__name__}"
        raise InputError(str(path), told)
    return document


def read_context(names: Sequence[Json], folder: Path, allow_outside: Iterable[str | PathLike[str]] = ()) -> str:
    """Return the named file, or several joined, each under a header line that names it.

    Args:
        names: File names relative to `folder`.
        folder: Folder of the graph file.
        allow_outside: Files and folders that may be read although they lie outside it.

    Raises:
        InputError: A name is none, comes twice, leads outside, or its file is missing, too large or not text.
    """
    home = folder.resolve()
    parts: list[tuple[str, str]] = []
    allowed = [home, *(Path(one).resolve() for one in allow_outside)]
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name or name in names[:place]:
            raise InputError(f"context[{place}]", f"must be a file name that comes once, got {name!r}")
        try:
            path = (home / name).resolve()
            if path.is_symlink():  # from Python 3.13 on a link in a circle resolves to itself
                raise OSError("a link in a circle")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError("context", f"{name!r} cannot be a file name: {error}") from error
        if not any(path.is_relative_to(one) for one in allowed):
            raise InputError("context", f"{name} lies outside the graph file's folder; allow it by name to read it")
        parts.append((name, read_text(path, max_bytes=MAX_CONTEXT_BYTES, refuse=partial(_context_refusal, name))))
    if len(parts) == 1:
        return parts[0][1]
    return "\n".join(f"=== {name} ===\n{text}" for name, text in parts)


def _context_refusal(name: str, problem: str) -> InputError:
    return InputError("context", f"{name} {problem}")
