"""Streams of OpenAI responses, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_responses.answers import usage_of
from dirigent.dialects.openai_responses.reader import CLOSING, FAILING, failure
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["Witness"]

_SILENT = frozenset(
    (
        "response.created",
        "response.in_progress",
        "response.queued",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
    )
)
"""Events that only announce what is to come."""
_TELLING = tuple(f'"{kind}"'.encode() for kind in sorted(CLOSING | FAILING))
_UNNAMED = (b'data: {"error"', b'data:{"error"')
"""How an error begins that is no event of this dialect at all."""


class _Event(msgspec.Struct):
    type: str | None = None
    response: Raw = NULL
    error: Raw = NULL


_event = msgspec.json.Decoder(_Event)


class Witness:
    """Watches a verbatim stream; every event goes on untouched, the usage with it, for this dialect always tells it.

    Events that say nothing yet wait for the first that does: until then another deployment may still take over. An
    error in the stream is raised, so that it is told once and recorded.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
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
        if not self.complete:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return passed

    def _passed(self, frame: bytes) -> bytes:
        """What the caller gets of this event now, and of those that waited for it; learns from it what it says."""
        if self._waiting is None and not _tells(frame):
            return frame
        speaks = False
        lines = EventLines()
        for data in (*lines.feed(frame), *lines.end()):
            if data.strip() and not data.startswith(b"[DONE]"):
                speaks = self._learnt(data) or speaks
        if self._waiting is None:
            return frame
        self._waiting.append(frame)
        if not speaks:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited

    def _learnt(self, data: bytes) -> bool:
        """Whether the event says something to the caller."""
        try:
            event = _event.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:  # the caller's own reader may make something of it
                return True
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if event.type in FAILING:
            raise failure(data, event.response)
        if event.error != NULL:
            raise broken_off(event.error)
        if event.type in CLOSING:
            self.usage = usage_of(bytes(event.response))
            self.complete = True
        return event.type is not None and event.type not in _SILENT


def _tells(data: bytes) -> bool:
    """Whether there may be something to learn here. Quotes inside of texts are escaped, so texts do not match."""
    return any(mark in data for mark in _TELLING) or any(mark in data for mark in _UNNAMED)
