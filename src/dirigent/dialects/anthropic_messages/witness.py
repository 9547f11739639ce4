"""Streams of Anthropic messages, watched while they go by verbatim."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.dialects.anthropic_messages.errors import error_of
from dirigent.dialects.anthropic_messages.usage import WireUsage, gathered, understood
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import BEFORE_IT_BEGAN, Watching

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


class Witness(Watching):
    """Watches a verbatim stream: every byte goes on, for this dialect always tells the usage."""

    _WORDS: ClassVar[tuple[bytes, ...]] = (b'"text"', b'"thinking"', b'"partial_json"')

    def __init__(self) -> None:
        super().__init__()
        self._known: WireUsage | None = None
        self._begun = False
        self._stopped = False

    def _tells(self, data: bytes) -> bool:
        # quotes inside of texts are escaped, so texts do not match
        return b'"message_' in data or b'"error"' in data

    def _whole(self) -> bool:
        return self.complete or self._stopped

    def _learnt(self, data: bytes) -> bool:
        if self.complete:
            return False
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
                    raise BadAnswer(BEFORE_IT_BEGAN)
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
