"""Whole answers of OpenAI responses and their usage, as providers send them."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer, Unavailable
from dirigent.core.events import (
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from dirigent.core.messages import FinishReason
from dirigent.core.usage import Usage
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.openai_responses.items import DIALECT
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.seals import Seal, opened

__all__ = [
    "Counted",
    "WireItem",
    "item_events",
    "item_of",
    "read_close",
    "read_response",
    "seal_events",
    "usage_of",
]


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Said(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    logprobs: list[Raw] | None = None


class WireItem(msgspec.Struct):
    """One item of an answer, of those that there are words of our own for."""

    type: str | None = None
    id: str | None = None
    content: list[_Said] | None = None
    summary: list[_Said] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _WireAnswer(msgspec.Struct):
    output: list[Raw]
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: Raw = NULL
    error: Raw = NULL


_answer = msgspec.json.Decoder(_WireAnswer)
_kind = msgspec.json.Decoder(_Kind)
_item = msgspec.json.Decoder(WireItem)
_usage = msgspec.json.Decoder(_WireUsage)
_encode = msgspec.json.Encoder().encode


class Counted:
    """The calls and stretches of thought of an answer so far: they are numbered in the order of its items."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.thoughts = 0

    def call(self, item: WireItem) -> tuple[int, str]:
        """The number and the id of the call that begins."""
        index = len(self.calls)
        call_id = item.call_id or item.id or f"call_{index}"
        while call_id in self.calls:  # nobody could tell the two apart
            call_id += "_"
        self.calls[call_id] = index
        return index, call_id

    def thought(self) -> int:
        """The number of the thought that begins."""
        self.thoughts += 1
        return self.thoughts - 1


# --- read -------------------------------------------------------------------------------------------------------------


def read_response(body: bytes) -> list[Event]:
    """The events of a whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    answer = _decoded(body)
    if answer.status in ("queued", "in_progress"):
        raise BadAnswer(f"the provider's answer is not there yet: its status is {answer.status!r}")
    counted = Counted()
    events = [event for raw in answer.output for event in item_events(item_of(raw), counted)]
    return [*events, *_ending(answer, counted)]


def read_close(raw: Raw, counted: Counted, seen: Container[int]) -> list[Event]:
    """The last events of a stream, out of the whole answer that closes it; items that were `seen` say no more.

    Raises the error that it carries.
    """
    answer = _decoded(bytes(raw))
    events: list[Event] = []
    for index, each in enumerate(answer.output):
        if index not in seen:
            events += item_events(item_of(each), counted)
    return [*events, *_ending(answer, counted)]


def _decoded(body: bytes) -> _WireAnswer:
    try:
        answer = _answer.decode(body)
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
    if answer.error != NULL:
        raise broken_off(answer.error)
    if answer.status in ("failed", "cancelled"):
        raise Unavailable(f"the provider broke off: the status of its answer is {answer.status!r}")
    return answer


def _ending(answer: _WireAnswer, counted: Counted) -> Iterator[Event]:
    if (usage := reported(answer.usage)) is not None:
        yield UsageReported(usage)
    yield Finished(_finish(answer, called=bool(counted.calls)))


def _finish(answer: _WireAnswer, *, called: bool) -> FinishReason:
    if answer.status == "incomplete":
        why = answer.incomplete_details.reason if answer.incomplete_details is not None else None
        return "content_filter" if why == "content_filter" else "length"
    return "tool_calls" if called else "stop"


def item_of(raw: Raw) -> WireItem:
    """The item; of a kind without words of our own only that. Raises BadAnswer where it is none."""
    try:
        kind = _kind.decode(raw)
        return _item.decode(raw) if kind.type in ("message", "reasoning", "function_call") else WireItem(kind.type)
    except UNREADABLE as fault:
        raise BadAnswer(f"an item of the provider's answer cannot be read: {fault}") from None


def item_events(item: WireItem, counted: Counted) -> Iterator[Event]:
    """All that a whole item says."""
    match item.type:
        case "message":
            for part in item.content or ():
                if part.text:
                    yield TextDelta(part.text)
                if part.refusal:
                    yield RefusalDelta(part.refusal)
                if part.logprobs:
                    yield LogprobsDelta(Raw(_encode({"content": part.logprobs})))
        case "reasoning":
            block = counted.thought()
            if text := "\n\n".join(part.text for part in item.summary or item.content or () if part.text):
                yield ReasoningDelta(text, block=block)
            yield from seal_events(item, block, counted)
        case "function_call":
            index, call_id = counted.call(item)
            yield ToolCallDelta(index, call_id, item.name or "", item.arguments or "{}")


def seal_events(item: WireItem, block: int, counted: Counted) -> Iterator[Event]:
    """The seal of a thought, or of the call that it names.

    The id of a thought without a seal is not told: it means something only to who can ask its provider for it.
    """
    if not item.encrypted_content:
        return
    seal = opened(item.encrypted_content) or Seal(DIALECT, sealed=item.encrypted_content, id=item.id)
    if seal.call is not None:
        if (index := counted.calls.get(seal.call)) is not None:
            yield ToolCallDelta(index, signature=seal.signature)
    elif seal != Seal():
        yield ReasoningDelta(block=block, signature=seal.signature, sealed=seal.sealed, id=seal.id, issuer=seal.issuer)


def reported(raw: Raw) -> Usage | None:
    """`usage` in our own words; None where nothing is reported or it cannot be read: then it is unknown, not zero."""
    if raw == NULL:
        return None
    try:
        wire = _usage.decode(raw)
    except UNREADABLE:
        return None
    if wire.input_tokens is None or wire.output_tokens is None:
        return None
    given, made = wire.input_tokens_details or _InputDetails(), wire.output_tokens_details or _OutputDetails()
    figures = (
        wire.input_tokens,
        wire.output_tokens,
        given.cached_tokens or 0,
        given.cache_write_tokens or 0,
        made.reasoning_tokens or 0,
    )
    return None if min(figures) < 0 else Usage(*figures, cache_write_untold_tokens=given.cache_write_tokens or 0)


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, its items undecoded. Raises BadAnswer where it is no answer."""
    return reported(_decoded(body).usage)
