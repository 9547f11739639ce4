"""Google's streams, read into events."""

from __future__ import annotations

from dirigent.core.events import Event
from dirigent.dialects.google_generate.answers import Told
from dirigent.dialects.sse import EventLines

__all__ = ["Reader"]


class Reader:
    """Reads a provider's stream into events: each of its chunks is an answer in small, and no word marks the end.

    Nothing comes out before the first content, so that until then another deployment may take over.
    """

    def __init__(self) -> None:
        self._lines = EventLines()
        self._told = Told()

    def feed(self, data: bytes) -> list[Event]:
        return self._taken(self._lines.feed(data))

    def end(self) -> list[Event]:
        return [*self._taken(self._lines.end()), *self._told.end()]

    def _taken(self, chunks: list[bytes]) -> list[Event]:
        return [event for chunk in chunks if chunk.strip() for event in self._told.take(chunk)]
