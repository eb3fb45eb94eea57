"""A report as Markdown (GitHub's tables): every text of a user is escaped, figures are files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestra_evals.report.blocks import Block, Bullets, Code, Heading, Notice, Paragraph, Picture, Table

_MEANT = re.compile(r"([\\`*_\[\]|~#$!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
_LIST = re.compile(r"^([-+]|\d+[.)])(?=\s|$)")


def markdown(blocks: Iterable[Block]) -> str:
    """Return the Markdown of a report."""
    return "\n\n".join(map(_written, blocks)) + "\n"


def escaped(text: str) -> str:
    r"""Return a text, on one line, as Markdown that shows exactly it: no markup, HTML or link begins in it.

    >>> escaped("a|b <script> [x](http://y)")
    'a\\|b &lt;script&gt; \\[x\\](http&#58;//y)'
    """
    plain = _MEANT.sub(r"\\\1", text.translate(_ENTITIES))
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", plain)


def _sentence(text: str) -> str:
    """Return an escaped text that begins a line, where some would begin a list."""
    return _LIST.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped(text))


def _written(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escaped(block.text)}"
        case Paragraph():
            return _sentence(block.text)
        case Notice():
            return f"> **{escaped(block.text)}**"
        case Bullets():
            return "\n".join(f"- {_sentence(item)}" for item in block.items)
        case Code():
            return f"    {block.text}"
        case Picture():
            return f"![{escaped(block.caption)}]({block.file})\n\n{_caption(block)}"
        case Table():
            return f"{_caption(block)}\n\n{_table(block)}"


def _caption(block: Table | Picture) -> str:
    return f"**{escaped(block.caption)}** (evidence: {block.evidence})"


def _table(block: Table) -> str:
    rule = ["---:" if is_number else "---" for is_number in block.numbers]
    lines = [[*map(escaped, block.columns)], rule, *([*map(escaped, row)] for row in block.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
