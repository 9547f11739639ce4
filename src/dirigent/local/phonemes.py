"""Texts as the sounds that a mouth makes: IPA by eSpeak NG, sentence by sentence, with the punctuation kept.

Lives in the voice's process alone: the library is native code.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Iterator

from dirigent.core.errors import Unavailable
from dirigent.local.carried import inside

__all__ = ["Phonemiser", "clauses"]

_SYNCHRONOUS, _NO_EXIT, _UTF8, _IPA = 2, 0x8000, 1, 2
_SWITCH = re.compile(r"\([a-z-]+\)")
"""The mark of a foreign word, such as `(en)`, which is no sound."""
_CLAUSE = re.compile(r"\s*(.+?)\s*([.,;:!?…—]+(?=[\s\"'»«“”)]|$)|\n+|$)", re.DOTALL)
_MONTHS = "Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
_GERMAN_DAY = re.compile(rf"\b([1-9]|[12]\d|3[01])\.\s(?=(?:{_MONTHS})\b)")
_GERMAN_PERCENT = re.compile(r"(?<=\d)\s?%")
_UNTIL_TWENTY = (
    "ersten", "zweiten", "dritten", "vierten", "fünften", "sechsten", "siebten", "achten", "neunten", "zehnten",
    "elften", "zwölften", "dreizehnten", "vierzehnten", "fünfzehnten", "sechzehnten", "siebzehnten", "achtzehnten",
    "neunzehnten", "zwanzigsten",
)  # fmt: skip
_TWENTIES = ("ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_DAYS = (*_UNTIL_TWENTY, *(f"{unit}undzwanzigsten" for unit in _TWENTIES), "dreißigsten", "einunddreißigsten")
_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9\u00c0-\u024f '’./:,%€$£&@§°+=-]+")
"""What is left out: signs of other scripts and pictures, which overrun eSpeak's buffers when they come in rows."""
_LONG_WORD = re.compile(r"(\S{40})(?=\S)")
_STRETCH, _WEIGHT = 200, 6
"""What eSpeak gets at once, in letters, where a digit or a sign counts for several because it is read out as a word.

Its buffers take a few hundred sounds and are not guarded: this, and the words of forty signs at most, keep it within.
"""
_GERMAN_SOUNDS = (("ʏ", "y"), ("ɔø", "ɔɪ"), ("ɜ", "ɐ"), ("ɑː", "aː"))
"""What eSpeak writes for German sounds, and the nearest sign that the voice model has learnt."""
_LONGEST = 380
"""Phonemes in one breath; the model takes 510 and grows hasty towards the end."""
_ENDS = frozenset(".!?…\n")


class Phonemiser:
    """eSpeak NG as a dictionary and a set of rules; it is not asked to speak."""

    def __init__(self) -> None:
        folder = inside("espeakng_loader")
        try:
            self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        except OSError as fault:
            raise Unavailable(f"the phonemiser espeakng-loader does not run on this machine: {fault}") from fault
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(folder).encode(), _NO_EXIT) <= 0:
            raise Unavailable("the phonemiser espeakng-loader cannot read its own dictionaries: reinstall it")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]

    def breaths(self, text: str, language: str) -> Iterator[str]:
        """The phonemes of each sentence, long sentences in several pieces."""
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise Unavailable(f"the phonemiser espeakng-loader does not know {language!r}: reinstall it")
        breath = ""
        german = language == "de"
        for words, mark in clauses(_spelled(text) if german else text):
            sounds = self._sounds(words)
            for written, learnt in _GERMAN_SOUNDS if german else ():
                sounds = sounds.replace(written, learnt)
            if not sounds:
                continue
            for piece in _cut(sounds):
                if breath and len(breath) + len(piece) > _LONGEST:
                    yield breath.rstrip()
                    breath = ""
                breath += piece + " "
            end = mark[:1] if mark.strip() else "."
            breath = f"{breath.rstrip()}{end} "
            if mark[:1] in _ENDS:
                yield breath.rstrip()
                breath = ""
        if breath:
            yield breath.rstrip()

    def _sounds(self, words: str) -> str:
        sounds: list[str] = []
        for stretch in _stretches(words):
            rest = ctypes.c_char_p(stretch.encode())
            while rest.value:
                part = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA)
                sounds.append(part.decode() if part else "")
        return " ".join(_SWITCH.sub("", " ".join(sounds)).split())


def clauses(text: str) -> Iterator[tuple[str, str]]:
    """The text in stretches without punctuation, each with the punctuation or the line break that ends it.

    A mark between digits or letters, as in 15:30 or 1.250, ends nothing.
    """
    for found in _CLAUSE.finditer(text):
        yield found[1], found[2]


def _spelled(text: str) -> str:
    # eSpeak takes the full stop of "14. Oktober" for the end of a sentence, and reads "50 %" as 550
    text = _GERMAN_DAY.sub(lambda day: _DAYS[int(day[1]) - 1] + " ", text)
    return _GERMAN_PERCENT.sub(" Prozent", text)


def _stretches(words: str) -> Iterator[str]:
    clean = _UNSPEAKABLE.sub(" ", unicodedata.normalize("NFKC", words))
    stretch: list[str] = []
    weight = 0
    for word in _LONG_WORD.sub(r"\1 ", clean).split():
        heavy = 1 + sum(1 if sign.isalpha() else _WEIGHT for sign in word)
        if stretch and weight + heavy > _STRETCH:
            yield " ".join(stretch)
            stretch, weight = [], 0
        stretch.append(word)
        weight += heavy
    if stretch:
        yield " ".join(stretch)


def _cut(sounds: str) -> Iterator[str]:
    """A clause in pieces of one breath at most, cut between words where there is a gap."""
    while len(sounds) > _LONGEST:
        gap = sounds.rfind(" ", 0, _LONGEST)
        gap = gap if gap > 0 else _LONGEST
        yield sounds[:gap]
        sounds = sounds[gap:].lstrip()
    if sounds:
        yield sounds
