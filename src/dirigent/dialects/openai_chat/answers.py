"""Whole answers of OpenAI chat completions and their usage, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.errors import BadAnswer, Unavailable
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
)
from dirigent.core.messages import Audio, Choice, FinishReason, Reasoning, Refusal, Request, Response, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.openai_chat.thoughts import details_of, signature_in, signed, thoughts_of, written_details
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = [
    "WireAudio",
    "WireFunction",
    "arguments_text",
    "asks_the_old_way",
    "finish_reason",
    "joined_text",
    "read_response",
    "reported",
    "stop_sequence",
    "told_finish",
    "usage_of",
    "write_response",
    "written_usage",
]

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_BROKEN_OFF = ("error", "abort", "insufficient_system_resource")
"""Reasons by which a provider says that it could not go on. As an end, they would make half an answer look whole."""

_EMPTY = "the provider's answer is empty: it has no choice"


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """How DeepSeek names the tokens that it read from its cache."""


class WireFunction(msgspec.Struct):
    """A called function as providers send it; some send its arguments as an object instead of as a text."""

    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class WireAudio(msgspec.Struct):
    """What is spoken, whole or the next stretch of it."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None

    def event(self, choice: int) -> AudioDelta:
        """The same in our own words."""
        return AudioDelta(self.data or "", self.transcript or "", self.id, self.expires_at, choice)


class _WireCall(msgspec.Struct):
    id: str | None = None
    function: WireFunction | None = None
    extra_content: Raw | UnsetType = UNSET


class _WireMessage(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw | UnsetType = UNSET
    audio: WireAudio | None = None
    tool_calls: list[_WireCall] | None = None
    function_call: WireFunction | None = None


class _WireChoice(msgspec.Struct):
    message: _WireMessage
    index: int | None = None
    finish_reason: str | None = None
    stop_reason: Raw = NULL
    logprobs: Raw = NULL
    error: Raw = NULL


class _WireAnswer(msgspec.Struct):
    choices: list[_WireChoice]
    usage: Raw = NULL
    error: Raw = NULL


class _WireWhole(msgspec.Struct):
    choices: list[Raw]
    usage: _WireUsage | None = None
    error: Raw = NULL


class _WireEnd(msgspec.Struct):
    choices: list[Raw]
    usage: Raw = NULL
    error: Raw = NULL


_answer = msgspec.json.Decoder(_WireAnswer)
_whole = msgspec.json.Decoder(_WireWhole)
_end = msgspec.json.Decoder(_WireEnd)
_usage = msgspec.json.Decoder(_WireUsage)
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    try:
        answer = _answer.decode(body)
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    if answer.error != NULL:
        raise broken_off(answer.error)
    if not answer.choices:
        raise BadAnswer("the provider's answer is empty: it has no choice")
    events: list[Event] = []
    for place, choice in enumerate(answer.choices):
        events += _choice_events(choice, place if choice.index is None else choice.index)
    if (usage := reported(answer.usage)) is not None:
        events.append(UsageReported(usage))
    return events


def _choice_events(choice: _WireChoice, index: int) -> Iterator[Event]:
    if choice.error != NULL:
        raise broken_off(choice.error)
    message = choice.message
    plain = message.reasoning_content or message.reasoning
    if message.reasoning_details is not UNSET:
        for block, each in enumerate(thoughts_of(details_of(message.reasoning_details), plain)):
            yield ReasoningDelta(each.text, index, block, each.signature, each.sealed, each.id, each.issuer)
    elif plain:
        yield ReasoningDelta(plain, index)
    if text := joined_text(message.content):
        yield TextDelta(text, index)
    if message.refusal:
        yield RefusalDelta(message.refusal, index)
    if message.audio is not None:
        yield message.audio.event(index)
    calls = list(message.tool_calls or ())
    if message.function_call is not None:
        calls.append(_WireCall(None, message.function_call))
    for number, call in enumerate(calls):
        function = call.function or WireFunction()
        arguments = arguments_text(function.arguments) or "{}"
        seal = signature_in(call.extra_content)
        yield ToolCallDelta(number, call.id or f"call_{number}", function.name, arguments, index, seal)
    if choice.logprobs != NULL:
        yield LogprobsDelta(choice.logprobs, index)
    reason = finish_reason(choice.finish_reason, called=bool(calls))
    yield Finished(reason, index, stop_sequence(choice.stop_reason))


def stop_sequence(raw: Raw) -> str | None:
    """The sequence that ended an answer, as vLLM and its kin tell it; a number there is a token."""
    try:
        return None if raw == NULL else _text.decode(raw)
    except UNREADABLE:
        return None


def joined_text(content: str | list[Any] | None) -> str:
    """The text of a content; of the parts that some send instead, what is text in them."""
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(part, dict) and isinstance(text := part.get("text"), str))
    return content or ""


def arguments_text(arguments: str | dict[str, Any] | list[Any] | None) -> str:
    """A call's arguments as the text that OpenAI sends, also from servers that send an object."""
    return arguments if isinstance(arguments, str) else "" if arguments is None else _encode(arguments).decode()


def finish_reason(reason: str | None, *, called: bool) -> FinishReason:
    """A provider's reason in our own words: an invented one is a plain end, and a plain end after calls is theirs.

    Raises Unavailable where the reason is that the provider could not go on.
    """
    if reason in _BROKEN_OFF:
        raise Unavailable(f"the provider broke off: it gave the reason {reason!r} for the end of its answer")
    known = _FINISH.get(reason or "", "stop")
    return "tool_calls" if called and known == "stop" else known


# --- usage ------------------------------------------------------------------------------------------------------------


def reported(raw: Raw) -> Usage | None:
    """`usage` in our own words; None where nothing is reported or it cannot be read: then it is unknown, not zero."""
    if raw == NULL:
        return None
    try:
        return _understood(_usage.decode(raw))
    except UNREADABLE:
        return None


def _understood(wire: _WireUsage) -> Usage | None:
    asked, answered = wire.prompt_tokens, wire.completion_tokens
    given, made = wire.prompt_tokens_details or _InputDetails(), wire.completion_tokens_details or _OutputDetails()
    total = wire.total_tokens
    thought = made.reasoning_tokens or 0
    if asked is None and total is not None and answered is not None:
        asked = total - answered
    if answered is None and total is not None and asked is not None:
        answered = total - asked
    if asked is None or answered is None:
        return None
    if thought and total == asked + answered + thought:  # some count what was thought beside what was said
        answered += thought
    usage = Usage(
        input_tokens=asked,
        output_tokens=answered,
        cached_input_tokens=given.cached_tokens or wire.prompt_cache_hit_tokens or 0,
        cache_write_tokens=given.cache_write_tokens or 0,
        reasoning_tokens=thought,
        audio_input_tokens=given.audio_tokens or 0,
        audio_output_tokens=made.audio_tokens or 0,
        cache_write_untold_tokens=given.cache_write_tokens or 0,
    )
    figures = (
        asked,
        answered,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        thought,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
    )
    return None if min(figures) < 0 else usage


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, nothing else of it decoded. Raises BadAnswer where it is no answer."""
    try:
        usual = _whole.decode(body)
    except UNREADABLE:  # it may be the usage alone that is unusual, and that must not cost the answer
        return _usage_of_unusual(body)
    if usual.error != NULL:
        raise broken_off(usual.error)
    if not usual.choices:
        raise BadAnswer(_EMPTY)
    return None if usual.usage is None else _understood(usual.usage)


def _usage_of_unusual(body: bytes) -> Usage | None:
    try:
        end = _end.decode(body)
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    if end.error != NULL:
        raise broken_off(end.error)
    if not end.choices:
        raise BadAnswer(_EMPTY)
    return reported(end.usage)


# --- written answers --------------------------------------------------------------------------------------------------


def write_response(response: Response, request: Request, answer_id: str, created: int) -> bytes:
    """The body of a whole answer."""
    old = asks_the_old_way(request)
    body: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [_written_choice(choice, index, old=old) for index, choice in enumerate(response.choices)],
    }
    if response.usage is not None:
        body["usage"] = written_usage(response.usage)
    return _encode(body)


def asks_the_old_way(request: Request) -> bool:
    """Whether the caller offers `functions` and knows no tools, so that a call has to be told as a function's."""
    return request.wire is not None and "functions" in request.wire.fields and "tools" not in request.wire.fields


def _written_choice(choice: Choice, index: int, *, old: bool) -> dict[str, Any]:
    parts = choice.message.parts
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    sounds = [part for part in parts if isinstance(part, Audio)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    text = choice.message.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (calls or refusal or sounds) else None,
        "refusal": refusal or None,
    }
    if thought := "".join(part.text for part in thoughts):
        message["reasoning_content"] = thought
    if thoughts and (details := written_details(thoughts)):
        message["reasoning_details"] = details
    if sounds:
        message["audio"] = {
            "id": sounds[0].reference or "",
            "data": sounds[0].data,
            "transcript": sounds[0].transcript or "",
            "expires_at": sounds[0].expires or 0,
        }
    if calls and old:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
    elif calls:
        message["tool_calls"] = [_written_call(call) for call in calls]
    finish = told_finish(choice.finish or "stop", called=bool(calls), old=old)
    sequence = {} if choice.sequence is None else {"stop_reason": choice.sequence}
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": finish, **sequence}


def _written_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **signed(call.signature)}


def told_finish(reason: FinishReason, *, called: bool, old: bool) -> str:
    """The reason as the caller has to hear it: a plain end after calls is theirs, whoever reported it."""
    known = "tool_calls" if called and reason == "stop" else reason
    return "function_call" if old and known == "tool_calls" else known


def written_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as OpenAI sends it."""
    given = {"cached_tokens": usage.cached_input_tokens, "audio_tokens": usage.audio_input_tokens}
    if usage.cache_write_tokens:
        given["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": given,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    }
