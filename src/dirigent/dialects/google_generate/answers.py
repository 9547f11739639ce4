"""Google's answers, whole or in chunks of a stream: both have the same form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import (
    AudioDelta,
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
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
from dirigent.core.usage import Usage
from dirigent.dialects.google_generate.errors import error_of, unreadable
from dirigent.dialects.google_generate.logprobs import read_logprobs, written_logprobs
from dirigent.dialects.google_generate.parts import MADE_UP, Blob, WireCall
from dirigent.dialects.google_generate.thoughts import canonical, read_thought, travelling
from dirigent.dialects.google_generate.usage import latest, reported, written_usage
from dirigent.dialects.raw import NULL, UNREADABLE, input_of

__all__ = [
    "BROKEN",
    "FINISH",
    "Told",
    "WireAnswer",
    "count_of",
    "read_response",
    "usage_of",
    "write_response",
    "written_call",
    "written_sound",
    "written_thought",
]

_STOPPED: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length", "FINISH_REASON_UNSPECIFIED": "stop"}
"""What is neither here nor in `BROKEN` was stopped by one of Google's filters."""
BROKEN = (
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
    "TOO_MANY_TOOL_CALLS",
    "UNEXPECTED_TOOL_CALL",
)
"""The ends that are none: what the model wrote could not be read by Google itself."""
FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}


class _WirePart(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: WireCall | None = None
    inline_data: Blob | None = None


class _WireContent(msgspec.Struct):
    parts: list[_WirePart] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _WireContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: Raw = NULL


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class WireAnswer(msgspec.Struct, rename="camel"):
    """An answer, or a chunk of one."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = NULL
    response_id: str | None = None


class _WireUsage(msgspec.Struct, rename="camel"):
    candidates: Raw = NULL
    prompt_feedback: Raw = NULL
    usage_metadata: Raw = NULL


class _WireCount(msgspec.Struct, rename="camel"):
    total_tokens: int


_answer = msgspec.json.Decoder(WireAnswer)
_usage = msgspec.json.Decoder(_WireUsage)
_count = msgspec.json.Decoder(_WireCount)
_encode = msgspec.json.Encoder().encode


# --- read -------------------------------------------------------------------------------------------------------------


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    told = Told()
    events = told.take(body)
    return [*events, *told.end()]


class Told:
    """What an answer has told so far: it comes whole, or in chunks that each hold whole parts."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Heard] = {}
        self._blocked = False
        self._spoken = False
        self._known: Usage | None = None
        self._reported: Usage | None = None

    @property
    def whole(self) -> bool:
        """Whether every candidate that has begun is finished; a refused prompt has none."""
        return self._blocked or (bool(self._candidates) and all(each.finished for each in self._candidates.values()))

    def take(self, data: bytes) -> list[Event]:
        """The events of one more chunk. Raises the error that it carries, and BadAnswer for what cannot be read."""
        try:
            answer = _answer.decode(data)
            events = list(self._events(answer))
        except UNREADABLE as fault:
            raise unreadable(fault, data, "the provider's answer") from None
        if not answer.candidates and (error := error_of(data)) is not None:
            raise error
        self._known = latest(self._known, reported(answer.usage_metadata))
        if events and not self._spoken:
            self._spoken = True
            return [*self._report(), *events]
        return [*events, *self._report()] if self.whole else events

    def end(self) -> list[Event]:
        """The last events. Raises BadAnswer where the answer is not complete."""
        if not self.whole:
            raise BadAnswer("the provider's answer stopped before it was complete")
        return self._report()

    def _report(self) -> list[Event]:
        if self._known is None or self._known == self._reported:
            return []
        self._reported = self._known
        return [UsageReported(self._known)]

    def _events(self, answer: WireAnswer) -> Iterator[Event]:
        for place, candidate in enumerate(answer.candidates or ()):
            index = place if candidate.index is None else candidate.index
            heard = self._candidates.setdefault(index, _Heard(index))
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    yield from heard.part(part, answer.response_id or "")
            if candidate.logprobs_result != NULL:
                logprobs = read_logprobs(candidate.logprobs_result)
                if logprobs is not None:
                    yield LogprobsDelta(logprobs, index)
            if candidate.finish_reason is not None and not heard.finished:
                yield heard.end(candidate.finish_reason, candidate.finish_message)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._candidates and not self._blocked:
            self._blocked = True
            yield Finished("content_filter")


class _Heard:
    """One candidate while its parts come in."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._calls = 0
        self._block = 0
        self._thinks = False
        """Whether the last part was a thought that goes on with the next."""
        self.finished = False

    def part(self, part: _WirePart, answer: str) -> Iterator[Event]:
        signature = canonical(part.thought_signature)
        if part.function_call is not None:
            yield self._call(part.function_call, signature, answer)
            return
        if part.text is not None and part.thought:
            yield from self._thought(part.text, signature)
            return
        if part.text:
            self._thinks, self._block = False, self._block + self._thinks
            yield TextDelta(part.text, self._index)
        elif part.inline_data is not None:
            yield self._sound(part.inline_data)
        if signature is not None and (part.text is not None or part.inline_data is not None):
            yield from self._thought("", signature)

    def _call(self, call: WireCall, signature: str | None, answer: str) -> Event:
        number, self._calls = self._calls, self._calls + 1
        self._thinks, self._block = False, self._block + self._thinks
        arguments = bytes(call.args).decode() if call.args != NULL else "{}"
        made_up = f"{answer} {self._index} {number} {call.name} {arguments}".encode(errors="replace")
        name = call.id or MADE_UP + blake2b(made_up, digest_size=9).hexdigest()
        return ToolCallDelta(number, name, call.name, arguments, self._index, signature)

    def _thought(self, text: str, signature: str | None) -> Iterator[Event]:
        thought = read_thought(text, signature)
        issuer = thought.issuer if signature else ""
        if text or signature:
            yield ReasoningDelta(text, self._index, self._block, thought.signature, thought.sealed, thought.id, issuer)
        self._thinks = signature is None
        self._block += signature is not None

    def _sound(self, blob: Blob) -> Event:
        if not blob.mime_type.startswith("audio/"):
            raise BadAnswer(
                f"the provider's answer holds {blob.mime_type or 'bytes'}, for callers of its dialect alone"
            )
        return AudioDelta(blob.data, choice=self._index, format=blob.mime_type.removeprefix("audio/"))

    def end(self, reason: str, words: str | None) -> Event:
        self.finished = True
        if reason in BROKEN:
            raise BadAnswer(f"the provider's model went wrong ({reason}): {words or 'it gave no reason'}")
        known = _STOPPED.get(reason, "content_filter")
        return Finished("tool_calls" if self._calls and known == "stop" else known, self._index)


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, nothing else of it decoded. Raises BadAnswer where it is no answer."""
    try:
        answer = _usage.decode(body)
    except UNREADABLE as fault:
        raise unreadable(fault, body, "the provider's answer") from None
    if answer.candidates == NULL and answer.prompt_feedback == NULL:
        raise error_of(body) or BadAnswer("the provider's answer holds no candidate")
    return reported(answer.usage_metadata)


def count_of(body: bytes) -> int:
    """The tokens in the answer to who asked for their count."""
    try:
        return _count.decode(body).total_tokens
    except UNREADABLE as fault:
        raise unreadable(fault, body, "the provider's count") from None


# --- write ------------------------------------------------------------------------------------------------------------


def write_response(response: Response, request: Request, answer_id: str) -> bytes:
    """The body of a whole answer."""
    body: dict[str, Any] = {
        "candidates": [_written_candidate(choice, index) for index, choice in enumerate(response.choices)]
    }
    if response.usage is not None:
        body["usageMetadata"] = written_usage(response.usage)
    return _encode(body | {"modelVersion": request.model, "responseId": answer_id})


def _written_candidate(choice: Choice, index: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": _written_parts(choice.message), "role": "model"},
        "finishReason": FINISH[choice.finish or "stop"],
        "index": index,
    }
    if (logprobs := written_logprobs(choice.logprobs)) is not None:
        candidate["logprobsResult"] = logprobs
    return candidate


def _written_parts(message: Message) -> Sequence[dict[str, Any]]:
    return [written for part in message.parts if (written := _written(part)) is not None]


def _written(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text=text) | Refusal(text=text) | Audio(transcript=str(text)) if text:
            return {"text": text}
        case Audio(data=data, format=form) if data and form:
            return written_sound(data, form)
        case Reasoning():
            return written_thought(part)
        case ToolCall():
            return written_call(part)
        case _:
            return None


def written_sound(data: str, form: str) -> dict[str, Any]:
    """The part for a sound in base64."""
    return {"inlineData": {"mimeType": f"audio/{form}", "data": data}}


def written_thought(thought: Reasoning) -> dict[str, Any] | None:
    """The part for a thought, with whosever seal; a seal of Google's own without words is that of a text."""
    seal = travelling(thought)
    if not (thought.text or seal):
        return None
    sealed = {"thoughtSignature": seal} if seal else {}
    return {"text": thought.text, **({"thought": True} if thought.text or seal != thought.signature else {}), **sealed}


def written_call(call: ToolCall) -> dict[str, Any]:
    """The part for a call."""
    written: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": input_of(call.arguments)}}
    return written | ({"thoughtSignature": call.signature} if call.signature else {})
