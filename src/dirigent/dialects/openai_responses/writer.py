"""Streams of OpenAI responses, written from events."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

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
from dirigent.core.messages import FinishReason, Request
from dirigent.core.usage import Usage
from dirigent.dialects.openai_responses.written import (
    called,
    closed,
    listed,
    output_text,
    reasoned,
    shell,
    spoken,
    tail,
)
from dirigent.dialects.raw import UNREADABLE
from dirigent.dialects.seals import Seal

__all__ = ["Writer"]

_encode = msgspec.json.Encoder().encode
_error = msgspec.json.Decoder(dict[str, dict[str, Any]])


class Writer:
    """Writes one stream: events numbered from 0, items numbered in the order in which they begin.

    Words and thoughts are one item at a time; calls stay open until the end, for providers may mix their arguments.
    """

    def __init__(self, request: Request, answer_id: str, created: int) -> None:
        self._shell = shell(request, answer_id, created)
        self._tail = tail(answer_id)
        self._number = 0
        self._begun = False
        self._output: list[dict[str, Any]] = []
        """The items so far; one that is open stands here as it began."""
        self._words: _Words | None = None
        self._thought: _Thought | None = None
        self._calls: dict[int, _Call] = {}
        self._usage: Usage | None = None
        self._finish: FinishReason = "stop"

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case TextDelta(text=said, choice=0) | AudioDelta(transcript=said, choice=0):  # there is no sound here
                return self._begin() + self._say("output_text", "text", said) if said else b""
            case RefusalDelta(text=said, choice=0):
                return self._begin() + self._say("refusal", "refusal", said)
            case LogprobsDelta(raw=raw, choice=0):
                if self._words is not None:
                    self._words.logprobs += listed(raw) or ()
                return b""
            case ReasoningDelta(choice=0):
                return self._begin() + self._think(event)
            case ToolCallDelta(choice=0):
                return self._begin() + self._call(event)
            case Finished(reason=reason, choice=0):
                self._finish = reason
                return self._begin()
            case _:
                return b""

    def end(self) -> bytes:
        opening = self._begin()
        status = "completed" if self._finish in ("stop", "tool_calls") else "incomplete"
        closing = self._close(status)
        for call in self._calls.values():
            closing += self._close_call(call, status)
        whole = closed(self._shell, self._output, self._finish, self._usage)
        return opening + closing + self._event(f"response.{whole['status']}", response=whole)

    def fail(self, error: bytes) -> bytes:
        told: dict[str, Any] = {"message": "the answer broke off", "code": None, "param": None}
        try:
            told |= _error.decode(error)["error"]
        except (KeyError, *UNREADABLE):  # then it is told without its words
            pass
        # the SDKs raise at the `error` inside; who reads by the documentation finds its fields around it
        flat = {key: told[key] for key in ("code", "message", "param")}
        inner = {"code": "server_error", "message": told["message"]}
        failed = {**self._shell, "status": "failed", "error": inner, "output": self._output}
        return self._event("error", **flat, error=told) + self._event("response.failed", response=failed)

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        data = _encode(body)
        if b"\n" in data:  # what somebody else has set in lines, which would break the frame
            data = msgspec.json.format(data, indent=-1)
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        opening = self._event("response.created", response=self._shell)
        return opening + self._event("response.in_progress", response=self._shell)

    def _added(self, prefix: str, item: dict[str, Any]) -> tuple[int, str, bytes]:
        """The next item's number and id, and the event that announces it."""
        index = len(self._output)
        item["id"] = f"{prefix}_{self._tail}_{index}"
        self._output.append(item)
        return index, item["id"], self._event("response.output_item.added", output_index=index, item=item)

    def _done(self, index: int, item: dict[str, Any]) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", output_index=index, item=item)

    def _close(self, status: str = "completed") -> bytes:
        """Ends whatever of words and thoughts is open."""
        closing = b""
        if (words := self._words) is not None:
            self._words = None
            closing += self._close_part(words)
            closing += self._done(words.index, spoken(words.id, words.content, status))
        if (thought := self._thought) is not None:
            self._thought = None
            closing += self._close_thought(thought)
        return closing

    # --- words ---

    def _say(self, kind: str, field: str, said: str) -> bytes:
        closing = self._close() if self._words is None else b""
        words = self._words
        if words is None:
            index, item_id, opening = self._added("msg", spoken("", [], "in_progress"))
            words = self._words = _Words(index, item_id)
            closing += opening
        if words.kind != kind:
            closing += self._close_part(words)
            words.kind = kind
            closing += self._event("response.content_part.added", **words.place, part=words.part())
        words.said.append(said)
        fields: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        return closing + self._event(f"response.{kind}.delta", **words.place, delta=said, **fields)

    def _close_part(self, words: _Words) -> bytes:
        if not words.kind:
            return b""
        part = words.part()
        fields = {key: part[key] for key in ("text", "refusal", "logprobs") if key in part}
        closing = self._event(f"response.{words.kind}.done", **words.place, **fields)
        closing += self._event("response.content_part.done", **words.place, part=part)
        words.content.append(part)
        words.kind, words.said, words.logprobs = "", [], []
        return closing

    # --- thoughts ---

    def _think(self, event: ReasoningDelta) -> bytes:
        closing = b""
        thought = self._thought
        if thought is None or thought.block != event.block:
            closing = self._close()
            item = {"type": "reasoning", "id": "", "summary": []}
            index, item_id, opening = self._added("rs", item)
            thought = self._thought = _Thought(index, item_id, event.block)
            closing += opening
        thought.seal = Seal(
            event.issuer or thought.seal.issuer,
            event.signature or thought.seal.signature,
            event.sealed or thought.seal.sealed,
            event.id or thought.seal.id,
        )
        if not event.text:
            return closing
        if not thought.said:
            part = {"type": "summary_text", "text": ""}
            closing += self._event("response.reasoning_summary_part.added", **thought.place, part=part)
        thought.said.append(event.text)
        return closing + self._event("response.reasoning_summary_text.delta", **thought.place, delta=event.text)

    def _close_thought(self, thought: _Thought) -> bytes:
        text, closing = "".join(thought.said), b""
        if text:
            part = {"type": "summary_text", "text": text}
            closing += self._event("response.reasoning_summary_text.done", **thought.place, text=text)
            closing += self._event("response.reasoning_summary_part.done", **thought.place, part=part)
        return closing + self._done(thought.index, reasoned(thought.id, text, thought.seal))

    # --- calls ---

    def _call(self, event: ToolCallDelta) -> bytes:
        opening = self._close()
        call = self._calls.get(event.index)
        if call is None:
            call_id, name = event.id or f"call_{event.index}", event.name or ""
            index, item_id, added = self._added("fc", called("", call_id, name, "", "in_progress"))
            call = self._calls[event.index] = _Call(index, item_id, call_id, name)
            opening += added
        call.signature = event.signature or call.signature
        return opening + self._argue(call, event.arguments) if event.arguments else opening

    def _argue(self, call: _Call, arguments: str) -> bytes:
        call.said.append(arguments)
        return self._event("response.function_call_arguments.delta", **call.place, delta=arguments)

    def _close_call(self, call: _Call, status: str) -> bytes:
        closing = b"" if call.said else self._argue(call, "{}")
        arguments = "".join(call.said)
        closing += self._event("response.function_call_arguments.done", **call.place, arguments=arguments)
        closing += self._done(call.index, called(call.id, call.call_id, call.name, arguments, status))
        if call.signature is None:
            return closing
        item = {"type": "reasoning", "id": "", "summary": []}
        index, item_id, opening = self._added("rs", item)
        seal = Seal(signature=call.signature, call=call.call_id)
        return closing + opening + self._done(index, reasoned(item_id, "", seal))


class _Item:
    """An item that is open."""

    def __init__(self, index: int, item_id: str) -> None:
        self.index = index
        self.id = item_id
        self.said: list[str] = []

    @property
    def place(self) -> dict[str, Any]:
        """Where its events belong."""
        return {"item_id": self.id, "output_index": self.index}


class _Words(_Item):
    def __init__(self, index: int, item_id: str) -> None:
        super().__init__(index, item_id)
        self.kind = ""
        """Of the part that is open: `output_text` or `refusal`."""
        self.content: list[dict[str, Any]] = []
        self.logprobs: list[Raw] = []

    @property
    def place(self) -> dict[str, Any]:
        return {**super().place, "content_index": len(self.content)}

    def part(self) -> dict[str, Any]:
        """The open part as it stands."""
        text = "".join(self.said)
        return output_text(text, self.logprobs) if self.kind == "output_text" else {"type": "refusal", "refusal": text}


class _Thought(_Item):
    def __init__(self, index: int, item_id: str, block: int) -> None:
        super().__init__(index, item_id)
        self.block = block
        self.seal = Seal()

    @property
    def place(self) -> dict[str, Any]:
        return {**super().place, "summary_index": 0}


class _Call(_Item):
    def __init__(self, index: int, item_id: str, call_id: str, name: str) -> None:
        super().__init__(index, item_id)
        self.call_id = call_id
        self.name = name
        self.signature: str | None = None
