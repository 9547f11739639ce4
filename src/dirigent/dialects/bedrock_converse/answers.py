"""Whole answers of Bedrock's Converse and their usage, read and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

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
from dirigent.core.tokens import estimated_parts, estimated_request
from dirigent.core.usage import Usage
from dirigent.dialects.bedrock_converse.errors import unreadable
from dirigent.dialects.bedrock_converse.thoughts import call_seal, read_thought, seal_block, thought_block
from dirigent.dialects.bedrock_converse.usage import reported, written_usage
from dirigent.dialects.raw import NULL, UNREADABLE, input_of

__all__ = [
    "STOPPED_BY",
    "count_of",
    "finish_reason",
    "further",
    "read_response",
    "stop_reason",
    "stopped_by",
    "thought_delta",
    "usage_of",
    "write_response",
]

_FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "tool_use": "tool_calls",
}
STOPPED_BY: Final = "/stop_sequence"
"""Where Claude says which stop sequence ended an answer; it is said to who asks for this path."""
_BROKEN = ("malformed_model_output", "malformed_tool_use")
_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = NULL
    type: str | None = None


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Piece(msgspec.Struct):
    text: str = ""


class _Citations(msgspec.Struct):
    content: list[_Piece] | None = None


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None
    image: Raw = NULL


class _Message(msgspec.Struct):
    content: list[_Block]


class _Output(msgspec.Struct):
    message: _Message


class _Further(msgspec.Struct):
    """What is understood of the fields that are the model's own."""

    stop_sequence: str | None = None


class _WireAnswer(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: Raw = NULL
    additional_model_response_fields: Raw = NULL


class _WireEnd(msgspec.Struct):
    output: dict[str, Raw]
    usage: Raw = NULL


class _WireCount(msgspec.Struct, rename="camel"):
    input_tokens: int


_answer = msgspec.json.Decoder(_WireAnswer)
_end = msgspec.json.Decoder(_WireEnd)
_count = msgspec.json.Decoder(_WireCount)
_further = msgspec.json.Decoder(_Further | None)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    try:
        answer = _answer.decode(body)
        events = list(_events(answer.output.message.content))
    except UNREADABLE as fault:
        raise unreadable(fault, body, "the provider's answer") from None
    called = any(isinstance(event, ToolCallDelta) for event in events)
    reason = finish_reason(answer.stop_reason, called=called)
    events.append(Finished(reason, sequence=stopped_by(answer.additional_model_response_fields)))
    if (usage := reported(answer.usage)) is not None:
        events.append(UsageReported(usage))
    return events


def _events(content: Sequence[_Block]) -> Iterator[Event]:
    thoughts = calls = 0
    for block in content:
        if block.text:
            yield TextDelta(block.text)
        elif block.citations_content is not None:
            yield from (TextDelta(piece.text) for piece in block.citations_content.content or () if piece.text)
        elif block.image != NULL:
            raise BadAnswer("the provider's answer holds a picture, for callers of its own dialect alone")
        elif block.tool_use is not None and block.tool_use.type is None:
            call = block.tool_use
            arguments = bytes(call.input).decode() if call.input != NULL else "{}"
            yield ToolCallDelta(calls, call.tool_use_id or f"tooluse_{calls}", call.name, arguments)
            calls += 1
        elif block.reasoning_content is not None:
            thought = block.reasoning_content
            said = thought.reasoning_text or _ReasoningText()
            if call_seal(thought.redacted_content) is None:
                yield thought_delta(read_thought(said.text, said.signature, thought.redacted_content), thoughts)
                thoughts += 1


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

    Raises BadAnswer where the model wrote what Bedrock itself could not read.
    """
    if reason in _BROKEN:
        raise BadAnswer(f"the provider's model went wrong ({reason})")
    known = _FINISH.get(reason or "", "stop")
    if known == "tool_calls" and not called:
        return "stop"
    return "tool_calls" if called and known == "stop" else known


def stopped_by(more: Raw) -> str | None:
    """The stop sequence that ended an answer, where it says so among the fields of the model's own."""
    try:
        told = None if more == NULL else _further.decode(more)
    except UNREADABLE:  # they are whatever the model makes of them
        return None
    return None if told is None else told.stop_sequence


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, nothing else of it decoded. Raises BadAnswer where it is no answer."""
    try:
        return reported(_end.decode(body).usage)
    except UNREADABLE as fault:
        raise unreadable(fault, body, "the provider's answer") from None


def count_of(body: bytes) -> int:
    """The input tokens in the answer to who asked for their count."""
    try:
        return _count.decode(body).input_tokens
    except UNREADABLE as fault:
        raise unreadable(fault, body, "the provider's count") from None


# --- write ------------------------------------------------------------------------------------------------------------


def write_response(response: Response, request: Request) -> bytes:
    """The body of a whole answer; usage that nobody reported is estimated, because this dialect always tells one."""
    choice = response.choices[0] if response.choices else Choice(Message("assistant"))
    parts = choice.message.parts
    usage = response.usage or Usage(estimated_request(request), estimated_parts(parts), estimated=True)
    content = [block for part in parts for block in _written(part)]
    reason = stop_reason(
        choice.finish or "stop", called=any("toolUse" in block for block in content), sequence=choice.sequence
    )
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        **further(request, choice.sequence),
        "usage": written_usage(usage),
        "metrics": {"latencyMs": 0},  # it has to be there; how long it took is told by who waited
    }
    return _encode(body)


def stop_reason(finish: FinishReason, *, called: bool, sequence: str | None) -> str:
    """Why the answer ended: `tool_use` whenever a call in it waits to be made, for agents go by that."""
    if finish != "stop":
        return _STOP[finish]
    return "tool_use" if called else "stop_sequence" if sequence is not None else "end_turn"


def further(request: Request, sequence: str | None) -> dict[str, Any]:
    """The fields of the model's own, where the caller has asked for them and they are known."""
    asked = request.extra.get("additionalModelResponseFieldPaths", NULL)
    if sequence is None or STOPPED_BY.encode() not in bytes(asked):
        return {}
    return {"additionalModelResponseFields": {"stop_sequence": sequence}}


def _written(part: Part) -> Iterator[dict[str, Any]]:
    match part:
        case Text(text=text) | Refusal(text=text) | Audio(transcript=str(text)) if text:
            yield {"text": text}
        case Reasoning() if (block := thought_block(part)) is not None:
            yield {"reasoningContent": block}
        case ToolCall(id=id, name=name, arguments=arguments, signature=signature):
            if signature:
                yield {"reasoningContent": seal_block(signature, id)}
            yield {"toolUse": {"toolUseId": id, "name": name, "input": input_of(arguments)}}
