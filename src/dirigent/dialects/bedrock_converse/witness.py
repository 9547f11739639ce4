"""Streams of Bedrock's Converse, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.bedrock_converse.answers import finish_reason
from dirigent.dialects.bedrock_converse.streams import raised
from dirigent.dialects.bedrock_converse.usage import reported
from dirigent.dialects.eventstream import EventMessage, EventMessages
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["Witness"]

_SPEAK = ("contentBlockStart", "contentBlockDelta", "messageStop")


class _End(msgspec.Struct, rename="camel"):
    usage: Raw = NULL
    stop_reason: str | None = None


_end = msgspec.json.Decoder(_End)


class Witness:
    """Watches a verbatim stream: every byte goes on, for this dialect always tells the usage.

    Messages that say nothing yet wait for the first that does: until then another deployment may still take over. An
    exception in the stream is raised, so that it is told once and recorded.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._begun = False
        self._messages = EventMessages()
        self._waiting: list[bytes] | None = []
        """The messages before the first that says something; None from then on."""

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._passed(message) for message in self._messages.feed(data)])

    def end(self) -> bytes:
        if not self.complete or not self._messages.empty:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return b""

    def _passed(self, message: EventMessage) -> bytes:
        """What the caller gets of this message now, and of those that waited for it; learns from it what it says."""
        raised(message)
        kind = message.headers.get(":event-type", "")
        if kind in ("metadata", "messageStop"):
            self._ends(kind, message.payload)
        elif kind == "messageStart":
            self._begun = True
        if self._waiting is None:
            return message.whole
        self._waiting.append(message.whole)
        if kind not in _SPEAK:
            return b""
        waited, self._waiting = b"".join(self._waiting), None
        return waited

    def _ends(self, kind: str, payload: bytes) -> None:
        try:
            told = _end.decode(payload)
        except UNREADABLE as fault:
            raise BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if kind == "metadata":
            self.usage = reported(told.usage)
            return
        if not self._begun:
            raise BadAnswer("the provider's stream ended before its answer began")
        if self._waiting is not None:  # before the first word another one may do better
            finish_reason(told.stop_reason, called=False)
        self.complete = True
