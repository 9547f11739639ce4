"""Streams of OpenAI responses, read into events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer, DirigentError, Unavailable
from dirigent.core.events import Event, LogprobsDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_responses.answers import Counted, WireItem, item_events, item_of, read_close, seal_events
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines

__all__ = ["CLOSING", "FAILING", "Reader", "failure"]

CLOSING: Final = frozenset(("response.completed", "response.incomplete"))
"""The events with which an answer is whole."""
FAILING: Final = frozenset(("response.failed", "response.cancelled", "error"))
"""The events with which it breaks off."""

_DONE = b"[DONE]"
_TEXT = ("response.output_text.delta", "response.output_text.done")
_REFUSAL = ("response.refusal.delta", "response.refusal.done")
_ARGUMENTS = ("response.function_call_arguments.delta", "response.function_call_arguments.done")
_THOUGHT = (
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
)
_ITEM = ("response.output_item.added", "response.output_item.done")
_KNOWN = frozenset((*_TEXT, *_REFUSAL, *_ARGUMENTS, *_THOUGHT, *_ITEM, *CLOSING, *FAILING))


class _Kind(msgspec.Struct):
    type: str | None = None
    error: Raw = NULL


class _Event(msgspec.Struct):
    type: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[Raw] | None = None
    item: Raw = NULL
    response: Raw = NULL


class _Failed(msgspec.Struct):
    error: Raw = NULL


_kind = msgspec.json.Decoder(_Kind)
_event = msgspec.json.Decoder(_Event)
_failed = msgspec.json.Decoder(_Failed)
_encode = msgspec.json.Encoder().encode


def failure(data: bytes, response: Raw) -> DirigentError:
    """What an event means with which an answer breaks off: its error stands in it, around it or in the response."""
    try:
        if response != NULL:
            inner = _failed.decode(response).error
            return broken_off(inner) if inner != NULL else Unavailable("the provider broke off without a word")
        return error_of(data) or broken_off(Raw(data))
    except UNREADABLE:
        return BadAnswer("the provider broke off, and why cannot be read")


class Reader:
    """Reads a provider's stream into events.

    Calls are numbered in the order in which they begin, whatever numbers their items have. Servers differ in which
    events they send: what no delta told is read out of the event that ends it, of its item, or of the whole answer.
    """

    def __init__(self) -> None:
        self._lines = EventLines()
        self._counted = Counted()
        self._items: dict[int, _Progress] = {}
        self._whole = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.feed(data):
            events += self._read(event)
        return events

    def end(self) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.end():
            events += self._read(event)
        if not self._whole:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return events

    def _read(self, data: bytes) -> list[Event]:
        if self._whole or not data.strip() or data.startswith(_DONE):
            return []
        try:
            event = _event.decode(data)
        except UNREADABLE as fault:
            self._pass_over(data, fault)
            return []
        if event.type in FAILING:
            raise failure(data, event.response)
        return list(self._events(event)) if event.type in _KNOWN else []

    @staticmethod
    def _pass_over(data: bytes, fault: Exception) -> None:
        """Nothing where the event is of a kind that is not read here. Raises what it says, or BadAnswer, else."""
        try:
            kind = _kind.decode(data)
        except UNREADABLE:
            kind = _Kind()
        if kind.error != NULL:
            raise broken_off(kind.error)
        if kind.type is None or kind.type in _KNOWN:
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None

    def _events(self, event: _Event) -> Iterator[Event]:
        kind = event.type
        if kind in CLOSING:
            self._whole = True
            yield from read_close(event.response, self._counted, self._items)
            return
        progress = self._items.get(event.output_index)
        if progress is None:
            progress = self._items[event.output_index] = _Progress(self._counted)
        if kind in _ITEM:
            item = item_of(event.item)
            yield from progress.added(item) if kind == _ITEM[0] else progress.done(item)
        elif kind in _TEXT:
            said = progress.fresh(("text", event.content_index), event.delta, event.text)
            if said:
                yield TextDelta(said)
                if event.logprobs:
                    yield LogprobsDelta(Raw(_encode({"content": event.logprobs})))
        elif kind in _REFUSAL:
            if said := progress.fresh(("refusal", event.content_index), event.delta, event.refusal):
                yield RefusalDelta(said)
        elif kind in _ARGUMENTS:
            if said := progress.fresh(("arguments", 0), event.delta, event.arguments):
                yield from progress.argued(said)
        elif said := progress.fresh(("thought", event.summary_index + event.content_index), event.delta, event.text):
            yield from progress.thought(said, event.summary_index + event.content_index)


class _Progress:
    """One item while it comes in."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._told: set[tuple[str, int]] = set()
        """The pieces of it of which something has been told."""
        self._call: int | None = None
        self._block: int | None = None
        self._stretch = 0

    def fresh(self, piece: tuple[str, int], delta: str | None, whole: str | None) -> str | None:
        """What an event says that has not been told: its delta, or all of a piece that came without deltas."""
        if delta is None and piece in self._told:
            return None
        said = whole if delta is None else delta
        if said:
            self._told.add(piece)
        return said

    def added(self, item: WireItem) -> Iterator[Event]:
        """The beginning of a call; words and thoughts begin when there are some."""
        if item.type == "function_call" and self._call is None:
            self._call, call_id = self._counted.call(item)
            yield ToolCallDelta(self._call, call_id, item.name or "")

    def argued(self, said: str) -> Iterator[Event]:
        """The next of a call's arguments. Raises BadAnswer where no call has begun."""
        if self._call is None:
            raise BadAnswer("the provider's stream has the arguments of a call that never began")
        yield ToolCallDelta(self._call, arguments=said)

    def thought(self, said: str, stretch: int) -> Iterator[Event]:
        """The next of a thought; an empty line stands between its stretches."""
        if self._block is None:
            self._block = self._counted.thought()
            self._stretch = stretch
        gap = "\n\n" if stretch != self._stretch else ""
        self._stretch = stretch
        yield ReasoningDelta(gap + said, block=self._block)

    def done(self, item: WireItem) -> Iterator[Event]:
        """What of the whole item has not been told."""
        if item.type == "function_call" and self._call is not None:
            if not self._told:
                yield from self.argued(item.arguments or "{}")
        elif item.type == "reasoning" and self._block is not None:
            yield from seal_events(item, self._block, self._counted)
        elif not self._told:
            yield from item_events(item, self._counted)
        self._told.add(("all", 0))
