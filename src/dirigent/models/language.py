"""The language of a text by its small words, endings and letters: no package, no model, a few microseconds.

A language that is written in letters of its own is known by them; the others by what `lexicon/languages.txt` lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

__all__ = ["LISTED", "UNKNOWN", "language_of", "tongue"]

UNKNOWN: Final = "unknown"
"""The answer where nothing speaks for any one language."""

_LOOKED_BACK_AT: Final = (11, 23, 35, 47, 59, 60)
"""The words after which the scores may settle it; after the last they must."""
_ENDING, _LETTER, _ENOUGH, _LEAD = 0.4, 0.5, 0.45, 1.1
_WORD: Final = re.compile(r"[^\W\d_]+")
_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af]+")),
    ("uk", re.compile("[іїєґ]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_FOREIGN: Final = re.compile("[\u0370-\u06ff\u0900-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+")


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language, or `unknown` where the text is too short or too mixed to tell."""
    small = text.lower()[:2_000]
    return tongue(_WORD.findall(small), frozenset(), small)


def tongue(words: Sequence[str], letters: frozenset[str], foreign: str) -> str:
    """The same for a text whose words are cut already: the first 60 of them decide, and the `letters` that occur.

    Where another script than the Latin may be in it, `foreign` is its beginning, and its letters are found there.
    """
    if foreign and not foreign.isascii() and (script := _by_script(foreign)):
        return script
    scores: dict[str, float] = {}
    done = 0
    for place in _LOOKED_BACK_AT:
        for evidence in filter(None, map(_evidence_of, words[done:place])):
            for language, weight in evidence:
                scores[language] = scores.get(language, 0.0) + weight
        if place >= len(words) or _settled(scores):
            break
        done = place
    if signs := letters or foreign:
        # In the order of the alphabet, for the order of a set differs from process to process, and so the last digit.
        for letter in sorted(_LETTERS.keys() & set(signs)):
            for language, weight in _LETTERS[letter]:
                scores[language] = scores.get(language, 0.0) + weight
    if not scores:
        return UNKNOWN
    best = max(scores, key=scores.__getitem__)
    first = scores.pop(best)
    return best if first >= _ENOUGH and first > _LEAD * max(scores.values(), default=0.0) else UNKNOWN


def _evidence_of(word: str) -> tuple[tuple[str, float], ...]:
    if found := _WORDS.get(word):
        return found
    if len(word) <= 4:
        return ()
    return _ENDINGS.get(word[-3:], _NOTHING) + _ENDINGS.get(word[-4:], _NOTHING) + _ENDINGS.get(word[-5:], _NOTHING)


def _settled(scores: dict[str, float]) -> bool:
    """Whether one language is so far ahead that more words would not change it."""
    first = max(scores.values(), default=0.0)
    return first > 4.0 and sum(score * 2.5 >= first for score in scores.values()) == 1


def _by_script(small: str) -> str | None:
    # Another script decides only where it carries the text: one Greek letter in a formula makes no Greek.
    foreign = sum(map(len, _FOREIGN.findall(small)))
    # As many as a third of all characters are surely as many as a third of all letters.
    if not foreign or (foreign * 3 < len(small) and foreign * 3 < sum(map(str.isalpha, small))):
        return None
    return next((language for language, letters in _SCRIPTS if letters.search(small)), None)


_NOTHING: Final[tuple[tuple[str, float], ...]] = ()
Evidence = dict[str, tuple[tuple[str, float], ...]]


def _read() -> tuple[Evidence, Evidence, Evidence]:
    owners: dict[str, list[str]] = {}
    lines = (files("dirigent") / "models" / "lexicon" / "languages.txt").read_text("utf-8").splitlines()
    listed = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    for language, signs in listed:
        for sign in dict.fromkeys(signs.split()):
            owners.setdefault(sign, []).append(language)

    def evidence(mark: str, share: float) -> Evidence:
        return {
            sign[len(mark) :]: tuple((language, share * _rarity(len(known), len(listed))) for language in known)
            for sign, known in owners.items()
            if (sign.startswith(mark) if mark else sign[0] not in "-+")
        }

    return evidence("", 1.0), evidence("-", _ENDING), evidence("+", _LETTER)


def _rarity(owners: int, languages: int) -> float:
    """1 for a sign that one language alone has, falling to 0.1 for one that all have."""
    return max(0.1, math.log(languages / owners) / math.log(languages))


_WORDS, _ENDINGS, _LETTERS = _read()
LISTED: Final = frozenset(_WORDS)
"""Every whole word that tells a language."""
