"""Streams of Anthropic messages, written from events."""

from __future__ import annotations

from typing import Any

import msgspec

from dirigent.core.events import (
    AudioDelta,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
)
from dirigent.core.messages import FinishReason, Reasoning, Request
from dirigent.core.tokens import estimated, estimated_request
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages.answers import stop_reason
from dirigent.dialects.anthropic_messages.thoughts import seal_block, thought_block
from dirigent.dialects.anthropic_messages.usage import written_usage
from dirigent.dialects.sequence import Block, Content, InSequence, block_of

__all__ = ["Writer"]

_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream: blocks one after the other, each begun, continued and ended under the next index."""

    def __init__(self, request: Request, answer_id: str) -> None:
        self._request = request
        self._id = answer_id
        self._begun = False
        self._usage: Usage | None = None
        self._said = 0
        """Tokens of all that was said, estimated: for providers that report none."""
        self._sequenced = InSequence()
        self._open: Block | None = None
        self._index = 0
        self._argued = False
        """Whether the open call has any arguments."""
        self._seal: ReasoningDelta | None = None
        """Of the thought that is open; it is told at its end."""
        self._finish: FinishReason = "stop"
        self._sequence: str | None = None
        self._called = False
        self._refused = False

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case TextDelta(choice=0) | RefusalDelta(choice=0) | ReasoningDelta(choice=0) | ToolCallDelta(choice=0):
                return self._content(event)
            case AudioDelta(transcript=said, choice=0) if said:  # there is no sound here, but its words can be told
                return self._content(TextDelta(said))
            case Finished(choice=0, reason=reason, sequence=sequence):
                self._finish, self._sequence = reason, sequence
                return self._start() + self._rest()
            case _:
                return b""

    def end(self) -> bytes:
        usage = self._usage or Usage(estimated_request(self._request), self._said, estimated=True)
        reason = stop_reason(self._finish, called=self._called, refused=self._refused, sequence=self._sequence)
        delta = {"stop_reason": reason, "stop_sequence": self._sequence}
        closing = self._start() + self._rest()
        told = written_usage(usage)
        told.pop("cache_creation", None)  # this is told at the beginning, or not at all
        closing += _framed("message_delta", delta=delta, usage=told)
        return closing + _framed("message_stop")

    def fail(self, error: bytes) -> bytes:
        return b"event: error\ndata: " + error + b"\n\n"

    def _start(self) -> bytes:
        """The beginning, with the true input where the provider has told it already, else with an estimate."""
        if self._begun:
            return b""
        self._begun = True
        usage = self._usage or Usage(estimated_request(self._request), estimated=True)
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": written_usage(usage),
        }
        return _framed("message_start", message=message)

    def _content(self, event: Content) -> bytes:
        return self._start() + b"".join([self._say(block_of(each), each) for each in self._sequenced.take(event)])

    def _rest(self) -> bytes:
        """Everything that still waits, for nothing more is coming; then the end of the last block."""
        return b"".join([self._say(block_of(each), each) for each in self._sequenced.rest()]) + self._close()

    def _say(self, key: Block, event: Content) -> bytes:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                self._refused = self._refused or isinstance(event, RefusalDelta)
                self._said += estimated(text)
                return self._block(key, {"type": "text", "text": ""}) + self._delta(
                    {"type": "text_delta", "text": text}
                )
            case ReasoningDelta():
                return self._thought(key, event)
            case ToolCallDelta():
                return self._call(key, event)

    def _thought(self, key: Block, event: ReasoningDelta) -> bytes:
        self._said += estimated(event.text)
        if not event.text and key != self._open:  # a seal without words
            thought = Reasoning("", event.signature, event.sealed, event.id, event.issuer)
            block = thought_block(thought)
            if block is None:
                return b""
            if block["type"] == "redacted_thinking":
                written = self._block(key, block)
                return written + self._close()
        written = self._block(key, {"type": "thinking", "thinking": "", "signature": ""})
        if event.text:
            written += self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.signature or event.sealed or event.id:
            self._seal = event if self._seal is None else _merged(self._seal, event)
        return written

    def _call(self, key: Block, event: ToolCallDelta) -> bytes:
        self._called = True
        written = b""
        if key != self._open:
            call_id = event.id or f"toolu_{event.index}"
            if event.signature:
                written = self._block(("seal", event.index), seal_block(event.signature, call_id)) + self._close()
            call = {"type": "tool_use", "id": call_id, "name": event.name or "", "input": {}}
            written += self._block(key, call)
        if event.arguments:
            self._said += estimated(event.arguments)
            self._argued = self._argued or bool(event.arguments.strip())
            written += self._delta({"type": "input_json_delta", "partial_json": event.arguments})
        return written

    def _block(self, key: Block, block: dict[str, Any]) -> bytes:
        """The beginning of this block, unless it is open."""
        if key == self._open:
            return b""
        closing = self._close()
        self._open = key
        return closing + _framed("content_block_start", index=self._index, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _framed("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> bytes:
        """The end of the open block, before it the seal of a thought or what an empty call has for arguments."""
        if self._open is None:
            return b""
        written = b""
        if self._open[0] == "call":
            if not self._argued:
                written = self._delta({"type": "input_json_delta", "partial_json": "{}"})
        elif self._seal is not None:
            seal = self._seal
            block = thought_block(Reasoning("…", seal.signature, seal.sealed, seal.id, seal.issuer)) or {}
            if signature := block.get("signature"):
                written = self._delta({"type": "signature_delta", "signature": signature})
        written += _framed("content_block_stop", index=self._index)
        self._open, self._seal, self._argued = None, None, False
        self._index += 1
        return written


def _merged(seal: ReasoningDelta, later: ReasoningDelta) -> ReasoningDelta:
    return ReasoningDelta(
        signature=later.signature or seal.signature,
        sealed=later.sealed or seal.sealed,
        id=later.id or seal.id,
        issuer=later.issuer or seal.issuer,
    )


def _framed(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"
