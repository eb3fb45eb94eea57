"""What tests read in reports: the tables of a Markdown file, and those, tags and texts of an HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass
class Tables:
    """Tables by caption, each a list of rows of cells, the first the names of the columns."""

    found: list[tuple[str, list[list[str]]]] = field(default_factory=list)

    def __getitem__(self, begins: str) -> list[dict[str, str]]:
        """Return the rows of the first table whose caption begins so, one a system, by the names of its columns."""
        head, *rows = next(rows for caption, rows in self.found if caption.startswith(begins))
        alone = [[name, *cells] for names, *cells in rows for name in names.split("; ")]
        return [dict(zip(head, row, strict=True)) for row in alone]


def markdown_tokens(text: str) -> list[Token]:
    """Return what a Markdown text is to a reader of GitHub's tables, HTML being allowed in it."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def shown(token: Token) -> str:
    """Return the text of a token as a reader sees it."""
    return "".join(child.content for child in token.children or [])


def markdown_tables(text: str) -> Tables:
    """Return the tables of a Markdown text, each with the paragraph before it as its caption."""
    tables, caption, is_inside = Tables(), "", False
    for token in markdown_tokens(text):
        if token.type in ("table_open", "table_close"):
            is_inside = token.type == "table_open"
            tables.found += [(caption, [])] if is_inside else []
        elif token.type == "tr_open":
            tables.found[-1][1].append([])
        elif token.type == "inline" and is_inside:
            tables.found[-1][1][-1].append(shown(token))
        elif token.type == "inline":
            caption = shown(token)
    return tables


class Page(HTMLParser):
    """An HTML page as it is parsed: its tags with their attributes, its tables, and all of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.tables = Tables()
        self._open: list[str] = []
        self._caption = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        elif tag == "thead":
            self.tables.found.append((self._caption, []))
        elif tag == "tr":
            self.tables.found[-1][1].append([])
        elif tag in ("th", "td"):
            self.tables.found[-1][1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
            return
        self.texts.append(data)
        if "caption" in self._open:
            self._caption += data
        elif self._open and self._open[-1] in ("th", "td"):
            self.tables.found[-1][1][-1][-1] += data

    @property
    def text(self) -> str:
        """All text that a reader sees."""
        return " ".join(self.texts)
