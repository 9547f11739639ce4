"""Streams of OpenAI chat completions, watched while they go by verbatim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.dialects.openai_chat.answers import finish_reason, reported
from dirigent.dialects.openai_chat.streams import DONE
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import BEFORE_IT_BEGAN, Watching

__all__ = ["Witness"]

_USAGE = b'"usage"'
_NO_USAGE = (b'"usage":null', b'"usage": null')
"""What OpenAI sends with every event but the last, as soon as usage is asked for."""
_ERROR = b'"error"'
_SILENT = (NULL, Raw(b'""'), Raw(b"[]"), Raw(b"{}"))
"""What a field of a delta has where it says nothing."""


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: dict[str, Raw] | None = None
    finish_reason: str | None = None
    error: Raw = NULL


class _Groq(msgspec.Struct):
    usage: Raw = NULL


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL
    x_groq: _Groq | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class Witness(Watching):
    """Watches a verbatim stream: a caller gets its usage at its end where he asked for that, and else not.

    OpenAI promises him `usage: null` in every event before, and who adds up what he is told relies on it. Some
    providers tell it with the end of an answer and once more behind it, or with every event: what is told before its
    place is made null. Where nothing comes in its place, the last that was told stands there.
    """

    _WORDS = (b'"content"', b'"reasoning_content"', b'"reasoning"')

    def __init__(self, *, hide_usage: bool, choices: int, throughout: bool = False) -> None:
        """With `throughout` the caller asked for the usage in every event."""
        super().__init__()
        self._hide = hide_usage
        self._choices = choices
        self._finished: set[int] = set()
        self._once = not (hide_usage or throughout)
        """Whether the caller gets the usage once."""
        self._early: _Early | None = None
        """What the event that is being looked at tells too early, perhaps."""
        self._held: tuple[bytes, bytes] | None = None
        """An event that finishes an answer and tells the usage, with it and without: what follows decides."""
        self._owed: _Early | None = None
        """The usage that was told last, where that was made null."""

    def end(self) -> bytes:
        return super().end() + self._settled()

    def _tells(self, data: bytes) -> bool:
        # quotes inside of texts are escaped, so texts do not match
        return (
            DONE in data
            or (_USAGE in data and data.count(_USAGE) != sum(map(data.count, _NO_USAGE)))
            or _ERROR in data
            or b'finish_reason":"' in data
            or b'finish_reason": "' in data
            or self._held is not None
        )

    def _whole(self) -> bool:
        return self.complete or len(self._finished) >= self._choices

    def _learnt(self, data: bytes) -> bool:
        if data.startswith(DONE):
            if self._waiting is not None:
                raise BadAnswer(BEFORE_IT_BEGAN)
            self.complete = True
            return False
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:  # the caller's own reader may make something of it
                return False
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        finishes = False
        for choice in chunk.choices or ():
            if choice.error != NULL:
                raise broken_off(choice.error)
            if choice.finish_reason:
                finish_reason(choice.finish_reason, called=False)  # raises where it is none
                self._finished.add(choice.index or 0)
                finishes = True
        usage = chunk.usage if chunk.usage != NULL or chunk.x_groq is None else chunk.x_groq.usage
        known = reported(usage)
        self.usage = known or self.usage
        if chunk.usage != NULL and not chunk.choices:
            self._hidden = self._hidden or self._hide
            self._owed = None
        elif chunk.usage != NULL and known is not None and self._once:
            self._early = _early(data, finishes=finishes)
        return any(map(_speaks, chunk.choices or ()))

    def _shown(self, frame: bytes) -> bytes:
        early, self._early = self._early, None
        if self.complete:
            return self._settled() + frame
        held, self._held = self._held, None
        before = b"" if held is None else held[1]
        if early is None:
            return before + frame
        self._owed = early
        uncounted = early.left_out_of(frame)
        if not early.finishes:
            return before + uncounted
        self._held = frame, uncounted
        self._form, self._lessons = None, 0  # from here on every event is looked at
        return before

    def _settled(self) -> bytes:
        """At the end: the event that was held, as it came, or else the usage that is owed."""
        held, owed, self._held, self._owed = self._held, self._owed, None, None
        if held is not None:
            return held[0]
        return b"" if owed is None else owed.alone()


class _Early(NamedTuple):
    """An event that tells the usage beside a choice."""

    data: bytes
    fields: dict[str, Raw]
    finishes: bool

    def left_out_of(self, frame: bytes) -> bytes:
        """The event's frame without the usage."""
        told = _line({**self.fields, "usage": None})
        return frame.replace(self.data, told, 1) if self.data in frame else b"data: " + told + b"\n\n"

    def alone(self) -> bytes:
        """An event that tells the usage and nothing else."""
        return b"data: " + _line({**self.fields, "choices": []}) + b"\n\n"


def _early(data: bytes, *, finishes: bool) -> _Early | None:
    try:
        return _Early(data, _fields.decode(data), finishes)
    except UNREADABLE:  # the name of a field is no text
        return None


def _line(fields: Mapping[str, object]) -> bytes:
    return msgspec.json.format(_encode(fields), indent=-1)


def _speaks(choice: _Choice) -> bool:
    """Whether a caller reads something in this choice: anything but the role, or its end."""
    if choice.finish_reason:
        return True
    return any(key != "role" and raw not in _SILENT for key, raw in (choice.delta or {}).items())
