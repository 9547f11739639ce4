"""The messages of OpenAI chat completions, read from callers and written to providers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, overload

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dirigent.core.errors import Unsupported
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
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.openai_chat.takes import Takes
from dirigent.dialects.openai_chat.thoughts import (
    DIALECT,
    details_of,
    signature_in,
    signed,
    thoughts_of,
    written_details,
)
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["Messages", "WireMessage", "at_once", "cache_mark", "foreign", "written_messages"]

_FAILED = "Error: "
"""How the result of a tool that did not work begins, for this dialect has no field that says so."""
_PLAIN_ROLES = frozenset(("system", "developer", "user", "assistant"))
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


class _PlainMessage(WireMessage):
    """A message whose parts are read at once, where there is none that only this dialect knows."""

    content: str | list[_Part] | None = None  # type: ignore[assignment]  # who reads parts takes both


_plain = msgspec.json.Decoder(Annotated[list[_PlainMessage], Meta(min_length=1)])
_any_part = msgspec.json.Decoder(_AnyPart)
_part_decoder = msgspec.json.Decoder(_Part)
_call_decoder = msgspec.json.Decoder(_Call)


def at_once(raw: Raw) -> Sequence[WireMessage] | None:
    """The messages with their parts, read in one go; None where that would lose something or does not succeed.

    A picture is the largest part of the requests that have one, and to go over it once less is worth a try.
    """
    try:
        messages = _plain.decode(raw)
    except UNREADABLE:
        return None
    contents = [message.content for message in messages if isinstance(message.content, list)]
    return messages if all(part.type in _PARTS for content in contents for part in content) else None


# --- read -------------------------------------------------------------------------------------------------------------


class Messages(Sequence[Message]):
    """The messages of a request, checked at once, turned into our own words when somebody reads them.

    On the verbatim path nobody does, and that is most of all requests.
    """

    def __init__(self, wire: Sequence[WireMessage]) -> None:
        self._wire = wire
        self._read: tuple[Message, ...] | None = None
        for message in wire:
            if type(message.content) is not str or message.role not in _PLAIN_ROLES or message.tool_calls:
                self._all()
                return

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
        raise missing(f"{where}.tool_call_id", "a message of role `tool` names the call that it answers")
    if message.role == "function" and message.name is None:
        raise missing(f"{where}.name", "a message of role `function` names the function that it answers for")
    if message.content is None and message.role not in ("assistant", "function"):
        raise missing(f"{where}.content", f"a message of role `{message.role}` has content")
    role: Role = "tool" if message.role == "function" else message.role
    call = nameless if message.role == "function" else message.tool_call_id
    parts = tuple(_parts(message, where, nameless))
    return Message(role, parts, message.name, call, cache=cache_mark(message.cache_control))


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


def _call(raw: Raw, where: str) -> ToolCall | Opaque:
    try:
        call = _call_decoder.decode(raw)
    except UNREADABLE as fault:
        raise invalid(fault, where) from None
    if call.type != "function":
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
            raise AssertionError(
                f"{where} was read at once, and its type {part.type!r} is none of those for which it may"
            )


# --- write ------------------------------------------------------------------------------------------------------------


def written_messages(messages: Iterable[Message], takes: Takes) -> Iterator[dict[str, Any]]:
    """The messages for a provider. Raises Unsupported for parts that only another dialect knows.

    What a tool gave beside text comes after the results of all calls, for most providers take text alone from tools.
    """
    shown: list[Part] = []
    for message in messages:
        if shown and message.role != "tool":
            yield _written_message(Message("user", tuple(shown)), takes)
            shown = []
        if message.role != "tool" or takes.pictures_from_tools:
            yield _written_message(message, takes)
            continue
        told, beside = _told_and_shown(message)
        shown += beside
        yield _written_message(told, takes)
    if shown:
        yield _written_message(Message("user", tuple(shown)), takes)


def _told_and_shown(message: Message) -> tuple[Message, Sequence[Part]]:
    """The result of a tool as text, and what of it is none."""
    beside = [part for part in message.parts if isinstance(part, Image | Audio | File)]
    if not beside:
        return message, ()
    told = tuple(part for part in message.parts if part not in beside) or (Text("The result follows."),)
    return msgspec.structs.replace(message, parts=told), (Text(f"The result of the call {message.call}:"), *beside)


def _written_message(message: Message, takes: Takes) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role}
    calls = [_written_call(part, takes) for part in message.parts if _is_call(part)]
    thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
    refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
    sounds = [part for part in message.parts if isinstance(part, Audio) and part.reference]
    content: Sequence[Part] = [
        part
        for part in message.parts
        if not (_is_call(part) or isinstance(part, Refusal | Reasoning) or part in sounds)
    ]
    if message.failed:
        content = _failed(content)
    if not content:
        written["content"] = None if calls or thoughts or refusals or sounds else ""
    elif len(content) == 1 and isinstance(content[0], Text) and not (takes.cache_marks and content[0].cache):
        written["content"] = content[0].text
    else:
        written["content"] = [_written_part(part, takes) for part in content]
    if message.name is not None:
        written["name"] = message.name
    if message.call is not None:
        written["tool_call_id"] = message.call
    if calls:
        written["tool_calls"] = calls
    if told := "".join(thought.text for thought in thoughts):
        written["reasoning_content"] = told
    own_seals = (thought for thought in thoughts if takes.seals or thought.issuer == DIALECT)
    if thoughts and (details := written_details(own_seals)):
        written["reasoning_details"] = details
    if refusals:
        written["refusal"] = "".join(refusals)
    if sounds:
        written["audio"] = {"id": sounds[0].reference}
    if takes.cache_marks and message.cache is not None:
        written["cache_control"] = message.cache
    return written


def _failed(content: Sequence[Part]) -> Sequence[Part]:
    first = content[0] if content else Text("it failed")
    if isinstance(first, Text):
        return [msgspec.structs.replace(first, text=_FAILED + first.text), *content[1:]]
    return [Text(_FAILED), *content]


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCall) or (isinstance(part, Opaque) and part.place == "calls")


def _written_call(part: Part, takes: Takes) -> object:
    if not isinstance(part, ToolCall):
        return foreign(part)
    function = {"name": part.name, "arguments": part.arguments}
    seal = signed(part.signature) if takes.seals else {}
    return {"id": part.id, "function": function, "type": "function", **seal}


def _written_part(part: Part, takes: Takes) -> object:
    match part:
        case Text(text=text):
            written: dict[str, Any] = {"type": "text", "text": text}
        case Image(url=url, detail=detail):
            if url.startswith("s3://") and not takes.stored_pictures:
                raise Unsupported("this provider takes no pictures out of Amazon's storage")
            written = {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data=data, format=sound):
            return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
        case File():
            written = {"type": "file", "file": _written_file(part, takes)}
        case _:
            return foreign(part)
    if takes.cache_marks and part.cache is not None:
        written["cache_control"] = part.cache
    return written


def _written_file(file: File, takes: Takes) -> dict[str, str]:
    data = file.data
    if file.url is not None:
        if not takes.file_addresses:
            raise Unsupported("this provider takes documents by their contents, not by their address")
        data = file.url
    elif data is not None and file.media_type is not None and not data.startswith("data:"):
        data = f"data:{file.media_type};base64,{data}"
    known = {"file_data": data, "filename": file.name, "file_id": file.reference}
    return {key: value for key, value in known.items() if value is not None}


def foreign(part: object) -> Raw:
    """What only its own dialect knows, as it came. Raises Unsupported where that is another one."""
    if isinstance(part, Opaque) and part.dialect == DIALECT:
        return Raw(part.raw)
    dialect = part.dialect if isinstance(part, Opaque) else "of another provider"
    raise Unsupported(f"a part that only the dialect {dialect!r} knows cannot be sent to this provider")
