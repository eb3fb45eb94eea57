"""A report as Markdown (GitHub's tables) and as one HTML page that stands alone: every text of a user is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from orchestra_evals.report.blocks import Block, Bullets, Picture, Table, Text

_MEANT = re.compile(r"([\\`*_\[\]|~#$!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
_LIST = re.compile(r"^([-+]|\d+[.)])(?=\s|$)")
_AROUND = {"h1": ("# ", ""), "h2": ("## ", ""), "h3": ("### ", ""), "notice": ("> **", "**")}
_TAGS = {"notice": ('<p class="notice"><strong>', "</strong></p>"), "code": ("<pre><code>", "</code></pre>")}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""No script and nothing loaded; figures have styles of their own."""
_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1b1f; --quiet: #5c5f66; --line: #d5d7db; --band: #f5f6f7; --mark: #9a3412;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181d; --ink: #e6e7ea; --quiet: #a3a7b0; --line: #3a3e47; --band: #1e2128; --mark: #fdba74; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1, h2, h3, p, li, figcaption { overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p, li { max-width: 48rem; }
pre { padding: .75rem 1rem; background: var(--band); white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .875rem/1.5 ui-monospace, monospace; }
.notice { padding: .6rem 1rem; border-left: .3rem solid var(--mark); background: var(--band); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; font-weight: 600; padding: .4rem 0; font-size: .9375rem; }
.evidence { font-weight: 400; color: var(--quiet); }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th[scope=row] { font-weight: 400; min-width: 10rem; max-width: 24rem; overflow-wrap: break-word; }
td { max-width: 26rem; overflow-wrap: break-word; }
.number { text-align: right; }
td.number { white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
figure { margin: 1.5rem 0 2rem; }
figure svg { display: block; width: 100%; min-width: 40rem; max-width: 60rem; height: auto; }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --quiet: #444; --line: #bbb; --band: #fff; --mark: #000; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; }
  th[scope=row], figure svg { min-width: 0; }
  td.number { white-space: normal; }
  tr, figure { break-inside: avoid; }
}
"""


def markdown(blocks: Iterable[Block]) -> str:
    """Return the Markdown of a report; its figures are files beside it."""
    return "\n\n".join(map(_marked, blocks)) + "\n"


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


def _marked(block: Block) -> str:
    match block:
        case Text(text, "code"):
            return f"    {text}"
        case Text(text, "p"):
            return _sentence(text)
        case Text(text, kind):
            before, after = _AROUND[kind]
            return f"{before}{escaped(text)}{after}"
        case Bullets():
            return "\n".join(f"- {_sentence(item)}" for item in block.items)
        case Picture():
            return f"![{escaped(block.caption)}]({block.file})\n\n{_bold(block)}"
        case Table():
            rule = ["---:" if is_number else "---" for is_number in block.numbers]
            lines = [[*map(escaped, block.columns)], rule, *([*map(escaped, row)] for row in block.rows)]
            return f"{_bold(block)}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _bold(block: Table | Picture) -> str:
    return f"**{escaped(block.caption)}** (evidence: {block.evidence})"


def html(blocks: Iterable[Block], title: str) -> str:
    """Return the page of a report, with its figures in it, for screens and paper."""
    body = "\n".join(map(_tagged, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _tagged(block: Block) -> str:
    match block:
        case Text():
            before, after = _TAGS.get(block.kind, (f"<{block.kind}>", f"</{block.kind}>"))
            return f"{before}{escape(block.text)}{after}"
        case Bullets():
            return f"<ul>\n{''.join(f'<li>{escape(item)}</li>{chr(10)}' for item in block.items)}</ul>"
        case Picture():
            return f"<figure>\n{_wide(block, block.svg)}\n<figcaption>{_caption(block)}</figcaption>\n</figure>"
        case Table():
            return _wide(block, _table(block))


def _wide(block: Table | Picture, content: str) -> str:
    """Return what scrolls in a box of its own where the screen is narrow."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{escape(block.caption)}">\n{content}\n</div>'


def _caption(block: Table | Picture) -> str:
    return f'{escape(block.caption)} <span class="evidence">evidence: {escape(block.evidence)}</span>'


def _table(block: Table) -> str:
    kinds = [' class="number"' if is_number else "" for is_number in block.numbers]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(block.columns, kinds, strict=True)
    )
    rows = "\n".join(f"<tr>{_row(row, kinds)}</tr>" for row in block.rows)
    head = f"<caption>{_caption(block)}</caption>\n<thead><tr>{head}</tr></thead>"
    return f"<table>\n{head}\n<tbody>\n{rows}\n</tbody>\n</table>"


def _row(cells: tuple[str, ...], kinds: list[str]) -> str:
    first = f'<th scope="row">{escape(cells[0])}</th>'
    return first + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(cells[1:], kinds[1:], strict=True))
