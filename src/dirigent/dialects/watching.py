"""Streams of events, watched while they go by verbatim; what an event says is the dialect's business."""

from __future__ import annotations

from collections.abc import Sequence

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["BEFORE_IT_BEGAN", "Watching"]

BEFORE_IT_BEGAN = "the provider's stream ended before its answer began"


class Watching:
    """Watches a verbatim stream: whole events go on untouched, but for those that a dialect hides.

    Events that say nothing yet wait for the first that does: until then another deployment may still take over. An
    error in the stream is raised, so that it is told once and recorded.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._hidden = False
        """Whether the event that is being looked at stays here."""
        self._frames = Frames()
        self._waiting: list[bytes] | None = []
        """The events before the first that says something; None from then on."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on, whole events only."""
        # nearly every piece is one or more whole events without news: a few searches decide, nothing is copied
        if self._waiting is None and data.endswith(b"\n\n") and self._frames.empty and not self._tells(data):
            return data
        return b"".join([self._passed(frame) for frame in self._frames.feed(data)])

    def end(self) -> bytes:
        """What was kept back. Raises BadAnswer where the stream stopped before its answer was complete."""
        rest = self._frames.end()
        passed = self._passed(rest + b"\n\n") if rest.strip() else rest  # half of a CRLF may be left
        if not self._whole():
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        if self._waiting is not None:
            raise BadAnswer(BEFORE_IT_BEGAN)
        return passed

    def _tells(self, data: bytes) -> bool:
        """Whether there may be something to learn here."""
        raise NotImplementedError

    def _learnt(self, data: bytes) -> bool:
        """Whether a caller reads something in this event; learns from it. Raises the error that it carries."""
        raise NotImplementedError

    def _whole(self) -> bool:
        """Whether the stream may end here."""
        return self.complete

    def _passed(self, frame: bytes) -> bytes:
        """What the caller gets of this event now, and of those that waited for it; learns from it what it says."""
        if self._waiting is None and not self._tells(frame):
            return frame
        speaks = self._hidden = False
        for data in _told(frame):
            if data.strip():
                speaks = self._learnt(data) or speaks
        if self._hidden:
            return b""
        if self._waiting is None:
            return frame
        self._waiting.append(frame)
        if not speaks:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited


def _told(frame: bytes) -> Sequence[bytes]:
    """The data of the event in a frame."""
    line = frame[6:].rstrip(b"\r\n")
    if frame.startswith(b"data: {") and b"\n" not in line and b"\r" not in line:  # nearly always
        return (line,)
    lines = EventLines()
    return (*lines.feed(frame), *lines.end())
