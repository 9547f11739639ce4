"""Streams of events, watched while they go by verbatim; what an event says is the dialect's business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.sse import EventLines, Frames

__all__ = ["BEFORE_IT_BEGAN", "Watching"]

BEFORE_IT_BEGAN = "the provider's stream ended before its answer began"

_Form = tuple[bytes, int, bytes, bytes, int]
"""What stands before the words, and how long it is; what stands behind them, up to the padding; what ends it; how long
that is."""
_PADDING: Final = b'"obfuscation":"'
"""What OpenAI puts into events so that their lengths do not tell what they say."""
_LESSONS: Final = 8
"""How often a stream may change its form before nobody learns it any more."""


class Watching:
    """Watches a verbatim stream: whole events go on untouched, but for those that a dialect hides.

    Events that say nothing yet wait for the first that does: until then another deployment may still take over. An
    error in the stream is raised, so that it is told once and recorded.
    """

    _WORDS: ClassVar[tuple[bytes, ...]] = ()
    """The fields, each with its quotation marks, of which one has the words of an event without news."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._hidden = False
        """Whether the event that is being looked at stays here."""
        self._frames = Frames()
        self._waiting: list[bytes] | None = []
        """The events before the first that says something; None from then on."""
        self._form: _Form | None = None
        """The form of an event without news, whose words alone are new in the next."""
        self._open: _Form | None = None
        """The same where an event of that form may pass at once."""
        self._lessons = _LESSONS if self._WORDS else 0

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on, whole events only; `data` itself where it has no news."""
        form = self._open
        if form is not None:  # nearly every piece is an event like the one before, but for its words
            before, opened, between, behind, closing = form
            if data.startswith(before):
                at = data.find(b'"', opened)
                if between and data.startswith(between, at):
                    at = data.find(b'"', at + len(between))
                if at == len(data) - closing and data.endswith(behind):
                    return data
        passed = self._passed_of(data)
        self._open = self._form if self._frames.empty else None
        return passed

    def _passed_of(self, data: bytes) -> bytes:
        # a piece of whole events without news needs a few searches, and no copy
        if self._waiting is None and data.endswith(b"\n\n") and self._frames.empty and not self._tells(data):
            if self._lessons:
                self._learn_form(data)
            return data
        return b"".join([self._passed(frame) for frame in self._frames.feed(data)])

    def _learn_form(self, data: bytes) -> None:
        """Remembers how an event without news looks, if it is one and looks otherwise than those before."""
        if self._form is not None and data.startswith(self._form[0]):
            return
        self._lessons -= 1
        opened = next((at for field in self._WORDS if (at := _opened(data, field))), 0)
        last = data.find(b'"', opened)
        if not opened or last < 0 or data.find(b"\n\n") != len(data) - 2:  # several are not likely to come so again
            return
        between = b""
        if (padding := data.find(_PADDING, last)) >= 0:
            between = data[last : padding + len(_PADDING)]
            last = data.find(b'"', padding + len(_PADDING))
        self._form = (data[:opened], opened, between, data[last:], len(data) - last)

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

    def _shown(self, frame: bytes) -> bytes:
        """What a caller gets for this event, from which everything has been learnt."""
        return frame

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
        shown = self._shown(frame)
        if self._waiting is None:
            return shown
        self._waiting.append(shown)
        if not speaks:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited


def _opened(data: bytes, field: bytes) -> int:
    """Where the text of a field begins that has some; 0 where there is none."""
    at = data.find(field) + len(field)
    opened = data.find(b'"', at) + 1
    if at < len(field) or not opened or data[at:opened].replace(b" ", b"") != b':"' or data.startswith(b'"', opened):
        return 0
    return opened


def _told(frame: bytes) -> Sequence[bytes]:
    """The data of the event in a frame."""
    line = frame[6:].rstrip(b"\r\n")
    if frame.startswith(b"data: {") and b"\n" not in line and b"\r" not in line:  # nearly always
        return (line,)
    lines = EventLines()
    return (*lines.feed(frame), *lines.end())
