"""Streams of Bedrock's Converse, written from events."""

from __future__ import annotations

from time import monotonic
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
from dirigent.dialects.bedrock_converse.answers import further, stop_reason
from dirigent.dialects.bedrock_converse.errors import exception_of
from dirigent.dialects.bedrock_converse.thoughts import seal_block, thought_block
from dirigent.dialects.bedrock_converse.usage import written_usage
from dirigent.dialects.eventstream import framed
from dirigent.dialects.sequence import Block, Content, InSequence, block_of

__all__ = ["Writer"]

_JSON = (":content-type", "application/json")
_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream: blocks one after the other, each under the next index."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._asked = monotonic()
        self._begun = False
        self._sequence = InSequence()
        self._open: Block | None = None
        self._index = 0
        self._argued = False
        """Whether the open call has any arguments."""
        self._seals: list[ReasoningDelta] = []
        """Of the thought that is open; they are told at its end."""
        self._worded = False
        """Whether the open thought has words."""
        self._usage: Usage | None = None
        self._said = 0
        """Tokens of all that was said, estimated: for providers that report none."""
        self._finish: FinishReason = "stop"
        self._stop: str | None = None
        self._called = False

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
                self._finish, self._stop = reason, sequence
                return self._start() + self._rest()
            case _:
                return b""

    def end(self) -> bytes:
        closing = self._start() + self._rest()
        reason = stop_reason(self._finish, called=self._called, sequence=self._stop)
        usage = self._usage or Usage(estimated_request(self._request), self._said, estimated=True)
        took = round((monotonic() - self._asked) * 1000)
        closing += _event("messageStop", stopReason=reason, **further(self._request, self._stop))
        return closing + _event("metadata", usage=written_usage(usage), metrics={"latencyMs": took})

    def fail(self, error: bytes) -> bytes:
        name, payload = exception_of(error)
        return framed(((":exception-type", name), _JSON, (":message-type", "exception")), payload)

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _event("messageStart", role="assistant")

    def _content(self, event: Content) -> bytes:
        return self._start() + b"".join([self._say(each) for each in self._sequence.take(event)])

    def _rest(self) -> bytes:
        return b"".join([self._say(each) for each in self._sequence.rest()]) + self._close()

    def _say(self, event: Content) -> bytes:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                if not text:
                    return b""
                self._said += estimated(text)
                return self._block(block_of(event)) + self._delta({"text": text})
            case ReasoningDelta():
                return self._thought(event)
            case ToolCallDelta():
                return self._call(event)

    def _thought(self, event: ReasoningDelta) -> bytes:
        self._said += estimated(event.text)
        if event.signature or event.sealed or event.id:
            written = self._block(block_of(event))
            self._seals.append(event)
        else:
            written = self._block(block_of(event)) if event.text else b""
        if not event.text:
            return written
        self._worded = True
        return written + self._delta({"reasoningContent": {"text": event.text}})

    def _call(self, event: ToolCallDelta) -> bytes:
        self._called = True
        block, written = block_of(event), b""
        if block != self._open:
            call = event.id or f"tooluse_{event.index}"
            if event.signature:
                sealed = {"reasoningContent": seal_block(event.signature, call)}
                written = self._block(("seal", event.index)) + self._delta(sealed)
            written += self._block(block, {"toolUse": {"toolUseId": call, "name": event.name or ""}})
            self._argued = False
        if event.arguments:
            self._said += estimated(event.arguments)
            self._argued = self._argued or bool(event.arguments.strip())
            written += self._delta({"toolUse": {"input": event.arguments}})
        return written

    def _block(self, block: Block, start: dict[str, Any] | None = None) -> bytes:
        """The beginning of this block, unless it is open; only that of a call is told."""
        if block == self._open:
            return b""
        closing = self._close()
        self._open = block
        return closing if start is None else closing + self._framed("contentBlockStart", start=start)

    def _close(self) -> bytes:
        """The end of the open block, before it the seal of a thought or what an empty call has for arguments."""
        if self._open is None:
            return b""
        written = b""
        if self._open[0] == "call" and not self._argued:
            written = self._delta({"toolUse": {"input": "{}"}})
        if self._seals:
            written = self._sealed()
        written += self._framed("contentBlockStop")
        self._open, self._seals, self._worded = None, [], False
        self._index += 1
        return written

    def _sealed(self) -> bytes:
        """The seals of the open thought; one that came without words is a block of its own kind."""
        told = b""
        for seal in self._seals:
            text = "…" if self._worded or not seal.sealed else ""
            thought = thought_block(Reasoning(text, seal.signature, seal.sealed, seal.id, seal.issuer)) or {}
            if "redactedContent" in thought:
                told += self._delta({"reasoningContent": thought})
            elif signature := thought.get("reasoningText", {}).get("signature"):
                told += self._delta({"reasoningContent": {"signature": signature}})
        return told

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._framed("contentBlockDelta", delta=delta)

    def _framed(self, kind: str, **fields: Any) -> bytes:
        return _event(kind, **fields, contentBlockIndex=self._index)


def _event(kind: str, **fields: Any) -> bytes:
    return framed(((":event-type", kind), _JSON, (":message-type", "event")), _encode(fields))
