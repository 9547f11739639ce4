"""Streams of OpenAI chat completions, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat.answers import finish_reason, reported
from dirigent.dialects.openai_chat.streams import DONE
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["Witness"]

_USAGE = b'"usage"'
_NO_USAGE = b'"usage":null'
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


class Witness:
    """Watches a verbatim stream: whole events go on untouched, but for the usage event that the caller did not ask for.

    Events that say nothing yet, such as the one that only names the role, wait for the first that does: until then
    another deployment may still take over. An error in the stream is raised, so that it is told once and recorded.
    """

    def __init__(self, *, hide_usage: bool, choices: int) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._hide = hide_usage
        self._choices = choices
        self._finished: set[int] = set()
        self._frames = Frames()
        self._waiting: list[bytes] | None = []
        """The events before the first that says something; None from then on."""

    def feed(self, data: bytes) -> bytes:
        # nearly every piece is one or more whole events without news: a few searches decide, nothing is copied
        if self._waiting is None and data.endswith(b"\n\n") and self._frames.empty and not _tells(data):
            return data
        return b"".join([self._passed(frame) for frame in self._frames.feed(data)])

    def end(self) -> bytes:
        rest = self._frames.end()
        passed = self._passed(rest + b"\n\n") if rest.strip() else b""
        if not self.complete and len(self._finished) < self._choices:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        if self._waiting is not None:
            raise BadAnswer("the provider's stream ended before its answer began")
        return passed

    def _passed(self, frame: bytes) -> bytes:
        """What the caller gets of this event now, and of those that waited for it; learns from it what it says."""
        if self._waiting is None and not _tells(frame):
            return frame
        speaks, shown = False, True
        lines = EventLines()
        for data in (*lines.feed(frame), *lines.end()):
            if data.startswith(DONE):
                if self._waiting is not None:
                    raise BadAnswer("the provider's stream ended before its answer began")
                self.complete = True
            elif data.strip():
                chunk = self._learnt(data)
                speaks = speaks or any(map(_speaks, chunk.choices or ()))
                shown = shown and not (self._hide and chunk.usage != NULL and not chunk.choices)
        if not shown:
            return b""
        if self._waiting is None:
            return frame
        self._waiting.append(frame)
        if not speaks:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited

    def _learnt(self, data: bytes) -> _Chunk:
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:  # the caller's own reader may make something of it
                return _Chunk()
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        for choice in chunk.choices or ():
            if choice.error != NULL:
                raise broken_off(choice.error)
            if choice.finish_reason:
                finish_reason(choice.finish_reason, called=False)  # raises where it is none
                self._finished.add(choice.index or 0)
        usage = chunk.usage if chunk.usage != NULL or chunk.x_groq is None else chunk.x_groq.usage
        self.usage = reported(usage) or self.usage
        return chunk


def _speaks(choice: _Choice) -> bool:
    """Whether a caller reads something in this choice: anything but the role, or its end."""
    if choice.finish_reason:
        return True
    return any(key != "role" and raw not in _SILENT for key, raw in (choice.delta or {}).items())


def _tells(data: bytes) -> bool:
    """Whether there may be something to learn here. Quotes inside of texts are escaped, so texts do not match."""
    return (
        DONE in data
        or (_USAGE in data and data.count(_USAGE) != data.count(_NO_USAGE))
        or _ERROR in data
        or b'finish_reason":"' in data
        or b'finish_reason": "' in data
    )
