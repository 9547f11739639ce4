"""Google's streams, written from events."""

from __future__ import annotations

from typing import Any

import msgspec

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
from dirigent.core.messages import Reasoning, Request, ToolCall
from dirigent.core.usage import Usage
from dirigent.dialects.google_generate.answers import FINISH, written_call, written_sound, written_thought
from dirigent.dialects.google_generate.logprobs import written_logprobs
from dirigent.dialects.google_generate.usage import written_usage

__all__ = ["Writer"]

_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream of chunks.

    A call is one part here, so it is told as soon as its choice is finished; the ends come with the usage at the end.
    """

    def __init__(self, request: Request, answer_id: str, *, as_list: bool = False) -> None:
        self._stamp = {"modelVersion": request.model, "responseId": answer_id}
        self._as_list = as_list
        self._begun = False
        self._calls: dict[tuple[int, int], list[ToolCallDelta]] = {}
        self._thoughts: set[tuple[int, int]] = set()
        """The stretches of thought that have words."""
        self._finished: dict[int, Finished] = {}
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case TextDelta(text=text, choice=choice) | RefusalDelta(text=text, choice=choice) if text:
                return self._said(choice, {"text": text})
            case AudioDelta(transcript=text, choice=choice) if text:
                return self._said(choice, {"text": text})
            case AudioDelta(data=data, format=form, choice=choice) if data and form:
                return self._said(choice, written_sound(data, form))
            case ReasoningDelta():
                return self._thought(event)
            case ToolCallDelta(choice=choice, index=index):
                self._calls.setdefault((choice, index), []).append(event)
                return b""
            case LogprobsDelta(raw=raw, choice=choice):
                told = written_logprobs(raw)
                return self._chunk({"index": choice, "logprobsResult": told}) if told is not None else b""
            case Finished(choice=choice):
                self._finished[choice] = event
                return self._called(choice)
            case _:
                return b""

    def end(self) -> bytes:
        written = b"".join([self._called(choice) for choice in sorted({choice for choice, _ in self._calls})])
        ends: list[dict[str, Any]] = [
            {"content": {"parts": [], "role": "model"}, "finishReason": FINISH[event.reason], "index": choice}
            for choice, event in sorted(self._finished.items())
        ]
        last = self._framed(ends, {"usageMetadata": written_usage(self._usage)} if self._usage is not None else {})
        return written + last + (b"]" if self._as_list else b"")

    def fail(self, error: bytes) -> bytes:
        return self._event(error) + (b"]" if self._as_list else b"")

    def _thought(self, event: ReasoningDelta) -> bytes:
        part = written_thought(
            Reasoning(event.text, event.signature, event.sealed, event.id, event.issuer if _seals(event) else "")
        )
        if part is None:
            return b""
        stretch = event.choice, event.block
        if event.text:
            self._thoughts.add(stretch)
        elif stretch in self._thoughts:
            part["thought"] = True
        return self._said(event.choice, part)

    def _called(self, choice: int) -> bytes:
        """The calls of a choice, in their order."""
        ready = sorted(key for key in self._calls if key[0] == choice)
        return b"".join([self._said(choice, written_call(_whole(self._calls.pop(key)))) for key in ready])

    def _said(self, choice: int, part: dict[str, Any]) -> bytes:
        return self._chunk({"content": {"parts": [part], "role": "model"}, "index": choice})

    def _chunk(self, candidate: dict[str, Any]) -> bytes:
        return self._framed([candidate], {})

    def _framed(self, candidates: list[dict[str, Any]], more: dict[str, Any]) -> bytes:
        return self._event(_encode({"candidates": candidates, **more, **self._stamp}))

    def _event(self, data: bytes) -> bytes:
        if not self._as_list:
            return b"data: " + data + b"\n\n"
        opening, self._begun = b",\n" if self._begun else b"[", True
        return opening + data


def _seals(event: ReasoningDelta) -> bool:
    return bool(event.signature or event.sealed or event.id)


def _whole(fragments: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        next((each.id for each in fragments if each.id), ""),
        next((each.name for each in fragments if each.name), ""),
        "".join([each.arguments for each in fragments]),
        next((each.signature for each in reversed(fragments) if each.signature), None),
    )
