"""Streams of OpenAI's jobs beside chat, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_tasks.task import reported
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["CompletionWitness", "EventWitness", "SpeechWitness"]

_BLANK = b"\n\n"
_ERROR = b'"error"'
_DONE = b"[DONE]"
_STOPPED = "the provider's stream stopped before its answer was complete"
_SILENT = "the provider's stream ended before its answer began"


class EventWitness:
    """Watches events that name themselves in `type`; one that ends in `.done` or `.completed` says that all is said.

    An error in the stream is raised, so that it is told once and recorded; until the first event another deployment
    may take over.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._begun = False
        self._frames = Frames()

    def feed(self, data: bytes) -> bytes:
        if self._begun and data.endswith(_BLANK) and self._frames.empty and not _tells(data):
            return data
        return b"".join([self._passed(frame) for frame in self._frames.feed(data)])

    def end(self) -> bytes:
        rest = self._frames.end()
        passed = self._passed(rest + _BLANK) if rest.strip() else rest
        if not self._begun:
            raise BadAnswer(_SILENT)
        if not self.complete:
            raise BadAnswer(_STOPPED)
        return passed

    def _passed(self, frame: bytes) -> bytes:
        if self._begun and not _tells(frame):
            return frame
        lines = EventLines()
        for data in (*lines.feed(frame), *lines.end()):
            if data.startswith(_DONE):
                if not self._begun:
                    raise BadAnswer(_SILENT)
                self.complete = True
            elif data.strip():
                self._learn(data)
        return frame if self._begun else b""

    def _learn(self, data: bytes) -> None:
        try:
            event = _event.decode(data)
        except UNREADABLE as fault:
            if self._begun:  # the caller's own reader may make something of it
                return
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if event.error != NULL:
            raise broken_off(event.error)
        if event.type == "error":
            raise broken_off(Raw(data))
        self._begun = True
        if event.type.endswith((".done", ".completed")):
            self.complete = True
            self.usage = reported(event.usage) or self.usage


class _Event(msgspec.Struct):
    type: str = ""
    usage: Raw = NULL
    error: Raw = NULL


_event = msgspec.json.Decoder(_Event)


def _tells(data: bytes) -> bool:
    """Whether there may be something to learn here. Quotes inside of texts are escaped, so texts do not match."""
    return b'.done"' in data or b'.completed"' in data or _ERROR in data or _DONE in data


class SpeechWitness:
    """Watches a spoken answer: events, or the bare sound, which is complete where its transport says so."""

    _ENOUGH = 7
    """Bytes by which events are told from sound; no sound begins like a line of an event."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._head = b""
        self._events: EventWitness | None = None
        self._sounds = False

    def feed(self, data: bytes) -> bytes:
        if self._sounds:
            return data
        if self._events is not None:
            return self._watched(self._events, data)
        self._head += data
        return self._decided() if len(self._head) >= self._ENOUGH else b""

    def end(self) -> bytes:
        passed = b""
        if self._events is None and not self._sounds:
            if not self._head:
                raise BadAnswer("the provider's answer is empty")
            passed = self._decided()
        if self._events is None:
            self.complete = True
            return passed
        return passed + self._events.end()

    def _decided(self) -> bytes:
        head, self._head = self._head, b""
        if head.startswith((b"event:", b"data:", b": ", b":\n")):
            self._events = EventWitness()
            return self._watched(self._events, head)
        self._sounds = True
        return head

    def _watched(self, events: EventWitness, data: bytes) -> bytes:
        passed = events.feed(data)
        self.usage, self.complete = events.usage, events.complete
        return passed


class CompletionWitness:
    """Watches a stream of the old completions; the usage that the caller did not ask for stays here."""

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
        if self._waiting is None and data.endswith(_BLANK) and self._frames.empty and not _speaks_of(data):
            return data
        return b"".join([self._passed(frame) for frame in self._frames.feed(data)])

    def end(self) -> bytes:
        rest = self._frames.end()
        passed = self._passed(rest + _BLANK) if rest.strip() else rest
        if not self.complete and len(self._finished) < self._choices:
            raise BadAnswer(_STOPPED)
        if self._waiting is not None:
            raise BadAnswer(_SILENT)
        return passed

    def _passed(self, frame: bytes) -> bytes:
        if self._waiting is None and not _speaks_of(frame):
            return frame
        speaks, shown = False, True
        lines = EventLines()
        for data in (*lines.feed(frame), *lines.end()):
            if data.startswith(_DONE):
                if self._waiting is not None:
                    raise BadAnswer(_SILENT)
                self.complete = True
            elif data.strip():
                chunk = self._learnt(data)
                choices = chunk.choices or ()
                speaks = speaks or any(choice.text or choice.finish_reason for choice in choices)
                shown = shown and not (self._hide and chunk.usage != NULL and not choices)
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
            if self._waiting is None:
                return _Chunk()
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._finished.add(choice.index or 0)
        self.usage = reported(chunk.usage) or self.usage
        return chunk


class _Choice(msgspec.Struct):
    index: int | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL


_chunk = msgspec.json.Decoder(_Chunk)


def _speaks_of(data: bytes) -> bool:
    return (
        _DONE in data
        or _ERROR in data
        or (b'"usage"' in data and data.count(b'"usage"') != data.count(b'"usage":null'))
        or b'finish_reason":"' in data
        or b'finish_reason": "' in data
    )
