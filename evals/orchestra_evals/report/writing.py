"""A report in its folder: report.md, report.html, and the figures as files of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.report.blocks import Block, Picture, Text
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.drawing import require_matplotlib
from orchestra_evals.report.figures import pictures
from orchestra_evals.report.rendering import html, markdown
from orchestra_evals.report.sections import sections, title

Written: TypeAlias = Mapping[str, Json] | ComparisonDocument
"""A document, as JSON or as it was read."""

_SLUG = 40


def write_report(document: Written | Sequence[Written], folder: Path) -> tuple[Path, ...]:
    """Write the report of comparisons and return its files: report.md, report.html, then the figures.

    Equal documents give equal files, each of which is replaced as a whole.

    Args:
        document: What `orchestra eval compare` made of a suite, or several, one after the other in one report.
        folder: Where it is written; made where it is missing.

    Raises:
        InputError: There is no document, one is no comparison, matplotlib is missing, or the folder cannot be written.
    """
    said = [document] if isinstance(document, Mapping | ComparisonDocument) else list(document)
    if not said:
        raise InputError("report", "must have at least one document")
    names = ["document"] if len(said) == 1 else [f"document {place}" for place in range(1, len(said) + 1)]
    found = [_read(one, name) for one, name in zip(said, names, strict=True)]
    require_matplotlib()
    drawn = [pictures(one, slug) for one, slug in zip(found, _slugs(found), strict=True)]
    blocks = list(_blocks(found, drawn))
    texts = {"report.md": markdown(blocks), "report.html": html(blocks, _title(found))}
    texts |= {picture.file: f"{picture.svg}\n" for some in drawn for picture in some.values()}
    return tuple(_written(folder, texts))


def _read(said: Written, name: str) -> ComparisonDocument:
    return said if isinstance(said, ComparisonDocument) else ComparisonDocument.of(said, name)


def _title(found: Sequence[ComparisonDocument]) -> str:
    return title(found[0]) if len(found) == 1 else f"Comparison of systems on {len(found)} suites"


def _blocks(found: Sequence[ComparisonDocument], drawn: Sequence[Mapping[str, Picture]]) -> Iterator[Block]:
    """Yield the report, the suites one after the other."""
    yield Text(_title(found), "h1")
    for one, some in zip(found, drawn, strict=True):
        if len(found) > 1:
            yield Text(title(one), "h2")
        yield from sections(one, some, level="h2" if len(found) == 1 else "h3")


def _slugs(found: Sequence[ComparisonDocument]) -> list[str]:
    """Return what begins the names of the figures of each suite, no two alike."""
    slugs: list[str] = []
    for one in found:
        words = re.sub("[^A-Za-z0-9]+", "-", one.suite).strip("-")[:_SLUG].strip("-").lower() or "suite"
        slugs.append(words if words not in slugs else f"{words}-{len(slugs) + 1}")
    return slugs


def _written(folder: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files of texts, once each stands as a whole."""
    path = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            beside = path.with_name(f"{name}.{os.getpid()}.part")
            beside.write_text(text, encoding="utf-8", newline="\n")
            beside.replace(path)
            yield path
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error
