"""A report as one HTML page that stands alone: no script, nothing loaded, figures in it, for screens and paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from orchestra_evals.report.blocks import Block, Bullets, Code, Heading, Notice, Paragraph, Picture, Table
from orchestra_evals.report.stylesheet import STYLE

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def html(blocks: Iterable[Block], title: str) -> str:
    """Return the page of a report.

    Args:
        blocks: What it says.
        title: Its title, as a browser shows it.
    """
    body = "\n".join(map(_written, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _written(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{escape(block.text)}</p>"
        case Notice():
            return f'<p class="notice"><strong>{escape(block.text)}</strong></p>'
        case Bullets():
            return f"<ul>\n{''.join(f'<li>{escape(item)}</li>{chr(10)}' for item in block.items)}</ul>"
        case Code():
            return f"<pre><code>{escape(block.text)}</code></pre>"
        case Picture():
            return f"<figure>\n{block.inline}\n<figcaption>{_caption(block)}</figcaption>\n</figure>"
        case Table():
            return _table(block)


def _caption(block: Table | Picture) -> str:
    return f'{escape(block.caption)} <span class="evidence">evidence: {escape(block.evidence)}</span>'


def _table(block: Table) -> str:
    kinds = [' class="number"' if is_number else "" for is_number in block.numbers]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(block.columns, kinds, strict=True)
    )
    rows = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in block.rows)
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(block.caption)}">\n<table>\n'
        f"<caption>{_caption(block)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(cells: tuple[str, ...], kinds: list[str]) -> str:
    first = f'<th scope="row">{escape(cells[0])}</th>'
    return first + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(cells[1:], kinds[1:], strict=True))
