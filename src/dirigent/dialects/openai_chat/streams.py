"""Streams of OpenAI chat completions, read into events and written from events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.errors import BadAnswer
from dirigent.core.events import (
    AudioDelta,
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
    WireAudio,
    WireFunction,
    arguments_text,
    asks_the_old_way,
    finish_reason,
    joined_text,
    reported,
    stop_sequence,
    told_finish,
    written_usage,
)
from dirigent.dialects.openai_chat.thoughts import delta_events, details_of, signature_in, signed, told_details
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.sse import EventLines

__all__ = ["DONE", "Reader", "Writer"]

DONE = b"[DONE]"


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None
    extra_content: Raw | UnsetType = UNSET


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw | UnsetType = UNSET
    audio: WireAudio | None = None
    tool_calls: list[_Call] | None = None
    function_call: WireFunction | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: Raw = NULL
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
            thought = delta.reasoning_content or delta.reasoning
            if delta.reasoning_details is not UNSET:
                yield from delta_events(details_of(delta.reasoning_details), thought, index)
            elif thought:
                yield ReasoningDelta(thought, index)
            if delta.content and (text := joined_text(delta.content)):
                yield TextDelta(text, index)
            if delta.refusal:
                yield RefusalDelta(delta.refusal, index)
            if delta.audio is not None:
                yield delta.audio.event(index)
            for call in delta.tool_calls or ():
                yield progress.fragment(call, index)
            if delta.function_call is not None:
                yield progress.fragment(_Call(0, None, delta.function_call), index)
        if choice.logprobs != NULL:
            yield LogprobsDelta(choice.logprobs, index)
        if choice.finish_reason:
            finish_reason(choice.finish_reason, called=False)  # raises at once where it is none
            progress.finish = choice.finish_reason
            progress.sequence = stop_sequence(choice.stop_reason)

    def _finish(self) -> list[Event]:
        return [event for index in sorted(self._choices) for event in self._choices[index].finished(index)]


class _Progress:
    """One choice while it comes in. Each of its tool calls gets a stable index, whatever the provider numbers."""

    __slots__ = ("_argued", "_by_number", "_ids", "_names", "finish", "sequence")

    def __init__(self) -> None:
        self.finish: str | None = None
        self.sequence: str | None = None
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
        seal = signature_in(call.extra_content)
        if not first:
            return ToolCallDelta(index, arguments=arguments, choice=choice, signature=seal)
        return ToolCallDelta(index, call.id or f"call_{index}", function.name or "", arguments, choice, seal)

    def finished(self, choice: int) -> Iterator[Event]:
        """The end of the choice; before it, no arguments for calls that came without a word of them."""
        for index in range(len(self._ids)):
            if index not in self._argued:
                yield ToolCallDelta(index, arguments="{}", choice=choice)
        yield Finished(finish_reason(self.finish, called=bool(self._ids)), choice, self.sequence)

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
        self._old = asks_the_old_way(request)
        self._begun: set[int] = set()
        self._argued: dict[tuple[int, int], bool] = {}
        """The calls of each choice, and whether a word of their arguments has been told."""
        self._thoughts: dict[tuple[int, int], list[str]] = {}
        """What was thought in each stretch whose seal may still come."""
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
            case ReasoningDelta(choice=choice):
                return self._chunk(choice, self._thought(event))
            case RefusalDelta(text=text, choice=choice):
                return self._chunk(choice, {"refusal": text})
            case ToolCallDelta(choice=choice):
                return self._call(event)
            case AudioDelta(choice=choice):
                return self._chunk(choice, {"audio": _written_audio(event)}, first=None)
            case LogprobsDelta(raw=raw, choice=choice):
                return self._chunk(choice, {}, logprobs=_in_one_line(raw))
            case Finished(choice=choice):
                return self._finished(event)
            case _:
                return b""

    def end(self) -> bytes:
        closing = b""
        if self._report and self._usage is not None:
            closing = _framed({**self._base, "choices": [], "usage": written_usage(self._usage)})
        return closing + b"data: [DONE]\n\n"

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"

    def _thought(self, event: ReasoningDelta) -> dict[str, Any]:
        """A stretch of thought; its details are told with its seal, and then all of it, for they belong together."""
        told = {"reasoning_content": event.text} if event.text else {}
        said = self._thoughts.setdefault((event.choice, event.block), [])
        if event.text:
            said.append(event.text)
        if not (event.signature or event.sealed):
            return told
        whole = msgspec.structs.replace(event, text="".join(said))
        said.clear()
        return {**told, "reasoning_details": list(told_details(whole, event.block))}

    def _call(self, event: ToolCallDelta) -> bytes:
        call = (event.choice, event.index)
        argued = self._argued.get(call)
        self._argued[call] = bool(argued or event.arguments)
        if self._old:
            if event.index:  # one function is called at a time in the old form
                return b""
            name = {} if argued is not None else {"name": event.name or ""}
            return self._chunk(event.choice, {"function_call": {**name, "arguments": event.arguments}}, first=None)
        return self._chunk(event.choice, {"tool_calls": [_written_call(event, opens=argued is None)]}, first=None)

    def _finished(self, event: Finished) -> bytes:
        calls = [call for call in self._argued if call[0] == event.choice]
        silent = [call for call in calls if not self._argued[call]]
        told = b"".join([self._call(ToolCallDelta(index, arguments="{}", choice=choice)) for choice, index in silent])
        finish = told_finish(event.reason, called=bool(calls), old=self._old)
        return told + self._chunk(event.choice, {}, finish=finish, sequence=event.sequence)

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        *,
        first: str | None = "",
        finish: str | None = None,
        sequence: str | None = None,
        logprobs: Raw | None = None,
    ) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", "content": first, **delta}
        told = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        if sequence is not None:
            told["stop_reason"] = sequence
        body: dict[str, Any] = {**self._base, "choices": [told]}
        if self._report:
            body["usage"] = None
        return _framed(body)


def _written_call(event: ToolCallDelta, *, opens: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    seal = signed(event.signature)
    if not opens:
        return {"index": event.index, "function": function, **seal}
    call_id, name = event.id or f"call_{event.index}", event.name or ""
    return {"index": event.index, "id": call_id, "type": "function", "function": {"name": name, **function}, **seal}


def _written_audio(event: AudioDelta) -> dict[str, Any]:
    known = {"id": event.id, "data": event.data, "transcript": event.transcript, "expires_at": event.expires}
    return {key: value for key, value in known.items() if value}


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body) + b"\n\n"


def _in_one_line(raw: Raw) -> Raw:
    """The same without the line breaks in which a provider may have set it: they would break the frame."""
    return Raw(msgspec.json.format(raw, indent=-1))
