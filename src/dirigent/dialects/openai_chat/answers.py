"""Whole answers of OpenAI chat completions, their usage and their errors, read and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Misconfigured,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
)
from dirigent.core.events import Event, Finished, LogprobsDelta, RefusalDelta, TextDelta, ToolCallDelta, UsageReported
from dirigent.core.messages import Choice, FinishReason, Refusal, Request, Response, ToolCall
from dirigent.core.usage import Usage

__all__ = [
    "WireError",
    "WireUsage",
    "error_of",
    "finish_reason",
    "read_error",
    "read_response",
    "usage_of",
    "write_error",
    "write_response",
    "written_usage",
]

_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length")
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


_NULL = Raw(b"null")


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """`usage` as providers send it; what they leave out or set to null counts as nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """The same in our own words."""
        given, made = self.prompt_tokens_details or _InputDetails(), self.completion_tokens_details or _OutputDetails()
        return Usage(
            input_tokens=self.prompt_tokens or 0,
            output_tokens=self.completion_tokens or 0,
            cached_input_tokens=given.cached_tokens or 0,
            reasoning_tokens=made.reasoning_tokens or 0,
            audio_input_tokens=given.audio_tokens or 0,
            audio_output_tokens=made.audio_tokens or 0,
        )


class WireError(msgspec.Struct):
    """`error` as providers send it; several invent their own types for the fields."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _WireFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _WireCall(msgspec.Struct):
    id: str | None = None
    function: _WireFunction | None = None


class _WireMessage(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_WireCall] | None = None


class _WireChoice(msgspec.Struct):
    message: _WireMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: Raw = _NULL


class _WireAnswer(msgspec.Struct):
    choices: list[_WireChoice]
    usage: WireUsage | None = None


class _WireEnd(msgspec.Struct):
    choices: list[Raw]
    usage: WireUsage | None = None


_answer = msgspec.json.Decoder(_WireAnswer)
_end = msgspec.json.Decoder(_WireEnd)
_object = msgspec.json.Decoder(dict[str, Raw])
_error = msgspec.json.Decoder(WireError)
_encode = msgspec.json.Encoder().encode


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    events: list[Event] = []
    for choice in answer.choices:
        events += _choice_events(choice)
    if answer.usage is not None:
        events.append(UsageReported(answer.usage.usage()))
    return events


def _choice_events(choice: _WireChoice) -> Iterator[Event]:
    message, index = choice.message, choice.index
    if text := _text(message.content):
        yield TextDelta(text, index)
    if message.refusal:
        yield RefusalDelta(message.refusal, index)
    for number, call in enumerate(message.tool_calls or ()):
        function = call.function or _WireFunction()
        yield ToolCallDelta(
            number, call.id or f"call_{number}", function.name, arguments_text(function.arguments), index
        )
    if choice.logprobs != _NULL:
        yield LogprobsDelta(choice.logprobs, index)
    yield Finished(finish_reason(choice.finish_reason), index)


def _text(content: str | list[Any] | None) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content or ""


def arguments_text(arguments: str | dict[str, Any] | None) -> str:
    """A call's arguments as the text that OpenAI sends, also from servers that send an object."""
    return _encode(arguments).decode() if isinstance(arguments, dict) else arguments or ""


def finish_reason(reason: str | None) -> FinishReason:
    """A provider's reason in our own words; one that it invented counts as a plain end."""
    return _FINISH.get(reason or "", "stop")


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, nothing else of it decoded. Raises BadAnswer where it is no answer."""
    try:
        end = _end.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    return None if end.usage is None else end.usage.usage()


# --- errors -----------------------------------------------------------------------------------------------------------


def error_of(data: bytes) -> DirigentError | None:
    """The error that a body or an event of a stream carries in an answer whose status said that all was well."""
    try:
        fields = _object.decode(data)
    except msgspec.DecodeError:
        return None
    if "error" not in fields or bytes(fields["error"]) == b"null":
        return None
    error = _wire_error(data)
    if error.code in _TOO_LONG or error.type in _TOO_LONG:
        return TooLong(error.message or "the prompt is too long")
    return Unavailable(f"the provider broke off: {error.message or 'it gave no reason'}")


def _wire_error(body: bytes) -> WireError:
    """The error in a body, in whichever of the known shapes it comes; at worst the body's own first words."""
    try:
        fields = _object.decode(body)
        raw = fields.get("error", Raw(body))
        if bytes(raw).startswith(b'"'):
            return WireError(msgspec.json.decode(raw, type=str))
        error = _error.decode(raw)
        if error.message is None and "detail" in fields:
            return WireError(bytes(fields["detail"]).decode(errors="replace")[:500])
        return error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return WireError(body[:500].decode(errors="replace").strip() or None)


def read_error(status: int, body: bytes, retry_after: float | None) -> DirigentError:
    """What a provider's refusal means. Provider statuses are read here because what they mean is part of the dialect."""
    error = _wire_error(body)
    words = error.message or f"status {status} without a word"
    code = str(error.code) if error.code is not None else None
    if code in _TOO_LONG or error.type in _TOO_LONG or "maximum context length" in words:
        return TooLong(words, param=error.param or "messages")
    match status:
        case 400 | 405 | 406 | 413 | 415 | 422:
            return Rejected(words, param=error.param, kind=error.type, reason=code)
        case 401 | 403:
            return Misconfigured(f"the provider refuses our credentials (status {status})")
        case 402:
            return Misconfigured("the provider wants to be paid first (status 402)")
        case 404:
            return Misconfigured(f"the provider does not know this deployment (status 404): {words}")
        case 408 | 504:
            return TimedOut(f"the provider timed out: {words}", retry_after=retry_after)
        case 409 | 425 | 429:
            return RateLimited(f"the provider asks to slow down: {words}", retry_after=retry_after)
        case _ if status >= 500:
            return Unavailable(f"the provider failed (status {status}): {words}", retry_after=retry_after)
        case _ if 300 <= status < 400:
            return Misconfigured(f"the provider sends us elsewhere (status {status}): `base_url` is not its API")
        case _:
            return Rejected(words, param=error.param, kind=error.type, reason=code)


def write_error(error: DirigentError, kind: str) -> bytes:
    """An error in OpenAI's shape, with real nulls. A provider's own `type` and `code` are kept where it gave them."""
    given_kind, code = (error.kind, error.reason) if isinstance(error, Rejected) else (None, None)
    body = {"message": error.message, "type": given_kind or kind, "param": error.param, "code": code or error.code}
    return _encode({"error": body})


# --- written answers --------------------------------------------------------------------------------------------------


def write_response(response: Response, request: Request, answer_id: str, created: int) -> bytes:
    """The body of a whole answer."""
    body: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [_written_choice(choice, index) for index, choice in enumerate(response.choices)],
    }
    if response.usage is not None:
        body["usage"] = written_usage(response.usage)
    return _encode(body)


def _written_choice(choice: Choice, index: int) -> dict[str, Any]:
    parts = choice.message.parts
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    text = choice.message.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (calls or refusal) else None,
        "refusal": refusal or None,
    }
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in calls
        ]
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": choice.finish or "stop"}


def written_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as OpenAI sends it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": usage.audio_input_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    }
