"""Streams of OpenAI chat completions: read into events, written from events, and watched while they go by verbatim."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import (
    Event,
    Finished,
    LogprobsDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
)
from dirigent.core.messages import Request
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat.answers import (
    WireUsage,
    arguments_text,
    error_of,
    finish_reason,
    written_usage,
)
from dirigent.dialects.sse import EventLines, whole_frames

__all__ = ["Reader", "Witness", "Writer"]

_DONE = b"[DONE]"
_USAGE = b'"usage"'
_MOST = 16 * 1024 * 1024


_NULL = Raw(b"null")
"""A field that may be left out or null, undecoded."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = _NULL


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: WireUsage | None = None


class _Closing(msgspec.Struct):
    choices: list[Raw] = []
    usage: WireUsage | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_closing = msgspec.json.Decoder(_Closing)
_encode = msgspec.json.Encoder().encode


class Reader:
    """Reads a provider's stream into events and mends the known blemishes of tool calls on the way."""

    def __init__(self) -> None:
        self._lines = EventLines()
        self._calls: dict[int, _Calls] = {}
        self._done = False
        self._finished = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.feed(data):
            events += self._event(event)
        return events

    def end(self) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.end():
            events += self._event(event)
        if not (self._done or self._finished):
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return events

    def _event(self, data: bytes) -> list[Event]:
        if self._done or data.startswith(_DONE):
            self._done = True
            return []
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if not chunk.choices and chunk.usage is None and (error := error_of(data)) is not None:
            raise error
        events: list[Event] = []
        for choice in chunk.choices:
            events += self._choice(choice)
        if chunk.usage is not None:
            events.append(UsageReported(chunk.usage.usage()))
        return events

    def _choice(self, choice: _Choice) -> list[Event]:
        events: list[Event] = []
        delta = choice.delta or _Delta()
        if delta.content:
            events.append(TextDelta(delta.content, choice.index))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal, choice.index))
        calls = self._calls.setdefault(choice.index, _Calls()) if delta.tool_calls else None
        for call in delta.tool_calls or ():
            assert calls is not None
            events.append(calls.fragment(call, choice.index))
        if choice.logprobs != _NULL:
            events.append(LogprobsDelta(choice.logprobs, choice.index))
        if choice.finish_reason is not None:
            self._finished = True
            events.append(Finished(finish_reason(choice.finish_reason), choice.index))
        return events


class _Calls:
    """Gives each tool call of one choice a stable index of its own, whatever the provider numbers."""

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._by_number: dict[int, int] = {}
        self._named: set[int] = set()

    def fragment(self, call: _Call, choice: int) -> ToolCallDelta:
        index = self._index(call)
        function = call.function or _Function()
        first = index not in self._named
        self._named.add(index)
        return ToolCallDelta(
            index,
            (self._ids[index] or f"call_{index}") if first else None,
            function.name if first else None,
            arguments_text(function.arguments),
            choice,
        )

    def _index(self, call: _Call) -> int:
        if (
            call.index is None
        ):  # some servers number nothing: a new id opens a call, anything else goes on with the last
            if self._ids and (not call.id or call.id == self._ids[-1]):
                return len(self._ids) - 1
            return self._open(call)
        known = self._by_number.get(call.index)
        if known is not None and (not call.id or call.id == self._ids[known]):
            return known
        self._by_number[call.index] = self._open(call)  # others number every parallel call 0: the id tells them apart
        return self._by_number[call.index]

    def _open(self, call: _Call) -> int:
        self._ids.append(call.id)
        return len(self._ids) - 1


class Writer:
    """Writes one stream: the same id, time and model in all chunks, the role in a choice's first."""

    def __init__(self, request: Request, answer_id: str, created: int) -> None:
        self._base = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": request.model}
        self._report = request.include_usage
        self._begun: set[int] = set()
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case TextDelta(text=text, choice=choice):
                return self._chunk(choice, {"content": text})
            case RefusalDelta(text=text, choice=choice):
                return self._chunk(choice, {"refusal": text})
            case ToolCallDelta(choice=choice):
                return self._chunk(choice, {"tool_calls": [_written_call(event)]})
            case LogprobsDelta(raw=raw, choice=choice):
                return self._chunk(choice, {}, logprobs=raw)
            case Finished(reason=reason, choice=choice):
                return self._chunk(choice, {}, finish=reason)

    def end(self) -> bytes:
        closing = b""
        if self._report and self._usage is not None:
            closing = _framed({**self._base, "choices": [], "usage": written_usage(self._usage)})
        return closing + b"data: [DONE]\n\n"

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"

    def _chunk(
        self, choice: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Raw | None = None
    ) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", "content": "" if "content" not in delta else delta["content"], **delta}
        body: dict[str, Any] = {
            **self._base,
            "choices": [{"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}],
        }
        if self._report:
            body["usage"] = None
        return _framed(body)


def _written_call(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.id is None and event.name is None:
        return {"index": event.index, "function": function}
    return {"index": event.index, "id": event.id, "type": "function", "function": {"name": event.name, **function}}


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body) + b"\n\n"


class Witness:
    """Watches a verbatim stream: whole events go on untouched, but for the usage event that the caller did not ask for."""

    def __init__(self, *, hide_usage: bool) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._hide = hide_usage
        self._tail = b""
        self._begun = False
        self._finished = False

    def feed(self, data: bytes) -> bytes:
        # nearly every piece is one or more whole events without usage: two searches decide, nothing is copied
        if (
            self._begun
            and not self._tail
            and data.endswith(b"\n\n")
            and _USAGE not in data
            and b'finish_reason":"' not in data
        ):
            if _DONE in data:
                self.complete = True
            return data
        pending = self._tail + data if self._tail else data
        cut = whole_frames(pending)
        self._tail = pending[cut:]
        if len(self._tail) > _MOST:
            raise BadAnswer("the provider's event stream has an event without end")
        return self._frames(pending[:cut]) if cut else b""

    def end(self) -> bytes:
        rest = self._frames(self._tail + b"\n\n") if self._tail.strip() else b""
        self._tail = b""
        if not (self.complete or self._finished):
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return rest

    def _frames(self, frames: bytes) -> bytes:
        if _USAGE not in frames and self._begun:
            self._look(frames)
            return frames
        kept: list[bytes] = []
        for frame in _split(frames):
            if not self._shown(frame):
                continue
            kept.append(frame)
        return b"".join(kept)

    def _look(self, frame: bytes) -> None:
        if _DONE in frame:
            self.complete = True
        if b'"finish_reason"' in frame:
            at = frame.rfind(b'"finish_reason"') + 15
            self._finished = self._finished or not frame[at:].lstrip(b" :").startswith(b"null")

    def _shown(self, frame: bytes) -> bool:
        """Whether the caller gets this event; learns from it what it says."""
        self._look(frame)
        lines = EventLines()
        for data in lines.feed(frame):
            if data.startswith(_DONE):
                continue
            if not self._begun and b'"error"' in data and (error := error_of(data)) is not None:
                raise error
            self._begun = True
            if _USAGE in data:
                return self._learnt(data)
        return True

    def _learnt(self, data: bytes) -> bool:
        try:
            closing = _closing.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True
        if closing.usage is None:
            return True
        self.usage = closing.usage.usage()
        return not self._hide or bool(closing.choices)


def _split(frames: bytes) -> list[bytes]:
    """The single events of a stretch of whole events, each with its blank line."""
    blank = b"\r\n\r\n" if b"\r\n\r\n" in frames else b"\n\n"
    return [frame + blank for frame in frames.split(blank) if frame]
