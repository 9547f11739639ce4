"""Words, numbers and signs of a text in a few passes over bytes: what features, terms and languages are found by.

Python's regular expressions take some forty times as long for a character as `bytes.translate` does. So a text whose
characters all stand in a code page of 256 is turned into bytes of that page, and tables do the rest; only a text in
another script is searched by expressions. Both ways find the same.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Glance", "glance"]


class Glance(NamedTuple):
    """What one look at a text tells."""

    words: list[str]
    """Its words in small letters and in order: letters and digits in a row, with what an apostrophe ties to them."""
    letters: int
    """Letters and digits of all words together, and the apostrophes within words."""
    numbers: int
    """Numbers written in digits, with the points and commas within them."""
    operators: int
    """Signs of arithmetic and comparison that stand between two operands, and percent signs."""
    symbols: int
    """Signs that mathematics alone uses."""
    accented: frozenset[str]
    """The different characters outside ASCII, in small letters, at the beginning of a text that is not `foreign`."""
    foreign: str
    """The beginning of the text in small letters, where it may be in another script than the Latin; else empty."""


BEGINNING: Final = 2_000
"""Characters by which letters and script are told."""

_WORD: Final = re.compile(r"\w+(?:['’][^\W\d_]+)?")
_NUMBER: Final = re.compile(r"[0-9][0-9.,]*")
_OPERATOR: Final = re.compile(r"[\^=+*/<>](?<=[\w)\s].)\s?[\w(\\-]|%")
_SYMBOL: Final = re.compile("[∑∫√∞≤≥≠±×÷∂∈∀∃πθλμσΔΣ²³]")


def glance(text: str) -> Glance:
    """What one look at the text tells, whatever its script."""
    for page in (_LATIN, _WINDOWS):
        try:
            return _by_tables(text, text.encode(page.codec), page)
        except UnicodeEncodeError:
            continue
    if _TELLING.search(text):
        return _by_expressions(text)
    # What is left of strangers is emoji, arrows and the like: as good as a question mark, but for the signs of maths.
    found = _by_tables(text, text.encode(_WINDOWS.codec, "replace"), _WINDOWS)
    return found._replace(symbols=found.symbols + len(_STRANGE_SYMBOL.findall(text)))


class _Page:
    """A code page and its tables, which map each byte to what it counts as."""

    def __init__(self, codec: str) -> None:
        # What the page leaves undefined occurs in no text that was encoded with it; NUL stands for it and says nothing.
        known = [bytes([code]).decode(codec, "replace").replace("\ufffd", "\0") for code in range(256)]
        self.codec = codec
        self.words = "".join(c.lower() if c.isalnum() or c in "'’" else " " for c in known).encode(codec)
        self.numbers = bytes(ord("0") if c in _DIGITS else ord(" ") for c in known)
        self.operators = "".join(map(_side, known)).encode()
        self.symbols = "".join(filter(_SYMBOL.match, known)).encode(codec)
        self.plain = bytes(range(128))


_DIGITS: Final = "0123456789"


def _side(character: str) -> str:
    """What a character is to an operator: itself `+`, on either side `w`, before it `)`, after it `(`, nothing `.`."""
    if character in "^=+*/<>":
        return "+"
    if character.isalnum() or character == "_":
        return "w"
    if character in "(\\-":
        return "("
    return character if character in ")%" else " " if character.isspace() else "."


_LATIN: Final = _Page("latin-1")
_WINDOWS: Final = _Page("cp1252")
"""Latin-1 with the typographic quotation marks, dashes and the euro sign that prose is full of."""
_KNOWN: Final = f"\x00-\x7f{''.join(map(chr, range(160, 256)))}ŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™"
"""What _WINDOWS has, as part of a set in an expression."""
_TELLING: Final = re.compile(rf"[^{_KNOWN}](?<=[\w\s\u0370-\u0fff\u3000-\ud7ff])")
"""A character that _WINDOWS has not, and that may be part of a word, separate words or tell a script."""
_STRANGE_SYMBOL: Final = re.compile("[∑∫√∞≤≥≠∂∈∀∃]")
"""The signs of mathematics that are no letters and that _WINDOWS has not."""


def _by_tables(text: str, raw: bytes, page: _Page) -> Glance:
    cut = raw.translate(page.words).decode(page.codec)
    for apostrophe in "'’":
        if apostrophe in cut:
            cut = _untied(cut, apostrophe)
    # What stands in one run of digits, points and commas stays in one run when the points and commas are taken out.
    numbers = raw.translate(page.numbers, b".,")
    plain = text.isascii()
    return Glance(
        words=cut.split(),
        letters=len(cut) - cut.count(" "),
        numbers=numbers.count(b" 0") + numbers.startswith(b"0"),
        operators=_operators(raw.translate(page.operators)),
        symbols=0 if plain else len(raw) - len(raw.translate(None, page.symbols)),
        accented=_NONE if plain else _accented(raw, page),
        foreign="",
    )


_NONE: Final[frozenset[str]] = frozenset()


def _accented(raw: bytes, page: _Page) -> frozenset[str]:
    return frozenset(raw[:BEGINNING].translate(None, page.plain).decode(page.codec).lower())


def _untied(cut: str, apostrophe: str) -> str:
    """Without the apostrophes that tie nothing: those of quotations."""
    pieces: list[str] = []
    done, place = 0, cut.find(apostrophe)
    while place >= 0:
        start = cut.rfind(" ", done, place) + 1 or done
        end = cut.find(" ", place)
        end = len(cut) if end < 0 else end
        pieces += (cut[done:start], " ".join(_WORD.findall(cut, start, end)))
        done, place = end, cut.find(apostrophe, end)
    return "".join((*pieces, cut[done:]))


def _operators(sides: bytes) -> int:
    found = sides.count(b"%")
    if b"+" in sides:
        before, *others = sides.split(b"+")
        for after in others:
            if before[-1:] in _BEFORE and (after[:1] in _AFTER or (after[:1] == b" " and after[1:2] in _AFTER)):
                found += 1
            before = after
    return found


_BEFORE: Final = frozenset({b"w", b")", b" "})
_AFTER: Final = frozenset({b"w", b"("})


def _by_expressions(text: str) -> Glance:
    small = text.lower()
    words = _WORD.findall(small.replace("_", " "))
    return Glance(
        words=words,
        letters=sum(map(len, words)),
        numbers=len(_NUMBER.findall(small)),
        operators=len(_OPERATOR.findall(text)),
        symbols=len(_SYMBOL.findall(text)),
        accented=_NONE,
        foreign=small[:BEGINNING],
    )
