"""Streams of OpenAI responses, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_responses.answers import usage_of
from dirigent.dialects.openai_responses.reader import CLOSING, FAILING, failure
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import Watching

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


class Witness(Watching):
    """Watches a verbatim stream; every event goes on, the usage with it, for this dialect always tells it."""

    def _tells(self, data: bytes) -> bool:
        # quotes inside of texts are escaped, so texts do not match
        return any(mark in data for mark in _TELLING) or any(mark in data for mark in _UNNAMED)

    def _learnt(self, data: bytes) -> bool:
        if data.startswith(b"[DONE]"):
            return False
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
