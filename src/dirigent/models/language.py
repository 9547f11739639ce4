"""The language of a text by its small words, endings and letters: no package, no model, a few microseconds.

A language that is written in letters of its own is known by them; the others by what `lexicon/languages.txt` lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import islice
from types import MappingProxyType
from typing import Final

__all__ = ["UNKNOWN", "language_of", "tongue"]

UNKNOWN: Final = "unknown"
"""The answer where nothing speaks for any one language."""

_MOST_WORDS: Final = 60
_ENDING, _LETTER, _ENOUGH, _LEAD = 0.4, 0.5, 0.45, 1.1
_WORD: Final = re.compile(r"[^\W\d_]+")
_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("uk", re.compile("[іїєґ]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_FOREIGN: Final = re.compile("[\u0370-\u06ff\u0900-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language, or `unknown` where the text is too short or too mixed to tell."""
    small = text.lower()
    return tongue(small, _WORD.findall(small[:2_000]))


def tongue(small: str, words: Iterable[str]) -> str:
    """The same for a text in small letters whose words are cut already; the first 60 words decide."""
    if not small.isascii() and (script := _by_script(small[:2_000])):
        return script
    scores: dict[str, float] = {}
    for place, word in enumerate(islice(words, _MOST_WORDS)):
        if place % 12 == 11 and _settled(scores):
            break
        if found := _WORDS.get(word):
            for language, weight in found:
                scores[language] = scores.get(language, 0.0) + weight
        elif len(word) > 4:
            for length in (3, 4, 5):
                for language, weight in _ENDINGS.get(word[-length:], ()):
                    scores[language] = scores.get(language, 0.0) + weight
    if not small.isascii():
        for letter in set(small[:2_000]) & _LETTERS.keys():
            for language, weight in _LETTERS[letter]:
                scores[language] = scores.get(language, 0.0) + weight
    if not scores:
        return UNKNOWN
    best = max(scores, key=scores.__getitem__)
    second = max((score for language, score in scores.items() if language != best), default=0.0)
    return best if scores[best] >= _ENOUGH and scores[best] > _LEAD * second else UNKNOWN


def _settled(scores: dict[str, float]) -> bool:
    """Whether one language is so far ahead that more words would not change it."""
    first, second = [*sorted(scores.values(), reverse=True), 0.0, 0.0][:2]
    return first > 4.0 and first > 2.5 * second


def _by_script(small: str) -> str | None:
    # Another script decides only where it carries the text: one Greek letter in a formula makes no Greek.
    foreign = len(_FOREIGN.findall(small))
    if not foreign or foreign * 3 < sum(map(str.isalpha, small)):
        return None
    return next((language for language, letters in _SCRIPTS if letters.search(small)), None)


Evidence = Mapping[str, tuple[tuple[str, float], ...]]


def _read() -> tuple[Evidence, Evidence, Evidence]:
    owners: dict[str, list[str]] = {}
    lines = (files("dirigent") / "models" / "lexicon" / "languages.txt").read_text("utf-8").splitlines()
    listed = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    for language, signs in listed:
        for sign in dict.fromkeys(signs.split()):
            owners.setdefault(sign, []).append(language)

    def evidence(mark: str, share: float) -> Evidence:
        return MappingProxyType(
            {
                sign[len(mark) :]: tuple((language, share * _rarity(len(known), len(listed))) for language in known)
                for sign, known in owners.items()
                if (sign.startswith(mark) if mark else sign[0] not in "-+")
            }
        )

    return evidence("", 1.0), evidence("-", _ENDING), evidence("+", _LETTER)


def _rarity(owners: int, languages: int) -> float:
    """1 for a sign that one language alone has, falling to 0.1 for one that all have."""
    return max(0.1, math.log(languages / owners) / math.log(languages))


_WORDS, _ENDINGS, _LETTERS = _read()
