"""A whole answer as plain data, as a journal keeps it, and back: nothing of it is lost on the way."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dirigent.core.events import (
    AudioDelta,
    Embedded,
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Spoken,
    TextDelta,
    ToolCallDelta,
    Transcribed,
    UsageReported,
)
from dirigent.core.journal import read, written
from dirigent.core.messages import (
    Audio,
    Choice,
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

__all__ = ["events_of", "plain", "response_of", "text_of"]

_KINDS: dict[str, type[Any]] = {
    "text": Text,
    "reasoning": Reasoning,
    "refusal": Refusal,
    "call": ToolCall,
    "audio": Audio,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def plain(response: Response) -> dict[str, Any]:
    """The answer as plain data. Raises TypeError where a part of it belongs to one dialect alone."""
    said: dict[str, Any] = {"choices": [_choice(choice) for choice in response.choices]}
    if response.usage is not None:
        said["usage"] = _fields(response.usage)
    if response.vectors:
        said["vectors"] = [list(vector) for vector in response.vectors]
    if response.sound is not None:
        said["sound"] = {**_fields(response.sound), "data": b64encode(response.sound.data).decode()}
    if response.transcript is not None:
        said["transcript"] = msgspec.to_builtins(response.transcript)
    return said


def response_of(said: Mapping[str, Any]) -> Response:
    """The answer that was made plain."""
    sound = said.get("sound")
    return Response(
        tuple(_choice_of(choice) for choice in said.get("choices", ())),
        msgspec.convert(said["usage"], Usage) if said.get("usage") is not None else None,
        tuple(tuple(float(number) for number in vector) for vector in said.get("vectors", ())),
        None
        if sound is None
        else Sound(b64decode(sound["data"]), sound["content_type"], float(sound.get("seconds", 0.0))),
        msgspec.convert(said["transcript"], Transcript, strict=False) if said.get("transcript") is not None else None,
    )


def text_of(said: object) -> str:
    """The first choice's text of an answer that was made plain; empty where it is none."""
    if not isinstance(said, Mapping) or not said.get("choices"):
        return ""
    return "\n".join(part["text"] for part in said["choices"][0].get("parts", ()) if part.get("kind") == "text")


def events_of(response: Response) -> Iterator[Event]:
    """The events that make up a whole answer."""
    for index, vector in enumerate(response.vectors):
        yield Embedded(index, vector)
    if response.sound is not None:
        yield Spoken(response.sound)
    if response.transcript is not None:
        yield Transcribed(response.transcript)
    for number, choice in enumerate(response.choices):
        yield from _events_of_choice(number, choice)
    if response.usage is not None:
        yield UsageReported(response.usage)


def _events_of_choice(number: int, choice: Choice) -> Iterator[Event]:
    for index, part in enumerate(choice.message.parts):
        match part:
            case Text(text=text):
                yield TextDelta(text, number)
            case Refusal(text=text):
                yield RefusalDelta(text, number)
            case Reasoning():
                yield ReasoningDelta(part.text, number, index, part.signature, part.sealed, part.id, part.issuer)
            case ToolCall():
                yield ToolCallDelta(index, part.id, part.name, part.arguments, number, part.signature)
            case Audio():
                yield AudioDelta(part.data, part.transcript or "", part.reference, part.expires, number, part.format)
            case _:
                pass
    if choice.logprobs is not None:
        yield LogprobsDelta(choice.logprobs, number)
    if choice.finish is not None:
        yield Finished(choice.finish, number, choice.sequence)


def _choice(choice: Choice) -> dict[str, Any]:
    said: dict[str, Any] = {"parts": [_part(part) for part in choice.message.parts]}
    if choice.finish is not None:
        said["finish"] = choice.finish
    if choice.sequence is not None:
        said["sequence"] = choice.sequence
    if choice.logprobs is not None:
        said["logprobs"] = read(bytes(choice.logprobs))
    return said


def _choice_of(said: Mapping[str, Any]) -> Choice:
    logprobs = said.get("logprobs")
    parts = tuple(
        msgspec.convert({name: value for name, value in part.items() if name != "kind"}, _KINDS[part["kind"]])
        for part in said["parts"]
    )
    return Choice(
        Message("assistant", parts),
        said.get("finish"),
        None if logprobs is None else msgspec.Raw(written(logprobs)),
        said.get("sequence"),
    )


def _part(part: Part) -> dict[str, Any]:
    name = _NAMES.get(type(part))
    if name is None:
        raise TypeError(f"{type(part).__name__} is no part of an answer that every dialect can say")
    return {"kind": name, **_fields(part)}


def _fields(struct: Any) -> dict[str, Any]:
    """The fields of a struct that say something."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(type(struct))}
    return {
        name: value
        for name, value in msgspec.structs.asdict(struct).items()
        if value != defaults[name] and value is not None
    }
