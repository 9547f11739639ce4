"""Streams of OpenAI's jobs beside chat, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.usage import Usage
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_tasks.task import reported
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import BEFORE_IT_BEGAN, Watching

__all__ = ["CompletionWitness", "EventWitness", "SpeechWitness"]

_ERROR = b'"error"'
_DONE = b"[DONE]"


class EventWitness(Watching):
    """Watches events that name themselves in `type`; one that ends in `.done` or `.completed` says that all is said.

    Any event at all says something to the caller.
    """

    def _tells(self, data: bytes) -> bool:
        # quotes inside of texts are escaped, so texts do not match
        return b'.done"' in data or b'.completed"' in data or _ERROR in data or _DONE in data

    def _whole(self) -> bool:
        return self.complete or self._waiting is not None  # that nothing was said is worse than that not all was

    def _learnt(self, data: bytes) -> bool:
        if data.startswith(_DONE):
            if self._waiting is not None:
                raise BadAnswer(BEFORE_IT_BEGAN)
            self.complete = True
            return False
        try:
            event = _event.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:  # the caller's own reader may make something of it
                return False
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if event.error != NULL:
            raise broken_off(event.error)
        if event.type == "error":
            raise broken_off(Raw(data))
        if event.type.endswith((".done", ".completed")):
            self.complete = True
            self.usage = reported(event.usage) or self.usage
        return True


class _Event(msgspec.Struct):
    type: str = ""
    usage: Raw = NULL
    error: Raw = NULL


_event = msgspec.json.Decoder(_Event)


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


class CompletionWitness(Watching):
    """Watches a stream of the old completions; the usage that the caller did not ask for stays here."""

    def __init__(self, *, hide_usage: bool, choices: int) -> None:
        super().__init__()
        self._hide = hide_usage
        self._choices = choices
        self._finished: set[int] = set()

    def _tells(self, data: bytes) -> bool:
        return (
            _DONE in data
            or _ERROR in data
            or (b'"usage"' in data and data.count(b'"usage"') != data.count(b'"usage":null'))
            or b'finish_reason":"' in data
            or b'finish_reason": "' in data
        )

    def _whole(self) -> bool:
        return self.complete or len(self._finished) >= self._choices

    def _learnt(self, data: bytes) -> bool:
        if data.startswith(_DONE):
            if self._waiting is not None:
                raise BadAnswer(BEFORE_IT_BEGAN)
            self.complete = True
            return False
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:
                return False
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._finished.add(choice.index or 0)
        self.usage = reported(chunk.usage) or self.usage
        choices = chunk.choices or ()
        self._hidden = self._hidden or (self._hide and chunk.usage != NULL and not choices)
        return any(choice.text or choice.finish_reason for choice in choices)


class _Choice(msgspec.Struct):
    index: int | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL


_chunk = msgspec.json.Decoder(_Chunk)
