"""The messages of OpenAI chat completions, read from callers and written to providers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, overload

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
)
from dirigent.dialects.openai_chat.errors import UNREADABLE

__all__ = ["DIALECT", "Messages", "WireMessage", "foreign", "invalid", "written_message"]

DIALECT: Final = "openai_chat"

_PLAIN_ROLES = frozenset(("system", "developer", "user"))
"""Roles whose messages are well-formed as soon as their content is a text."""
_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _CalledFunction | UnsetType = UNSET
    type: str = "function"


class _Reference(msgspec.Struct):
    id: str


class WireMessage(msgspec.Struct):
    """One message as callers send it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Raw] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Raw] | None = None
    function_call: _CalledFunction | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    audio: _Reference | None = None


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _InputAudio(msgspec.Struct):
    data: str
    format: str


class _FileRef(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    image_url: _ImageUrl | UnsetType = UNSET
    input_audio: _InputAudio | UnsetType = UNSET
    file: _FileRef | UnsetType = UNSET


_part_decoder = msgspec.json.Decoder(_Part)
_call_decoder = msgspec.json.Decoder(_Call)


def invalid(fault: Exception, prefix: str = "") -> Invalid:
    """msgspec's words with the path that it found, in the form in which OpenAI names parameters."""
    words = str(fault)
    place = _PLACE.search(words)
    path = prefix + (place[1] if place else "")
    message = words[: place.start()] if place else words
    if missing := _MISSING.search(message):
        path = f"{path}.{missing[1]}"
        message = "this field is missing"
    param = path.removeprefix(".") or None
    return Invalid(f"{param}: {message[:1].lower()}{message[1:]}" if param else message, param=param)


# --- read -------------------------------------------------------------------------------------------------------------


class Messages(Sequence[Message]):
    """The messages of a request, checked at once, turned into our own words when somebody reads them.

    On the verbatim path nobody does, and that is most of all requests.
    """

    def __init__(self, wire: Sequence[WireMessage]) -> None:
        self._wire = wire
        self._read: tuple[Message, ...] | None = None
        if not all(type(message.content) is str and message.role in _PLAIN_ROLES for message in wire):
            self._all()

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._wire)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all())

    def _all(self) -> tuple[Message, ...]:
        if self._read is None:
            self._read = tuple(_messages(self._wire))
        return self._read


def _messages(wire: Sequence[WireMessage]) -> Iterator[Message]:
    nameless = ""  # the old function calls have no ids: a call gets one by its place, and its result the same
    for index, message in enumerate(wire):
        if message.function_call is not None or not nameless:
            nameless = f"call_{index}"
        yield _message(message, f"messages[{index}]", nameless)


def _message(message: WireMessage, where: str, nameless: str) -> Message:
    if message.role == "tool" and message.tool_call_id is None:
        raise _missing(f"{where}.tool_call_id", "a message of role `tool` names the call that it answers")
    if message.role == "function" and message.name is None:
        raise _missing(f"{where}.name", "a message of role `function` names the function that it answers for")
    if message.content is None and message.role not in ("assistant", "function"):
        raise _missing(f"{where}.content", f"a message of role `{message.role}` has content")
    role: Role = "tool" if message.role == "function" else message.role
    call = nameless if message.role == "function" else message.tool_call_id
    return Message(role, tuple(_parts(message, where, nameless)), message.name, call)


def _missing(param: str, rule: str) -> Invalid:
    return Invalid(f"{param}: {rule}", param=param)


def _parts(message: WireMessage, where: str, nameless: str) -> Iterator[Part]:
    if message.reasoning_content:
        yield Reasoning(message.reasoning_content)
    if isinstance(message.content, str):
        yield Text(message.content)
    else:
        for index, raw in enumerate(message.content or ()):
            yield _part(raw, f"{where}.content[{index}]")
    if message.refusal is not None:
        yield Refusal(message.refusal)
    if message.audio is not None:
        yield Audio(reference=message.audio.id)
    for index, raw in enumerate(message.tool_calls or ()):
        yield _call(raw, f"{where}.tool_calls[{index}]")
    if message.function_call is not None:
        yield ToolCall(nameless, message.function_call.name, message.function_call.arguments)


def _call(raw: Raw, where: str) -> ToolCall | Opaque:
    try:
        call = _call_decoder.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, where) from None
    if call.type != "function":
        return Opaque(DIALECT, bytes(raw), "calls")
    if call.function is UNSET:
        raise _missing(f"{where}.function", "a call of type `function` names its function")
    return ToolCall(call.id, call.function.name, call.function.arguments)


def _part(raw: Raw, where: str) -> Part:
    try:
        part = _part_decoder.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, where) from None
    match part.type, part:
        case "text", _Part(text=str(text)):
            return Text(text)
        case "image_url", _Part(image_url=_ImageUrl(url=url, detail=detail)):
            return Image(url, detail)
        case "input_audio", _Part(input_audio=_InputAudio(data=data, format=sound)):
            return Audio(data, sound)
        case "file", _Part(file=_FileRef(file_data=data, file_id=reference, filename=name)):
            return File(data, name, reference)
        case "refusal", _Part(refusal=str(text)):
            return Refusal(text)
        case ("text" | "image_url" | "input_audio" | "file" | "refusal") as kind, _:
            raise _missing(f"{where}.{kind}", f"a part of type `{kind}` has a field `{kind}`")
        case _:
            return Opaque(DIALECT, bytes(raw))


# --- write ------------------------------------------------------------------------------------------------------------


def written_message(message: Message) -> dict[str, Any]:
    """The message for a provider. Raises Unsupported for parts that only another dialect knows."""
    written: dict[str, Any] = {"role": message.role}
    calls = [_written_call(part) for part in message.parts if _is_call(part)]
    thoughts = [part.text for part in message.parts if isinstance(part, Reasoning)]
    refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
    sounds = [part for part in message.parts if isinstance(part, Audio) and part.reference]
    content = [
        part
        for part in message.parts
        if not (_is_call(part) or isinstance(part, Refusal | Reasoning) or part in sounds)
    ]
    if not content:
        written["content"] = None if calls or thoughts or refusals or sounds else ""
    elif len(content) == 1 and isinstance(content[0], Text):
        written["content"] = content[0].text
    else:
        written["content"] = [_written_part(part) for part in content]
    if message.name is not None:
        written["name"] = message.name
    if message.call is not None:
        written["tool_call_id"] = message.call
    if calls:
        written["tool_calls"] = calls
    if thoughts:
        written["reasoning_content"] = "".join(thoughts)
    if refusals:
        written["refusal"] = "".join(refusals)
    if sounds:
        written["audio"] = {"id": sounds[0].reference}
    return written


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCall) or (isinstance(part, Opaque) and part.place == "calls")


def _written_call(part: Part) -> object:
    if isinstance(part, ToolCall):
        return _Call(part.id, _CalledFunction(part.name, part.arguments))
    return foreign(part)


def _written_part(part: Part) -> object:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(url=url, detail=detail):
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data=data, format=sound):
            return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
        case File(data=data, name=name, reference=reference):
            known = {"file_data": data, "filename": name, "file_id": reference}
            return {"type": "file", "file": {key: value for key, value in known.items() if value is not None}}
        case _:
            return foreign(part)


def foreign(part: object) -> Raw:
    """What only its own dialect knows, as it came. Raises Unsupported where that is another one."""
    if isinstance(part, Opaque) and part.dialect == DIALECT:
        return Raw(part.raw)
    dialect = part.dialect if isinstance(part, Opaque) else "of another provider"
    raise Unsupported(f"a part that only the dialect {dialect!r} knows cannot be sent to this provider")
