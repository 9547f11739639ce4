"""Texts made ready for reading: without the rests of mails and pages, and cut into pieces of a given size."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from dirigent.core.tokens import estimated
from dirigent.models.claims import sentences_of

__all__ = ["Rest", "chunks", "cleaned"]

Rest = Literal["whitespace", "mail", "boilerplate", "markup"]

_HISTORY: Final = re.compile(
    r"""^[ \t]*(?:
        >.*
      | -{2,}[ ]*(?:Original\ Message|Ursprüngliche\ Nachricht|Weitergeleitete\ Nachricht|Forwarded\ message).*
      | (?:Am|On)\ .{6,200}(?:schrieb|wrote).{0,120}:
      | (?:Von|From):[ ].+\n[ \t]*(?:Gesendet|Sent|Datum|Date|An|To):[ ].+
      | _{10,}
    )[ \t]*$""",
    re.VERBOSE | re.MULTILINE,
)
_QUOTED_LINE: Final = re.compile(r"^[ \t]*>.*\n?", re.MULTILINE)
_SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)
_SENT_FROM: Final = re.compile(
    r"""^[ \t]*(?:
        Gesendet\ (?:von|mit)\ .{2,40}
      | Von\ meine[mr]\ .{2,40}\ gesendet
      | Sent\ (?:from|via|with)\ .{2,40}
      | Get\ Outlook\ for\ .{2,20}
      | (?:Outlook|Yahoo|GMX|WEB\.DE)\ (?:für|for)\ (?:Android|iOS).{0,20}
    )[ \t.]*\Z""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
"""What a telephone or a program writes below a mail: its last line, and nothing that somebody said."""
_PHRASES: Final = re.compile(
    r"""^.*(?:
        vertrauliche\ (?:oder|und)|nicht\ der\ (?:richtige|beabsichtigte)\ (?:Adressat|Empfänger)|irrtümlich\ erhalten
      | this\ (?:e-?mail|message).{0,60}(?:confidential|intended\ (?:only|solely))|not\ the\ intended\ recipient
      | think\ before\ you\ print|denken\ Sie\ an\ die\ Umwelt
      | (?:von|from)\ (?:meinem|my)\ (?:iPhone|iPad|Handy|mobile)|sent\ from\ my
      | (?:Amtsgericht|Registergericht)\b.{0,80}HRB|Geschäftsführer(?:in)?:|USt-?Id(?:\.|-)?-?Nr
      | (?:unsubscribe|abbestellen|Cookie-Einstellungen|cookie\ settings|Datenschutzerklärung\ \|)
    ).*$\n?""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_UNSEEN: Final = re.compile(r"<(script|style|head|template)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_BREAK: Final = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6]|/table|/ul|/ol|hr)\b[^<>]*>", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
_ODD_BLANKS: Final = re.compile("[\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\u2000-\u2008 ]+")
_UNSEEN_SIGNS: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f]")
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")


def cleaned(text: str, rests: Sequence[Rest]) -> str:
    """The text without these rests."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "markup" in rests:
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", _UNSEEN.sub("", text))))
    if "mail" in rests:
        text = _without_history(text)
    if "boilerplate" in rests:
        text = _PHRASES.sub("", text)
    if "whitespace" in rests:
        text = _UNSEEN_SIGNS.sub("", text)
        lines = [_ODD_BLANKS.sub(" ", line).strip() for line in text.split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    return text.strip()


def chunks(text: str, by: Literal["paragraphs", "sentences", "tokens"], most: int, overlap: int) -> list[str]:
    """The text in pieces of at most about so many tokens, none of which ends within a paragraph, sentence or word.

    What is longer by itself is cut at the next smaller border. Each piece begins with what the one before it ended
    with, as far as that is `overlap` tokens at most.
    """
    units = list(_units(text, by, most))
    between = "\n\n" if by == "paragraphs" else " "
    pieces: list[str] = []
    now: list[tuple[str, int]] = []
    for unit in units:
        weight = estimated(unit)
        if now and sum(size for _, size in now) + weight > most:
            pieces.append(between.join(words for words, _ in now))
            now = _tail(now, min(overlap, most - weight))
        now.append((unit, weight))
    if now:
        pieces.append(between.join(words for words, _ in now))
    return pieces


def _without_history(text: str) -> str:
    """A mail without what it answers and without its signature."""
    found = next((each for each in _HISTORY.finditer(text) if not each[0].lstrip().startswith(">")), None)
    text = text[: found.start()] if found is not None and text[: found.start()].strip() else text
    text = _QUOTED_LINE.sub("", text)
    signed = _SIGNATURE.search(text)
    text = text[: signed.start()] if signed is not None else text
    return _SENT_FROM.sub("", text.rstrip())


def _units(text: str, by: str, most: int) -> Iterable[str]:
    if by == "paragraphs":
        for paragraph in filter(None, map(str.strip, _PARAGRAPH.split(text))):
            yield from [paragraph] if estimated(paragraph) <= most else chunks(paragraph, "sentences", most, 0)
    elif by == "sentences":
        for sentence in sentences_of(text):
            yield from [sentence] if estimated(sentence) <= most else chunks(sentence, "tokens", most, 0)
    else:
        for word in text.split():
            yield from _cut(word, most)


def _cut(word: str, most: int) -> Iterable[str]:
    """A word; in pieces where it alone is too long."""
    length = max(1, most) * 2
    if len(word) <= length:
        return (word,)
    return tuple(word[place : place + length] for place in range(0, len(word), length))


def _tail(units: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    kept: list[tuple[str, int]] = []
    for unit in reversed(units):
        if sum(size for _, size in kept) + unit[1] > most:
            break
        kept.insert(0, unit)
    return kept
