"""The events that an answer streams, and `collect`, which folds them into a response.

Two laws hold for every model: text fragments of one choice, joined in order, are the answer that a non-streamed call
would have given; and after the first event no other candidate may speak.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from dirigent.core.errors import BadAnswer
from dirigent.core.messages import (
    Audio,
    Choice,
    FinishReason,
    Message,
    Part,
    Reasoning,
    Refusal,
    Response,
    Sound,
    Text,
    ToolCall,
    Transcript,
)
from dirigent.core.usage import Usage

__all__ = [
    "Answer",
    "AudioDelta",
    "Embedded",
    "Event",
    "Finished",
    "LogprobsDelta",
    "ReasoningDelta",
    "RefusalDelta",
    "Spoken",
    "TextDelta",
    "ToolCallDelta",
    "Transcribed",
    "UsageReported",
    "Verbatim",
    "collect",
    "folded",
]


class TextDelta(msgspec.Struct, frozen=True):
    """The next stretch of text."""

    text: str
    choice: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True):
    """The next stretch of what the model thinks before it answers; signature, seal and id may come with any of them."""

    text: str = ""
    choice: int = 0
    block: int = 0
    """Which stretch of thought of this choice: each has its own seal."""
    signature: str | None = None
    sealed: str | None = None
    id: str | None = None
    issuer: str = ""


class RefusalDelta(msgspec.Struct, frozen=True):
    """The next stretch of a refusal."""

    text: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A fragment of a tool call: `id` and `name` come with the first fragment, `arguments` is to be concatenated."""

    index: int
    """Which call of this choice; stable and unique over the answer."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0
    signature: str | None = None


class AudioDelta(msgspec.Struct, frozen=True):
    """The next stretch of spoken answer: base64 to be concatenated once decoded, and what is said in it."""

    data: str = ""
    transcript: str = ""
    id: str | None = None
    expires: int | None = None
    choice: int = 0
    format: str = ""
    """Such as `wav` or `L16;codec=pcm;rate=24000`, where the provider says so."""


class LogprobsDelta(msgspec.Struct, frozen=True):
    """Log probabilities of the tokens that came last, as the provider wrote them."""

    raw: msgspec.Raw
    choice: int = 0


class Finished(msgspec.Struct, frozen=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0
    sequence: str | None = None
    """The stop sequence that ended it, where the provider says so."""


class UsageReported(msgspec.Struct, frozen=True):
    """What the answer has used; a later report replaces an earlier one."""

    usage: Usage


class Verbatim(msgspec.Struct, frozen=True):
    """Bytes of the provider's answer, unbuilt: a stretch of its event stream, or its whole body.

    Only who asked with the request's own bytes (`Request.wire`) receives it, and knows its dialect therefore.
    """

    data: bytes


class Embedded(msgspec.Struct, frozen=True):
    """The vector of one of the texts of an embedding."""

    index: int
    vector: tuple[float, ...]


class Spoken(msgspec.Struct, frozen=True):
    """The sound of a text."""

    sound: Sound


class Transcribed(msgspec.Struct, frozen=True):
    """What is said in a sound."""

    transcript: Transcript


Event = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | AudioDelta
    | LogprobsDelta
    | Finished
    | UsageReported
    | Verbatim
    | Embedded
    | Spoken
    | Transcribed
)
Answer = AsyncGenerator[Event, None]
"""The events that a model gives to one request. Whoever stops reading closes it: `async with aclosing(answer)`."""


async def collect(answer: Answer) -> Response:
    """The whole response. Raises what the answer raises; closes it in every case."""
    async with aclosing(answer) as events:
        return folded([event async for event in events])


def folded(events: Iterable[Event]) -> Response:
    """The response that these events make up. Raises BadAnswer where one of them is verbatim."""
    choices: dict[int, _Collected] = {}
    vectors: dict[int, tuple[float, ...]] = {}
    usage: Usage | None = None
    sound: Sound | None = None
    transcript: Transcript | None = None
    for event in events:
        match event:
            case UsageReported(usage=reported):
                usage = reported
            case Embedded(index=index, vector=vector):
                vectors[index] = vector
            case Spoken(sound=spoken):
                sound = spoken
            case Transcribed(transcript=written):
                transcript = written
            case Verbatim():
                raise BadAnswer("a verbatim answer cannot be collected: ask with a request that carries no wire form")
            case _:
                choices.setdefault(event.choice, _Collected()).add(event)
    return Response(
        tuple(choices[index].choice() for index in sorted(choices)),
        usage,
        tuple(vectors[index] for index in sorted(vectors)),
        sound,
        transcript,
    )


class _Collected:
    """One choice while its fragments come in.

    Kinds of parts stand in the order in which they began, those of one kind by their numbers.
    """

    def __init__(self) -> None:
        self.parts: dict[tuple[str, int], list[Any]] = {}
        """What a part is and which of its kind, with its fragments as they came."""
        self.logprobs: list[msgspec.Raw] = []
        self.finish: FinishReason | None = None
        self.sequence: str | None = None

    def add(
        self,
        event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | AudioDelta | LogprobsDelta | Finished,
    ) -> None:
        match event:
            case TextDelta(text=text):
                self._fragments("text").append(text)
            case ReasoningDelta(block=block):
                self._fragments("thought", block).append(event)
            case RefusalDelta(text=text):
                self._fragments("refusal").append(text)
            case ToolCallDelta(index=index):
                self._fragments("call", index).append(event)
            case AudioDelta():
                self._fragments("sound").append(event)
            case LogprobsDelta(raw=raw):
                self.logprobs.append(raw)
            case Finished(reason=reason, sequence=sequence):
                self.finish, self.sequence = reason, sequence

    def choice(self) -> Choice:
        numbers = {kind: iter(sorted(number for each, number in self.parts if each == kind)) for kind, _ in self.parts}
        parts = [_PARTS[kind](self.parts[kind, next(numbers[kind])]) for kind, _ in self.parts]
        return Choice(Message("assistant", tuple(parts)), self.finish, _joined(self.logprobs), self.sequence)

    def _fragments(self, kind: str, number: int = 0) -> list[Any]:
        return self.parts.setdefault((kind, number), [])


def _thought(fragments: Sequence[ReasoningDelta]) -> Reasoning:
    return Reasoning(
        "".join([each.text for each in fragments]),
        _last(each.signature for each in fragments),
        _last(each.sealed for each in fragments),
        _last(each.id for each in fragments),
        _last(each.issuer for each in fragments) or "",
    )


def _call(fragments: Sequence[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        next((each.id for each in fragments if each.id), ""),
        next((each.name for each in fragments if each.name), ""),
        "".join([each.arguments for each in fragments]),
        _last(each.signature for each in fragments),
    )


def _sound(fragments: Sequence[AudioDelta]) -> Audio:
    try:
        raw = b"".join([b64decode(each.data) for each in fragments])  # each fragment may have its own padding
    except ValueError:
        raise BadAnswer("the provider's sound is not base64") from None
    return Audio(
        b64encode(raw).decode(),
        _last(each.format for each in fragments) or "",
        reference=_last(each.id for each in fragments),
        transcript="".join([each.transcript for each in fragments]),
        expires=max((each.expires for each in fragments if each.expires is not None), default=None),
    )


_PARTS: dict[str, Callable[[list[Any]], Part]] = {
    "text": lambda fragments: Text("".join(fragments)),
    "thought": _thought,
    "refusal": lambda fragments: Refusal("".join(fragments)),
    "call": _call,
    "sound": _sound,
}


def _last(values: Iterable[str | None]) -> str | None:
    """The last that says something: seals come once, at the end of what they seal."""
    found = None
    for value in values:
        found = value or found
    return found


def _joined(stretches: list[msgspec.Raw]) -> msgspec.Raw | None:
    """Log probabilities of a whole answer: the lists of all stretches, one after the other, key by key."""
    if len(stretches) < 2:
        return stretches[0] if stretches else None
    whole: dict[str, list[msgspec.Raw]] = {}
    for raw in stretches:
        try:
            lists = msgspec.json.decode(raw, type=dict[str, list[msgspec.Raw] | None])
        except msgspec.DecodeError:
            raise BadAnswer("the provider's log probabilities are no lists") from None
        for key, values in lists.items():
            whole.setdefault(key, []).extend(values or ())
    return msgspec.Raw(msgspec.json.encode({key: values or None for key, values in whole.items()}))
