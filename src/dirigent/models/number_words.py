"""Numbers written as words, German or English: `fünfundzwanzig`, `two hundred and fifty`, `ein Drittel`, `doubled`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal, NamedTuple

__all__ = ["Spelled", "spelled_in"]


Sort = Literal["number", "percent", "factor"]


class Spelled(NamedTuple):
    """A number in words, and where it stands."""

    text: str
    at: int
    value: Decimal
    sort: Sort
    """A factor says how many times something is something else: `doubled`, `a third of`."""
    currency: str = ""
    """The word for the currency behind it, as it is written."""


def spelled_in(text: str) -> Iterator[Spelled]:
    """Every number in words, in no order; the bare one is none, as it is an article as often as a number."""
    taken: list[tuple[int, int]] = []
    for found in (*_factors(text), *_cardinals(text)):
        start, end = found.at, found.at + len(found.text)
        if all(end <= other or start >= last for other, last in taken):
            taken.append((start, end))
            yield found


def _counted(words: str, first: int) -> dict[str, int]:
    return {word: number for number, word in enumerate(words.split(), first)}


_UNITS: Final = {
    **_counted("null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf", 0),
    **_counted("dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn", 13),
    **_counted("zero one two three four five six seven eight nine ten eleven twelve", 0),
    **_counted("thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 13),
    "eins": 1,
    "eine": 1,
    "zwo": 2,
    "dutzend": 12,
    "dozen": 12,
}
_TENS: Final = {
    word: 10 * number
    for words in (
        "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
        "twenty thirty forty fifty sixty seventy eighty ninety",
    )
    for number, word in enumerate(words.split(), 2)
} | {"dreissig": 30}
_HUNDRED: Final = {"hundert", "hundred"}
_THOUSANDS: Final = {
    **dict.fromkeys(("tausend", "thousand"), 1_000),
    **dict.fromkeys(("million", "millionen", "millions"), 1_000_000),
    **dict.fromkeys(("milliarde", "milliarden", "billion", "billions"), 1_000_000_000),
}
_HALF: Final = {"einhalb", "halb", "halbe", "halben"}
_PART: Final = "|".join(sorted({*_UNITS, *_TENS, *_HUNDRED, *_THOUSANDS, *_HALF, "und"}, key=len, reverse=True))
_ONE: Final = re.compile(_PART, re.IGNORECASE)
_CARDINAL: Final = re.compile(
    rf"""(?<![\w-])(?P<words>(?:{_PART}|anderthalb)(?:(?:[ -]|[ ]and[ ])?(?:{_PART}))*)
    (?:
        (?P<percent>[ -]?prozent(?:ig\w*)?\b|[ -]per[ ]?cent\b)
      | [ ](?P<currency>euros?|dollars?|pounds?|pfund|franken)\b
      | (?P<times>[ -]?(?:mal|times)\b)
      | (?![\w-])
    )(?![ ]dank)""",
    re.VERBOSE | re.IGNORECASE,
)
_FOLD: Final = {
    **_counted("zwei drei vier fünf sechs sieben acht neun zehn", 2),
    **_counted("two three four five six seven eight nine ten", 2),
}
_PARTS: Final = {
    **dict.fromkeys(("drittel", "third", "thirds"), 3),
    **dict.fromkeys(("viertel", "quarter", "quarters", "fourth", "fourths"), 4),
    **dict.fromkeys(("fünftel", "fifth", "fifths"), 5),
    **dict.fromkeys(("sechstel", "sixth", "sixths"), 6),
    **dict.fromkeys(("achtel", "eighth", "eighths"), 8),
    **dict.fromkeys(("zehntel", "tenth", "tenths"), 10),
}
_SIGNS: Final = {"½": "0.5", "¼": "0.25", "¾": "0.75", "⅓": "0.3333", "⅔": "0.6667", "⅕": "0.2", "⅛": "0.125"}
_FACTOR: Final = re.compile(
    rf"""(?<![\w-])(?:
        (?P<two>doppelt\w*|verdoppel\w*|doubl(?:e[ds]?|ing))
      | (?P<three>tripl(?:e[ds]?|ing))
      | (?P<four>quadrupl(?:e[ds]?|ing))
      | (?:ver)?(?P<fold>{"|".join(_FOLD)})-?(?:fach\w*|fold)
      | (?P<half>halbier\w*|hälfte|halv(?:e[ds]?|ing)|by[ ]half|half(?=[ ](?:of|the|a|an|as)\b))
      | (?P<count>(?:{"|".join(_FOLD)}|ein|eine[mns]?|one|an?)[ -])
          (?P<part>drittel|viertel|fünftel|sechstel|achtel|zehntel
          |(?:thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?)(?=[ ](?:of|the)\b))
      | (?P<sign>(?<!\d)[{"".join(_SIGNS)}])
    )(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)


def _factors(text: str) -> Iterator[Spelled]:
    for found in _FACTOR.finditer(text):
        if found["fold"]:
            value = Decimal(_FOLD[found["fold"].lower()])
        elif found["part"]:
            value = Decimal(_FOLD.get(found["count"].strip(" -").lower(), 1)) / _PARTS[found["part"].lower()]
        elif found["sign"]:
            value = Decimal(_SIGNS[found["sign"]])
        else:
            value = next(Decimal(size) for name, size in _SIZES if found[name])
        yield Spelled(found[0], found.start(), value, "factor")


_SIZES: Final = (("two", "2"), ("three", "3"), ("four", "4"), ("half", "0.5"))


def _cardinals(text: str) -> Iterator[Spelled]:
    for found in _CARDINAL.finditer(text):
        value = _value(found["words"].lower())
        plain = not (found["percent"] or found["currency"])
        if value is None or (value == 1 and plain):
            continue
        sort: Sort = "percent" if found["percent"] else "number"
        if found["times"] and _COMPARED.match(text, found.end()):
            sort = "factor"
        yield Spelled(found[0], found.start(), value, sort, found["currency"] or "")
    for found in _TWICE.finditer(text):
        sort = "factor" if _COMPARED.match(text, found.end()) else "number"
        yield Spelled(found[0], found.start(), Decimal(2), sort)


_COMPARED: Final = re.compile(r" (?:so|as|more|higher|mehr|höher|the)\b", re.IGNORECASE)
"""What follows where `dreimal` compares, and does not count as in `dreimal im Jahr`."""
_TWICE: Final = re.compile(r"(?<![\w-])twice(?![\w-])", re.IGNORECASE)


def _value(words: str) -> Decimal | None:
    """What the words say together; None of such as `und` alone."""
    if words.startswith("anderthalb"):
        return Decimal("1.5")
    total, now, seen = Decimal(0), Decimal(0), False
    for part in _ONE.findall(words):
        if part in _UNITS:
            now += _UNITS[part]
        elif part in _TENS:
            now += _TENS[part]
        elif part in _HUNDRED:
            now = (now or Decimal(1)) * 100
        elif part in _THOUSANDS:
            total, now = total + (now or Decimal(1)) * _THOUSANDS[part], Decimal(0)
        elif part in _HALF:
            if part != "einhalb" and "million" not in words and "milliarde" not in words:
                return None  # `halb zehn` and `halbe Sachen` are no numbers
            now = Decimal("0.5") if part.startswith("halb") else now + Decimal("0.5")
        else:
            continue
        seen = True
    return total + now if seen else None
