"""HTML pages: what a reader would see, and nothing of what a browser would do."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from dirigent.core.documents import Extract, ReadLimits, Sheet
from dirigent.documents.reading.bounded import Cuts, decoded, sheet_of

__all__ = ["read", "read_words"]

_UNSEEN = frozenset(("script", "style", "template", "noscript", "svg", "head", "iframe", "object"))
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
    "table", "tr", "ul",
))  # fmt: skip
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([a-z0-9_-]+)", re.IGNORECASE)
_HEADING = re.compile(r"h[1-6]")


def read(data: bytes, limits: ReadLimits) -> Extract:
    """The text with its headings, lists and tables."""
    declared = _CHARSET.search(data[:4096])
    name = declared[1].decode().lower() if declared else ""
    text = data.decode(name, errors="replace") if name in ("iso-8859-1", "windows-1252") else decoded(data)
    return read_words(text, limits)


def read_words(text: str, limits: ReadLimits) -> Extract:
    """The same of a page that is text already."""
    cuts = Cuts(limits)
    seen = _Seen()
    seen.feed(text)
    seen.close()
    tables: list[Sheet] = []
    for index, rows in enumerate(seen.tables, 1):
        if (sheet := sheet_of(f"table {index}", rows, cuts)) is not None:
            tables.append(sheet)
    facts = {"title": seen.title.strip()} if seen.title.strip() else {}
    written = re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in "".join(seen.parts).split("\n"))).strip()
    return Extract("html", cuts.text(written), tables=tuple(tables), facts=facts, cut=tuple(cuts.words))


class _Seen(HTMLParser):
    """Gathers what is seen."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.title = ""
        self._hidden = 0
        self._in_title = False
        self._open: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        elif tag in _UNSEEN:
            self._hidden += 1
        elif tag == "table":
            self._open.append([])
        elif tag == "tr" and self._open:
            self._open[-1].append([])
        elif tag in ("td", "th") and self._open and self._open[-1]:
            self._cell = []
        if tag in _BLOCKS and self._cell is None:
            self.parts.append("\n\n" if tag == "p" or _HEADING.fullmatch(tag) else "\n")
        if _HEADING.fullmatch(tag):
            self.parts.append(f"{'#' * int(tag[1])} ")
        elif tag == "li":
            self.parts.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _UNSEEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("td", "th") and self._cell is not None:
            text = " ".join("".join(self._cell).split())
            if self._open and self._open[-1]:
                self._open[-1][-1].append(text)
            self.parts.append(f"{text} | ")
            self._cell = None
        elif tag == "table" and self._open:
            self.tables.append(self._open.pop())
        if tag in _BLOCKS and self._cell is None:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._hidden:
            (self.parts if self._cell is None else self._cell).append(re.sub(r"\s+", " ", data))
