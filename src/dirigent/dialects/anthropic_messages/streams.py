"""Streams of Anthropic messages, read into events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages.answers import WireBlock, finish_reason, thought_delta
from dirigent.dialects.anthropic_messages.errors import broken_off, error_of
from dirigent.dialects.anthropic_messages.thoughts import call_seal, read_thought
from dirigent.dialects.anthropic_messages.tooling import ANSWER
from dirigent.dialects.anthropic_messages.usage import WireUsage, gathered, understood
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines

__all__ = ["Reader"]


class _Begun(msgspec.Struct):
    usage: Raw = NULL


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Begun | None = None
    content_block: Raw = NULL
    delta: _Delta | None = None
    usage: Raw = NULL


_event = msgspec.json.Decoder(_Event)
_block = msgspec.json.Decoder(WireBlock)


class Reader:
    """Reads a provider's stream into events.

    Nothing comes out before the first content, so that until then another deployment may take over; the usage that the
    stream begins with comes out just before it.
    """

    def __init__(self) -> None:
        self._lines = EventLines()
        self._begun = False
        self._spoken = False
        self._done = False
        self._usage: WireUsage | None = None
        self._told: Usage | None = None
        self._stop: str | None = None
        self._sequence: str | None = None
        self._blocks: dict[int, _Open] = {}
        self._thoughts = 0
        self._calls = 0

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.feed(data):
            events += self._read(event)
        return events

    def end(self) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.end():
            events += self._read(event)
        if self._done:
            return events
        if self._stop is None:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return [*events, *self._finished()]

    def _read(self, data: bytes) -> list[Event]:
        if self._done or not data.strip():
            return []
        try:
            event = _event.decode(data)
            said = list(self._said(event, data))
        except UNREADABLE as fault:
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if said and not self._spoken:
            self._spoken = True
            return [*self._report(), *said]
        return said

    def _said(self, event: _Event, data: bytes) -> Iterator[Event]:
        match event.type:
            case "message_start":
                self._begun = True
                if event.message is not None:
                    self._usage = gathered(self._usage, event.message.usage)
            case "content_block_start":
                yield from self._opened(event.index, _block.decode(event.content_block))
            case "content_block_delta" if event.delta is not None:
                yield from self._continued(event.index, event.delta)
            case "content_block_stop":
                yield from self._closed(event.index)
            case "message_delta":
                self._usage = gathered(self._usage, event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self._stop, self._sequence = event.delta.stop_reason, event.delta.stop_sequence
            case "message_stop":
                if not self._begun:
                    raise BadAnswer("the provider's stream ended before its answer began")
                yield from self._finished()
            case "error":
                raise broken_off(data)
            case _:  # a ping, or something that was invented later
                if (error := error_of(data)) is not None:
                    raise error

    def _opened(self, index: int, block: WireBlock) -> Iterator[Event]:
        match block.type:
            case "tool_use" if block.name == ANSWER:
                self._blocks[index] = _Open("answer", 0, block.input)
            case "tool_use":
                number, self._calls = self._calls, self._calls + 1
                self._blocks[index] = _Open("call", number, block.input)
                yield ToolCallDelta(number, block.id or f"toolu_{number}", block.name or "")
            case "text":
                self._blocks[index] = _Open("text", 0)
                if block.text:
                    yield TextDelta(block.text)
            case "thinking":
                number, self._thoughts = self._thoughts, self._thoughts + 1
                self._blocks[index] = _Open("thought", number)
                if block.thinking or block.signature:
                    yield thought_delta(
                        read_thought(block.thinking or "", block.signature or "", redacted=False), number
                    )
            case "redacted_thinking" if call_seal(block.seal) is None:
                number, self._thoughts = self._thoughts, self._thoughts + 1
                yield thought_delta(read_thought("", block.seal, redacted=True), number)
            case _:  # a block of a tool that runs at the provider: what it found is in the text
                return

    def _continued(self, index: int, delta: _Delta) -> Iterator[Event]:
        block = self._blocks.get(index)
        if block is None:
            return
        match block.kind, delta:
            case "text", _Delta(text=str(text)) if text:
                yield TextDelta(text)
            case "thought", _Delta(thinking=str(thinking)) if thinking:
                yield ReasoningDelta(thinking, block=block.number)
            case "thought", _Delta(signature=str(signature)) if signature:
                yield thought_delta(read_thought("", signature, redacted=False), block.number)
            case "call", _Delta(partial_json=str(fragment)) if fragment:
                block.argued = True
                yield ToolCallDelta(block.number, arguments=fragment)
            case "answer", _Delta(partial_json=str(fragment)) if fragment:
                block.argued = True
                yield TextDelta(fragment)

    def _closed(self, index: int) -> Iterator[Event]:
        block = self._blocks.pop(index, None)
        if block is None or block.kind not in ("call", "answer") or block.argued:
            return
        arguments = "{}" if block.input == NULL else bytes(block.input).decode()  # some servers send it whole
        yield ToolCallDelta(block.number, arguments=arguments) if block.kind == "call" else TextDelta(arguments)

    def _finished(self) -> list[Event]:
        self._done = True
        events = [event for index in list(self._blocks) for event in self._closed(index)]
        reason = finish_reason(self._stop, called=self._calls > 0)
        return [*events, Finished(reason, sequence=self._sequence), *self._report()]

    def _report(self) -> list[Event]:
        """The usage as far as it is known, where there is something new to tell of it."""
        usage = understood(self._usage)
        if usage is None or usage == self._told:
            return []
        self._told = usage
        return [UsageReported(usage)]


class _Open:
    """A block that is still open."""

    __slots__ = ("argued", "input", "kind", "number")

    def __init__(self, kind: str, number: int, input: Raw = NULL) -> None:
        self.kind = kind
        self.number = number
        self.input = input
        self.argued = False
