"""The messages of OpenAI chat completions, read from callers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
)
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.late import Late
from dirigent.dialects.openai_chat.thoughts import (
    DIALECT,
    details_of,
    signature_in,
    thoughts_of,
)
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = [
    "PlainMessage",
    "WireMessage",
    "are_plain",
    "cache_mark",
    "late_messages",
    "read_messages",
]

_PLAIN_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
}
"""Roles whose messages are well-formed as soon as their content is a text and they call no tools."""


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _CalledFunction | UnsetType = UNSET
    type: str = "function"
    extra_content: Raw | UnsetType = UNSET


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
    reasoning_details: Raw | UnsetType = UNSET
    audio: _Reference | None = None
    cache_control: Raw | UnsetType = UNSET


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
    cache_control: Raw | UnsetType = UNSET


class _AnyPart(msgspec.Struct):
    type: str


_ADDRESS = ("https://", "http://")
_PARTS = frozenset(("text", "image_url", "input_audio", "file", "refusal"))
"""The types of parts that there are words of our own for."""


class PlainMessage(WireMessage):
    """A message whose parts and calls are read at once, where there is none that only this dialect knows."""

    content: str | list[_Part] | None = None  # type: ignore[assignment]  # who reads parts and calls takes both
    tool_calls: list[_Call] | None = None  # type: ignore[assignment]


class _Turns(msgspec.Struct):
    messages: list[dict[str, Raw]]


class _PlainTurns(msgspec.Struct):
    messages: list[PlainMessage]


_KNOWN = frozenset(WireMessage.__struct_fields__)
_BARE = frozenset(("role", "content"))
"""What most messages have, and no more."""
_turns = msgspec.json.Decoder(_Turns)
_plain_turns = msgspec.json.Decoder(_PlainTurns)
_any_part = msgspec.json.Decoder(_AnyPart)
_part_decoder = msgspec.json.Decoder(_Part)
_call_decoder = msgspec.json.Decoder(_Call)


# --- read -------------------------------------------------------------------------------------------------------------


def are_plain(messages: Iterable[PlainMessage]) -> bool:
    """Whether every message is as it has to be, without a part or call that only this dialect knows."""
    for message in messages:
        if type(message.content) is str and message.role in _PLAIN_ROLES and message.tool_calls is None:
            continue
        if not _is_plain(message):
            return False
    return True


def _is_plain(message: PlainMessage) -> bool:
    content, role = message.content, message.role
    if content is None and role not in ("assistant", "function"):
        return False
    if (role == "tool" and message.tool_call_id is None) or (role == "function" and message.name is None):
        return False
    if isinstance(content, list) and not all(
        part.type in _PARTS and getattr(part, part.type) is not UNSET for part in content
    ):
        return False
    return all(call.type == "function" and call.function is not UNSET for call in message.tool_calls or ())


def late_messages(wire: Sequence[WireMessage], body: bytes, *, brief: bytes | None = None) -> Late[Message]:
    """The messages of `body`, turned into our own words when somebody reads them; `wire` has been found plain.

    With `brief` it lacks what its strings hold, as that text does, and they are read again.
    """
    return Late(partial(_late, wire if brief is None else (), body, brief), len(wire))


def _late(wire: Sequence[WireMessage], body: bytes, brief: bytes | None) -> Iterable[Message]:
    try:
        return read_messages(wire or _plain_turns.decode(body).messages, body, brief)
    except UNREADABLE as fault:
        raise invalid(fault) from None


def read_messages(wire: Sequence[WireMessage], body: bytes, brief: bytes | None = None) -> tuple[Message, ...]:
    """The messages of `body`, as they are in `wire`. Raises Invalid with the path of the field at fault.

    `brief` is the body without its long strings, where there are any: it tells as well which fields there are.
    """
    turns = _turns_in(brief or body, len(wire))
    if brief is not None and not all(turn.keys() <= _KNOWN for turn in turns):
        turns = _turns_in(body, len(wire))
    return tuple(_messages(wire, turns))


def _turns_in(body: bytes, count: int) -> Sequence[Mapping[str, Raw]]:
    try:
        return _turns.decode(body).messages
    except UNREADABLE:  # the name of a field is no text, and so no field of anybody's
        return [{}] * count


def _messages(wire: Sequence[WireMessage], turns: Sequence[Mapping[str, Raw]]) -> Iterator[Message]:
    nameless = ""  # the old function calls have no ids: a call gets one by its place, and its result the same
    for index, (message, turn) in enumerate(zip(wire, turns, strict=True)):
        if message.function_call is not None or not nameless:
            nameless = f"call_{index}"
        if turn.keys() == _BARE and isinstance(content := message.content, str) and message.role in _PLAIN_ROLES:
            yield Message(_PLAIN_ROLES[message.role], (Text(content),))
            continue
        extra = {} if turn.keys() <= _KNOWN else {key: turn[key] for key in turn.keys() - _KNOWN}
        yield _message(message, f"messages[{index}]", nameless, extra)


def _message(message: WireMessage, where: str, nameless: str, extra: Mapping[str, Raw]) -> Message:
    if message.role == "tool" and message.tool_call_id is None:
        raise missing(f"{where}.tool_call_id", "a message of role `tool` names the call that it answers")
    if message.role == "function" and message.name is None:
        raise missing(f"{where}.name", "a message of role `function` names the function that it answers for")
    if message.content is None and message.role not in ("assistant", "function"):
        raise missing(f"{where}.content", f"a message of role `{message.role}` has content")
    role: Role = "tool" if message.role == "function" else message.role
    call = nameless if message.role == "function" else message.tool_call_id
    parts = tuple(_parts(message, where, nameless))
    return Message(role, parts, message.name, call, cache=cache_mark(message.cache_control), extra=extra)


def cache_mark(raw: Raw | UnsetType) -> Raw | None:
    """The mark as it came; None where there is none."""
    return None if raw is UNSET or raw == NULL else Raw(bytes(raw))


def _parts(message: WireMessage, where: str, nameless: str) -> Iterator[Part]:
    if message.reasoning_content or message.reasoning_details is not UNSET:
        yield from thoughts_of(details_of(message.reasoning_details), message.reasoning_content)
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


def _call(raw: Raw | _Call, where: str) -> ToolCall | Opaque:
    try:
        call = raw if isinstance(raw, _Call) else _call_decoder.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, where) from None
    if call.type != "function" and isinstance(raw, Raw):
        return Opaque(DIALECT, bytes(raw), "calls")
    if call.function is UNSET:
        raise missing(f"{where}.function", "a call of type `function` names its function")
    return ToolCall(call.id, call.function.name, call.function.arguments, signature_in(call.extra_content))


def _of_another_kind(raw: Raw) -> bool:
    """Whether this is a part that means something of its own by the name of a field that is known."""
    try:
        return _any_part.decode(raw).type not in _PARTS
    except UNREADABLE:
        return False


def _part(raw: Raw | _Part, where: str) -> Part:
    try:
        part = raw if isinstance(raw, _Part) else _part_decoder.decode(raw)
    except UNREADABLE as fault:
        if isinstance(raw, Raw) and _of_another_kind(raw):
            return Opaque(DIALECT, bytes(raw))
        raise invalid(fault, where) from None
    mark = cache_mark(part.cache_control)
    match part.type, part:
        case "text", _Part(text=str(text)):
            return Text(text, mark)
        case "image_url", _Part(image_url=_ImageUrl(url=url, detail=detail)):
            return Image(url, detail, mark)
        case "input_audio", _Part(input_audio=_InputAudio(data=data, format=sound)):
            return Audio(data, sound)
        case "file", _Part(file=_FileRef(file_data=data, file_id=reference, filename=name)):
            if data is not None and data.startswith(_ADDRESS):
                return File(None, name, reference, data, cache=mark)
            return File(data, name, reference, cache=mark)
        case "refusal", _Part(refusal=str(text)):
            return Refusal(text)
        case ("text" | "image_url" | "input_audio" | "file" | "refusal") as kind, _:
            raise missing(f"{where}.{kind}", f"a part of type `{kind}` has a field `{kind}`")
        case _ if isinstance(raw, Raw):
            return Opaque(DIALECT, bytes(raw))
        case _:
            raise AssertionError(f"{where} passed for plain, and its type {part.type!r} is none of those that are")
