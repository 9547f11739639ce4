"""From Markdown to blocks. HTML in it is text like any other: what models write can never become a script or a form."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dirigent.documents.blocks import (
    Block,
    Code,
    Cut,
    Figure,
    Heading,
    Listing,
    Matrix,
    Paragraph,
    Quotation,
    Rule,
    Run,
    Runs,
)

__all__ = ["blocks_of"]

_READER = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable(["table", "strikethrough"])
_SCHEMES = ("https://", "http://", "mailto:")
_PLACED = ("chart", "table", "image")
_CUTS = ("<pagebreak>", "\\pagebreak", "\\newpage")
_DEEPEST = 12
"""Lists in lists and quotations in quotations; what is deeper becomes text."""


def blocks_of(markdown: str) -> tuple[Block, ...]:
    """The blocks of a text; whatever it is, it has some reading."""
    tokens = _READER.parse(markdown)
    return tuple(_Reading(tokens).until(None, 0))


class _Reading:
    """Walks the tokens once."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def until(self, end: str | None, depth: int) -> list[Block]:
        """The blocks up to the token of that type, which is passed."""
        found: list[Block] = []
        while self._at < len(self._tokens):
            token = self._next()
            if token.type == end:
                return found
            found += self._block(token, depth)
        return found

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _block(self, token: Token, depth: int) -> Sequence[Block]:
        match token.type:
            case "heading_open":
                runs = _runs(self._next())
                self._next()
                return [Heading(int(token.tag[1:]), runs)]
            case "paragraph_open":
                inline = self._next()
                self._next()
                return [_paragraph(inline)]
            case "bullet_list_open" | "ordered_list_open":
                return self._list(token, depth)
            case "blockquote_open":
                inner = self.until("blockquote_close", depth + 1)
                return [Quotation(tuple(inner))] if depth < _DEEPEST else inner
            case "fence" | "code_block":
                return [Code(token.content.rstrip("\n"))]
            case "hr":
                return [Rule()]
            case "table_open":
                return [self._table()]
            case _:
                return [Paragraph(_runs(token))] if token.type == "inline" else []

    def _list(self, token: Token, depth: int) -> Sequence[Block]:
        items: list[tuple[Block, ...]] = []
        end = token.type.replace("open", "close")
        while (inner := self._next()).type != end:
            if inner.type == "list_item_open":
                items.append(tuple(self.until("list_item_close", depth + 1)))
        if depth >= _DEEPEST:
            return [block for item in items for block in item]
        start = int(token.attrGet("start") or 1) if token.type.startswith("ordered") else None
        return [Listing(tuple(items), start)]

    def _table(self) -> Matrix:
        rows: list[tuple[Runs, ...]] = []
        right: list[bool] = []
        row: list[Runs] = []
        while (token := self._next()).type != "table_close":
            if token.type in ("th_open", "td_open"):
                if token.type == "th_open":
                    right.append("right" in str(token.attrGet("style") or ""))
                row.append(_runs(self._next()))
            elif token.type == "tr_close":
                rows.append(tuple(row))
                row = []
        return Matrix(rows[0] if rows else (), tuple(rows[1:]), tuple(right))


def _paragraph(inline: Token) -> Block:
    if inline.content.strip() in _CUTS:
        return Cut()
    inner = [child for child in inline.children or () if not (child.type == "text" and not child.content.strip())]
    if len(inner) == 1 and inner[0].type == "image":
        what, _, name = str(inner[0].attrGet("src") or "").partition(":")
        if what in _PLACED:
            return Figure(what, name, inner[0].content)
    return Paragraph(_runs(inline))


def _runs(inline: Token) -> Runs:
    found: list[Run] = []
    bold = italic = struck = 0
    link = ""
    for token in inline.children or ():
        match token.type:
            case "strong_open" | "strong_close":
                bold += token.nesting
            case "em_open" | "em_close":
                italic += token.nesting
            case "s_open" | "s_close":
                struck += token.nesting
            case "link_open":
                address = str(token.attrGet("href") or "")
                link = address if address.lower().startswith(_SCHEMES) else ""
            case "link_close":
                link = ""
            case "softbreak":
                found.append(Run(" "))
            case "hardbreak":
                found.append(Run("\n"))
            case "image":  # within a text, its words
                found.append(Run(token.content, bold > 0, italic > 0))
            case "code_inline":
                found.append(Run(token.content, bold > 0, italic > 0, code=True, struck=struck > 0, link=link))
            case _:
                if token.content:
                    found.append(Run(token.content, bold > 0, italic > 0, struck=struck > 0, link=link))
    return tuple(found)
