"""Cuts a text into pieces that can be cited: along headings first, then along paragraphs, then along sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

__all__ = ["Piece", "cut"]

_HEADING = re.compile(r"(#{1,6})\s+(\S.*)")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[\"„»(]?[A-ZÄÖÜ0-9])")
_LEAST = 60
"""Characters below which a paragraph joins the next one."""


class Piece(msgspec.Struct, frozen=True):
    """A piece of a document."""

    heading: str
    """The headings above it, outermost first, parted by ` › `."""
    text: str
    page: int | None = None


def cut(text: str, pages: Sequence[str], most: int) -> list[Piece]:
    """The pieces of a text, of about `most` characters each; by page where there are pages."""
    if pages:
        return [piece for number, page in enumerate(pages, 1) for piece in _cut(page, most, number)]
    return list(_cut(text, most, None))


def _cut(text: str, most: int, page: int | None) -> Iterator[Piece]:
    above: dict[int, str] = {}
    waiting: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        rest: list[str] = []
        for line in block.strip().splitlines():
            if found := _HEADING.fullmatch(line.strip()):
                waiting += ["\n".join(rest)] if rest else []
                rest = []
                yield from _joined(waiting, " › ".join(above.values()), most, page)
                waiting = []
                level = len(found[1])
                above = {key: value for key, value in above.items() if key < level} | {level: found[2].strip(" #")}
            else:
                rest.append(line.rstrip())
        if rest:
            waiting.append("\n".join(rest))
    yield from _joined(waiting, " › ".join(above.values()), most, page)


def _joined(paragraphs: Sequence[str], heading: str, most: int, page: int | None) -> Iterator[Piece]:
    """Paragraphs put together up to the size of a piece."""
    size, held = 0, list[str]()
    for paragraph in (part for whole in paragraphs for part in _parts(whole.strip(), most)):
        if held and size + len(paragraph) > most and size >= _LEAST:
            yield Piece(heading, "\n\n".join(held), page)
            size, held = 0, []
        if paragraph:
            held.append(paragraph)
            size += len(paragraph)
    if held:
        yield Piece(heading, "\n\n".join(held), page)


def _parts(paragraph: str, most: int) -> Iterator[str]:
    """A paragraph, or its sentences put together where it is too long; what has no sentences is cut at its words."""
    if len(paragraph) <= most:
        yield paragraph
        return
    held = ""
    for sentence in _SENTENCE.split(paragraph):
        for part in _words(sentence, most):
            if held and len(held) + len(part) > most:
                yield held
                held = ""
            held = f"{held} {part}".strip()
    if held:
        yield held


def _words(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        at = sentence.rfind(" ", most // 2, most)
        at = at if at > 0 else most
        yield sentence[:at]
        sentence = sentence[at:].lstrip()
    yield sentence
