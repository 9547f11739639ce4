"""What two questions must have in common before one may get the answer to the other.

Vectors say what a text is about. They hardly notice one other number, name or unit, or a `not`, though the answer turns
on it. So the words are compared by themselves, in German and English: only those may differ that give a question its
form, and endings. Where anything else does, or stands elsewhere, the questions are not the same.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["differ"]

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", re.UNICODE)
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_MARKED = re.compile(r"https?://\S+|[\w.+-]+@[\w.-]+|`[^`]*`|\"[^\"]*\"|„[^“]*“|[€$£%°§]|[<>=+*^~]")

_NOT_WORDS = (
    "no not never none without nothing nobody neither nor cannot except hardly fail fails unless "
    "nicht nie niemals kein keine keinen keinem keiner keines ohne nichts niemand weder außer kaum"
)
_NOT = frozenset(_NOT_WORDS.split())
_NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand "
    "million billion half double twice first second third fourth fifth last "
    "null zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig vierzig fünfzig "
    "hundert tausend million milliarde halb halbe doppelt erste ersten zweite zweiten dritte dritten letzte letzten"
)
_NUMERAL = frozenset(_NUMERALS.split())
_OPPOSITES = (
    ("more", "less", "fewer"), ("most", "least"), ("increase", "decrease", "raise", "lower", "reduce"),
    ("maximum", "minimum", "max", "min"), ("before", "after"), ("open", "close"), ("enable", "disable"),
    ("start", "stop", "end", "begin"), ("add", "remove", "delete"), ("buy", "sell"), ("import", "export"),
    ("encrypt", "decrypt"), ("encode", "decode"), ("install", "uninstall"), ("above", "below"), ("over", "under"),
    ("male", "female"), ("men", "women"), ("man", "woman"), ("hot", "cold"), ("warm", "cold"), ("old", "new", "young"),
    ("big", "small", "large"), ("long", "short"), ("high", "low"), ("highest", "lowest"), ("fast", "slow"),
    ("advantages", "disadvantages"), ("pros", "cons"), ("benefits", "risks"), ("legal", "illegal"), ("hire", "fire"),
    ("incoming", "outgoing"), ("upload", "download"), ("accept", "reject", "decline"), ("employer", "employee"),
    ("tenant", "landlord"), ("north", "south", "east", "west"), ("left", "right"), ("formal", "informal"),
    ("hours", "minutes", "seconds", "days", "weeks", "months", "years"), ("gross", "net"), ("ascending", "descending"),
    ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), ("lock", "unlock"),
    ("today", "tomorrow", "yesterday"), ("morning", "evening", "noon", "night"), ("input", "output"),
    ("kilometres", "miles", "metres", "feet"), ("kilograms", "pounds", "grams"), ("celsius", "fahrenheit", "kelvin"),
    ("mehr", "weniger"), ("meiste", "wenigste"), ("erhöhen", "senken", "verringern", "reduzieren"),
    ("steigern", "senken"), ("höchste", "niedrigste"), ("höchsten", "niedrigsten"), ("vor", "nach"),
    ("öffnen", "schließen"), ("aktivieren", "deaktivieren"), ("einschalten", "ausschalten"), ("beginnen", "beenden"),
    ("hinzufügen", "entfernen", "löschen"), ("kaufen", "verkaufen"), ("kauf", "verkauf"),
    ("verschlüsseln", "entschlüsseln"), ("installieren", "deinstallieren"), ("über", "unter"),
    ("männer", "frauen"), ("mann", "frau"), ("heiß", "kalt"), ("warm", "kalt"), ("alt", "neu", "jung"),
    ("groß", "klein"), ("lang", "kurz"), ("hoch", "niedrig"), ("schnell", "langsam"), ("vorteile", "nachteile"),
    ("chancen", "risiken"), ("legal", "illegal"), ("einstellen", "entlassen"), ("annehmen", "ablehnen"),
    ("arbeitgeber", "arbeitnehmer"), ("mieter", "vermieter"), ("norden", "süden", "osten", "westen"),
    ("links", "rechts"), ("förmlich", "locker"),
    ("stunden", "minuten", "sekunden", "tage", "wochen", "monate", "jahre"),
    ("stunde", "minute", "sekunde", "tag", "woche", "monat", "jahr"), ("brutto", "netto"),
    ("aufsteigend", "absteigend"), ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"),
    ("heute", "morgen", "gestern"), ("eingang", "ausgang"), ("hochladen", "herunterladen"), ("kilometer", "meilen"),
    ("kilogramm", "pfund"), ("sperren", "entsperren"), ("private", "geschäftlich"), ("verbieten", "erlauben"),
    ("allow", "forbid", "deny"), ("win", "lose"), ("positive", "negative"), ("horizontal", "vertical"),
)  # fmt: skip
_FORM_WORDS = (
    "a an the of to in on at for by as this that these those my your our it its i me we us you one is are was were be "
    "do does did has have had what which how way steps please give put get there and so "
    "der die das dem den des ein eine einen einem einer eines mein meine meinen meinem meiner unser unsere dein ihr "
    "ihre ich mir mich man es du sie wir uns ist sind war wird werden wurde hat habe haben was welche welcher welches "
    "welchen welchem wie weise weg auf in im ins an am für zu zum zur bei beim und bitte gibt geht um da"
)
_FORM = frozenset(_FORM_WORDS.split())
"""Words that give a question its form. All others must be the same in both, each in its place."""
_SAME = {"vom": "von", "aus": "von"}
_MODALS = {
    **dict.fromkeys(("can", "may", "allowed", "possible", "could", "kann", "darf", "möglich", "erlaubt"), "can"),
    **dict.fromkeys(("must", "should", "need", "needed", "required", "muss", "soll", "sollte", "nötig"), "must"),
}
_ENDING_WORDS = "s es ed d ing ly e en n er em t st te ten"
_ENDINGS = frozenset(("", *_ENDING_WORDS.split()))
_POLES = frozenset(word for group in _OPPOSITES for word in group)


def differ(one: str, other: str) -> bool:
    """Whether something differs on which an answer may turn."""
    if one.casefold().split() == other.casefold().split():
        return False
    if any(sign(one) != sign(other) for sign in (_numbers, _marks, _negations, _poles, _modals, _language)):
        return True
    return _asks_otherwise(one, other)


def _numbers(text: str) -> Counter[str]:
    found = Counter(_NUMBER.findall(text))
    found.update(word for word in _words(text) if word in _NUMERAL)
    return found


def _marks(text: str) -> Counter[str]:
    return Counter(_MARKED.findall(text))


def _negations(text: str) -> int:
    return sum(word in _NOT or word.endswith(("n't", "n’t")) for word in _words(text)) % 2


def _poles(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if word in _POLES)


def _modals(text: str) -> frozenset[str]:
    return frozenset(_MODALS[word] for word in _words(text) if word in _MODALS)


def _content(text: str) -> list[str]:
    """The words that say what is asked, in their order, which says who does what to whom."""
    words = _words(text)
    last = len(words) - 1  # where German puts the particle on which a verb turns: ein, aus, an, ab, zu
    return [
        _SAME.get(word, word)
        for at, word in enumerate(words)
        if (word not in _FORM and word not in _MODALS) or (at == last > 0 and word not in _MODALS)
    ]


def _inflected(one: str, other: str) -> bool:
    """Whether two words are forms of one."""
    shared = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        shared += 1
    return one == other or (shared >= 4 and one[shared:] in _ENDINGS and other[shared:] in _ENDINGS)


def _asks_otherwise(one: str, other: str) -> bool:
    left, right = _content(one), _content(other)
    return len(left) != len(right) or not all(map(_inflected, left, right))


_GERMAN_WORDS = "der die das und ist ein eine einen wie was ich mir kann für mit auf den dem zu bitte wo wann welche"
_GERMAN = frozenset(_GERMAN_WORDS.split())
_ENGLISH_WORDS = "the and is a an how what i me can for with on to please where when which why do does of"
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def _language(text: str) -> bool:
    """Whether it reads more like German: an answer comes in the language of its question."""
    words = _words(text)
    return sum(word in _GERMAN for word in words) > sum(word in _ENGLISH for word in words)


def _words(text: str) -> list[str]:
    return [match[0].casefold() for match in _WORD.finditer(text)]
