"""Words as they are compared: without case, umlauts folded, endings of German and English cut, compounds taken apart.

It is no linguist: it cuts alike what is asked and what is learned, so that most forms of a word meet. It is the same
for both databases, whose own searches would each rank otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from unicodedata import normalize

__all__ = ["parts", "term", "terms", "words"]

_WORD = re.compile(r"[^\W_]+")
_BARE = {ord("ß"): "ss"} | {
    sign: bare
    for sign in range(0xC0, 0x250)
    if (bare := normalize("NFKD", chr(sign))[0]) != chr(sign) and bare.isalpha()
}
"""Letters with marks, and what stands for them."""
_ENDINGS = ("ungen", "ung", "ern", "ing", "em", "er", "en", "es", "ed", "ly", "e", "n", "s")
_SHORTEST = 4
"""Letters that a word keeps at least."""
_COMPOUND = 9
"""Letters from which a word may be one of several put together."""
_PART = 4
_EMPTY = """
aber als am an and are as at auch auf aus be bei bin bis by can da das dass dem den der des die dies diese dieser do
does du durch ein eine einem einen einer eines er es for from fur gibt had hat has have he ich if ihr im in is ist it
its kann kein keine mein mich mir mit muss nach nicht noch nur ob oder of on or our sein sich sie sind so that the
their they this to uber um und uns unter vom von vor war was we welche welcher wenn wer werden what when where which
who wie will wir wird with wo you your zu zum zur how much many lange viel viele
"""
_STOP = frozenset(_EMPTY.split())
"""Words that say nothing of what a text is about."""


def words(text: str) -> list[str]:
    """The words of a text, in order, in lower case and without marks above their letters."""
    return _WORD.findall(text.lower().translate(_BARE))


def term(word: str) -> str:
    """What a word is compared by; nothing where it says nothing of what a text is about."""
    if word in _STOP:
        return ""
    if word.isdigit() or len(word) <= _SHORTEST:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word


def terms(text: str) -> Iterator[str]:
    """The terms of a text, in order."""
    return (found for word in words(text) if (found := term(word)))


def parts(term: str, known: Collection[str]) -> Iterator[str]:
    """The known terms that a longer one begins or ends with, as compounds do: `urlaubsantrag` with `antrag`."""
    if len(term) < _COMPOUND:
        return
    for at in range(_PART, len(term) - _PART + 1):
        head, tail = term[:at], term[at:]
        if tail in known:
            yield tail
        if head in known or (head.endswith("s") and head[:-1] in known and len(head) > _PART):
            yield head if head in known else head[:-1]
