"""Streams of Bedrock's Converse, read into events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import Event, Finished, TextDelta, ToolCallDelta, UsageReported
from dirigent.dialects.bedrock_converse.answers import finish_reason, stopped_by, thought_delta
from dirigent.dialects.bedrock_converse.errors import broken_off
from dirigent.dialects.bedrock_converse.thoughts import call_seal, read_thought
from dirigent.dialects.bedrock_converse.usage import reported
from dirigent.dialects.eventstream import EventMessage, EventMessages
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["Reader", "raised"]


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    type: str | None = None


class _Start(msgspec.Struct, rename="camel"):
    tool_use: _ToolUse | None = None
    image: Raw = NULL


class _Input(msgspec.Struct):
    input: str = ""


class _Thought(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Thought | None = None


class _Event(msgspec.Struct, rename="camel"):
    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    usage: Raw = NULL
    additional_model_response_fields: Raw = NULL


_event = msgspec.json.Decoder(_Event)


def raised(message: EventMessage) -> None:
    """Raises the exception that a message of a stream is; most are none."""
    kind = message.headers.get(":message-type", "event")
    if kind == "exception":
        raise broken_off(message.payload, message.headers.get(":exception-type", ""))
    if kind == "error":
        words = message.headers.get(":error-message", "it gave no reason")
        raise broken_off(msgspec.json.encode({"message": words}), message.headers.get(":error-code", ""))


class Reader:
    """Reads a provider's stream into events.

    Nothing comes out before the first content, so that until then another deployment may take over.
    """

    def __init__(self) -> None:
        self._messages = EventMessages()
        self._begun = False
        self._done = False
        self._calls: dict[int, int] = {}
        """The number of each block that is a call."""
        self._argued: set[int] = set()
        self._thoughts: dict[int, int] = {}
        self._skipped: set[int] = set()
        """Blocks of tools that run at the provider: what they found is in the text."""

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for message in self._messages.feed(data):
            raised(message)
            try:
                events += self._read(message.headers.get(":event-type", ""), _event.decode(message.payload or b"{}"))
            except UNREADABLE as fault:
                raise BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        return events

    def end(self) -> list[Event]:
        if not self._done or not self._messages.empty:
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return []

    def _read(self, kind: str, event: _Event) -> Iterator[Event]:
        match kind:
            case "messageStart":
                self._begun = True
            case "contentBlockStart" if event.start is not None:
                yield from self._opened(event.content_block_index, event.start)
            case "contentBlockDelta" if event.delta is not None:
                yield from self._continued(event.content_block_index, event.delta)
            case "contentBlockStop":
                yield from self._closed(event.content_block_index)
            case "messageStop" if not self._done:
                if not self._begun:
                    raise BadAnswer("the provider's stream ended before its answer began")
                for index in self._calls:
                    yield from self._closed(index)
                self._done = True
                reason = finish_reason(event.stop_reason, called=bool(self._calls))
                yield Finished(reason, sequence=stopped_by(event.additional_model_response_fields))
            case "metadata":
                if (usage := reported(event.usage)) is not None:
                    yield UsageReported(usage)
            case _:  # something that was invented later
                return

    def _opened(self, index: int, start: _Start) -> Iterator[Event]:
        if start.image != NULL:
            raise BadAnswer("the provider's answer holds a picture, for callers of its own dialect alone")
        call = start.tool_use
        if call is None or call.type is not None:
            self._skipped.add(index)
            return
        number = self._calls[index] = len(self._calls)
        yield ToolCallDelta(number, call.tool_use_id or f"tooluse_{number}", call.name)

    def _continued(self, index: int, delta: _Delta) -> Iterator[Event]:
        if index in self._skipped:
            return
        if delta.text:
            yield TextDelta(delta.text)
        elif delta.tool_use is not None and delta.tool_use.input and index in self._calls:
            self._argued.add(index)
            yield ToolCallDelta(self._calls[index], arguments=delta.tool_use.input)
        elif delta.reasoning_content is not None:
            thought = delta.reasoning_content
            if call_seal(thought.redacted_content) is not None:
                return
            number = self._thoughts.setdefault(index, len(self._thoughts))
            read = read_thought(thought.text or "", thought.signature, thought.redacted_content)
            if thought.text or thought.signature or thought.redacted_content:
                yield thought_delta(read, number)

    def _closed(self, index: int) -> Iterator[Event]:
        if index in self._calls and index not in self._argued:
            self._argued.add(index)
            yield ToolCallDelta(self._calls[index], arguments="{}")
