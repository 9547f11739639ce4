"""Streams of Anthropic messages, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages.errors import error_of
from dirigent.dialects.anthropic_messages.usage import WireUsage, gathered, understood
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["Witness"]

_SILENT = (NULL, Raw(b'""'), Raw(b"{}"), Raw(b"[]"))
"""What a field of a delta has where it says nothing."""
_NAMES = ("type", "citations")
"""What a block may bear without saying anything."""


class _Begun(msgspec.Struct):
    usage: Raw = NULL


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Begun | None = None
    content_block: dict[str, Raw] | None = None
    delta: Raw = NULL
    usage: Raw = NULL


_event = msgspec.json.Decoder(_Event)
_delta = msgspec.json.Decoder(_Delta)
_fields = msgspec.json.Decoder(dict[str, Raw])


class Witness:
    """Watches a verbatim stream: every byte goes on, for this dialect always tells the usage.

    Events that say nothing yet, such as the beginning of the message, wait for the first that does: until then another
    deployment may still take over. An error in the stream is raised, so that it is told once and recorded.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._known: WireUsage | None = None
        self._begun = False
        self._stopped = False
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
        if not (self.complete or self._stopped):
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        if self._waiting is not None:
            raise BadAnswer("the provider's stream ended before its answer began")
        return passed

    def _passed(self, frame: bytes) -> bytes:
        """What the caller gets of this event now, and of those that waited for it; learns from it what it says."""
        if self._waiting is None and not _tells(frame):
            return frame
        speaks = False
        lines = EventLines()
        for data in (*lines.feed(frame), *lines.end()):
            if data.strip() and not self.complete:
                speaks = self._learnt(data) or speaks
        if self._waiting is None:
            return frame
        self._waiting.append(frame)
        if not speaks:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited

    def _learnt(self, data: bytes) -> bool:
        """Whether a caller reads something in this event. Raises the error that it carries."""
        try:
            event = _event.decode(data)
            if event.type.startswith("message_"):
                return self._progressed(event)
            if event.type == "content_block_start":
                return _opens(event.content_block or {})
            if event.type == "content_block_delta":
                delta = _fields.decode(event.delta)
                return any(key != "type" and raw not in _SILENT for key, raw in delta.items())
        except UNREADABLE as fault:
            told = error_of(data)
            if told is None and self._waiting is None:  # the caller's own reader may make something of it
                return False
            raise told or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if (error := error_of(data)) is not None:
            raise error
        return False

    def _progressed(self, event: _Event) -> bool:
        """Learns how far the message is; whether a caller reads something in that."""
        match event.type:
            case "message_start":
                self._begun = True
                if event.message is not None:
                    self._gather(event.message.usage)
                return False
            case "message_delta":
                self._gather(event.usage)
                stops = event.delta != NULL and _delta.decode(event.delta).stop_reason is not None
                self._stopped = self._stopped or stops
                return stops
            case "message_stop":
                if not self._begun:
                    raise BadAnswer("the provider's stream ended before its answer began")
                self.complete = True
                return True
            case _:
                return False

    def _gather(self, usage: Raw) -> None:
        self._known = gathered(self._known, usage)
        self.usage = understood(self._known)


def _opens(block: dict[str, Raw]) -> bool:
    """Whether the beginning of a block says something: a call names its tool, a text begins with nothing."""
    return "name" in block or any(key not in _NAMES and raw not in _SILENT for key, raw in block.items())


def _tells(data: bytes) -> bool:
    """Whether there may be something to learn here. Quotes inside of texts are escaped, so texts do not match."""
    return b'"message_' in data or b'"error"' in data
