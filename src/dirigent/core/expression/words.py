"""The text of an expression cut into words: names, numbers, texts and signs, each with its place."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from dirigent.core.expression.fault import ExpressionFault
from dirigent.core.expression.values import DIGITS

__all__ = ["KEYWORDS", "Word", "cut"]

KEYWORDS: Final = frozenset({"and", "or", "not", "in", "true", "false", "null"})

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_PATTERN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<text>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!?:()\[\].,+\-*/%])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class Word(NamedTuple):
    """One word: what it is, the value it stands for (keyword, sign and name for themselves), and where it begins."""

    kind: Literal["number", "text", "name", "keyword", "sign", "end"]
    value: str | int | Decimal
    at: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"the text {self.value!r}" if self.kind == "text" else f"`{self.value}`"


def cut(source: str) -> list[Word]:
    """All words of the source and a last one for its end; raises ExpressionFault at the first sign that is none."""
    words: list[Word] = []
    at = 0
    while at < len(source):
        match = _PATTERN.match(source, at)
        if match is None:
            raise ExpressionFault(source, at, _stranger(source, at))
        shown = match.group()
        match match.lastgroup:
            case "name":
                words.append(Word("keyword" if shown in KEYWORDS else "name", shown, at))
            case "sign":
                words.append(Word("sign", shown, at))
            case "number":
                words.append(Word("number", _number(source, shown, at, match.end()), at))
            case "text":
                words.append(Word("text", _text(source, shown, at), at))
        at = match.end()
    words.append(Word("end", "", len(source)))
    return words


def _number(source: str, shown: str, at: int, end: int) -> int | Decimal:
    if source[end : end + 1].isalpha() or source[end : end + 1] == "_":
        raise ExpressionFault(source, end, f"expected an operator after the number {shown}, found `{source[end]}`")
    if len(shown) > DIGITS:
        raise ExpressionFault(source, at, f"expected a number of at most {DIGITS} digits")
    return Decimal(shown) if "." in shown else int(shown)


def _text(source: str, shown: str, at: int) -> str:
    def meant(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] not in _ESCAPES:
            known = "\\n \\t \\r \\\\ \\' \\\" \\uXXXX"
            raise ExpressionFault(source, at + 1 + match.start(), f"expected one of {known}, found `\\{match[2]}`")
        return _ESCAPES[match[2]]

    return _ESCAPE.sub(meant, shown[1:-1])


def _stranger(source: str, at: int) -> str:
    sign = source[at]
    hint = {
        '"': "expected the closing quotation mark on the same line",
        "'": "expected the closing quotation mark on the same line",
        "=": "expected `==` for a comparison; there is no assignment",
        "&": "expected `&&` or `and`",
        "|": "expected `||` or `or`",
        "^": "there is no power; expected another operator",
        "{": "there are no objects to write; expected a value",
    }
    return hint.get(sign, f"expected a value or an operator, found `{sign}`")
