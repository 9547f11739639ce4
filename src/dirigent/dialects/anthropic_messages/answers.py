"""Whole answers of Anthropic messages and their usage, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from dirigent.core.messages import (
    Audio,
    Choice,
    FinishReason,
    Message,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    ToolCall,
)
from dirigent.core.tokens import estimated, estimated_request
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages.errors import error_of
from dirigent.dialects.anthropic_messages.thoughts import call_seal, read_thought, seal_block, thought_block
from dirigent.dialects.anthropic_messages.tooling import ANSWER
from dirigent.dialects.anthropic_messages.usage import WireUsage, reported, understood, written_usage
from dirigent.dialects.raw import NULL, UNREADABLE, input_of

__all__ = ["WireBlock", "count_of", "finish_reason", "read_response", "stop_reason", "usage_of", "write_response"]

_FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class WireBlock(msgspec.Struct):
    """A block of an answer; at the beginning of a stream's block, the little that is known of it."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: Raw = NULL
    id: str | None = None
    name: str | None = None
    input: Raw = NULL

    @property
    def seal(self) -> str:
        """The contents of a redacted thought."""
        return msgspec.json.decode(self.data, type=str | None) or ""


class _WireKind(msgspec.Struct):
    type: str


class _WireAnswer(msgspec.Struct):
    content: list[Raw]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = NULL


class _WireWhole(msgspec.Struct):
    content: list[Raw]
    usage: WireUsage | None = None


class _WireEnd(msgspec.Struct):
    content: list[Raw]
    usage: Raw = NULL


class _WireCount(msgspec.Struct):
    input_tokens: int


_answer = msgspec.json.Decoder(_WireAnswer)
_block = msgspec.json.Decoder(WireBlock)
_whole = msgspec.json.Decoder(_WireWhole)
_end = msgspec.json.Decoder(_WireEnd)
_count = msgspec.json.Decoder(_WireCount)
_kind = msgspec.json.Decoder(_WireKind)
_encode = msgspec.json.Encoder().encode
_KINDS = ("text", "thinking", "redacted_thinking", "tool_use")


# --- read -------------------------------------------------------------------------------------------------------------


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    try:
        answer = _answer.decode(body)
        events = list(_events(answer.content))
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    called = any(isinstance(event, ToolCallDelta) for event in events)
    events.append(Finished(finish_reason(answer.stop_reason, called=called), sequence=answer.stop_sequence))
    if (usage := reported(answer.usage)) is not None:
        events.append(UsageReported(usage))
    return events


def _events(content: list[Raw]) -> Iterator[Event]:
    thoughts = calls = 0
    for raw in content:
        if _kind.decode(raw).type not in _KINDS:
            continue  # a block of a tool that runs at the provider: what it found is in the text
        block = _block.decode(raw)
        match block.type:
            case "text":
                if block.text:
                    yield TextDelta(block.text)
            case "thinking" | "redacted_thinking" as kind:
                redacted = kind == "redacted_thinking"
                seal = (block.seal if redacted else block.signature) or ""
                if call_seal(seal) is None:
                    yield thought_delta(read_thought(block.thinking or "", seal, redacted=redacted), thoughts)
                    thoughts += 1
            case _:
                arguments = bytes(block.input).decode() if block.input != NULL else "{}"
                if block.name == ANSWER:
                    yield TextDelta(arguments)
                    continue
                yield ToolCallDelta(calls, block.id or f"toolu_{calls}", block.name or "", arguments)
                calls += 1


def thought_delta(thought: Reasoning, block: int) -> ReasoningDelta:
    """A thought as an event."""
    return ReasoningDelta(
        thought.text,
        block=block,
        signature=thought.signature,
        sealed=thought.sealed,
        id=thought.id,
        issuer=thought.issuer,
    )


def finish_reason(reason: str | None, *, called: bool) -> FinishReason:
    """A provider's reason in our own words: an invented one is a plain end, and a plain end after calls is theirs.

    A tool by which the answer itself was given counts as none.
    """
    known = _FINISH.get(reason or "", "stop")
    if known == "tool_calls" and not called:
        return "stop"
    return "tool_calls" if called and known == "stop" else known


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, nothing else of it decoded. Raises BadAnswer where it is no answer."""
    try:
        return understood(_whole.decode(body).usage)
    except UNREADABLE:  # it may be the usage alone that is unusual, and that must not cost the answer
        pass
    try:
        return reported(_end.decode(body).usage)
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None


def count_of(body: bytes) -> int:
    """The input tokens in the answer to who asked for their count."""
    try:
        return _count.decode(body).input_tokens
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's count cannot be read: {fault}") from None


# --- write ------------------------------------------------------------------------------------------------------------


def write_response(response: Response, request: Request, answer_id: str) -> bytes:
    """The body of a whole answer; usage that nobody reported is estimated, because this dialect always tells one."""
    choice = response.choices[0] if response.choices else Choice(Message("assistant"))
    usage = response.usage or Usage(estimated_request(request), _estimated(choice.message), estimated=True)
    content = [block for part in choice.message.parts for block in _written(part)]
    body = {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": stop_reason(
            choice.finish or "stop",
            called=any(block["type"] == "tool_use" for block in content),
            refused=any(isinstance(part, Refusal) for part in choice.message.parts),
            sequence=choice.sequence,
        ),
        "stop_sequence": choice.sequence,
        "usage": written_usage(usage),
    }
    return _encode(body)


def stop_reason(finish: FinishReason, *, called: bool, refused: bool, sequence: str | None) -> str:
    """Why the answer ended: `tool_use` whenever a call in it waits to be made, for agents go by that."""
    if finish != "stop":
        return _STOP[finish]
    return "tool_use" if called else "refusal" if refused else "stop_sequence" if sequence is not None else "end_turn"


def _written(part: Part) -> Iterator[dict[str, Any]]:
    match part:
        case Text(text=text) | Refusal(text=text) | Audio(transcript=str(text)) if text:
            yield {"type": "text", "text": text}
        case Reasoning() if (block := thought_block(part)) is not None:
            yield block
        case ToolCall(id=id, name=name, arguments=arguments, signature=signature):
            if signature:
                yield seal_block(signature, id)
            yield {"type": "tool_use", "id": id, "name": name, "input": input_of(arguments)}


def _estimated(message: Message) -> int:
    said = (part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") for part in message.parts)
    return sum(map(estimated, said))
