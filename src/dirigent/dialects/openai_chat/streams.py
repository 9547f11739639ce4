"""Streams of OpenAI chat completions, read into events and written from events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import (
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
)
from dirigent.core.messages import Request
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat.answers import (
    NULL,
    WireFunction,
    arguments_text,
    finish_reason,
    joined_text,
    reported,
    written_usage,
)
from dirigent.dialects.openai_chat.errors import UNREADABLE, broken_off, error_of
from dirigent.dialects.sse import EventLines

__all__ = ["DONE", "Reader", "Writer"]

DONE = b"[DONE]"


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: WireFunction | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


class _Groq(msgspec.Struct):
    usage: Raw = NULL


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL
    x_groq: _Groq | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_encode = msgspec.json.Encoder().encode


class Reader:
    """Reads a provider's stream into events and mends the known blemishes of tool calls on the way.

    A choice is finished once, when the stream is at its end, for some report a finish before their last words.
    """

    def __init__(self) -> None:
        self._lines = EventLines()
        self._choices: dict[int, _Progress] = {}
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.feed(data):
            events += self._event(event)
        return events

    def end(self) -> list[Event]:
        events: list[Event] = []
        for event in self._lines.end():
            events += self._event(event)
        if self._done:
            return events
        if not self._choices or any(choice.finish is None for choice in self._choices.values()):
            raise BadAnswer("the provider's stream stopped before its answer was complete")
        return [*events, *self._finish()]

    def _event(self, data: bytes) -> list[Event]:
        if self._done or not data.strip():
            return []
        if data.startswith(DONE):
            if not self._choices:
                raise BadAnswer("the provider's stream ended before its answer began")
            self._done = True
            return self._finish()
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        events: list[Event] = []
        for choice in chunk.choices or ():
            events += self._choice(choice)
        usage = chunk.usage if chunk.usage != NULL or chunk.x_groq is None else chunk.x_groq.usage
        if (known := reported(usage)) is not None:
            events.append(UsageReported(known))
        return events

    def _choice(self, choice: _Choice) -> Iterator[Event]:
        if choice.error != NULL:
            raise broken_off(choice.error)
        index = choice.index or 0
        progress = self._choices.get(index)
        if progress is None:
            progress = self._choices[index] = _Progress()
        if (delta := choice.delta) is not None:
            if thought := delta.reasoning_content or delta.reasoning:
                yield ReasoningDelta(thought, index)
            if delta.content and (text := joined_text(delta.content)):
                yield TextDelta(text, index)
            if delta.refusal:
                yield RefusalDelta(delta.refusal, index)
            for call in delta.tool_calls or ():
                yield progress.fragment(call, index)
            if delta.function_call is not None:
                yield progress.fragment(_Call(0, None, delta.function_call), index)
        if choice.logprobs != NULL:
            yield LogprobsDelta(choice.logprobs, index)
        if choice.finish_reason:
            finish_reason(choice.finish_reason, called=False)  # raises at once where it is none
            progress.finish = choice.finish_reason

    def _finish(self) -> list[Event]:
        return [event for index in sorted(self._choices) for event in self._choices[index].finished(index)]


class _Progress:
    """One choice while it comes in. Each of its tool calls gets a stable index, whatever the provider numbers."""

    __slots__ = ("_argued", "_by_number", "_ids", "_names", "finish")

    def __init__(self) -> None:
        self.finish: str | None = None
        self._ids: list[str] = []
        self._names: list[str] = []
        self._argued: set[int] = set()
        self._by_number: dict[int, int] = {}

    def fragment(self, call: _Call, choice: int) -> ToolCallDelta:
        """The fragment with its index; a call's first has its id and name."""
        function = call.function or WireFunction()
        index = self._index(call, function.name or "")
        first = index == len(self._ids)
        if first:
            self._ids.append(call.id or "")
            self._names.append(function.name or "")
        if arguments := arguments_text(function.arguments):
            self._argued.add(index)
        if not first:
            return ToolCallDelta(index, arguments=arguments, choice=choice)
        return ToolCallDelta(index, call.id or f"call_{index}", function.name or "", arguments, choice)

    def finished(self, choice: int) -> Iterator[Event]:
        """The end of the choice; before it, no arguments for calls that came without a word of them."""
        for index in range(len(self._ids)):
            if index not in self._argued:
                yield ToolCallDelta(index, arguments="{}", choice=choice)
        yield Finished(finish_reason(self.finish, called=bool(self._ids)), choice)

    def _index(self, call: _Call, name: str) -> int:
        """Which call a fragment goes on with; the next free index where it opens one."""
        free = len(self._ids)
        if call.index is None:  # some servers number nothing
            return free if not free or self._opens(call, name, free - 1) else free - 1
        known = self._by_number.get(call.index)
        if known is None or self._opens(call, name, known):
            self._by_number[call.index] = known = free
        return known

    def _opens(self, call: _Call, name: str, known: int) -> bool:
        """Whether a fragment with the number of a known call is of another one: some number every parallel call 0."""
        if call.id:
            return bool(self._ids[known]) and call.id != self._ids[known]
        if call.index is None:
            return bool(name)
        return bool(name) and name != self._names[known]


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
            case ReasoningDelta(text=text, choice=choice):
                return self._chunk(choice, {"reasoning_content": text})
            case RefusalDelta(text=text, choice=choice):
                return self._chunk(choice, {"refusal": text})
            case ToolCallDelta(choice=choice):
                return self._chunk(choice, {"tool_calls": [_written_call(event)]}, first=None)
            case LogprobsDelta(raw=raw, choice=choice):
                return self._chunk(choice, {}, logprobs=raw)
            case Finished(reason=reason, choice=choice):
                return self._chunk(choice, {}, finish=reason)
            case _:
                return b""

    def end(self) -> bytes:
        closing = b""
        if self._report and self._usage is not None:
            closing = _framed({**self._base, "choices": [], "usage": written_usage(self._usage)})
        return closing + b"data: [DONE]\n\n"

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        *,
        first: str | None = "",
        finish: str | None = None,
        logprobs: Raw | None = None,
    ) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", "content": first, **delta}
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
